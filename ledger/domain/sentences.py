"""What an event says, as a sentence for people: total over every event that the log may hold."""

import re
from decimal import Decimal
from typing import Final

from ledger.domain import case_sentences, platform_sentences, trust_sentences
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    Event,
    KeyIssued,
    KeyRevoked,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    PlanRetired,
    PlanRevised,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.phrases import because, instant, listed, money, quoted
from ledger.domain.values import plain

SENTENCE_LENGTH_MAX: Final = 500


def sentence(event: Event) -> str:
    """One sentence, at most 500 characters; times are in UTC and say so, money has its currency."""
    said = (
        _of_usage(event)
        or _of_accounts(event)
        or _of_offers(event)
        or _of_contracts(event)
        or trust_sentences.sentence(event)
        or platform_sentences.sentence(event)
        or case_sentences.sentence(event)
        or _of_topic(event)
    )
    return said if len(said) <= SENTENCE_LENGTH_MAX else f"{said[: SENTENCE_LENGTH_MAX - 4]} ..."


def _of_usage(event: Event) -> str | None:
    match event:
        case UsageRecorded():
            return f"Usage {_told(event)} was told."
        case UsageConflicted():
            return f"Usage {_told(event)} was told again, otherwise than at position {event.first_position}."
        case UsageMended(supersedes=()):
            return f"Usage {_told(event)} was put in{because(event)}."
        case UsageMended():
            return f"Usage {_told(event)} was put in place of {_events_at(event.supersedes)}{because(event)}."
        case UsageDismissed():
            return f"It was decided that {_events_at(event.supersedes)} shall not count{because(event)}."
        case _:
            return None


def _of_accounts(event: Event) -> str | None:
    match event:
        case AccountOpened():
            since = "" if event.opened_at is None else f", since {instant(event.opened_at)}"
            return f"The account {quoted(event.account)} was opened as {quoted(event.name)} in {event.zone}{since}."
        case AccountRenamed():
            return f"The account {quoted(event.account)} was renamed to {quoted(event.name)}."
        case AccountZoneChanged():
            return f"The days of the account {quoted(event.account)} were moved to the time zone {event.zone}."
        case AccountAliased():
            return f"Usage told for {quoted(event.alias)} was given to the account {quoted(event.account)}."
        case AccountAliasRemoved():
            return f"Usage told for {quoted(event.alias)} was taken from the account {quoted(event.account)}."
        case KeyIssued():
            holder = "a machine" if not event.person else event.person
            scope = "all accounts" if event.account is None else f"the account {quoted(event.account)}"
            until = "" if event.expires_at is None else f", until {instant(event.expires_at)}"
            return (
                f"The API key {event.key_id} ({quoted(event.name)}) was issued to {holder} as {listed(event.roles)} "
                f"for {scope}{until}."
            )
        case KeyRevoked():
            return f"The API key {event.key_id} was revoked."
        case _:
            return None


def _of_offers(event: Event) -> str | None:
    match event:
        case MeterDefined() | MeterChanged():
            one = event.definition
            done = "defined" if isinstance(event, MeterDefined) else "changed"
            unit = f" in {one.unit}" if one.unit else ""
            of = f" of {quoted(one.property)}" if one.property else ""
            return (
                f"The meter {quoted(event.meter)} was {done}: {one.aggregation.replace('_', ' ')}{of} over "
                f"{quoted(one.event_type)}{unit}."
            )
        case MeterRetired():
            return f"The meter {quoted(event.meter)} was retired as of {instant(event.retired_at)}."
        case PlanDefined():
            return f"The plan {quoted(event.plan)} was put on offer, in {event.terms.currency}."
        case PlanRevised():
            return f"The plan {quoted(event.plan)} was revised for periods from {instant(event.valid_from)} on."
        case PlanRetired():
            return f"The plan {quoted(event.plan)} was taken off the offer as of {instant(event.retired_at)}."
        case _:
            return None


def _of_contracts(event: Event) -> str | None:
    match event:
        case ContractStarted():
            plan = event.choice.plan
            return f"{_owner(event)} was put on the plan {quoted(plan)} as of {instant(event.started_at)}."
        case ContractPlanChanged():
            plan = event.choice.plan
            return f"{_owner(event)} was moved to the plan {quoted(plan)} as of {instant(event.effective_at)}."
        case ContractPaused():
            return f"The contract of {_owner(event, 'the')} was paused as of {instant(event.effective_at)}."
        case ContractResumed():
            return f"The contract of {_owner(event, 'the')} was resumed as of {instant(event.effective_at)}."
        case ContractEnded():
            return f"The contract of {_owner(event, 'the')} was ended as of {instant(event.effective_at)}."
        case CreditGranted():
            grant = event.grant
            until = "" if grant.expires_at is None else f", until {instant(grant.expires_at)}"
            return (
                f"{_owner(event)} was granted {money(grant.amount)} of credit ({quoted(grant.label)}) as of "
                f"{instant(grant.effective_at)}{until}."
            )
        case CreditRevoked():
            return (
                f"What is left of the credit {quoted(event.grant)} of {_owner(event, 'the')} was revoked as of "
                f"{instant(event.effective_at)}."
            )
        case EntitlementChanged():
            return (
                f"{_owner(event)} was entitled to {_quantity(event.entitlement.quantity)} of "
                f"{quoted(event.entitlement.meter)} ({event.entitlement.limit} limit) as of "
                f"{instant(event.effective_at)}."
            )
        case _:
            return None


def _of_topic(event: Event) -> str:
    """The words of the topic, for an event that nothing more is known of here."""
    words = re.findall(r"[A-Z][a-z]*", event.TOPIC)
    return f"{' '.join([words[0], *map(str.lower, words[1:])])}."


def _told(event: UsageRecorded | UsageConflicted | UsageMended) -> str:
    """Names the usage without telling its properties."""
    return f"{quoted(event.id)} of {quoted(event.source)} for {quoted(event.subject)} at {instant(event.time)}"


def _events_at(positions: tuple[int, ...]) -> str:
    return f"the event{'s' if len(positions) > 1 else ''} at {listed(map(str, positions))}"


def _owner(
    event: ContractStarted
    | ContractPlanChanged
    | ContractPaused
    | ContractResumed
    | ContractEnded
    | CreditGranted
    | CreditRevoked
    | EntitlementChanged,
    article: str = "The",
) -> str:
    return f"{article} account {quoted(event.account)}"


def _quantity(quantity: Decimal | None) -> str:
    return "any quantity" if quantity is None else plain(quantity)
