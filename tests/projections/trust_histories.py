"""Random histories of ledgers whose accounts are billed, adjusted and closed, and how they come to pass.

Everything goes through the commands that the API calls. A clock goes with each history: what is agreed is not agreed
about a time that was closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

from hypothesis import strategies as st

from ledger.commands.accounts import change_account
from ledger.commands.adjustments import change_adjustment, change_rule, require_fit
from ledger.commands.closings import AssessLateUsage, ClosePeriods, assess_late_usage, close_periods
from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.domain.accounts import AccountCommand, AliasAccount, ChangeAccountZone, OpenAccount, RemoveAccountAlias
from ledger.domain.adjusting import (
    AdjustmentCommand,
    ApproveAdjustment,
    Effect,
    ProposeAdjustment,
    RejectAdjustment,
    WithdrawAdjustment,
    opposite,
)
from ledger.domain.adjustment_events import Adjustment, AdjustmentKind
from ledger.domain.adjustments import is_approved
from ledger.domain.agreements import Commitment, ContractTerms, CreditGrant, LateAction, LatePolicy, PlanChoice
from ledger.domain.closings import Closed
from ledger.domain.contracting import (
    ChangePlan,
    ContractCommand,
    EndContract,
    GrantCredit,
    PauseContract,
    ResumeContract,
    StartContract,
)
from ledger.domain.events import UsageRecorded
from ledger.domain.governing import AddReasonCode, SetAdjustmentLimit
from ledger.domain.metering import Filter, MeterDefinition
from ledger.domain.meters import ChangeMeter, DefineMeter, RetireMeter
from ledger.domain.money import Money
from ledger.domain.plans import DefinePlan, PlanCommand, RevisePlan
from ledger.domain.refusals import Refusal
from ledger.projections.invoices import Asked, projected_invoices
from ledger.projections.ratings import Ratings
from tests.log.ledgers import METADATA, NOW
from tests.projections.histories import (
    ACCOUNTS,
    FAR_AHEAD,
    FIRST,
    METERS,
    Amend,
    Dismiss,
    Happening,
    Mend,
    Told,
    Void,
    live_through,
    projections,
    zones,
)
from tests.projections.test_as_of import OPENED, PER_UNIT, PLANS, STARTED, charge, plan
from tests.projections.worlds import World

PERSONS = ("Olivia", "Pat", "Quentin")
REASON = AddReasonCode("fault", "Something was wrong")
LIMIT = SetAdjustmentLimit("ops", Money(1_000, "EUR"), "Gina")
DAYS = 5
"""Histories lie in so many billing periods, of a day each."""


class Propose(NamedTuple):
    """A person asks for an adjustment; `adjustment` is told again under the same key now and then."""

    account: str
    adjustment: Adjustment
    person: str


class Reverse(NamedTuple):
    """A person asks for the account's `number`-th adjustment to be undone, counted round."""

    account: str
    number: int
    person: str


class Decide(NamedTuple):
    """A person decides on the account's `number`-th adjustment, counted round."""

    account: str
    number: int
    person: str
    verdict: Literal["approve", "reject", "withdraw"]


class Close(NamedTuple):
    """The account's periods are closed, as the clock comes to so many hours after the contracts' start."""

    account: str
    hours: int


class Assess(NamedTuple):
    """Late usage of the account's `number`-th closed period is settled, counted round."""

    account: str
    number: int


class Stop(NamedTuple):
    """The ledger catches up, and what it tells is kept."""


Settling = Propose | Reverse | Decide | Close | Assess
Step = Happening | PlanCommand | ContractCommand | Settling | Stop

accounts, persons = st.sampled_from(ACCOUNTS), st.sampled_from(PERSONS)
moments = st.integers(0, DAYS * 24 - 1).map(lambda hour: STARTED + timedelta(hours=hour, minutes=30))
properties = st.fixed_dictionaries(
    {"v": st.sampled_from([*range(1, 30), Decimal("2.50"), Decimal("0.001"), Decimal(-3), "7", "2.50", "many", None])},
    optional={"d": st.sampled_from("ppq"), "e": st.sampled_from("rs")},
)
types = st.sampled_from("tttuuw")
usages = st.builds(
    UsageRecorded,
    source=st.just("s"),
    id=st.integers(0, 60).map(str),
    type=types,
    subject=st.sampled_from("aaaabbbx"),
    time=st.integers(0, 19).flatmap(lambda number: moments if number else st.just(FAR_AHEAD)),
    data=properties,
)
tellings = st.builds(Told, st.lists(usages, min_size=3, max_size=10))
corrections = st.fixed_dictionaries(
    {}, optional={"subject": st.sampled_from("abx"), "event_type": types, "time": moments, "properties": properties}
)
numbers = st.integers(0, 99)


@st.composite
def definitions(draw: st.DrawFn, event_types: st.SearchStrategy[str] = types) -> MeterDefinition:
    """Meters whose quantities SQL can tell in a line."""
    is_sum = draw(st.booleans())
    return MeterDefinition(
        name="M",
        event_type=draw(event_types),
        aggregation="sum" if is_sum else "count",
        property="v" if is_sum else None,
        filters=draw(st.sampled_from([(), (), (Filter(property="e", values=("r", None)),)])),
        dimensions=("d",),
    )


@st.composite
def adjustments(draw: st.DrawFn) -> Adjustment:
    kind: AdjustmentKind = draw(st.sampled_from(("credit", "debit", "usage", "usage", "usage", "write_off")))
    number = draw(st.integers(0, 30))
    told: dict[str, Any] = {"amount": Money(draw(st.sampled_from((1, 150, 900, 4_000))), "EUR")}
    if kind == "usage":
        quantity = Decimal(draw(st.sampled_from(("-20", "-1.5", "0.25", "3", "40"))))
        dimensions = draw(st.sampled_from(({}, {"d": "p"})))
        told = {"meter": draw(st.sampled_from(METERS)), "quantity": quantity, "dimensions": dimensions}
    return Adjustment(adjustment=f"x{number}", kind=kind, at=draw(moments), reason=REASON.code, note="", **told)


choices = st.sampled_from("ppqr").map(lambda key: PlanChoice(plan=key))
terms = st.builds(
    ContractTerms,
    currency=st.just("EUR"),
    alignment=st.sampled_from(("calendar", "anniversary")),
    late_usage=st.builds(
        LatePolicy, action=st.sampled_from(get_args(LateAction)), small_amount=st.sampled_from((Decimal(0), Decimal(3)))
    ),
    commitments=st.sampled_from(
        ((), (), (Commitment(key="c", label="C", amount=Decimal(300), per="total", until=FIRST + timedelta(days=3)),))
    ),
)
grants = st.builds(
    CreditGrant,
    grant=st.just("prepaid"),
    label=st.just("Prepaid"),
    amount=st.just(Money(6_000, "EUR")),
    effective_at=st.just(OPENED),
)
decisions: list[st.SearchStrategy[Step]] = [
    st.builds(AliasAccount, accounts, st.just("x")),
    st.builds(RemoveAccountAlias, accounts, st.just("x")),
    st.builds(ChangeAccountZone, accounts, zones),
    st.builds(ChangeMeter, st.sampled_from(METERS), definitions()),
    st.builds(RetireMeter, st.sampled_from(METERS), moments),
    st.builds(Dismiss, st.integers(0, 9)),
    st.builds(Mend, st.integers(0, 9), corrections),
    *[st.builds(Void, numbers)] * 2,
    *[st.builds(Amend, numbers, corrections)] * 2,
    st.builds(ChangePlan, accounts, moments, choices),
    st.builds(PauseContract, accounts, moments),
    st.builds(ResumeContract, accounts, moments),
    *[st.builds(EndContract, accounts, moments)] * 2,
    *[st.builds(StartContract, accounts, moments, choices, terms)] * 3,
    st.builds(RevisePlan, st.just("p"), st.just(plan(charge("n", "n", PER_UNIT), fee=11)), moments),
    *[st.builds(GrantCredit, accounts, grants)] * 2,
]
settlings: list[st.SearchStrategy[Step]] = [
    *[st.builds(Propose, accounts, adjustments(), persons)] * 4,
    *[st.builds(Decide, accounts, numbers, persons, st.sampled_from(("approve",) * 4 + ("reject", "withdraw")))] * 4,
    *[st.builds(Reverse, accounts, numbers, persons)] * 2,
    *[st.builds(Close, accounts, st.integers(20, (DAYS + 1) * 24))] * 3,
    *[st.builds(Assess, accounts, st.integers(0, 3))] * 4,
]
# `one_of` would draw from each strategy as often as from any other, however often it is named.
steps: st.SearchStrategy[Step] = st.sampled_from(
    [*decisions, *settlings * 2, *[tellings] * 8, *[projections] * 2]
).flatmap(lambda strategy: strategy)


@st.composite
def trust_histories(draw: st.DrawFn) -> list[Step]:
    """Histories in which all there is begins first, with stops here and there."""
    history: list[Step] = []
    history += [OpenAccount(account, account.upper(), draw(zones), OPENED) for account in ACCOUNTS]
    history += [DefineMeter("m", draw(definitions(st.just("t")))), DefineMeter("n", draw(definitions(st.just("u"))))]
    history += [DefinePlan(key, one) for key, one in PLANS.items()]
    history += [StartContract(account, STARTED, draw(choices), draw(terms)) for account in ACCOUNTS]
    history += [draw(tellings), draw(tellings), *draw(st.lists(steps, min_size=15, max_size=40))]
    for place in sorted(draw(st.sets(st.integers(8, len(history)), min_size=1, max_size=3)), reverse=True):
        history.insert(place, Stop())
    return history


@dataclass
class Trusted:
    """A world with the clock of what is agreed."""

    world: World
    today: datetime = NOW

    @property
    def catalogue(self) -> Any:
        """What is decided, as far as it was looked at."""
        return self.world.follower.catalogue

    async def begin(self) -> None:
        """The rules of adjustments."""
        for command in (REASON, LIMIT):
            await change_rule(self.world.ledger.log, self.catalogue, command, now=NOW, metadata=METADATA)

    async def live_through(self, step: Step, resize: Any) -> bool:
        """Let a step happen and tell whether it did; what breaks a rule is refused and does not happen."""
        log = self.world.ledger.log
        before = await log.head()
        try:
            await self._happen(step, resize)
        except Refusal:
            return False
        return not isinstance(step, Amend | Void) or before != await log.head()

    async def _happen(self, step: Step, resize: Any) -> None:
        world = self.world
        match step:
            case Close() | Assess():
                await self._settle(step)
            case Propose() | Reverse() | Decide():
                await self._adjust(step)
            case _ if isinstance(step, PlanCommand | ContractCommand):
                await world.follower.refresh()
                change: Any = change_plan if isinstance(step, PlanCommand) else change_contract
                await change(world.ledger.log, self.catalogue, step, now=self.today, metadata=METADATA)
            case _ if isinstance(step, AccountCommand):
                await world.follower.refresh()
                since = min(self.catalogue.closings.get(step.account, {}), default=None)
                await change_account(world.ledger.log, step, now=NOW, metadata=METADATA, closed_since=since)
            case Stop():
                raise AssertionError("whoever lets a history happen asks the ledger where it stops")
            case _:
                await live_through(world, [step], resize)

    async def _settle(self, step: Close | Assess) -> None:
        """By the read model as it stands once it caught up."""
        await self.catch_up()
        now = datetime.now(UTC)
        rate = Ratings(self.world.ledger.pool, self.world.ledger.log, now=now).rate
        if isinstance(step, Close):
            self.today = max(self.today, STARTED + timedelta(hours=step.hours))
            command = ClosePeriods(step.account, self.today, "Gina")
            await close_periods(self.world.ledger.log, self.catalogue, rate, command, now=self.today, metadata=METADATA)
        elif closed := self.closed(step.account):
            late = AssessLateUsage(step.account, closed[step.number % len(closed)].event.start)
            await assess_late_usage(self.world.ledger.log, self.catalogue, rate, late, now=now, metadata=METADATA)

    async def _adjust(self, step: Propose | Reverse | Decide) -> None:
        await self.catch_up()
        if isinstance(step, Propose):
            await self.propose(step.account, step.adjustment, step.person)
            return
        state = self.catalogue.adjustments.get(step.account, {})
        if not state:
            return
        key = list(state)[step.number % len(state)]
        if isinstance(step, Reverse):
            await self.reverse(step.account, key, step.person)
            return
        decided: dict[str, AdjustmentCommand] = {
            "approve": ApproveAdjustment(step.account, key, step.person),
            "reject": RejectAdjustment(step.account, key, step.person, REASON.code),
            "withdraw": WithdrawAdjustment(step.account, key, step.person),
        }
        await self.decide(decided[step.verdict])

    async def propose(self, account: str, adjustment: Adjustment, person: str) -> None:
        """Work out the effect and propose, as the API does."""
        world, catalogue = self.world, self.catalogue
        state, effect = catalogue.adjustments.get(account, {}), Effect(Money(0, "EUR"), is_settled=False)
        now = datetime.now(UTC)
        if adjustment.adjustment not in state:
            require_fit(catalogue, account, adjustment)
            asked = [Asked(account, adjustment.at), Asked(account, adjustment.at, adjustment=adjustment)]
            _, [before, after] = await projected_invoices(
                world.ledger.pool, world.ledger.log, catalogue, asked, now=self.today
            )
            money = after.subtotal - before.subtotal
            is_settled = adjustment.amount is not None or (after.is_final and money.minor_units != 0)
            effect = Effect(money, is_settled)
        until = now + timedelta(days=14)
        await self.decide(ProposeAdjustment(account, adjustment, person, ("ops",), until, effect, state))

    async def reverse(self, account: str, key: str, person: str) -> None:
        """Propose the opposite of an adjustment."""
        state = self.catalogue.adjustments[account]
        undoing = opposite(state, account, key, key=f"undo/{key}", reason=REASON.code, note="", evidence=())
        await self.propose(account, undoing, person)

    async def undo(self, account: str, key: str) -> bool:
        """Have an adjustment reversed by one person and another; false where no invoice takes the reversal now."""
        try:
            await self.reverse(account, key, "Olivia")
            undoing = f"undo/{key}"
            if not is_approved(self.catalogue.adjustments[account][undoing]):
                await self.decide(ApproveAdjustment(account, undoing, "Pat"))
        except Refusal:
            return False
        return True

    async def decide(self, command: AdjustmentCommand) -> None:
        """Carry out a command on an adjustment."""
        log, now = self.world.ledger.log, datetime.now(UTC)
        await change_adjustment(log, self.catalogue, command, now=now, metadata=METADATA)
        await self.catch_up()

    def closed(self, account: str) -> Sequence[Closed]:
        """The closed periods of an account, in order."""
        return [one for _, one in sorted(self.catalogue.closings.get(account, {}).items())]

    async def catch_up(self) -> None:
        """Let the read models and the catalogue see all that there is."""
        await self.world.project()
        await self.world.follower.refresh()
