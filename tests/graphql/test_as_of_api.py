"""Accounts as they were known, and why an invoice changed, over GraphQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.edges import Edge
from tests.graphql.adjusting import begin, person
from tests.graphql.billing import MARCH, OPENED, agree, charge, tell, total, used

AS_OF = """
query ($moment: AsOfInput!, $at: DateTime) {
  account(key: "acme") {
    asOf(moment: $moment) {
      __typename
      ... on AccountAsOf {
        position recordedAt key name zone aliases contracts { startedAt phases { start } }
        adjustments { __typename } closedPeriods { start }
        usage(meter: "tokens", from: "2026-03-01", to: "2026-04-01", window: TOTAL) {
          __typename
          ... on UsageSeries { unit rows { quantity eventCount lastPosition } watermark { position lagMilliseconds } }
          ... on Refusal { code }
        }
        projectedInvoice(at: $at) {
          __typename
          ... on InvoiceAsOf {
            accountKey isFinal total { amount currency } watermark { position recordedAt }
            lines { kind key segment quantity money { amount } why steps { quantity rate amount } }
          }
          ... on Refusal { code message }
        }
      }
      ... on Refusal { code message }
      ... on PositionUnknown { position head }
      ... on MomentInFuture { moment }
      ... on AccountUnknownThen { accountKey position }
    }
  }
}
"""
DIFFERENCE = """
query ($from: AsOfInput!, $to: AsOfInput, $at: DateTime) {
  account(key: "acme") {
    difference(from: $from, to: $to, at: $at) {
      __typename
      ... on Difference {
        start fromPosition toPosition before { amount } after { amount } difference { amount }
        lines { kind key before { amount } after { amount } difference { amount } }
        steps {
          kind why topic firstPosition lastPosition decisionCount eventCount effect { amount }
          quantities { meterKey before after } events { position topic }
        }
      }
      ... on Refusal { code message }
    }
  }
}
"""
CHANGE_ZONE = 'mutation { changeAccountZone(account: "acme", zone: "America/New_York") { __typename } }'
GRANT = """
mutation {
  grantCredit(account: "acme", grant: { grant: "g", label: "Prepaid", amount: { amount: "0.50", currency: "EUR" },
    effectiveAt: "2026-01-01T00:00:00Z", priority: 1 }) { __typename ... on Refusal { message } }
}
"""


async def as_of(edge: Edge, *, key: str | None = None, at: datetime = MARCH, **moment: Any) -> dict[str, Any]:
    variables = {"moment": moment, "at": at.isoformat()}
    answer: dict[str, Any] = (await edge.data(AS_OF, variables, key=key))["account"]["asOf"]
    return answer


async def difference(edge: Edge, since: dict[str, Any], until: dict[str, Any] | None = None) -> dict[str, Any]:
    variables = {"from": since, "to": until, "at": MARCH.isoformat()}
    answer: dict[str, Any] = (await edge.data(DIFFERENCE, variables))["account"]["difference"]
    return answer


async def test_an_account_is_told_as_it_was_known(edge: Edge) -> None:
    # given
    await agree(edge, charge("tokens"))
    [first] = await tell(edge, [used(1, MARCH, 100)])
    await tell(edge, [used(2, MARCH, 50)])
    await edge.data('mutation { renameAccount(account: "acme", name: "Other") { __typename } }')
    # when
    then = await as_of(edge, position=first)
    now = await as_of(edge, position=await edge.head())
    # then
    assert (then["position"], then["name"], now["name"]) == (first, "acme", "Other")
    assert then["usage"]["rows"] == [{"quantity": "100", "eventCount": 1, "lastPosition": first}]
    assert then["usage"]["watermark"] == {"position": first, "lagMilliseconds": 0}
    invoice = then["projectedInvoice"]
    assert (invoice["total"]["amount"], now["projectedInvoice"]["total"]["amount"]) == ("1", "1.5")
    assert invoice["watermark"] == {"position": first, "recordedAt": then["recordedAt"]}
    assert total([step["amount"] for step in invoice["lines"][0]["steps"]]) == Decimal(1)
    assert then["contracts"] == [{"startedAt": "2026-01-01T00:00:00Z", "phases": [{"start": "2026-01-01T00:00:00Z"}]}]
    # and by the time at which it was recorded
    assert await as_of(edge, recordedAt=then["recordedAt"]) == then


async def test_a_moment_that_cannot_be_is_refused(edge: Edge) -> None:
    await agree(edge, charge("tokens"))
    head = await edge.head()
    soon = datetime.now(UTC) + timedelta(days=1)
    past_end = await as_of(edge, position=head + 1)
    assert (past_end["code"], past_end["position"], past_end["head"]) == ("position_unknown", head + 1, head)
    assert (await as_of(edge, recordedAt=soon.isoformat()))["code"] == "moment_in_future"
    before = await as_of(edge, position=0)
    assert before["message"] == 'There was no account "acme" yet at position 0 of the log.'
    assert (await as_of(edge, recordedAt="2020-01-01T00:00:00Z"))["code"] == "account_unknown_then"
    assert (await as_of(edge))["code"] == "argument_invalid"
    assert (await as_of(edge, position=1, recordedAt=OPENED.isoformat()))["code"] == "argument_invalid"


async def test_before_its_contract_an_account_has_no_invoice(edge: Edge) -> None:
    await agree(edge, charge("tokens"))
    opened = next(row["position"] for row in await edge.log.since(0) if row["topic"] == "AccountOpened")
    then = await as_of(edge, position=opened)
    assert then["projectedInvoice"]["code"] == "contract_missing"
    assert then["usage"]["code"] == "meter_unknown"


async def test_a_difference_tells_what_each_thing_that_happened_came_to(edge: Edge) -> None:
    # given
    await agree(edge, charge("tokens"))
    [first] = await tell(edge, [used(1, MARCH, 100)])
    # when
    await tell(edge, [used(2, MARCH, 50), used(3, MARCH, 7), used(4, MARCH + timedelta(days=60), 1_000)])
    granted = await edge.data(GRANT)
    assert granted["grantCredit"]["__typename"] == "ContractDecision", granted
    [last] = await tell(edge, [used(5, MARCH, 3)])
    await edge.data('mutation { openAccount(account: "b", name: "B", zone: "UTC") { __typename } }')
    found = await difference(edge, {"position": first})
    # then
    assert (found["before"]["amount"], found["after"]["amount"], found["difference"]["amount"]) == (
        *("1", "1.1", "0.1"),
    )
    steps = found["steps"]
    assert [(step["kind"], step["topic"], step["effect"]["amount"]) for step in steps] == [
        ("USAGE", None, "0.57"),
        ("DECISION", "CreditGranted", "-0.5"),
        ("USAGE", None, "0.03"),
    ]
    assert [step["why"] for step in steps] == [
        "2 usage events were told: tokens rose from 100 to 157, the total rose by 0.57 EUR",
        (
            'The account "acme" was granted 0.50 EUR of credit ("Prepaid") as of 2026-01-01 00:00 UTC: '
            "the total fell by 0.50 EUR"
        ),
        "1 usage event was told: tokens rose from 157 to 160, the total rose by 0.03 EUR",
    ]
    assert (steps[0]["firstPosition"], steps[0]["lastPosition"], steps[0]["eventCount"]) == (first + 1, first + 2, 2)
    assert steps[2]["events"] == [{"position": last, "topic": "UsageRecorded"}]
    assert steps[0]["quantities"] == [{"meterKey": "tokens", "before": "100", "after": "157"}]
    assert total([line["difference"]["amount"] for line in found["lines"]]) == Decimal("0.10")
    assert total([step["effect"]["amount"] for step in steps]) == Decimal("0.10")


async def test_a_difference_of_a_moment_to_itself_is_nothing_and_backwards_it_is_refused(edge: Edge) -> None:
    await agree(edge, charge("tokens"))
    [first] = await tell(edge, [used(1, MARCH, 100)])
    same = await difference(edge, {"position": first}, {"position": first})
    assert (same["difference"]["amount"], same["steps"]) == ("0", [])
    assert (await difference(edge, {"position": first}, {"position": first - 1}))["code"] == "argument_invalid"
    assert (await difference(edge, {"position": 1}, {"position": first + 9}))["code"] == "position_unknown"


async def test_what_changes_past_usage_is_a_step(edge: Edge) -> None:
    """New York's March begins five hours later than that of UTC: what was used in between is February's then."""
    await agree(edge, charge("tokens"))
    told = await tell(edge, [used(1, MARCH, 100), used(2, datetime(2026, 3, 1, 1, tzinfo=UTC), 10)])
    await edge.data(CHANGE_ZONE)
    found = await difference(edge, {"position": told[-1]})
    assert [(step["topic"], step["effect"]["amount"]) for step in found["steps"]] == [("AccountZoneChanged", "-0.1")]


async def test_decisions_beyond_the_fiftieth_are_told_together(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.projections.as_of_differences.DECISIONS_MAX", 2)
    await agree(edge, charge("tokens"))
    [first] = await tell(edge, [used(1, MARCH, 100)])
    for number in range(4):
        await edge.data(f'mutation {{ renameAccount(account: "acme", name: "N{number}") {{ __typename }} }}')
        await tell(edge, [used(10 + number, MARCH, 10)])
    steps = (await difference(edge, {"position": first}))["steps"]
    assert [(step["kind"], step["decisionCount"], step["eventCount"]) for step in steps] == [
        *(("DECISION", 1, 0), ("USAGE", 0, 1), ("DECISION", 1, 0), ("SEVERAL", 2, 3)),
    ]
    assert total([step["effect"]["amount"] for step in steps]) == Decimal("0.40")


async def test_a_bound_key_looks_back_on_its_own_account_alone(edge: Edge) -> None:
    await agree(edge, charge("tokens"))
    await edge.data('mutation { openAccount(account: "b", name: "B", zone: "UTC") { __typename } }')
    await edge.follower.refresh()
    [first] = await tell(edge, [used(1, MARCH, 100)])
    own = await edge.key("viewer", account="acme")
    assert (await as_of(edge, position=first, key=own))["position"] == first
    other = await edge.key("viewer", account="b")
    refused = await edge.graphql(AS_OF, {"moment": {"position": first}}, key=other)
    assert (refused["data"] or {}).get("account") is None
    assert refused["errors"][0]["extensions"]["code"] == "out_of_scope"


STANDING = """
query ($position: Position!, $at: DateTime) {
  account(key: "acme") {
    asOf(moment: { position: $position }) {
      ... on AccountAsOf {
        adjustments { key state } closedPeriods { start balance { amount } }
        projectedInvoice(at: $at) { ... on InvoiceAsOf { total { amount } } }
      }
    }
  }
}
"""
CLOSE = """
mutation {
  closePeriods(account: "acme", until: "2026-04-01T00:00:00Z") { __typename ... on Refusal { message } }
}
"""


async def test_adjustments_and_closed_periods_are_told_as_they_stood(edge: Edge) -> None:
    # given
    await begin(edge)
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    heads = [await edge.head()]
    for decide in (olivia.propose, pat.approve):
        await decide("outage")
        heads.append(await edge.head())
    await edge.project()
    closed = await edge.data(CLOSE)
    assert closed["closePeriods"]["__typename"] == "PeriodsClosed", closed
    heads.append(await edge.head())
    # when
    stood = []
    for head in heads:
        variables = {"position": head, "at": MARCH.isoformat()}
        stood.append((await edge.data(STANDING, variables))["account"]["asOf"])
    # then
    assert [[one["state"] for one in then["adjustments"]] for then in stood] == [
        *([], ["PROPOSED"], ["APPROVED"], ["APPROVED"]),
    ]
    assert [then["projectedInvoice"]["total"]["amount"] for then in stood] == ["100", "100", "87.5", "87.5"]
    assert [len(then["closedPeriods"]) for then in stood] == [0, 0, 0, 3]
    assert stood[-1]["closedPeriods"][-1] == {"start": "2026-03-01T00:00:00Z", "balance": {"amount": "87.5"}}
    # and the difference names them
    found = await difference(edge, {"position": heads[0]})
    told = [(step["topic"], step["effect"]["amount"]) for step in found["steps"]]
    assert told[:2] == [("AdjustmentProposed", "0"), ("AdjustmentApproved", "-12.5")]
    assert {topic for topic, _ in told[2:]} == {"PeriodClosed"}
