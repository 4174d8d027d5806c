"""A ledger with a meter, a plan and a contract, for tests of billing over GraphQL."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.edges import Edge, cloud_event, define_tokens_meter

OPENED = datetime(2026, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 10, tzinfo=UTC)
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)

OPEN_SINCE = """
mutation ($account: String!, $zone: String!, $openedAt: DateTime) {
  openAccount(account: $account, name: $account, zone: $zone, openedAt: $openedAt) { __typename }
}
"""
DEFINE_PLAN = """
mutation ($plan: String!, $terms: PlanTermsInput!) {
  definePlan(plan: $plan, terms: $terms) {
    __typename
    ... on PlanDecision { position plan { key versions { version validFrom terms { name currency } } } }
    ... on Refusal { code message }
    ... on TiersOverlap { tier previousUpTo }
    ... on TiersGapped { tier start gap: previousUpTo }
    ... on PriceNegative { field price }
    ... on NumberTooLong { field }
    ... on CurrencyUnknown { currency }
    ... on MeterUnknown { meterKey }
    ... on LastTierBounded { upTo }
  }
}
"""
START_CONTRACT = """
mutation ($account: String!, $choice: PlanChoiceInput!, $terms: ContractTermsInput!, $at: DateTime) {
  startContract(account: $account, choice: $choice, terms: $terms, startedAt: $at) {
    __typename
    ... on ContractDecision { position contract { accountKey startedAt phases { start choice { planKey version } } } }
    ... on Refusal { code message }
    ... on ContractBeforeAccount { accountKey startedAt openedAt }
    ... on ContractsOverlap { accountKey since }
    ... on PlanUnknown { plan }
    ... on CurrencyMismatch { actual expected }
  }
}
"""
RECORD = """
mutation ($events: [UsageEventInput!]!) {
  recordUsage(events: $events) { __typename ... on UsageReceipt { position stored fates { fate position code } } }
}
"""
GRADUATED = {"graduated": {"tiers": [{"upTo": "100", "unitAmount": "0.10"}, {"unitAmount": "0.05"}]}}
CALENDAR = {"currency": "EUR", "alignment": "CALENDAR"}


def charge(key: str, model: dict[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """A charge on the meter `tokens`; `changes` are of the charge, those in `price` of its price."""
    price = {"model": model or {"perUnit": {"unitAmount": "0.01"}}} | changes.pop("price", {})
    return {"key": key, "label": key.title(), "meter": "tokens", "price": price} | changes


def terms(*charges: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Terms in euros."""
    return {"name": "Plan", "currency": "EUR", "charges": list(charges)} | changes


async def open_since(edge: Edge, *accounts: str, zone: str = "UTC", at: datetime = OPENED) -> None:
    """Accounts that exist since a moment."""
    for account in accounts:
        variables = {"account": account, "zone": zone, "openedAt": at.isoformat()}
        answer = await edge.data(OPEN_SINCE, variables)
        assert answer["openAccount"]["__typename"] == "AccountDecision", answer


async def define_plan(edge: Edge, plan: str, told: dict[str, Any]) -> dict[str, Any]:
    """What `definePlan` answers."""
    answer: dict[str, Any] = (await edge.data(DEFINE_PLAN, {"plan": plan, "terms": told}))["definePlan"]
    return answer


async def start_contract(edge: Edge, account: str = "acme", plan: str = "pro", **changes: Any) -> dict[str, Any]:
    """What `startContract` answers; from 2026 on, by the calendar, unless told otherwise."""
    variables = {"account": account, "choice": {"plan": plan}, "terms": CALENDAR, "at": OPENED.isoformat()}
    answer: dict[str, Any] = (await edge.data(START_CONTRACT, variables | changes))["startContract"]
    return answer


async def agree(edge: Edge, *charges: dict[str, Any], zone: str = "UTC", **changes: Any) -> None:
    """The account `acme` on the plan `pro` with these charges, by the calendar's months."""
    await open_since(edge, "acme", zone=zone)
    await define_tokens_meter(edge)
    defined = await define_plan(edge, "pro", terms(*charges, **changes))
    assert defined["__typename"] == "PlanDecision", defined
    started = await start_contract(edge)
    assert started["__typename"] == "ContractDecision", started
    await edge.project()


def used(number: int, at: datetime, tokens: object = 1, **changes: Any) -> dict[str, Any]:
    """One event of `acme`."""
    properties = {"tokens": tokens, "model": "small"} | changes.pop("data", {})
    return cloud_event(number, specversion=None, time=at.isoformat(), data=properties, **changes)


async def tell(edge: Edge, events: Sequence[dict[str, Any]]) -> list[int]:
    """Tell usage, project it, and return its positions."""
    positions = []
    for start in range(0, len(events), 1_000):
        answer = await edge.data(RECORD, {"events": events[start : start + 1_000]})
        positions += [fate["position"] for fate in answer["recordUsage"]["fates"]]
    await edge.project()
    return positions


def total(numbers: Sequence[str]) -> Decimal:
    """The sum of decimals as the API writes them."""
    return sum(map(Decimal, numbers), start=Decimal(0))
