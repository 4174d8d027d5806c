"""What a person may ask of sends: whose usage is told, to be told again, to be taken back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import cast

from ledger.commands.sends import Cancel, batches, intended_rows, stand, start_sending
from ledger.database import Pool
from ledger.domain.catalogue import Account
from ledger.domain.metadata import Metadata
from ledger.domain.names import platform_stream
from ledger.domain.platform_events import CustomerSynced
from ledger.domain.refusals import UsageUnknown
from ledger.domain.send_events import SendingStarted, UsageSend
from ledger.domain.send_refusals import CustomerUnclear, SendNotCancellable, SendNotRepeatable, SendUnknown
from ledger.domain.sending import TOPICS, SendingState
from ledger.domain.sends import Told, repeated
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.event_log import PAGE_EVENTS_MAX, EventLog
from ledger.log_streams import newest

FindSends = Callable[[], Awaitable[Sequence[Told]]]
"""The sends that a command is about, as they stand after whatever the log holds."""


async def bring(state: SendingState, log: EventLog, position: int) -> None:
    """Apply to the state the decisions after it, up to a position."""
    while True:
        rows = await log.decisions_since(state.position)
        for row in rows:
            if row["position"] > position:
                break
            state.position = row["position"]
            if row["topic"] in TOPICS:
                state.apply(decode(row["topic"], row["state"]), row["position"])
        else:
            if len(rows) == PAGE_EVENTS_MAX:
                continue
        state.position = position
        return


async def start_sending_account(
    pool: Pool,
    log: EventLog,
    platform: str,
    account: Account,
    *,
    customer: str | None,
    since: datetime | None,
    now: datetime,
    metadata: Metadata,
) -> int:
    """Tell an account's usage from here on, as that of the customer there who is one of its aliases.

    Raises `CustomerUnclear` where none is, or several are and none was named, and `SendingOnAlready`.
    """
    streams = {platform_stream(platform, "customer", alias): alias for alias in account.aliases}
    known = await newest(pool, list(streams))
    events = {streams[stream]: decode(row["topic"], row["state"]) for stream, row in known.items()}
    found = [alias for alias, one in events.items() if isinstance(one, CustomerSynced) and not one.customer.is_deleted]
    if customer is None and len(found) == 1:
        customer = found[0]
    if customer is None or customer not in found:
        told = "none of its aliases is that customer there" if customer else "none of its aliases is a customer there"
        why = told if customer or not found else "several of its aliases are customers there: name one"
        raise CustomerUnclear(account=account.key, platform=platform, why=why)
    started = SendingStarted(platform=platform, account=account.key, customer=customer, since=since or now)
    return await start_sending(log, started, now=now, metadata=metadata)


async def resend_usage(
    pool: Pool, log: EventLog, platform: str, position: int, find: FindSends, *, now: datetime, metadata: Metadata
) -> list[UsageSend]:
    """Intend to tell the usage at a position, again where it was rejected; a worker tells it within minutes.

    Raises `UsageUnknown`, and `SendNotRepeatable` where it may count there already or does not count here.
    """
    known = await stand(pool, platform)
    told = await find()
    if any(one.state != "rejected" for one in told):
        raise SendNotRepeatable(position=position, why="it counts there, or it is not known whether it does")
    again = {one.send.repeats for one in told}
    state = SendingState(platform)
    await bring(state, log, (await log.head()).position)
    if position in state.catalogue.superseded:
        raise SendNotRepeatable(position=position, why="it was amended or voided")
    sends = [repeated(one.send) for one in told if one.send.identifier not in again and one.send.undoes is None]
    if not told:
        rows = await log.at([position])
        if not rows or not rows[0]["topic"].startswith("Usage"):
            raise UsageUnknown(position=position)
        usage = cast("UsageEvent", decode(rows[0]["topic"], rows[0]["state"]))
        sends = state.sends_of(usage, position, rows[0]["recorded_at"], is_asked_for=True)
    if not sends:
        raise SendNotRepeatable(position=position, why="no meter there takes it, or its account is not told")
    made = batches(platform, known, sends, derived_up_to=known.derived_up_to, now=now)
    await log.append(intended_rows(made, [], platform, now=now, metadata=metadata))
    return sends


async def cancel_send(
    pool: Pool, log: EventLog, platform: str, identifier: str, find: FindSends, *, now: datetime, metadata: Metadata
) -> UsageSend:
    """Intend to take back a send; a worker asks the platform, or undoes it by a send of the negative value.

    Raises `SendUnknown`, and `SendNotCancellable` where it does not count or is being taken back already.
    """
    known = await stand(pool, platform)
    told = next(iter(await find()), None)
    if told is None:
        raise SendUnknown(platform=platform, identifier=identifier[:256])
    if told.cancel is not None:
        raise SendNotCancellable(identifier=identifier, why="it is being taken back, or was")
    if told.state in ("rejected", "cancelled"):
        raise SendNotCancellable(identifier=identifier, why="it does not count there")
    made = batches(platform, known, [], derived_up_to=known.derived_up_to, now=now)
    cancel = Cancel(told.send, told.send.position)
    await log.append(intended_rows(made, [cancel], platform, now=now, metadata=metadata))
    return told.send
