"""Meter events that were taken and found wrong later: gathered, then told in one report.

docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from ledger.sandbox.stripe.clock import rfc3339
from ledger.sandbox.stripe.shelves import Json

MESSAGES: Final = {
    "archived_meter": "The meter is archived.",
    "meter_event_customer_not_found": "The customer of the meter event was not found.",
    "meter_event_invalid_value": "The value of the meter event is not a number.",
    "meter_event_no_customer_defined": "Customer mapping key not found in payload.",
    "meter_event_value_too_many_digits": "The value of the meter event has too many digits.",
    "missing_dimension_payload_keys": "The payload lacks a dimension of the meter.",
    "no_meter": "No meter has the event name.",
    "timestamp_in_future": "The timestamp is too far in the future.",
    "timestamp_too_far_in_past": "The timestamp is too far in the past.",
}
"""The codes of asynchronous rejections."""


@dataclass(slots=True)
class Rejections:
    """What was rejected since the last report, by meter (None where there is none) and code."""

    by_meter: dict[str | None, dict[str, list[str]]] = field(default_factory=dict)
    since: dict[str | None, int] = field(default_factory=dict)
    planted: list[str] = field(default_factory=list)
    """Codes with which the next accepted meter events are rejected, one each, by order of a test."""

    def add(self, meter: str | None, code: str, identifier: str, now: int) -> bool:
        """Note one rejected event; answers whether it is the first of a report."""
        is_first = meter not in self.by_meter
        if is_first:
            self.by_meter[meter] = defaultdict(list)
            self.since[meter] = now
        self.by_meter[meter][code].append(identifier)
        return is_first

    def report(self, meter: str | None, now: int, samples_max: int) -> Json:
        """The content of the report about a meter: all errors counted, some shown. Empties the notes."""
        by_code = self.by_meter.pop(meter)
        count = sum(map(len, by_code.values()))
        return {
            "developer_message_summary": f"There are {count} invalid events"
            if count > 1
            else "There is 1 invalid event",
            "reason": {
                "error_count": count,
                "error_types": [
                    {
                        "code": code,
                        "error_count": len(identifiers),
                        "sample_errors": [
                            {"error_message": MESSAGES[code], "request": {"identifier": identifier}}
                            for identifier in identifiers[:samples_max]
                        ],
                    }
                    for code, identifiers in by_code.items()
                ],
            },
            "validation_end": rfc3339(now),
            "validation_start": rfc3339(self.since.pop(meter)),
        }
