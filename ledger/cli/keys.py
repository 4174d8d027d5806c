"""`ledger keys`: who may use the API."""

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ledger.cli.opening import acting, ledger, now, settings
from ledger.commands.keys import FreshKey, issue_key, revoke_key
from ledger.domain.access import ROLES
from ledger.domain.events import KeyIssued

app = typer.Typer(no_args_is_help=True, help="API keys: issue, list, revoke.")
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Option(help="What the key is for.")]
Roles = Annotated[list[str], typer.Option("--role", help=f"Any of {', '.join(ROLES)}; may be repeated.")]
Account = Annotated[str | None, typer.Option(help="Bind the key to this account, by its key.")]
Person = Annotated[
    str | None,
    typer.Option(help="Who holds it, the same for each of their keys: proposing and approving adjustments needs one."),
]
Days = Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires; never unless given.")]


@app.command()
def issue(
    name: Name, role: Roles, account: Account = None, expires_in_days: Days = None, person: Person = None
) -> None:
    """Make a key and print it: the only time that it is shown."""
    fresh = asyncio.run(_issue(name, role, account, expires_in_days, person))
    err.print(f"This is the key {fresh.key_id}. It is shown this once: the ledger keeps only its hash.", markup=False)
    out.print(fresh.text, markup=False)


async def _issue(
    name: str, roles: list[str], account: str | None, expires_in_days: int | None, person: str | None
) -> FreshKey:
    moment = now()
    expires_at = None if expires_in_days is None else moment + timedelta(days=expires_in_days)
    async with ledger(settings()) as opened:
        return await issue_key(
            opened.log,
            name=name,
            roles=roles,
            account=account,
            expires_at=expires_at,
            person=person,
            now=moment,
            metadata=acting("keys issue"),
        )


@app.command("list")
def list_keys() -> None:
    """Show every key that was not revoked; never its secret."""
    table = Table("id", "name", "person", "roles", "account", "expires")
    for key in asyncio.run(_keys()):
        expires = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
        if key.expires_at is not None and key.expires_at <= now():
            expires = f"expired {expires}"
        table.add_row(key.key_id, key.name, key.person or "", ", ".join(key.roles), key.account or "all", expires)
    out.print(table)


async def _keys() -> list[KeyIssued]:
    async with ledger(settings()) as opened:
        return list(opened.catalogue.keys.values())


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `ledger keys list` shows it.")]) -> None:
    """Make a key good for nothing, at once and for ever."""
    position = asyncio.run(_revoke(key_id))
    out.print(f"The key {key_id} is revoked (position {position}).", markup=False)


async def _revoke(key_id: str) -> int:
    async with ledger(settings()) as opened:
        return await revoke_key(opened.log, key_id, now=now(), metadata=acting("keys revoke"))
