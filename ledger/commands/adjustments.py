"""Commands on adjustments, and on the rules that they are decided by."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.commands.cases import missing_cases
from ledger.commands.decision import decide_on
from ledger.domain.adjusting import EVIDENCE_MAX, AdjustmentCommand, ProposeAdjustment, decide
from ledger.domain.adjustment_events import Adjustment, AdjustmentEvent, RuleEvent
from ledger.domain.adjustment_refusals import EvidenceUnknown
from ledger.domain.adjustment_terms import check_adjustment
from ledger.domain.adjustments import Rules, evolve_rules, folded
from ledger.domain.catalogue import Catalogue
from ledger.domain.contracts import contract_at
from ledger.domain.events import Event
from ledger.domain.governing import AddReasonCode, RetireReasonCode, RuleCommand, decide_rule
from ledger.domain.metadata import Metadata
from ledger.domain.names import adjustment_stream, limit_stream, reason_stream
from ledger.domain.pricing_refusals import ContractMissing
from ledger.domain.refusals import AccountUnknown
from ledger.domain.segments import period_of, segments
from ledger.event_log import EventLog


def require_fit(catalogue: Catalogue, account: str, adjustment: Adjustment) -> None:
    """Raise `AccountUnknown`, `ContractMissing`, or what `check_adjustment` raises, where no invoice can take it."""
    owner = catalogue.accounts.get(account)
    if owner is None:
        raise AccountUnknown(account=account[:256])
    contract = contract_at(catalogue.contracts.get(account, ()), adjustment.at)
    if contract is None:
        raise ContractMissing(account=account)
    period = period_of(contract, catalogue.plans, adjustment.at, owner.zone)
    parts = segments(contract, catalogue.plans, period, owner.zone)
    check_adjustment(adjustment, currency=contract.terms.currency, segments=parts, meters=catalogue.meters)


async def change_adjustment(
    log: EventLog, catalogue: Catalogue, command: AdjustmentCommand, *, now: datetime, metadata: Metadata
) -> int:
    """Carry out a command on an adjustment; refusals as `ledger.domain.adjusting.decide` and `require_fit` raise them.

    `catalogue` knows the accounts, contracts, meters and rules.
    """
    head = (await log.head()).position
    if isinstance(command, ProposeAdjustment):
        told = command.adjustment.evidence[:EVIDENCE_MAX]  # of more, none is taken
        cases = [one.reference for one in told if one.kind == "case"]
        for case in await missing_cases(log, cases, command.account):
            raise EvidenceUnknown(kind="case", reference=case[:256])

    def decided(past: list[Event]) -> Sequence[Event]:
        state = folded(cast("list[AdjustmentEvent]", past))
        if isinstance(command, ProposeAdjustment) and command.adjustment.adjustment not in state:
            require_fit(catalogue, command.account, command.adjustment)
        return decide(state, command, now=now, rules=catalogue.rules, head=head)

    stream = adjustment_stream(command.account)
    return await decide_on(log, stream, decided, account=command.account, now=now, metadata=metadata)


async def change_rule(
    log: EventLog, catalogue: Catalogue, command: RuleCommand, *, now: datetime, metadata: Metadata
) -> int:
    """Carry out a command on a rule; refusals as `ledger.domain.governing.decide_rule` raises them.

    `catalogue` knows how many reason codes there are.
    """

    def decided(past: list[Event]) -> Sequence[Event]:
        rules = Rules(reasons=catalogue.rules.reasons)
        for event in cast("list[RuleEvent]", past):
            rules = evolve_rules(rules, event)
        return decide_rule(rules, command)

    match command:
        case AddReasonCode(code=code) | RetireReasonCode(code=code):
            stream = reason_stream(code)
        case _:
            stream = limit_stream(command.role, command.limit.currency)
    return await decide_on(log, stream, decided, account=None, now=now, metadata=metadata)
