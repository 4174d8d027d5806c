"""Adjustments over GraphQL: their effect is shown, two persons decide, and the invoice follows."""

from typing import Any

from tests.edges import Edge
from tests.graphql.adjusting import EFFECT, REJECT, REVERSE, SET_LIMIT, WITHDRAW, begin, credit, decided, march, person
from tests.graphql.billing import MARCH, charge

LIST = """
query ($filter: AdjustmentFilterInput, $order: AdjustmentOrder, $first: Int, $after: String) {
  answer: adjustments(filter: $filter, order: $order, first: $first, after: $after) {
    totalCount
    edges { cursor node { key state position outcome { position } } }
    pageInfo { hasNextPage }
  }
}
"""


def money(invoice: dict[str, Any]) -> dict[str, str]:
    return {line["key"]: line["money"]["amount"] for line in invoice["lines"]}


async def test_a_proposal_changes_nothing_until_another_person_approves_it(edge: Edge) -> None:
    await begin(edge)
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    proposed = await olivia.propose("outage")
    assert proposed["__typename"] == "AdjustmentDecision", proposed
    assert proposed["adjustment"]["state"] == "PROPOSED"
    assert proposed["adjustment"]["effect"] == {"amount": "-12.5", "currency": "EUR"}
    assert (await march(edge))["total"] == {"amount": "100"}
    approved = await pat.approve("outage")
    assert approved["adjustment"]["state"] == "APPROVED", approved
    assert approved["adjustment"]["outcome"] == {
        "state": "APPROVED",
        "decidedBy": "Pat",
        "isAutomatic": False,
        "reason": None,
    }
    invoice = await march(edge)
    assert invoice["total"] == {"amount": "87.5"}
    assert invoice["lines"][-1] == {
        "kind": "ADJUSTMENT",
        "key": "outage",
        "label": "Credit: goodwill",
        "quantity": "1",
        "adjustedQuantity": "0",
        "money": {"amount": "-12.5"},
        "why": "the adjustment outage, which was approved, whatever was used",
        "adjustments": [{"key": "outage", "state": "APPROVED"}],
    }


async def test_the_effect_is_shown_before_anything_is_stored(edge: Edge) -> None:
    await begin(edge)
    olivia = await person(edge, "Olivia", "ops")
    before = await decided(edge)
    answer = await olivia.ask(EFFECT, adjustment=credit("outage"))
    assert answer["before"]["total"] == {"amount": "100"}
    assert answer["after"]["total"] == {"amount": "87.5"}
    assert answer["effect"] == answer["difference"] == {"amount": "-12.5"}
    assert answer["lines"][-1] == {"kind": "ADJUSTMENT", "key": "outage", "difference": {"amount": "-12.5"}}
    assert answer["needsApproval"] is True
    assert answer["why"] == "none of the proposer's roles has a limit that somebody else set"
    assert await decided(edge) == before


async def test_a_usage_adjustment_is_rated_like_usage(edge: Edge) -> None:
    tiers = {"graduated": {"tiers": [{"upTo": "9000", "unitAmount": "0.01"}, {"unitAmount": "0.005"}]}}
    await begin(edge, charge("tokens", tiers, groupBy=["model"]))
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    told = {"kind": "USAGE", "amount": None, "reason": "metering_fault", "meter": "tokens", "quantity": "-2000"}
    dimensions = [{"name": "model", "value": "small"}]
    proposed = await olivia.propose("fault", **told, dimensions=dimensions)
    assert proposed["adjustment"]["effect"]["amount"] == "-15", "1,000 at 0.005 and 1,000 at 0.01"
    await pat.approve("fault")
    [line] = (await march(edge))["lines"]
    assert (line["quantity"], line["adjustedQuantity"], line["money"]["amount"]) == ("8000", "-2000", "80")
    assert line["adjustments"] == [{"key": "fault", "state": "APPROVED"}]
    assert line["why"].endswith("what was metered was adjusted by -2000 (fault)")
    await olivia.propose("more", **told | {"quantity": "500"})
    await pat.approve("more")
    assert [line["money"]["amount"] for line in (await march(edge))["lines"]] == ["5", "80"], "a group without a model"


async def test_within_a_limit_that_somebody_else_set_no_second_person_is_needed(edge: Edge) -> None:
    await begin(edge)
    olivia, ada = await person(edge, "Olivia", "ops"), await person(edge, "Ada", "admin")
    assert (await ada.ask(SET_LIMIT, role="ops", amount="20"))["__typename"] == "AdjustmentLimitDecision"
    first = (await olivia.propose("first"))["adjustment"]
    assert (first["state"], first["role"], first["outcome"]["isAutomatic"]) == ("APPROVED", "ops", True)
    second = (await olivia.propose("second"))["adjustment"]
    assert second["state"] == "PROPOSED", "12.50 and 12.50 are above 20"
    assert (await march(edge))["total"] == {"amount": "87.5"}


async def test_a_reversal_undoes_an_adjustment_to_the_cent(edge: Edge) -> None:
    await begin(edge)
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    await olivia.propose("outage")
    await pat.approve("outage")
    undo = {"adjustment": "outage", "key": "undo", "reason": "mistaken_adjustment"}
    undone = (await olivia.ask(REVERSE, **undo))["adjustment"]
    assert (undone["kind"], undone["amount"], undone["reverses"]) == (
        "DEBIT",
        {"amount": "12.5", "currency": "EUR"},
        "outage",
    )
    again = await olivia.ask(REVERSE, **undo)
    assert again["adjustment"]["id"] == undone["id"], "told again it changes nothing"
    await pat.approve("undo")
    assert (await march(edge))["total"] == {"amount": "100"}
    refused = await olivia.ask(REVERSE, **undo | {"key": "undo-2"})
    assert refused["__typename"] == "AdjustmentNotReversible"


async def test_queues_are_filtered_sorted_and_paged(edge: Edge) -> None:
    await begin(edge)
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    for key, amount in (("a", "5"), ("b", "50"), ("c", "7")):
        await olivia.propose(key, amount=amount)
    await pat.approve("c")
    await olivia.propose("d", kind="DEBIT", reason="billing_error", amount="9")
    await olivia.ask(WITHDRAW, key="a")
    await pat.ask(REJECT, key="d")
    await edge.project()

    async def keys(**asked: Any) -> list[str]:
        return [one["node"]["key"] for one in (await pat.ask(LIST, **asked))["edges"]]

    assert await keys() == ["a", "b", "c", "d"]
    assert await keys(order="NEWEST") == ["d", "c", "b", "a"]
    assert await keys(order="LARGEST") == ["b", "d", "c", "a"]
    assert await keys(filter={"state": "PROPOSED"}) == ["b"]
    assert await keys(filter={"kind": "DEBIT"}) == ["d"]
    assert await keys(filter={"reason": "goodwill", "proposedBy": " oLIVIA "}) == ["a", "b", "c"]
    assert await keys(filter={"proposedBy": "pat"}) == []
    for order, expected in (("LARGEST", ["d", "c"]), ("NEWEST", ["c", "b"]), ("OLDEST", ["b", "c"])):
        page = await pat.ask(LIST, order=order, first=1)
        assert page["pageInfo"]["hasNextPage"]
        assert await keys(order=order, first=2, after=page["edges"][0]["cursor"]) == expected
    oldest = await pat.ask(LIST, first=1)
    assert oldest["totalCount"] == 4
    node = oldest["edges"][0]["node"]
    assert node["outcome"]["position"] > node["position"]


async def test_a_key_bound_to_an_account_sees_only_its_adjustments(edge: Edge) -> None:
    await begin(edge)
    olivia = await person(edge, "Olivia", "ops")
    proposed = await olivia.propose("outage")
    await edge.project()
    stranger = await person(edge, "Sam", "ops", "approver", account="umbrella")
    assert (await stranger.ask(LIST))["totalCount"] == 0
    assert (await stranger.approve("outage"))["__typename"] == "OutOfScope"
    node = "query ($id: ID!) { answer: node(id: $id) { ... on Adjustment { key } } }"
    identity = proposed["adjustment"]["id"]
    assert await stranger.ask(node, id=identity) is None
    assert await olivia.ask(node, id=identity) == {"key": "outage"}


async def test_credit_grants_never_pay_for_more_than_what_is_due_after_adjustments(edge: Edge) -> None:
    await begin(edge)
    granted = await edge.data(
        """mutation { grantCredit(account: "acme", grant: {grant: "g", label: "G", effectiveAt: "2026-01-01T00:00:00Z",
        amount: {amount: "150", currency: "EUR"}}) { __typename } }"""
    )
    assert granted["grantCredit"]["__typename"] == "ContractDecision"
    olivia, pat = await person(edge, "Olivia", "ops"), await person(edge, "Pat", "approver")
    proposed = await olivia.propose("outage", amount="40")
    assert proposed["adjustment"]["effect"]["amount"] == "-40", "although the total stays at zero"
    await pat.approve("outage")
    invoice = await march(edge)
    assert [invoice[name]["amount"] for name in ("subtotal", "credited", "total")] == ["60", "60", "0"]
    await olivia.propose("more", amount="100")
    await pat.approve("more")
    invoice = await march(edge)
    assert [invoice[name]["amount"] for name in ("subtotal", "credited", "total")] == ["-40", "0", "-40"]


async def test_what_does_not_fit_the_contract_is_refused_and_changes_nothing(edge: Edge) -> None:
    await begin(edge, charge("tokens"), charge("fee", {"percentage": {"ratePercent": "1"}}))
    olivia = await person(edge, "Olivia", "ops")
    before = await decided(edge)
    usage = {"kind": "USAGE", "amount": None, "reason": "metering_fault", "meter": "tokens", "quantity": "1"}

    async def refusal(**told: Any) -> str:
        return str((await olivia.propose("x", **told))["__typename"])

    assert await refusal(**usage) == "MoneyRequired"
    assert await refusal(**usage | {"meter": "seats"}) == "MeterUnknown"
    assert await refusal(**usage | {"quantity": "0"}) == "AdjustmentInvalid"
    assert await refusal(**usage, dimensions=[{"name": "region", "value": "eu"}]) == "DimensionUndeclared"
    assert await refusal(amount="0") == "AdjustmentInvalid"
    assert await refusal(amount="0.001") == "AmountUnrounded"
    assert await refusal(amount="-1") == "AdjustmentInvalid"
    assert await refusal(meter="tokens") == "AdjustmentInvalid"
    assert await refusal(reason="uncollectible") == "ReasonInvalid"
    assert await refusal(note="x" * 2_001) == "AdjustmentInvalid"
    assert await refusal(evidence=[{"kind": "EVENT", "reference": "999999"}]) == "EvidenceUnknown"
    assert await refusal(evidence=[{"kind": "ADJUSTMENT", "reference": "none"}]) == "EvidenceUnknown"
    assert await refusal(at="2025-03-01T00:00:00Z") == "ContractMissing"
    assert await refusal(expires_at=MARCH.isoformat()) == "AdjustmentInvalid"
    assert await decided(edge) == before
