"""The bytes that are sealed: unambiguous, readable again, and fixed for ever."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.entries import Entry, EntryUnreadable, at_position, decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
ENTRIES = st.builds(
    Entry,
    st.integers(1, 2**63 - 1),
    st.uuids(),
    st.integers(1, 2**31 - 1),
    TEXTS,
    st.none() | TEXTS,
    TIMES,
    TIMES,
    TEXTS,
    TEXTS,
)
FIXED = Entry(
    position=258,
    originator_id=UUID(int=3),
    originator_version=1,
    topic="T",
    account=None,
    occurred_at=datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=5),
    recorded_at=datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    state="{}",
    metadata='"é"',
)


def test_the_bytes_of_an_entry_are_those_that_are_documented() -> None:
    """Never edited: other bytes would make every seal unsound."""
    assert encode(FIXED).hex() == (
        "0009000000080000000000000102" + "00000010" + f"{3:032x}" + "0000000400000001" + "0000000154" + "ffffffff"
        "000000080000000000000005" + "00000008ffffffffffffffff" + "000000027b7d" + "0000000422c3a922"
    )


@given(ENTRIES)
def test_an_entry_is_read_again_as_it_was(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(ENTRIES, ENTRIES)
def test_two_entries_never_share_their_bytes(one: Entry, other: Entry) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(ENTRIES, st.integers(1, 2**63 - 1))
def test_an_entry_can_be_put_at_another_position(entry: Entry, position: int) -> None:
    assert at_position(encode(entry), position) == encode(entry._replace(position=position))


@given(ENTRIES, st.data())
def test_what_is_no_entry_is_refused(entry: Entry, data: st.DataObject) -> None:
    written = encode(entry)
    cut = data.draw(st.integers(0, len(written) - 1))
    for unreadable in (written[:cut], written + b"\0", b"\0\x08" + written[2:]):
        with pytest.raises(EntryUnreadable):
            decode(unreadable)
