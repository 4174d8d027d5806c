"""Stored examples of what replays found."""

from datetime import UTC, datetime

from ledger.domain.events import Event
from ledger.domain.replay_events import Divergence, ReplayedModel, ReplayFinished, RowDifference, Unreadable

STARTED_AT = datetime(2026, 7, 2, 1, tzinfo=UTC)
DAYS = ReplayedModel(
    name="usage_days",
    position=1200,
    accounts=2,
    accounts_differing=1,
    living_rows=31,
    living_digest="ab" * 32,
    replayed_rows=30,
    replayed_digest="cd" * 32,
)
KEY: dict[str, str | None] = {"meter": None, "account": "acme", "day": "2026-07-01"}

REPLAY_EXAMPLES: dict[str, Event] = {
    "ReplayFinished": ReplayFinished(
        position=1200,
        is_equal=False,
        models=(DAYS,),
        divergences=(
            Divergence(
                projection="usage_days",
                account="acme",
                first_position=7,
                last_position=9,
                candidate=8,
                rows_differing=2,
                rows=(
                    RowDifference(key=KEY, living={"total": "12.5"}, replayed={"total": "12"}),
                    RowDifference(key=KEY, living={"total": "1"}, replayed=None),
                ),
            ),
        ),
        divergences_found=1,
        started_at=STARTED_AT,
        milliseconds=4200,
    ),
    "ReplayFinished.unreadable": ReplayFinished(
        position=9,
        is_equal=False,
        models=(),
        unreadable=Unreadable(position=9, why="it is missing"),
        started_at=STARTED_AT,
        milliseconds=12,
    ),
}
