"""Settings: read once from the environment, with a clear word about a wrong one."""

from datetime import timedelta
from pathlib import Path

import pytest

from ledger.settings import Environment, LogFormat, SettingError, Settings


def test_without_variables_it_serves_customers_on_this_machine_alone() -> None:
    assert Settings.from_environ({}) == Settings()
    assert Settings().host == "127.0.0.1"
    assert Settings().environment is Environment.PRODUCTION
    assert Settings().log_format is LogFormat.JSON


def test_every_variable_is_read() -> None:
    environ = {
        "LEDGER_DATABASE_URL": "postgresql://ledger@/ledger?host=/run/postgresql",
        "LEDGER_REDIS_URL": "unix:///run/redis.sock?db=0",
        "LEDGER_HOST": "::",
        "LEDGER_PORT": "65535",
        "LEDGER_ENV": "Development",
        "LEDGER_LOG_FORMAT": "json",
        "LEDGER_DATA_DIR": "/srv/ledger",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "LEDGER_SEAL_KEYS": "/srv/seals",
        "LEDGER_SEAL_PUBLISH": "https://witness/heads",
        "STRIPE_API_KEY": "sk_test_1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_1, whsec_2",
        "LEDGER_STRIPE_URL": "http://sandbox:12111",
    }
    assert Settings.from_environ(environ) == Settings(
        database_url=environ["LEDGER_DATABASE_URL"],
        redis_url=environ["LEDGER_REDIS_URL"],
        host="::",
        port=65535,
        environment=Environment.DEVELOPMENT,
        log_format=LogFormat.JSON,
        data_directory=Path("/srv/ledger"),
        traces_endpoint="http://collector:4318",
        seal_keys=Path("/srv/seals"),
        seal_publish="https://witness/heads",
        stripe_api_key="sk_test_1",
        stripe_webhook_secrets=("whsec_1", "whsec_2"),
        stripe_url="http://sandbox:12111",
    )


def test_an_empty_variable_is_not_set() -> None:
    assert Settings.from_environ({"LEDGER_PORT": "", "LEDGER_DATABASE_URL": " "}) == Settings()


def test_development_logs_for_people() -> None:
    assert Settings.from_environ({"LEDGER_ENV": "development"}).log_format is LogFormat.CONSOLE


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LEDGER_PORT", "0", "a port from 1 to 65535"),
        ("LEDGER_PORT", "65536", "a port from 1 to 65535"),
        ("LEDGER_PORT", "9" * 5000, "a port from 1 to 65535"),
        ("LEDGER_PORT", "８０", "a port from 1 to 65535"),
        ("LEDGER_PORT", "http", "a port from 1 to 65535"),
        ("LEDGER_HOST", "http://example", "without scheme"),
        ("LEDGER_ENV", "staging", "development or production"),
        ("LEDGER_LOG_FORMAT", "xml", "json or console"),
        ("LEDGER_DATA_DIR", "relative", "an absolute path"),
        ("LEDGER_REDIS_URL", "localhost:6379", "redis://host:6379/0"),
        ("LEDGER_DATABASE_URL", "mysql://host/ledger", "postgresql://"),
        ("LEDGER_DATABASE_URL", "postgresql://[", "postgresql://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://collector:4318"),
        ("LEDGER_SEAL_KEYS", "seals", "an absolute path"),
        ("LEDGER_SEAL_PUBLISH", "heads.txt", "an absolute path or an address"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_is_expected(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError, match=f"^{variable} is .*expected .*{expected}") as refused:
        Settings.from_environ({variable: value})
    assert refused.value.variable == variable


def test_an_address_that_may_hold_a_password_is_not_repeated() -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environ({"LEDGER_DATABASE_URL": "postgrse://ledger:secret@host/ledger"})
    assert "secret" not in str(refused.value)


def test_periods_are_closed_after_three_days_or_as_told_or_never() -> None:
    told = {None: 72, "5": 5, "0": None, "none": None}
    for written, hours in told.items():
        environ = {} if written is None else {"LEDGER_CLOSE_AFTER_HOURS": written}
        expected = None if hours is None else timedelta(hours=hours)
        assert Settings.from_environ(environ).close_after == expected
