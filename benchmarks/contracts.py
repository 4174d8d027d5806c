"""What is billed in the benchmarks: a plan of five charges of mixed models, and a contract on it for each account."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from benchmarks.opened import opened
from benchmarks.workload import ACCOUNTS, DAYS, EVENT_TYPE, METADATA, METER, account_key, opening
from ledger.commands.meters import change_meter
from ledger.commands.plans import change_plan
from ledger.domain import accounts, contracting
from ledger.domain.accounts import NameState
from ledger.domain.agreements import ContractTerms, Entitlement, PlanChoice
from ledger.domain.charges import Charge, Graduated, Package, PerUnit, Volume
from ledger.domain.contracting import StartContract
from ledger.domain.events import Event
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.names import account_stream, contract_stream
from ledger.domain.plans import DefinePlan, Plan
from ledger.domain.pricing import PlanCharge, PlanTerms
from ledger.domain.tiers import Tier
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from ledger.projections.runner import Projector

REQUESTS = "requests"
PLAN = "mixed"
CURRENCY = "EUR"

CHARGES = (
    PlanCharge(
        key="tokens",
        label="Tokens",
        meter=METER,
        price=Charge(
            model=Graduated(
                tiers=(
                    Tier(up_to=Decimal(100_000), unit_amount=Decimal("0.00002")),
                    Tier(up_to=Decimal(1_000_000), unit_amount=Decimal("0.000015"), flat_amount=Decimal(5)),
                    Tier(up_to=None, unit_amount=Decimal("0.00001")),
                )
            )
        ),
    ),
    PlanCharge(
        key="packages",
        label="Requests by the thousand",
        meter=REQUESTS,
        price=Charge(model=Package(package_amount=Decimal("0.5"), package_size=Decimal(1_000), free_units=Decimal(20))),
    ),
    PlanCharge(
        key="models",
        label="Tokens by model",
        meter=METER,
        group_by=("model",),
        price=Charge(model=PerUnit(unit_amount=Decimal("0.000003"))),
    ),
    PlanCharge(
        key="small",
        label="Tokens of small models",
        meter=METER,
        filters={"model": ("model-0", "model-1")},
        price=Charge(
            model=Volume(
                tiers=(
                    Tier(up_to=Decimal(50_000), unit_amount=Decimal("0.000004")),
                    Tier(up_to=None, unit_amount=Decimal("0.000002")),
                )
            )
        ),
    ),
    PlanCharge(
        key="large",
        label="Requests of large models",
        meter=REQUESTS,
        filters={"model": ("model-3",)},
        price=Charge(model=PerUnit(unit_amount=Decimal("0.01")), included_quantity=Decimal(10)),
    ),
)


async def agree(database_url: str, *, count: int = ACCOUNTS) -> None:
    """Put so many accounts on the plan, from the first day of the usage that `fill_log` tells.

    Accounts beyond those of the template are opened. All is decided as by commands, but written in one append.
    """
    now = datetime.now(UTC)
    async with opened(database_url) as (pool, log, follower):
        requests = MeterDefinition(
            name="Requests", event_type=EVENT_TYPE, aggregation="count", dimensions=("model",), unit="request"
        )
        await change_meter(log, DefineMeter(REQUESTS, requests), now=now, metadata=METADATA)
        await follower.refresh()
        # By quarter: the days that `fill_log` tells and the hour before now lie in one period, whatever the day.
        terms = PlanTerms(name="Mixed", currency=CURRENCY, interval="quarter", charges=CHARGES)
        await change_plan(log, follower.catalogue, DefinePlan(PLAN, terms), now=now, metadata=METADATA)
        await follower.refresh()
        decided = [_opened(number, now) for number in range(ACCOUNTS, count)]
        decided += [_contract(number, now, follower.catalogue.plans) for number in range(count)]
        await log.append(decided)
        await Projector(pool, log).catch_up()


def first_day() -> date:
    """The first day of the usage that `fill_log` tells, on which all contracts start."""
    return datetime.now(UTC).date() - timedelta(days=DAYS)


def _opened(number: int, now: datetime) -> NewEvent:
    command = opening(number, now)
    [event] = accounts.decide(NameState(), command, target=NameState())
    return _fresh(account_stream(command.account), command.account, event, now)


def _contract(number: int, now: datetime, plans: Mapping[str, Plan]) -> NewEvent:
    account = account_key(number)
    terms = ContractTerms(
        currency=CURRENCY,
        entitlements=(
            Entitlement(meter=METER, quantity=Decimal(1_000_000)),
            Entitlement(meter=REQUESTS, quantity=Decimal(1_000), limit="hard"),
        ),
    )
    started_at = datetime.combine(first_day(), time(), UTC)
    command = StartContract(account, started_at, PlanChoice(plan=PLAN), terms)
    [event] = contracting.decide((), command, now=now, opened_at=opening(number, now).opened_at, plans=plans)
    return _fresh(contract_stream(account), account, event, now)


def _fresh(stream: bytes, account: str, event: Event, now: datetime) -> NewEvent:
    return NewEvent(stream, 1, event.TOPIC, account, now, encode(event), METADATA.encode())
