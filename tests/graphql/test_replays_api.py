"""What replays found, over GraphQL."""

from datetime import UTC, datetime
from typing import cast

from ledger.commands.replays import record_replay
from ledger.domain.metadata import Metadata
from ledger.domain.replay_events import ReplayFinished
from tests.domain.replay_examples import REPLAY_EXAMPLES
from tests.edges import Edge, open_accounts

REPLAYS = """
query ($first: Int! = 10) { replays(first: $first) {
  storedPosition position isEqual divergencesFound milliseconds startedAt unreadablePosition unreadableWhy
  models { name position accounts accountsDiffering livingRows livingDigest replayedRows replayedDigest }
  divergences { projection account firstPosition lastPosition candidate rowsDiffering rows { key living replayed } }
} }
"""


async def keep(edge: Edge, example: str) -> int:
    outcome = cast("ReplayFinished", REPLAY_EXAMPLES[example])
    return await record_replay(edge.log, outcome, now=datetime.now(UTC), metadata=Metadata(actor="test"))


async def test_the_latest_outcomes_come_first_with_all_that_was_found(edge: Edge) -> None:
    first = await keep(edge, "ReplayFinished")
    second = await keep(edge, "ReplayFinished.unreadable")
    latest, earlier = (await edge.data(REPLAYS))["replays"]
    assert (latest["storedPosition"], earlier["storedPosition"]) == (second, first)
    assert (latest["unreadablePosition"], latest["unreadableWhy"]) == (9, "it is missing")
    assert not earlier["isEqual"]
    [found] = earlier["divergences"]
    assert (found["projection"], found["firstPosition"], found["candidate"]) == ("usage_days", 7, 8)
    assert found["rows"][0] == {
        "key": {"meter": None, "account": "acme", "day": "2026-07-01"},
        "living": {"total": "12.5"},
        "replayed": {"total": "12"},
    }
    assert found["rows"][1]["replayed"] is None
    assert [model["accountsDiffering"] for model in earlier["models"]] == [1]
    assert len((await edge.data(REPLAYS, {"first": 1}))["replays"]) == 1
    assert (await edge.data(REPLAYS, {"first": 0}))["replays"] == []


async def test_more_than_a_hundred_are_refused(edge: Edge) -> None:
    answer = await edge.graphql(REPLAYS, {"first": 101})
    assert answer["errors"][0]["extensions"]["code"] == "argument_invalid"


async def test_a_key_bound_to_an_account_sees_none(edge: Edge) -> None:
    """The guard is `is_global` at the field: without it the key would read other accounts' rows."""
    await open_accounts(edge)
    await keep(edge, "ReplayFinished")
    answer = await edge.graphql(REPLAYS, key=await edge.key("auditor", account="acme"))
    assert answer["errors"][0]["extensions"]["code"] == "out_of_scope"
