"""Held usage that a person settles."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.domain.events import UsageDismissed, UsageMended, UsageRecorded
from ledger.domain.mending import (
    REASONS,
    SETTLED_BY_MENDING,
    MendUsage,
    effective_position,
    mended,
    require_reason,
)
from ledger.domain.refusals import ReasonInvalid

TIME = datetime(2026, 3, 1, tzinfo=UTC)
TOLD = UsageRecorded(source="gateway", id="e1", type="completion", subject="acme", time=TIME, data={"n": "x"})


def mend(supersedes: int) -> UsageMended:
    return mended(MendUsage(supersedes, "other"), TOLD, [supersedes])


def test_what_is_not_put_right_stays_as_it_was_told() -> None:
    assert mended(MendUsage(7, "other", "checked"), TOLD, [7]) == UsageMended(
        supersedes=(7,),
        source="gateway",
        id="e1",
        type="completion",
        subject="acme",
        time=TIME,
        data={"n": "x"},
        reason="other",
        note="checked",
    )


def test_every_part_can_be_put_right() -> None:
    later = TIME + timedelta(days=1)
    command = MendUsage(7, "wrong_value", "", "umbrella", "embedding", later, {"n": 1})
    event = mended(command, TOLD, [3, 7])
    assert (event.subject, event.type, event.time, event.data) == ("umbrella", "embedding", later, {"n": 1})
    assert (event.source, event.id, event.supersedes) == ("gateway", "e1", (3, 7))


def test_no_properties_are_properties_too() -> None:
    assert mended(MendUsage(7, "other", properties={}), TOLD, [7]).data == {}


@pytest.mark.parametrize("reason", [*REASONS, SETTLED_BY_MENDING])
def test_a_governed_reason_is_taken(reason: str) -> None:
    require_reason(reason)


def test_a_reason_of_ones_own_is_refused_with_the_list() -> None:
    with pytest.raises(ReasonInvalid, match="wrong_account"):
        require_reason("because")


@pytest.mark.parametrize(
    ("stream", "standing"),
    [
        ([], None),
        ([(1, TOLD)], 1),
        ([(1, TOLD), (5, mend(1))], 5),
        ([(1, TOLD), (5, mend(1)), (9, mend(5))], 9),
        ([(1, TOLD), (5, UsageDismissed(supersedes=(1,), reason="other"))], None),
        ([(1, TOLD), (5, UsageDismissed(supersedes=(99,), reason="other"))], 1),
        ([(1, TOLD), (5, UsageDismissed(supersedes=(1,), reason="other")), (9, mend(1))], 9),
    ],
)
def test_the_last_telling_stands_unless_it_was_dismissed(
    stream: list[tuple[int, UsageRecorded | UsageMended | UsageDismissed]], standing: int | None
) -> None:
    assert effective_position(stream) == standing
