"""Which of our meters a platform's is."""

from ledger.domain.catalogue import Catalogue
from ledger.domain.metering import MeterDefinition
from ledger.domain.platform_objects import PlatformMeter
from ledger.workers.reconciliation_scope import our_meter


def catalogue(**types: str) -> Catalogue:
    known = Catalogue()
    for meter, event_type in types.items():
        known.define(meter, MeterDefinition(name=meter, event_type=event_type, aggregation="count"))
    return known


THEIRS = PlatformMeter(id="mtr_1", event_type="calls", formula="count")


def test_what_was_mapped_goes_before_the_key_and_that_before_the_event_type() -> None:
    assert our_meter(catalogue(calls="x", api="calls"), {"calls": "api"}, THEIRS) == "api"
    assert our_meter(catalogue(calls="x", api="calls"), {}, THEIRS) == "calls"
    assert our_meter(catalogue(api="calls"), {}, THEIRS) == "api"


def test_a_meter_that_could_be_either_of_two_is_neither() -> None:
    assert our_meter(catalogue(api="calls", web="calls"), {}, THEIRS) is None
    assert our_meter(catalogue(), {"calls": "gone"}, THEIRS) is None
