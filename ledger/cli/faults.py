"""What keeps a command from its work, in one sentence that says what to do."""

import asyncio
import socket
from urllib.parse import urlsplit

import asyncpg

from ledger.domain.refusals import Refusal
from ledger.embedded.directories import EmbeddedServerError
from ledger.migrate import MigrationChanged
from ledger.settings import SettingError
from ledger.supervisor import GaveUp
from ledger.usage_import.mapping import MappingInvalid
from ledger.usage_import.readers import FileUnreadable

STATUS = 2
"""The exit status of a command that could not begin its work."""


class CannotGoOn(Exception):
    """The command cannot do its work; the message is the sentence that a person gets to read."""


def sentence_about(fault: BaseException) -> str | None:
    """What to tell a person about a fault that is no bug; None for a bug."""
    match fault:
        case CannotGoOn() | SettingError() | EmbeddedServerError() | GaveUp() | MappingInvalid() | FileUnreadable():
            return str(fault)
        case Refusal():
            return fault.message
        case MigrationChanged():
            return (
                f"The migration {fault} was applied to this database with another text. "
                "Use the version of the ledger that made the database, or restore the file."
            )
        case _:
            return None


def redis_fault(fault: Exception) -> CannotGoOn:
    """What to tell a person about a Redis that cannot be reached."""
    return CannotGoOn(f"Redis cannot be used ({fault}). Is it running, and is LEDGER_REDIS_URL its address?")


def database_fault(fault: Exception, database_url: str) -> CannotGoOn | None:
    """What to tell a person about a database that does not let itself be opened; None for a bug.

    Never shows the password that is in the address.
    """
    where = _place(database_url)
    match fault:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return CannotGoOn(f"The database at {where} does not accept the user or password in LEDGER_DATABASE_URL.")
        case asyncpg.InvalidCatalogNameError():
            return CannotGoOn(f"There is no such database at {where}: create it, or correct LEDGER_DATABASE_URL.")
        case asyncpg.UndefinedTableError() | asyncpg.InvalidParameterValueError():
            return CannotGoOn(f"The database at {where} is not set up, or not up to date: run `ledger migrate`.")
        case asyncpg.InsufficientPrivilegeError():
            return CannotGoOn(f"The user in LEDGER_DATABASE_URL may not do this at {where}: {fault}.")
        case socket.gaierror() | OSError() | asyncio.TimeoutError() | asyncpg.PostgresConnectionError():
            return CannotGoOn(
                f"The database at {where} cannot be reached ({_reason(fault)}). "
                "Is it running, and is LEDGER_DATABASE_URL its address?"
            )
        case asyncpg.CannotConnectNowError() | asyncpg.TooManyConnectionsError():
            return CannotGoOn(f"The database at {where} takes no connection at the moment: {fault}.")
        case asyncpg.ClientConfigurationError() | ValueError():
            return CannotGoOn(f"LEDGER_DATABASE_URL is no usable address: {fault}.")
        case _:
            return None


def _place(database_url: str) -> str:
    parts = urlsplit(database_url)
    address = parts.netloc.rpartition("@")[2] or "this machine"
    return f"{address}{parts.path}"


def _reason(fault: Exception) -> str:
    return (getattr(fault, "strerror", None) or str(fault) or type(fault).__name__).rstrip(".")
