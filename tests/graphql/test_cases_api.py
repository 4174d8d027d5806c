"""Cases over GraphQL: the queue, a case with its findings and its story, and the work on it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from ledger.commands.cases import observe
from ledger.commands.decision import decide_on
from ledger.commands.sends import batches, first_settled, intended_rows, stand
from ledger.domain.cases import Observation, key_of
from ledger.domain.metadata import Metadata
from ledger.domain.money import Money
from ledger.domain.names import reconciliation_stream
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.send_events import SendOutcome, Settlement, UsageSend
from tests.domain.case_examples import DIFFERENCE, FINDING, LEAST
from tests.edges import NOW, Edge
from tests.graphql.adjusting import Person, begin, credit, march, person
from tests.graphql.billing import MARCH

CASE = key_of(DIFFERENCE)
OTHER = msgspec.structs.replace(DIFFERENCE, account="globex", money=Money(-500, "EUR"), findings=())
HERE = msgspec.structs.replace(DIFFERENCE, findings=(msgspec.structs.replace(FINDING, positions=(1, 2)),))

SHOWN = """
fragment all on Case {
  id key state platform subject accountKey customer meterKey ours theirs quantity money { amount currency } cause
  assignee reopenings comments settledAt
  findings { rank cause sentence share isExact quantity money { amount } evidence { name value } positions }
  resolution {
    decision reason comment resolvedBy positions adjustmentKey adjustment { key state evidence { reference } }
  }
  timeline { position topic sentence }
}
"""
CASE_QUERY = "query ($key: String!) { answer: case(key: $key) { ...all } }" + SHOWN
QUEUE = """
query ($filter: CaseFilterInput, $order: CaseOrder! = OLDEST, $first: Int, $after: String) {
  cases(filter: $filter, order: $order, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { key accountKey state } }
  }
}
"""
ANSWER = """ {
    __typename ... on CaseDecision { position case { ...all } } ... on Refusal { code message }
  }
}
"""
ASSIGN = (
    "mutation ($key: String!, $assignee: String) { answer: assignCase(key: $key, assignee: $assignee)" + ANSWER + SHOWN
)
COMMENT = (
    "mutation ($key: String!, $comment: String!) { answer: commentCase(key: $key, comment: $comment)" + ANSWER + SHOWN
)
REOPEN = COMMENT.replace("commentCase", "reopenCase")
RESOLVE = (
    """
mutation ($key: String!, $decision: CaseChoice!, $reason: String!, $comment: String!, $adjustment: AdjustmentInput
         $positions: [Position!]) {
  answer: resolveCase(key: $key, decision: $decision, reason: $reason, comment: $comment, adjustment: $adjustment,
    positions: $positions)"""
    + ANSWER
    + SHOWN
)


async def saw(edge: Edge, *differences: Difference, agreed: tuple[str, ...] = (), run: str = "run-1") -> None:
    """Let a run find these differences."""
    await edge.follower.refresh()
    observation = Observation(run, datetime.now(UTC), frozenset(agreed))
    await observe(edge.log, edge.follower.catalogue, differences, observation, metadata=Metadata(actor="test"))
    await edge.follower.refresh()
    await edge.project()


async def asked(who: Person, query: str, **variables: Any) -> dict[str, Any]:
    """What somebody is answered."""
    answer: dict[str, Any] = (await who.edge.data(query, variables, key=who.key))["answer"]
    return answer


async def resolving(who: Person, decision: str = "ACCEPT_THEIRS", **changes: Any) -> dict[str, Any]:
    """The answer to a decision on the case."""
    told = {"key": CASE, "decision": decision, "reason": "too_small", "comment": "37 cents"} | changes
    return await asked(who, RESOLVE, **told)


async def test_the_queue_is_filtered_sorted_and_paged(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE, OTHER, LEAST)

    async def page(**variables: Any) -> list[str | None]:
        data = await edge.data(QUEUE, variables)
        return [one["node"]["accountKey"] for one in data["cases"]["edges"]]

    assert await page(order="LARGEST") == ["globex", "acme", None]
    assert await page(filter={"account": "acme"}) == ["acme"]
    assert await page(filter={"cause": "unexplained"}, order="LARGEST") == ["globex", None]
    assert await page(filter={"states": ["SETTLED"]}) == []
    assert await page(filter={"isUnassigned": True, "platform": "stripe"}, order="LARGEST") == ["globex", "acme", None]
    first = (await edge.data(QUEUE, {"order": "LARGEST", "first": 2}))["cases"]
    assert first["totalCount"] == 3
    assert first["pageInfo"]["hasNextPage"]
    assert await page(order="LARGEST", after=first["pageInfo"]["endCursor"]) == [None]
    await edge.data(ASSIGN, {"key": CASE, "assignee": "Olivia"}, key=(await person(edge, "Ada", "ops")).key)
    await edge.project()
    assert await page(filter={"assignee": "olivia "}) == ["acme"]
    assert await page(filter={"states": ["INVESTIGATING"]}) == ["acme"]


async def test_a_case_shows_its_findings_its_candidates_and_its_story(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, HERE)
    found = (await edge.data(CASE_QUERY, {"key": CASE}))["answer"]
    assert (found["state"], found["cause"], found["quantity"], found["money"]["amount"]) == (
        "OPEN",
        "unsent",
        "36.5",
        "0.37",
    )
    [finding] = found["findings"]
    assert finding == {
        "rank": 1,
        "cause": "unsent",
        "sentence": "Usage of 36.5 was never sent to the platform.",
        "share": "1",
        "isExact": True,
        "quantity": "36.5",
        "money": {"amount": "0.37"},
        "evidence": [{"name": "events", "value": "2"}, {"name": "sends", "value": "0"}],
        "positions": [1, 2],
    }
    assert [one["topic"] for one in found["timeline"]] == ["CaseOpened"]
    assert "is 1536.5 here and 1500 there, 0.37 EUR more here than there" in found["timeline"][0]["sentence"]
    events = f'{{ case(key: "{CASE}") {{ findings {{ events {{ position }} }} }} }}'
    assert (await edge.data(events))["case"]["findings"] == [{"events": [{"position": 1}, {"position": 2}]}]
    refused = await edge.graphql(events, key=await edge.key("viewer"))
    assert refused["errors"][0]["extensions"]["code"] == "forbidden"
    again = await edge.data("query ($id: ID!) { node(id: $id) { id ... on Case { key } } }", {"id": found["id"]})
    assert again["node"] == {"id": found["id"], "key": CASE}


async def test_the_summary_tells_what_leaks_and_what_is_too_much(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE, OTHER, LEAST)
    query = (
        "{ reconciliationSummary { counts { state count } oldest { key } "
        "leaks { subject leaks { amount currency } overbilled { amount } } } }"
    )
    found = (await edge.data(query))["reconciliationSummary"]
    assert found["counts"] == [{"state": "OPEN", "count": 3}]
    assert found["leaks"] == [
        {"subject": "QUANTITY", "leaks": {"amount": "0.37", "currency": "EUR"}, "overbilled": {"amount": "5"}}
    ]
    await saw(edge, agreed=(CASE, key_of(OTHER)))
    found = (await edge.data(query))["reconciliationSummary"]
    assert found["counts"] == [{"state": "OPEN", "count": 1}, {"state": "SETTLED", "count": 2}]
    assert (found["leaks"], found["oldest"]["key"]) == ([], key_of(LEAST))


async def test_a_case_goes_its_way(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE)
    olivia = await person(edge, "Olivia", "ops")
    answer = await asked(olivia, ASSIGN, key=CASE, assignee="Olivia")
    assert (answer["case"]["state"], answer["case"]["assignee"]) == ("INVESTIGATING", "Olivia")
    assert (await asked(olivia, COMMENT, key=CASE, comment="looking"))["case"]["comments"] == 1
    resolved = await resolving(olivia)
    assert (resolved["case"]["state"], resolved["case"]["resolution"]["resolvedBy"]) == ("RESOLVED", "Olivia")
    assert await resolving(olivia) == resolved
    assert (await resolving(olivia, "ACCEPT_OURS"))["__typename"] == "CaseNotOpen"
    assert (await asked(olivia, REOPEN, key=CASE, comment="no"))["case"]["state"] == "INVESTIGATING"
    await saw(edge, agreed=(CASE,), run="run-2")
    found = await asked(olivia, CASE_QUERY, key=CASE)
    assert (found["state"], found["resolution"]) == ("SETTLED", None)
    assert [one["topic"] for one in found["timeline"]] == [
        "CaseOpened",
        "CaseAssigned",
        "CaseCommented",
        "CaseResolved",
        "CaseReopened",
        "CaseSettled",
    ]
    assert (await asked(olivia, REOPEN, key=CASE, comment="no"))["__typename"] == "CaseNotResolved"


async def test_a_credit_is_proposed_with_the_case_as_evidence_and_another_person_approves_it(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE)
    olivia, ben = await person(edge, "Olivia", "ops"), await person(edge, "Ben", "approver")
    answer = await resolving(olivia, "CREDIT", adjustment=credit("case-1"))
    made = answer["case"]["resolution"]
    assert made["adjustmentKey"] == "case-1"
    assert made["adjustment"] == {"key": "case-1", "state": "PROPOSED", "evidence": [{"reference": CASE}]}
    assert await resolving(olivia, "CREDIT", adjustment=credit("case-1")) == answer
    assert (await march(edge))["total"]["amount"] == "100"
    await ben.approve("case-1")
    assert (await march(edge))["total"]["amount"] == "87.5"
    found = await asked(olivia, CASE_QUERY, key=CASE)
    assert found["resolution"]["adjustment"]["state"] == "APPROVED"


@pytest.mark.parametrize(
    ("decision", "changes", "refusal"),
    [
        ("CREDIT", {}, "CaseInvalid"),
        ("CREDIT", {"adjustment": credit("a", kind="DEBIT")}, "CaseInvalid"),
        ("CREDIT", {"adjustment": credit("a"), "reason": "goodwill"}, "ReasonInvalid"),
        ("CREDIT", {"adjustment": credit("a"), "comment": " "}, "CaseInvalid"),
        ("CREDIT", {"adjustment": credit("a", amount="0")}, "AdjustmentInvalid"),
        ("ACCEPT_OURS", {"adjustment": credit("a")}, "CaseInvalid"),
        ("RESEND", {}, "CaseInvalid"),
        ("ACCEPT_OURS", {"reason": "goodwill"}, "ReasonInvalid"),
        ("ACCEPT_OURS", {"key": "x"}, "CaseUnknown"),
    ],
)
async def test_a_decision_that_is_refused_leaves_no_proposal(
    edge: Edge, decision: str, changes: dict[str, Any], refusal: str
) -> None:
    """Guard: propose before the decision is looked at, and the wrong reason leaves one."""
    await begin(edge)
    await saw(edge, DIFFERENCE)
    olivia = await person(edge, "Olivia", "ops")
    assert (await resolving(olivia, decision, **changes))["__typename"] == refusal
    await edge.follower.refresh()
    assert not edge.follower.catalogue.adjustments.get("acme")
    assert (await asked(olivia, CASE_QUERY, key=CASE))["state"] == "OPEN"


async def test_a_case_of_no_account_has_nothing_to_adjust(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, LEAST)
    olivia = await person(edge, "Olivia", "ops")
    answer = await resolving(olivia, "CREDIT", key=key_of(LEAST), adjustment=credit("a"))
    assert (answer["__typename"], "no account's" in answer["message"]) == ("CaseInvalid", True)


async def test_a_machine_and_other_roles_do_no_casework(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE)
    machine = await person(edge, None, "ops")
    assert (await resolving(machine))["__typename"] == "PersonRequired"
    for role in ("viewer", "approver", "auditor", "admin"):
        assert (await resolving(await person(edge, "Ann", role)))["__typename"] == "Forbidden"


async def test_a_bound_key_sees_and_works_on_its_own_cases_alone(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE, OTHER, LEAST)
    bound = await person(edge, "Olivia", "ops", account="acme")
    data = await edge.data(QUEUE, {}, key=bound.key)
    assert [one["node"]["accountKey"] for one in data["cases"]["edges"]] == ["acme"]
    summary = await edge.data("{ reconciliationSummary { counts { count } } }", key=bound.key)
    assert summary["reconciliationSummary"]["counts"] == [{"count": 1}]
    for hidden in (OTHER, LEAST):
        assert await edge.data(CASE_QUERY, {"key": key_of(hidden)}, key=bound.key) == {"answer": None}
        refused = await asked(bound, COMMENT, key=key_of(hidden), comment="mine?")
        assert refused["__typename"] == "CaseUnknown"
    assert (await asked(bound, COMMENT, key=CASE, comment="mine"))["__typename"] == "CaseDecision"


async def test_the_evidence_of_an_adjustment_may_be_a_case_that_is_there(edge: Edge) -> None:
    await begin(edge)
    await saw(edge, DIFFERENCE, OTHER)
    olivia = await person(edge, "Olivia", "ops")

    async def resting_on(key: str, reference: str) -> Any:
        return (await olivia.propose(key, evidence=[{"kind": "CASE", "reference": reference}]))["__typename"]

    assert await resting_on("a", CASE) == "AdjustmentDecision"
    assert await resting_on("b", "0b8e1c9a-5d0a-5a0e-9b7f-5b8c1d426f0c") == "EvidenceUnknown"
    assert await resting_on("c", key_of(OTHER)) == "EvidenceUnknown"


async def test_numbers_stay_exact(edge: Edge) -> None:
    await begin(edge)
    precise = msgspec.structs.replace(DIFFERENCE, ours=Decimal("12345678901234567890.123456789012345678"))
    await saw(edge, precise)
    data = await edge.data("{ cases { edges { node { ours quantity } } } }")
    [edge_] = data["cases"]["edges"]
    assert edge_["node"] == {
        "ours": "12345678901234567890.123456789012345678",
        "quantity": "12345678901234566390.123456789012345678",
    }


def _as_told(told: ReconciliationFinished, _: object) -> list[ReconciliationFinished]:
    return [told]


async def test_the_summary_of_a_run_tells_the_share_that_agrees(edge: Edge) -> None:
    await begin(edge)

    def finished(run: str, agreeing: int, compared: int) -> ReconciliationFinished:
        told: dict[str, Any] = {"compared": compared, "agreeing": agreeing, "differing": compared - agreeing}
        money: dict[str, Any] = {"leaks": (Money(37, "EUR"),), "excesses": (Money(5, "USD"),)}
        times: dict[str, Any] = {"period_at": NOW, "started_at": NOW, "finished_at": NOW}
        return ReconciliationFinished(platform="stripe", run=run, **told, **times, **(money if compared else {}))

    async def summary(key: str | None = None, **variables: Any) -> Any:
        query = (
            'query ($run: String) { reconciliationSummary(platform: "stripe", run: $run) { run { run compared share '
            "leaks { amount currency } overbilled { amount currency } } } }"
        )
        return (await edge.data(query, variables, key=key))["reconciliationSummary"]["run"]

    assert await summary() is None
    stream = reconciliation_stream("stripe")
    for told in (finished("first", 2, 3), finished("second", 0, 0)):
        made = partial(_as_told, told)
        await decide_on(edge.log, stream, made, account=None, now=NOW, metadata=Metadata(actor="test"))
    assert await summary() == {"run": "second", "compared": 0, "share": None, "leaks": [], "overbilled": []}
    assert await summary(run="first") == {
        "run": "first",
        "compared": 3,
        "share": "0.666666",
        "leaks": [{"amount": "0.37", "currency": "EUR"}],
        "overbilled": [{"amount": "0.05", "currency": "USD"}],
    }
    assert await summary(run="none") is None
    assert await summary(key=await edge.key("viewer", account="acme")) is None


async def sent(edge: Edge, outcome: SendOutcome, *, at: datetime) -> int:
    """The position of the usage of March, which was sent with this outcome."""
    query = '{ events(topics: ["UsageRecorded"]) { edges { node { position } } } }'
    position: int = (await edge.data(query))["events"]["edges"][0]["node"]["position"]
    send = UsageSend(
        identifier="send-1",
        position=position,
        account="acme",
        meter="tokens",
        customer="cus_1",
        event_type="tokens",
        value=Decimal(10_000),
        timestamp=MARCH,
    )
    metadata = Metadata(actor="test")
    [batch] = batches("stripe", await stand(edge.pool, "stripe"), [send], derived_up_to=position, now=at)
    answer = Settlement(identifier=send.identifier, outcome=outcome)
    settled = first_settled("stripe", batch.batch, [answer], is_partial=False, now=at, metadata=metadata)
    await edge.log.append(intended_rows([batch], [], "stripe", now=at, metadata=metadata))
    await edge.log.append([settled])
    await edge.project()
    return position


MARCHS = msgspec.structs.replace(
    DIFFERENCE, start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC)
)
SENDS = """
query ($key: String!) {
  answer: case(key: $key) { state resolution { decision positions sends { state repeats cancel } } }
}
"""


async def test_a_resend_goes_through_the_sends_once_and_shows_what_becomes_of_it(edge: Edge) -> None:
    """Guard: leave out what looks for sends since the case was opened, and telling it again is refused."""
    await begin(edge)
    position = await sent(edge, "rejected", at=NOW - timedelta(hours=1))
    await saw(edge, MARCHS)
    olivia, told = await person(edge, "Olivia", "ops"), {"key": key_of(MARCHS), "positions": [position]}
    assert (await resolving(olivia, "RESEND", **told | {"comment": ""}))["__typename"] == "CaseInvalid"
    answer = await resolving(olivia, "RESEND", **told)
    assert answer["case"]["resolution"]["positions"] == [position]
    await edge.project()
    found = await asked(olivia, SENDS, key=key_of(MARCHS))
    first, second = found["resolution"]["sends"]
    assert (first["state"], second["state"], second["repeats"]) == ("REJECTED", "INTENDED", "send-1")
    assert (await resolving(olivia, "RESEND", **told))["__typename"] == "CaseDecision"
    await asked(olivia, REOPEN, key=key_of(MARCHS), comment="as if it had died in between")
    assert (await resolving(olivia, "RESEND", **told))["__typename"] == "CaseDecision"
    await edge.project()
    assert len((await asked(olivia, SENDS, key=key_of(MARCHS)))["resolution"]["sends"]) == 2


async def test_a_cancel_goes_through_the_sends_once(edge: Edge) -> None:
    await begin(edge)
    position = await sent(edge, "accepted", at=NOW - timedelta(hours=1))
    await saw(edge, MARCHS)
    olivia, told = await person(edge, "Olivia", "ops"), {"key": key_of(MARCHS), "positions": [position]}
    assert (await resolving(olivia, "RESEND", **told))["__typename"] == "SendNotRepeatable"
    for _ in range(2):
        assert (await resolving(olivia, "CANCEL", **told))["__typename"] == "CaseDecision"
        await edge.project()
    [send] = (await asked(olivia, SENDS, key=key_of(MARCHS)))["resolution"]["sends"]
    assert (send["state"], send["cancel"]) == ("ACCEPTED", "INTENDED")


async def test_only_usage_of_the_cases_account_and_period_is_sent(edge: Edge) -> None:
    await begin(edge)
    position = await sent(edge, "rejected", at=NOW - timedelta(hours=1))
    globex = msgspec.structs.replace(MARCHS, account="globex")
    await saw(edge, DIFFERENCE, globex, MARCHS, LEAST)
    olivia = await person(edge, "Olivia", "ops")
    for one, positions in (
        (DIFFERENCE, [position]),
        (globex, [position]),
        (LEAST, [position]),
        (MARCHS, [1]),
        (MARCHS, [10_000]),
        (MARCHS, [position, position]),
        (MARCHS, []),
    ):
        answer = await resolving(olivia, "RESEND", key=key_of(one), positions=positions)
        assert answer["__typename"] == "CaseInvalid", (one, positions)
    rejected = "select count(*) from events where topic = 'UsageSendIntended'"
    assert await edge.pool.fetchval(rejected) == 1


async def test_a_case_is_told_as_it_stood(edge: Edge) -> None:
    """The guard is the position that the past and its stories end at."""
    await begin(edge)
    await saw(edge, HERE, OTHER)
    opened = await edge.head()
    await edge.data(ASSIGN, {"key": CASE, "assignee": "Olivia"}, key=(await person(edge, "Ada", "ops")).key)
    await saw(edge, agreed=(CASE,), run="run-2")
    past = """
query ($before: Position!, $after: Position!) {
  account(key: "acme") {
    before: asOf(moment: {position: $before}) { ...shown }
    after: asOf(moment: {position: $after}) { ...shown }
  }
}
fragment shown on AsOfResult { ... on AccountAsOf { cases { key state assignee cause timeline { topic } } } }
"""
    found = (await edge.data(past, {"before": opened, "after": await edge.head()}))["account"]
    assert found["before"]["cases"] == [
        {"key": CASE, "state": "OPEN", "assignee": None, "cause": "unsent", "timeline": [{"topic": "CaseOpened"}]}
    ]
    [now] = found["after"]["cases"]
    assert (now["state"], now["assignee"]) == ("SETTLED", "Olivia")
    assert [one["topic"] for one in now["timeline"]] == ["CaseOpened", "CaseAssigned", "CaseSettled"]
