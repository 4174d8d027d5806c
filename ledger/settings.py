"""What the environment says about where and how this process runs; read once, at its start."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

Value = TypeVar("Value")
HOURS_MAX: Final = 8_784
"""A year of hours: no period waits longer to be closed by itself."""


class Environment(StrEnum):
    """Whether we serve developers (GraphiQL, introspection, plain logs) or customers."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """How log lines are written: for machines or for people."""

    JSON = "json"
    CONSOLE = "console"


class SettingError(ValueError):
    """An environment variable has a value that we cannot use; the message names it and says what
    is expected.
    """

    def __init__(self, variable: str, value: str, expected: str) -> None:
        shown = (
            "a value that is not shown" if variable.endswith(("_URL", "_PUBLISH", "_KEY", "_SECRETS")) else repr(value)
        )
        super().__init__(f"{variable} is {shown}: expected {expected}")
        self.variable = variable


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The process's settings.

    `database_url` and `redis_url` are None where the embedded servers are meant; `data_directory`
    is where those keep their files (None: they choose). `traces_endpoint` is the OTLP collector,
    None for no traces. `seal_keys` is the directory of the keys that sign the log's tree heads (None: in the embedded
    servers' directory, or nothing is sealed), `seal_publish` the file or address that heads are told to.
    `close_after` is how long after its end a billing period is closed by itself, None for never.
    `stripe_api_key` is the key of the Stripe account that the ledger follows, `stripe_webhook_secrets` sign what it
    tells (several while they are rolled), `stripe_url` is where a stand-in for Stripe listens. With neither key nor
    stand-in there is no billing platform.
    """

    database_url: str | None = None
    redis_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    environment: Environment = Environment.PRODUCTION
    log_format: LogFormat = LogFormat.JSON
    data_directory: Path | None = None
    traces_endpoint: str | None = None
    seal_keys: Path | None = None
    seal_publish: str | None = None
    close_after: timedelta | None = timedelta(hours=72)
    stripe_api_key: str | None = None
    stripe_webhook_secrets: tuple[str, ...] = ()
    stripe_url: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings in these environment variables; one that is empty counts as not set.

        `LEDGER_ENV` is production unless it says otherwise, so that nothing is opened by
        forgetting it; `LEDGER_LOG_FORMAT` follows it (console in development). Raises SettingError.
        """
        environment = _read(environ, "LEDGER_ENV", _choice(Environment), Environment.PRODUCTION)
        is_development = environment is Environment.DEVELOPMENT
        usual_format = LogFormat.CONSOLE if is_development else LogFormat.JSON
        return cls(
            database_url=_read(environ, "LEDGER_DATABASE_URL", _postgres_url, None),
            redis_url=_read(environ, "LEDGER_REDIS_URL", _redis_url, None),
            host=_read(environ, "LEDGER_HOST", _host, "127.0.0.1"),
            port=_read(environ, "LEDGER_PORT", _port, 8000),
            environment=environment,
            log_format=_read(environ, "LEDGER_LOG_FORMAT", _choice(LogFormat), usual_format),
            data_directory=_read(environ, "LEDGER_DATA_DIR", _directory, None),
            traces_endpoint=_read(environ, "OTEL_EXPORTER_OTLP_ENDPOINT", _http_url, None),
            seal_keys=_read(environ, "LEDGER_SEAL_KEYS", _directory, None),
            seal_publish=_read(environ, "LEDGER_SEAL_PUBLISH", _file_or_url, None),
            close_after=_read(environ, "LEDGER_CLOSE_AFTER_HOURS", _hours, timedelta(hours=72)) or None,
            stripe_api_key=_read(environ, "STRIPE_API_KEY", _secret_key, None),
            stripe_webhook_secrets=_read(environ, "STRIPE_WEBHOOK_SECRETS", _webhook_secrets, ()),
            stripe_url=_read(environ, "LEDGER_STRIPE_URL", _http_url, None),
        )


class _Unusable(Exception):
    """A value that a reader below cannot use; says what it expects."""


def _read(environ: Mapping[str, str], variable: str, read: Callable[[str], Value], default: Value) -> Value:
    written = environ.get(variable, "").strip()
    if not written:
        return default
    try:
        return read(written)
    except _Unusable as unusable:
        raise SettingError(variable, written, str(unusable)) from None


Choice = TypeVar("Choice", bound=StrEnum)


def _choice(choices: type[Choice]) -> Callable[[str], Choice]:
    def read(written: str) -> Choice:
        try:
            return choices(written.lower())
        except ValueError:
            raise _Unusable(" or ".join(choices)) from None

    return read


def _url(written: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        scheme = urlsplit(written).scheme
    except ValueError:
        scheme = ""
    if scheme not in schemes:
        raise _Unusable(f"an address such as {example}")
    return written


def _postgres_url(written: str) -> str:
    return _url(written, ("postgres", "postgresql"), "postgresql://user:password@host:5432/ledger")


def _redis_url(written: str) -> str:
    return _url(written, ("redis", "rediss", "unix"), "redis://host:6379/0")


def _http_url(written: str) -> str:
    return _url(written, ("http", "https"), "http://collector:4318")


def _file_or_url(written: str) -> str:
    if not written.startswith(("http://", "https://")) and not Path(written).is_absolute():
        raise _Unusable("an absolute path or an address such as https://witness/heads")
    return written


def _host(written: str) -> str:
    if any(sign in written for sign in "/@ "):
        raise _Unusable("a host name or address without scheme, port or path")
    return written


def _port(written: str) -> int:
    if not (written.isascii() and written.isdigit() and 1 <= int(written[:6]) <= 65535):
        raise _Unusable("a port from 1 to 65535")
    return int(written)


def _hours(written: str) -> timedelta:
    if written.lower() == "none":
        return timedelta()
    if not (written.isascii() and written.isdigit() and int(written[:6]) <= HOURS_MAX):
        raise _Unusable(f"a whole number of hours up to {HOURS_MAX}, 0 or none for never")
    return timedelta(hours=int(written))


def _directory(written: str) -> Path:
    path = Path(written)
    if not path.is_absolute():
        raise _Unusable("an absolute path")
    return path


def _secret_key(written: str) -> str:
    if not written.startswith(("sk_", "rk_")) or not written.isascii() or not written.isprintable():
        raise _Unusable("a secret or restricted key of Stripe, such as sk_test_...")
    return written


def _webhook_secrets(written: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in written.split(",") if part.strip())
    if not all(secret.startswith("whsec_") for secret in secrets):
        raise _Unusable("signing secrets such as whsec_..., with commas between them")
    return secrets
