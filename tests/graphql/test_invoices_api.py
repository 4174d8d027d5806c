"""Projected invoices, previews, what-if, entitlements and prepaid credit over GraphQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.edges import Edge, cloud_event, define_tokens_meter
from tests.graphql.billing import (
    CALENDAR,
    GRADUATED,
    LATER,
    MARCH,
    OPENED,
    agree,
    charge,
    define_plan,
    open_since,
    start_contract,
    tell,
    terms,
    total,
    used,
)

LINE = """
fragment line on PricedLine {
  kind key label meterKey quantity amount money { amount currency } why share { numerator denominator }
  dimensions { name value } steps { kind quantity rate amount tier why }
}
"""
INVOICE = """
query ($at: DateTime, $plan: PlanChoiceInput, $atLeast: Position) {
  account(key: "acme") {
    projectedInvoice(at: $at, plan: $plan, atLeastPosition: $atLeast) {
      __typename
      ... on Invoice {
        start end closesAt isFinal currency watermark { position }
        segments { index planKey version spans { start end } share { numerator denominator } }
        lines { id segment ...line }
        credits { grantId money { amount } left { amount } why lines { line money { amount } } }
        subtotal { amount currency } credited { amount } total { amount }
      }
      ... on Refusal { code message }
    }
  }
}
"""
PREVIEW = """
query ($terms: PlanTermsInput!, $quantities: [QuantityInput!]!) {
  previewInvoice(terms: $terms, quantities: $quantities) {
    __typename
    ... on InvoicePreview { currency total { amount } lines { ...line } }
    ... on Refusal { code message }
    ... on PriceNegative { field }
  }
}
"""
COMPARE = """
query ($plan: PlanChoiceInput!, $at: DateTime) {
  account(key: "acme") {
    invoiceComparison(plan: $plan, at: $at) {
      ... on InvoiceComparison {
        before { amount } after { amount } difference { amount }
        lines { kind key dimensions { value } before { amount } after { amount } difference { amount } }
      }
      ... on Refusal { code }
    }
  }
}
"""
WHAT_IF = """
query ($plan: PlanChoiceInput!, $accounts: [String!], $first: Int, $at: DateTime) {
  whatIf(plan: $plan, accounts: $accounts, first: $first, at: $at) {
    __typename
    ... on WhatIf {
      skipped accounts { accountKey difference { amount currency } }
      totals { currency before { amount } after { amount } difference { amount } }
    }
    ... on Refusal { code }
  }
}
"""
CREDIT = """
mutation ($id: String!, $amount: Decimal!, $priority: Int!) {
  grantCredit(account: "acme", grant: { grant: $id, label: "Prepaid", amount: { amount: $amount, currency: "EUR" },
    effectiveAt: "2026-01-01T00:00:00Z", priority: $priority }) { __typename }
}
"""
BALANCES = """
query ($at: DateTime) {
  account(key: "acme") {
    creditBalances(at: $at) {
      ... on CreditReport {
        balances {
          grantId amount { amount } used { amount } left { amount } periods { start used { amount } left { amount } }
        }
      }
      ... on Refusal { code }
    }
  }
}
"""
# The metered quantity of a charge by model, by nothing but the log.
SUM_OF_LOG = """
select state -> 'data' ->> 'model' as model, sum((state -> 'data' ->> 'tokens')::numeric) as tokens
from events
where topic = 'UsageRecorded' and account = 'acme' and occurred_at >= $1 and occurred_at < $2
group by model order by model
"""
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


async def projected(edge: Edge, at: datetime | None = MARCH, **more: Any) -> dict[str, Any]:
    variables = {"at": None if at is None else at.isoformat()} | more
    answer: dict[str, Any] = (await edge.data(INVOICE + LINE, variables))["account"]["projectedInvoice"]
    return answer


async def test_the_same_number_is_projected_previewed_stepped_and_summed_from_the_log(edge: Edge) -> None:
    charges = [charge("all", GRADUATED), charge("by-model", groupBy=["model"])]
    await agree(edge, *charges, zone="Europe/Paris")
    begins = datetime(2026, 2, 28, 23, tzinfo=UTC)
    sizes = ("small", "large", None)
    events = [
        used(number, begins + timedelta(hours=7 * number), f"{number}.000001", data={"model": sizes[number % 3]})
        for number in range(-20, 120)
    ]
    positions = await tell(edge, [*events, events[30]])
    invoice = await projected(edge, atLeast=positions[-1])
    assert (invoice["start"], invoice["end"]) == ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")
    assert invoice["isFinal"] is True
    assert invoice["watermark"]["position"] == await edge.head()
    rows = await edge.pool.fetch(
        SUM_OF_LOG, datetime.fromisoformat(invoice["start"]), datetime.fromisoformat(invoice["end"])
    )
    by_model = {row["model"]: row["tokens"] for row in rows}
    assert len(by_model) == 3
    told = [{"charge": "all", "quantity": str(sum(by_model.values()))}] + [
        {"charge": "by-model", "quantity": str(sum_), "dimensions": [{"name": "model", "value": model}]}
        for model, sum_ in by_model.items()
    ]
    answer = (await edge.data(PREVIEW + LINE, {"terms": terms(*charges), "quantities": told}))["previewInvoice"]
    assert answer["total"]["amount"] == invoice["total"]["amount"]
    assert [{**line, "id": 0, "segment": 0} for line in answer["lines"]] == [
        {**line, "id": 0, "segment": 0} for line in invoice["lines"]
    ]
    steps = [step["amount"] for line in invoice["lines"] for step in line["steps"]]
    assert total(steps) == Decimal(invoice["total"]["amount"]) > 0
    for line in invoice["lines"]:
        exact = [step["amount"] for step in line["steps"] if step["kind"] != "ROUNDING"]
        assert total(exact) == Decimal(line["amount"])
        assert all(step["why"] for step in line["steps"])
    [graduated] = [line for line in invoice["lines"] if line["key"] == "all"]
    priced = Decimal(100) * Decimal("0.10") + (sum(by_model.values()) - 100) * Decimal("0.05")
    assert Decimal(graduated["amount"]) == priced


async def test_a_plan_change_in_mid_period_makes_segments_with_their_shares(edge: Edge) -> None:
    await agree(edge, charge("a"), fees=[{"key": "base", "label": "Base", "amount": "31"}])
    await define_plan(edge, "max", terms(charge("a"), fees=[{"key": "base", "label": "Base", "amount": "62"}]))
    middle = (LATER.replace(day=1, hour=0, minute=0, second=0) + timedelta(days=40)).replace(day=11)
    change = 'mutation ($at: DateTime!) { changePlan(account: "acme", choice: {plan: "max"}, effectiveAt: $at)'
    await edge.data(change + " { __typename } }", {"at": middle.isoformat()})
    invoice = await projected(edge, middle)
    assert [one["planKey"] for one in invoice["segments"]] == ["pro", "max"]
    assert invoice["segments"][0]["spans"][0]["end"] == invoice["segments"][1]["spans"][0]["start"]
    days = (middle.replace(day=28) + timedelta(days=4)).replace(day=1) - middle.replace(day=1)
    fees = {one["segment"]: Decimal(one["amount"]) for one in invoice["lines"] if one["kind"] == "FEE"}
    assert round(fees[0] * days.days, 20) == 31 * 10
    assert round(fees[1] * days.days, 20) == 62 * (days.days - 10)
    assert invoice["isFinal"] is False


async def test_an_invoice_needs_a_contract_and_a_plan_that_fits(edge: Edge) -> None:
    await open_since(edge, "acme")
    await define_tokens_meter(edge)
    await edge.project()
    assert (await projected(edge))["code"] == "contract_missing"
    assert (await projected(edge, plan={"plan": "gold"}))["code"] == "plan_unknown"
    await define_plan(edge, "pro", terms(charge("a")))
    await define_plan(edge, "dollar", terms(charge("a"), currency="USD"))
    await define_plan(edge, "weekly", terms(charge("a"), interval="WEEK"))
    alone = await projected(edge, plan={"plan": "pro"})
    assert (alone["__typename"], alone["start"]) == ("Invoice", "2026-03-01T00:00:00Z")
    await start_contract(edge)
    assert (await projected(edge, plan={"plan": "dollar"}))["code"] == "currency_mismatch"
    assert (await projected(edge, plan={"plan": "weekly"}))["code"] == "interval_mismatch"
    assert (await projected(edge, plan={"plan": "pro", "version": 2}))["code"] == "plan_version_unknown"
    assert (await projected(edge, plan={"plan": "pro", "version": -1}))["code"] == "plan_version_unknown"
    negative = [{"charge": "a", "price": {"model": {"perUnit": {"unitAmount": "-1"}}}}]
    assert (await projected(edge, plan={"plan": "pro", "overrides": negative}))["code"] == "price_negative"
    assert (await projected(edge, datetime(9999, 1, 1, tzinfo=UTC)))["code"] == "argument_invalid"
    assert (await projected(edge, datetime(1, 1, 2, tzinfo=UTC)))["code"] == "argument_invalid"
    assert (await projected(edge, OPENED - timedelta(days=1)))["code"] == "contract_missing"


async def test_a_preview_refuses_what_could_not_be_rated(edge: Edge) -> None:
    async def code(told: dict[str, Any], *quantities: dict[str, Any]) -> str:
        answer = (await edge.data(PREVIEW + LINE, {"terms": told, "quantities": list(quantities)}))["previewInvoice"]
        return str(answer.get("code"))

    one = {"charge": "a", "quantity": "1"}
    grouped = terms(charge("a", groupBy=["model"]))
    assert await code(terms(charge("a", {"perUnit": {"unitAmount": "-1"}})), one) == "price_negative"
    assert await code(terms(charge("b")), one) == "charge_unknown"
    assert await code(terms(charge("a")), one, one) == "argument_invalid"
    assert await code(grouped, one) == "argument_invalid"
    assert await code(terms(charge("a")), {"charge": "a", "quantity": "1e80"}) == "number_too_long"
    bounded = charge("a", {"volume": {"tiers": [{"upTo": "1", "unitAmount": "1"}], "pastLastTier": "ERROR"}})
    assert await code(terms(bounded), {"charge": "a", "quantity": "2"}) == "last_tier_exceeded"
    refusing = charge("a", price={"negative": "ERROR"})
    assert await code(terms(refusing), {"charge": "a", "quantity": "-2"}) == "quantity_negative"


async def test_a_preview_prices_events_and_dimensions(edge: Edge) -> None:
    percentage = {"percentage": {"ratePercent": "1", "fixedAmount": "0.1", "freeEvents": 1}}
    cells = [{"match": [{"dimension": "model", "values": ["big"]}], "price": {"perUnit": {"unitAmount": "3"}}}]
    dimensional = charge("dim", {"dimensional": {"cells": cells}}, groupBy=["model"])
    quantities = [
        {"charge": "pct", "events": ["100", "200", "300"]},
        {"charge": "dim", "quantity": "2", "dimensions": [{"name": "model", "value": "big"}]},
        {"charge": "dim", "quantity": "7", "dimensions": [{"name": "model"}]},
    ]
    variables = {"terms": terms(charge("pct", percentage), dimensional), "quantities": quantities}
    answer = (await edge.data(PREVIEW + LINE, variables))["previewInvoice"]
    lines = {line["key"]: line for line in answer["lines"]}
    assert (lines["pct"]["quantity"], lines["pct"]["money"]["amount"]) == ("600", "5.2")
    assert (lines["dim"]["quantity"], lines["dim"]["money"]["amount"]) == ("9", "6")
    assert answer["total"]["amount"] == "11.2"


async def test_a_changed_price_is_compared_line_by_line(edge: Edge) -> None:
    await agree(edge, charge("a"), charge("b"))
    await tell(edge, [used(number, MARCH, 100) for number in range(5)])
    override = {"plan": "pro", "overrides": [{"charge": "b", "price": {"model": GRADUATED}}]}
    answer = await edge.data(COMPARE, {"plan": override, "at": MARCH.isoformat()})
    found = answer["account"]["invoiceComparison"]
    assert {line["key"]: line["difference"]["amount"] for line in found["lines"]} == {"a": "0", "b": "25"}
    assert (found["before"]["amount"], found["after"]["amount"], found["difference"]["amount"]) == ("10", "35", "25")
    assert (await projected(edge, plan=override))["total"]["amount"] == "35"


async def test_what_if_tells_the_difference_by_account_and_currency(edge: Edge) -> None:
    await agree(edge, charge("a"))
    await open_since(edge, "beta", "dollars", "free")
    await start_contract(edge, "beta")
    await define_plan(edge, "usd", terms(charge("a"), currency="USD"))
    await start_contract(edge, "dollars", "usd", terms=CALENDAR | {"currency": "USD"})
    await define_plan(edge, "max", terms(charge("a", {"perUnit": {"unitAmount": "0.02"}})))
    events = [used(number, MARCH, 100) for number in range(3)]
    events += [cloud_event(number, specversion=None, time=MARCH.isoformat(), subject="beta") for number in (50, 51)]
    await tell(edge, events)

    async def what_if(key: str | None = None, **sample: Any) -> dict[str, Any]:
        variables = {"plan": {"plan": "max"}, "at": MARCH.isoformat()} | sample
        answer: dict[str, Any] = (await edge.data(WHAT_IF, variables, key=key))["whatIf"]
        return answer

    found = await what_if(first=10)
    assert {one["accountKey"]: one["difference"]["amount"] for one in found["accounts"]} == {
        "acme": "3",
        "beta": "1.01",
    }
    assert found["skipped"] == 2
    assert found["totals"] == [
        {
            "currency": "EUR",
            "before": {"amount": "4.01"},
            "after": {"amount": "8.02"},
            "difference": {"amount": "4.01"},
        }
    ]
    assert len((await what_if(first=1))["accounts"]) == 1
    assert (await what_if(accounts=["beta", "beta"]))["totals"][0]["difference"]["amount"] == "1.01"
    assert (await what_if(accounts=["dollars"]))["code"] == "currency_mismatch"
    assert (await what_if(accounts=["free"]))["code"] == "contract_missing"
    assert (await what_if(accounts=["acme"], first=1))["code"] == "argument_invalid"
    assert (await what_if(first=101))["code"] == "argument_invalid"
    bound = await edge.key("viewer", account="beta")
    assert [one["accountKey"] for one in (await what_if(bound, first=10))["accounts"]] == ["beta"]
    assert (await what_if(bound, accounts=["acme"]))["code"] == "out_of_scope"


async def test_prepaid_credit_is_used_up_over_the_periods(edge: Edge) -> None:
    await agree(edge, charge("a", {"perUnit": {"unitAmount": "1"}}))
    for grant, amount, priority in (("first", "30", 1), ("second", "100", 2)):
        variables = {"id": grant, "amount": amount, "priority": priority}
        assert (await edge.data(CREDIT, variables))["grantCredit"]["__typename"] == "ContractDecision"
    months = [OPENED, FEBRUARY, MARCH]
    await tell(edge, [used(number, at + timedelta(days=3), 20) for number, at in enumerate(months)])
    invoice = await projected(edge, FEBRUARY)
    assert [(one["grantId"], one["money"]["amount"], one["left"]["amount"]) for one in invoice["credits"]] == [
        ("first", "10", "0"),
        ("second", "10", "90"),
    ]
    assert (invoice["subtotal"]["amount"], invoice["credited"]["amount"], invoice["total"]["amount"]) == (
        "20",
        "20",
        "0",
    )
    report = (await edge.data(BALANCES, {"at": MARCH.isoformat()}))["account"]["creditBalances"]
    by_grant = {one["grantId"]: one for one in report["balances"]}
    assert [
        (one["start"][:7], one["used"]["amount"], one["left"]["amount"]) for one in by_grant["second"]["periods"]
    ] == [
        ("2026-02", "10", "90"),
        ("2026-03", "20", "70"),
    ]
    shown = {
        key: (one["amount"]["amount"], one["used"]["amount"], one["left"]["amount"]) for key, one in by_grant.items()
    }
    assert shown == {"first": ("30", "30", "0"), "second": ("100", "30", "70")}
    march = await projected(edge, MARCH)
    assert [one["left"]["amount"] for one in march["credits"]] == ["70"]


async def test_entitlement_use_is_told_against_its_limit(edge: Edge) -> None:
    await open_since(edge, "acme")
    await define_tokens_meter(edge)
    await define_plan(edge, "pro", terms(charge("a")))
    included = [{"meter": "tokens", "quantity": "30", "limit": "HARD"}]
    await start_contract(edge, terms=CALENDAR | {"entitlements": included})
    await tell(edge, [used(number, MARCH, 20) for number in range(2)])
    query = """query ($at: DateTime) { account(key: "acme") { entitlements(at: $at) { ... on EntitlementReport {
      start uses { meterKey quantity limit used left over standing } } ... on Refusal { code } } } }"""
    report = (await edge.data(query, {"at": MARCH.isoformat()}))["account"]["entitlements"]
    assert report["start"] == "2026-03-01T00:00:00Z"
    assert report["uses"] == [
        {"meterKey": "tokens", "quantity": "30", "limit": "HARD", "used": "40", "left": "0", "over": "10"}
        | {"standing": "STOPPED"}
    ]
    missing = await edge.data(query, {"at": (OPENED - timedelta(days=9)).isoformat()})
    assert missing["account"]["entitlements"] == {"code": "contract_missing"}


async def test_invoices_are_for_those_who_may_read_usage_of_that_account(edge: Edge) -> None:
    await agree(edge, charge("a"))
    query = '{ account(key: "acme") { projectedInvoice { __typename } } }'
    viewer = await edge.data(query, key=await edge.key("viewer", account="acme"))
    assert viewer["account"]["projectedInvoice"]["__typename"] == "Invoice"
    other = await edge.graphql(query, key=await edge.key("viewer", account="other"))
    assert other["errors"][0]["extensions"]["code"] == "out_of_scope"
    ingest = await edge.data(
        "{ viewer { account { projectedInvoice { __typename } } } }", key=await edge.key("ingest", account="acme")
    )
    assert ingest["viewer"]["account"]["projectedInvoice"]["__typename"] == "Forbidden"
