"""Stripe Billing behind the port. No other package imports its SDK or knows its shapes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import (
    Customer,
    Inexpressible,
    ObjectKind,
    PlatformInvoice,
    PlatformLine,
    PlatformObject,
    UsageSum,
)
from ledger.domain.pricing_refusals import AmountTooLarge, AmountUnrounded
from ledger.domain.send_events import Settlement, UsageSend
from ledger.platforms import stripe_credits
from ledger.platforms.port import Credit, Grouping, PlatformRefused, Rejections
from ledger.platforms.stripe_connection import RETRIES_MAX, Connection, open_connection, read
from ledger.platforms.stripe_invoices import (
    TheirCreditNote,
    TheirInvoice,
    TheirLine,
    credit_note_of,
    invoice_of,
    line_of,
)
from ledger.platforms.stripe_money import CurrencyNotKnown
from ledger.platforms.stripe_notifications import (
    NAME,
    REPORTS,
    TheirReport,
    check_signature,
    notified_of,
    rejections_of,
)
from ledger.platforms.stripe_prices import TheirPrice, price_of
from ledger.platforms.stripe_references import Reference, reference
from ledger.platforms.stripe_subscriptions import (
    Items,
    StatusNotKnown,
    TheirCustomer,
    TheirMeter,
    TheirSubscription,
    customer_of,
    meter_of,
    subscription_of,
)
from ledger.platforms.stripe_usage import Usage

PRICES_KEPT_MAX: Final = 100_000


class _Place(NamedTuple):
    """Where Stripe lists a kind of object, and what to ask for with it."""

    path: str
    listing: Mapping[str, Any] = MappingProxyType({})
    fetching: Mapping[str, Any] = MappingProxyType({})


PLACES: Final[dict[ObjectKind, _Place]] = {
    "customer": _Place("/v1/customers"),
    "meter": _Place("/v1/billing/meters"),
    "price": _Place("/v1/prices", {"expand": ["data.tiers"]}, {"expand": ["tiers"]}),
    "subscription": _Place("/v1/subscriptions", {"status": "all"}),
    "invoice": _Place("/v1/invoices"),
    "credit_note": _Place("/v1/credit_notes"),
}


class _Trace(msgspec.Struct, frozen=True):
    """What tells an object apart that cannot be read further."""

    id: str
    customer: Reference | None = None
    deleted: bool = False


class StripePlatform:
    """`Platform`, for one Stripe account. `secrets` sign its webhooks: several while they are rolled."""

    name = NAME

    def __init__(self, connection: Connection, secrets: Sequence[str] = ()) -> None:
        self._connection = connection
        self._secrets = secrets
        self._usage = Usage(connection)
        self._meters: dict[str, str | None] = {}

    async def objects(
        self, kind: ObjectKind, *, after: str | None = None, created_from: datetime | None = None
    ) -> AsyncIterator[PlatformObject]:
        """As `Platform.objects`, newest first. docs.stripe.com/api/pagination"""
        place = PLACES[kind]
        created = {} if created_from is None else {"created": {"gte": int(created_from.timestamp())}}
        async for one in self._connection.listed(place.path, after=after, **place.listing, **created):
            found = await self._told(kind, one)
            if found is not None:
                yield found

    async def fetch(self, kind: ObjectKind, object_id: str) -> PlatformObject | None:
        """As `Platform.fetch`. Prices and drafts may be deleted too: there is none then."""
        place = PLACES[kind]
        try:
            found = await self._connection.get(
                f"{place.path}/{quote(object_id, safe='')}", msgspec.Raw, **place.fetching
            )
        except PlatformRefused as refused:
            if refused.code == "resource_missing":
                return None
            raise
        return await self._told(kind, found)

    async def preview_invoice(self, subscription: str) -> PlatformInvoice:
        """As `Platform.preview_invoice`. docs.stripe.com/api/invoices/create_preview"""
        made = await self._connection.post("/v1/invoices/create_preview", TheirInvoice, subscription=subscription)
        return await self._invoice(made)

    async def usage_sums(
        self, meter: str, customer: str, start: datetime, end: datetime, grouping: Grouping | None = None
    ) -> list[UsageSum]:
        """As `Platform.usage_sums`."""
        return await self._usage.sums(meter, customer, start, end, grouping)

    async def send_usage(self, sends: Sequence[UsageSend]) -> list[Settlement]:
        """As `Platform.send_usage`."""
        return await self._usage.send(sends)

    async def send_singly(self, send: UsageSend) -> Settlement:
        """As `Platform.send_singly`."""
        return await self._usage.send_singly(send)

    async def cancel_usage(self, identifier: str, event_type: str) -> Settlement:
        """As `Platform.cancel_usage`."""
        return await self._usage.cancel(identifier, event_type)

    async def give_credit(self, credit: Credit) -> str:
        """As `Platform.give_credit`."""
        return await stripe_credits.give(self._connection, credit)

    async def notifications(self, since: datetime) -> AsyncIterator[PlatformNotified]:
        """As `Platform.notifications`: events of both APIs, which keep them for 30 days."""
        seconds = int(since.timestamp())
        found = [notified_of(one) async for one in self._connection.listed("/v1/events", created={"gte": seconds})]
        found += [notified_of(one) async for one in self._thin_events(since)]
        for one in sorted(found, key=lambda told: told.created_at):
            yield one

    def read_notification(self, body: bytes, headers: Mapping[str, str], now: datetime) -> PlatformNotified:
        """As `Platform.read_notification`; header names are in lower case."""
        check_signature(body, headers.get("stripe-signature"), self._secrets, now)
        return notified_of(body)

    async def rejections(self, notified: PlatformNotified) -> Rejections | None:
        """As `Platform.rejections`: a report is a thin event, whose content is fetched."""
        if notified.kind not in REPORTS:
            return None
        report = await self._connection.get(f"/v2/core/events/{notified.event_id}", TheirReport)
        return rejections_of(report)

    async def _thin_events(self, since: datetime) -> AsyncIterator[msgspec.Raw]:
        """docs.stripe.com/api/v2/core/events/list"""
        moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path: str | None = "/v2/core/events"
        params: dict[str, Any] = {"created": {"gte": moment}, "limit": 100}
        while path is not None:
            page = await self._connection.get(path, _ThinPage, **params)
            for one in page.data:
                yield one
            path, params = page.next_page_url, {}

    async def _told(self, kind: ObjectKind, theirs: msgspec.Raw) -> PlatformObject | None:
        """The object in our words, or why there are none for it. None where it was deleted."""
        trace = read(theirs, _Trace)
        if trace.deleted:
            return Customer(id=trace.id, is_deleted=True) if kind == "customer" else None
        try:
            return await self._in_our_words(kind, theirs)
        except (CurrencyNotKnown, StatusNotKnown) as why:
            obstacle = str(why)
        except (AmountUnrounded, AmountTooLarge) as refusal:
            obstacle = refusal.message
        except PlatformRefused as refused:
            if refused.code != "unreadable":
                raise
            obstacle = str(refused)
        customer = trace.id if kind == "customer" else trace.customer
        return Inexpressible(
            kind=kind, id=trace.id, obstacle=obstacle, customer=None if customer is None else reference(customer)
        )

    async def _in_our_words(self, kind: ObjectKind, theirs: msgspec.Raw) -> PlatformObject:
        match kind:
            case "customer":
                return customer_of(read(theirs, TheirCustomer))
            case "meter":
                return meter_of(read(theirs, TheirMeter))
            case "price":
                return price_of(read(theirs, TheirPrice))
            case "subscription":
                return subscription_of(await self._with_all_items(read(theirs, TheirSubscription)))
            case "invoice":
                return await self._invoice(read(theirs, TheirInvoice))
            case "credit_note":
                return credit_note_of(read(theirs, TheirCreditNote))

    async def _with_all_items(self, theirs: TheirSubscription) -> TheirSubscription:
        """docs.stripe.com/api/subscription_items/list"""
        if not theirs.items.has_more:
            return theirs
        listed = self._connection.listed("/v1/subscription_items", subscription=theirs.id)
        raw = [bytes(one) async for one in listed]
        items = read(b'{"data":[' + b",".join(raw) + b"]}", Items)
        return msgspec.structs.replace(theirs, items=items)

    async def _invoice(self, theirs: TheirInvoice) -> PlatformInvoice:
        """With all lines: an invoice itself shows only the first. docs.stripe.com/api/invoice-line-item/list"""
        lines = theirs.lines.data
        if theirs.lines.has_more:
            listed = self._connection.listed(f"/v1/invoices/{theirs.id}/lines")
            lines = [read(one, TheirLine) async for one in listed]
        return invoice_of(theirs, [await self._line(one) for one in lines])

    async def _line(self, theirs: TheirLine) -> PlatformLine:
        return line_of(theirs, None if theirs.price is None else await self._meter_of(theirs.price))

    async def _meter_of(self, price: str) -> str | None:
        """The meter of a price, which never changes; None where it has none, or was deleted."""
        if price not in self._meters:
            try:
                found = await self._connection.get(f"/v1/prices/{price}", TheirPrice)
                meter = None if found.recurring is None else found.recurring.meter
            except PlatformRefused as refused:
                if refused.code not in ("resource_missing", "unreadable"):
                    raise
                meter = None
            if len(self._meters) >= PRICES_KEPT_MAX:
                self._meters.clear()
            self._meters[price] = meter
        return self._meters[price]


class _ThinPage(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    next_page_url: str | None = None


@asynccontextmanager
async def open_stripe(
    api_key: str, *, secrets: Sequence[str] = (), address: str | None = None, retries: int = RETRIES_MAX
) -> AsyncIterator[StripePlatform]:
    """Stripe, or what stands in for it at another address, until the context ends."""
    async with open_connection(api_key, address=address, retries=retries) as connection:
        yield StripePlatform(connection, secrets)
