"""What Stripe leaves open, or lets an account choose: how late its sums are, when drafts become final."""

from dataclasses import dataclass
from typing import Final

from ledger.sandbox.stripe.clock import HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a sandbox behaves where Stripe promises nothing or offers a choice. Times in whole seconds."""

    summary_delay_seconds: int = 0
    """How long a meter event stays out of sums and drafts: they are eventually consistent, without a bound."""
    preview_delay_seconds: int = 0
    """How long a meter event stays out of invoice previews. docs.stripe.com/api/invoices/create_preview"""
    rejection_delay_seconds: int = 10
    """How long the invalid events of a meter are gathered before one report tells of them."""
    rejection_samples_max: int = 5
    """How many errors of a kind a report shows; it counts them all."""
    finalize_after_seconds: int = HOUR
    """How long an invoice of a subscription stays a draft. docs.stripe.com/billing/invoices/subscription"""
    webhook_delay_seconds_max: int = 0
    """Deliveries are delayed by up to this, at random, so they arrive in any order."""
    webhook_duplicates_percent: int = 0
    """How many of the deliveries are made twice."""
    webhook_losses_percent: int = 0
    """How many of the deliveries are never made, as after three days of an endpoint that was down."""
    latency_seconds: int = 0
    """How long a meter event is under way; a second call for its customer and meter meanwhile is refused."""
    requests_per_second: int | None = None
    """The limit of the whole API; none unless given, since on a clock that stands still it would soon be reached."""
    meter_events_per_second: int | None = None
    stream_requests_per_second: int | None = None


DOCUMENTED_LIMITS: Final = Behaviour(
    requests_per_second=100, meter_events_per_second=1_000, stream_requests_per_second=10_000
)
"""The limits of live mode. docs.stripe.com/rate-limits and docs.stripe.com/api/v2/billing/meter-event-stream/create"""
