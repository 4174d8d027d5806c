"""What platforms hold, as events and back."""

import pytest

from ledger.domain.platform_events import SyncEvent
from ledger.domain.platform_objects import Customer, Inexpressible, PlatformInvoice, PlatformMeter, Price
from ledger.domain.platform_sync import KINDS, gone, kind_of, object_of, synced
from tests.domain.platform_examples import PLATFORM_EXAMPLES

SYNCS = [event for event in PLATFORM_EXAMPLES.values() if isinstance(event, SyncEvent)]


@pytest.mark.parametrize("event", SYNCS, ids=lambda event: type(event).__name__)
def test_an_object_is_read_from_the_event_that_it_was_written_to(event: SyncEvent) -> None:
    assert synced(event.platform, object_of(event)) == event


def test_every_kind_is_synced_and_what_is_referred_to_comes_first() -> None:
    assert {kind_of(object_of(event)) for event in SYNCS} == set(KINDS)
    assert KINDS.index("customer") < KINDS.index("subscription") < KINDS.index("invoice") < KINDS.index("credit_note")


def test_what_is_gone_says_so_once() -> None:
    for event in SYNCS:
        after = gone(object_of(event))
        assert gone(after) == after
        match after:
            case Customer():
                assert after.is_deleted
            case PlatformInvoice():
                assert after.status == "deleted"
            case PlatformMeter() | Price():
                assert not after.is_active
            case Inexpressible():
                assert after == object_of(event)
            case _:
                assert after == object_of(event)
