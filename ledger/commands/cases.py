"""Commands on cases: what reconciliation runs observe, and what people decide."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast

from ledger.commands.decision import decide_on
from ledger.domain.adjustments import Rules
from ledger.domain.case_events import CaseEvent, CaseOpened, CaseReassessed, CaseReopened, CaseSettled
from ledger.domain.case_refusals import CaseUnknown
from ledger.domain.cases import Case, Observation, folded, key_of, stream_of
from ledger.domain.casework import (
    CaseCommand,
    ObserveAgreement,
    ObserveDifference,
    PersonsCommand,
    ResolveCase,
    check_adjustment,
    decide,
)
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.topics import decode
from ledger.event_log import EventLog

DIFFERENCES_MAX: Final = 10_000
"""How many cases one observation opens or looks at; it takes those about the most money."""
AT_ONCE: Final = 64
"""How many of them are written together: appends that wait at the same time share a commit."""


class Observed(NamedTuple):
    """How many cases an observation opened, reassessed, reopened and settled, and how many differences it left out."""

    opened: int
    reassessed: int
    reopened: int
    settled: int
    left_out: int


async def observe(
    log: EventLog,
    catalogue: Catalogue,
    differences: Sequence[Difference],
    observation: Observation,
    *,
    metadata: Metadata,
) -> Observed:
    """Tell the cases what a reconciliation run found: those that differ, and those that agree by now.

    Repeated, it changes nothing: a run that died in the middle is observed again as a whole. Of two differences of one
    subject the last counts. `catalogue` knows the cases that are not settled.
    """
    by_case = {key_of(one): one for one in differences}
    taken = sorted(by_case.values(), key=_weight, reverse=True)[:DIFFERENCES_MAX]
    commands: list[CaseCommand] = [ObserveDifference(observation.run, one) for one in taken]
    commands += [
        ObserveAgreement(observation.run, case)
        for case in sorted(observation.agreed & catalogue.cases.keys())
        if case not in by_case
    ]
    owners = {case: one.account for case, one in catalogue.cases.items()}
    owners |= {case: one.account for case, one in by_case.items()}
    counts: dict[str, int] = {}
    for start in range(0, len(commands), AT_ONCE):
        told = await asyncio.gather(
            *(
                _carry_out(
                    log, one, account=owners[one.case], now=observation.observed_at, rules=Rules(), metadata=metadata
                )
                for one in commands[start : start + AT_ONCE]
            )
        )
        for _, events in told:
            for event in events:
                counts[event.TOPIC] = counts.get(event.TOPIC, 0) + 1
    opened, reassessed, reopened, settled = (
        counts.get(kind.TOPIC, 0) for kind in (CaseOpened, CaseReassessed, CaseReopened, CaseSettled)
    )
    return Observed(opened, reassessed, reopened, settled, left_out=len(by_case) - len(taken))


async def change_case(
    log: EventLog, catalogue: Catalogue, command: PersonsCommand, *, now: datetime, metadata: Metadata
) -> int:
    """Carry out a person's command on a case; refusals as `ledger.domain.casework.decide` and `check_adjustment` raise.

    `catalogue` knows the reason codes, and the adjustments of the account.
    """
    case = await find_case(log, command.case)
    if case is None:
        raise CaseUnknown(case=command.case[:256])
    account = case.difference.account
    if isinstance(command, ResolveCase) and account is not None:
        check_adjustment(catalogue.adjustments.get(account, {}), command)
    position, _ = await _carry_out(log, command, account=account, now=now, rules=catalogue.rules, metadata=metadata)
    return position


async def find_case(log: EventLog, case: str) -> Case | None:
    """The case with a key as the log has it now; None for what is no case's key."""
    stream = stream_of(case)
    past = [] if stream is None else await log.stream(stream)
    if not past or past[0].topic != CaseOpened.TOPIC:
        return None  # it may be the stream of something else, which a text from outside may happen to name
    return folded(cast("CaseEvent", decode(event.topic, event.state)) for event in past)


async def missing_cases(log: EventLog, cases: Iterable[str], account: str) -> list[str]:
    """Those of some texts that are the key of no case that an account may point to: its own, or nobody's."""
    found = {case: await find_case(log, case) for case in dict.fromkeys(cases)}
    return [case for case, one in found.items() if one is None or one.difference.account not in (None, account)]


async def _carry_out(
    log: EventLog, command: CaseCommand, *, account: str | None, now: datetime, rules: Rules, metadata: Metadata
) -> tuple[int, Sequence[CaseEvent]]:
    """Where the command's effect is, and the events that it made."""
    made: list[CaseEvent] = []
    stream = stream_of(command.case)
    assert stream is not None, "the key was made from a stream's id, or found"

    def decided(past: list[Event]) -> Sequence[Event]:
        state = folded(cast("list[CaseEvent]", past))
        made[:] = decide(state, command, now=now, rules=rules)
        return made

    position = await decide_on(log, stream, decided, account=account, now=now, metadata=metadata)
    return position, made


def _weight(difference: Difference) -> tuple[int, str]:
    """How much money it is about, in minor units of whatever currency; ties in order of the key."""
    return 0 if difference.money is None else abs(difference.money.minor_units), key_of(difference)
