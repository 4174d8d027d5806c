"""Sentences about billing platforms: what they tell, and what they are told."""

from ledger.domain.events import Event
from ledger.domain.phrases import instant, money, noted, quoted
from ledger.domain.platform_events import (
    CreditNoteSynced,
    CustomerSynced,
    InvoiceSynced,
    ObstacleEncountered,
    PlatformMeterSynced,
    PlatformNotified,
    PriceSynced,
    SubscriptionSynced,
)
from ledger.domain.send_events import (
    CreditSendIntended,
    CreditSendSettled,
    MeterMapped,
    SendCancelIntended,
    SendCancelSettled,
    SendingStarted,
    SendingStopped,
    UsageSendIntended,
    UsageSendSettled,
)


def sentence(event: Event) -> str | None:
    """The sentence; None for an event of another kind."""
    return _of_what_they_tell(event) or _of_whom_they_are_told(event) or _of_what_they_are_told(event)


def _of_what_they_tell(event: Event) -> str | None:
    match event:
        case PlatformNotified():
            about = f" about the {event.object_kind} {quoted(event.object_id)}" if event.object_id else ""
            return f"{event.platform} notified of {quoted(event.kind)}{about}."
        case CustomerSynced():
            is_gone = ", which is deleted there" if event.customer.is_deleted else ""
            return f"The customer {quoted(event.customer.id)} was read from {event.platform}{is_gone}."
        case PlatformMeterSynced():
            return f"The meter {quoted(event.meter.id)} was read from {event.platform}."
        case PriceSynced():
            return f"The price {quoted(event.price.id)} was read from {event.platform}."
        case SubscriptionSynced():
            plan = event.subscription
            return (
                f"The subscription {quoted(plan.id)} was read from {event.platform}: {plan.status.replace('_', ' ')}."
            )
        case InvoiceSynced():
            bill = event.invoice
            return f"The invoice {quoted(bill.id)} was read from {event.platform}: {bill.status}, {money(bill.total)}."
        case CreditNoteSynced():
            note = event.credit_note
            return f"The credit note {quoted(note.id)} was read from {event.platform}: {money(note.money)}."
        case ObstacleEncountered():
            one = event.inexpressible
            kind = one.kind.replace("_", " ")
            return f"The {kind} {quoted(one.id)} of {event.platform} cannot be told here: {noted(one.obstacle)}."
        case _:
            return None


def _of_whom_they_are_told(event: Event) -> str | None:
    match event:
        case SendingStarted():
            return (
                f"Usage of {quoted(event.account)} since {instant(event.since)} was to be told to {event.platform} "
                f"from then on, as the customer {quoted(event.customer)}."
            )
        case SendingStopped():
            return f"Usage of {quoted(event.account)} was to be told to {event.platform} no more."
        case MeterMapped():
            name = event.meter if event.event_type is None else event.event_type
            return f"Usage in the meter {quoted(event.meter)} was to be told to {event.platform} as {quoted(name)}."
        case _:
            return None


def _of_what_they_are_told(event: Event) -> str | None:
    match event:
        case UsageSendIntended():
            count = len(event.sends)
            return f"{count} usage event{'s were' if count != 1 else ' was'} about to be sent to {event.platform}."
        case UsageSendSettled():
            outcomes = sorted({one.outcome.replace("_", " ") for one in event.settlements})
            told = ", ".join(outcomes) if outcomes else "accepted"
            return f"{event.platform} answered attempt {event.attempt} of the batch {quoted(event.batch)}: {told}."
        case SendCancelIntended():
            return f"The usage of position {event.position} was about to be cancelled on {event.platform}."
        case SendCancelSettled():
            outcome = event.settlement.outcome.replace("_", " ")
            return f"{event.platform} answered the cancel of {quoted(event.settlement.identifier)}: {outcome}."
        case CreditSendIntended():
            return (
                f"{money(event.money)} of the adjustment {quoted(event.adjustment)} of {quoted(event.account)} "
                f"was about to be told to {event.platform}, as a {event.instrument.replace('_', ' ')}."
            )
        case CreditSendSettled():
            outcome = event.settlement.outcome.replace("_", " ")
            return f"{event.platform} answered the credit of the adjustment {quoted(event.adjustment)}: {outcome}."
        case _:
            return None
