"""Stored examples of what platforms hold, what they tell and what they are told."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from ledger.domain.charges import Charge, PerUnit
from ledger.domain.events import Event
from ledger.domain.money import Money
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
from ledger.domain.platform_objects import (
    CreditNote,
    Customer,
    Inexpressible,
    PlatformInvoice,
    PlatformLine,
    PlatformMeter,
    Price,
    Subscription,
    SubscriptionItem,
)
from ledger.domain.send_events import (
    CreditSendIntended,
    CreditSendSettled,
    MeterMapped,
    SendCancelIntended,
    SendCancelSettled,
    SendingStarted,
    SendingStopped,
    Settlement,
    UsageSend,
    UsageSendIntended,
    UsageSendSettled,
)

START = datetime(2026, 6, 1, 9, 30, 15, tzinfo=UTC)
END = datetime(2026, 7, 1, 9, 30, 15, tzinfo=UTC)
SEND = UsageSend(
    identifier="0b8e1c9a-5d0a-5a0e-9b7f-5b8c1d426f0c",
    position=9_007_199_254_740_993,
    account="acme",
    meter="tokens",
    customer="cus_1",
    event_type="tokens",
    value=Decimal("1536.5"),
    timestamp=START,
)

PLATFORM_EXAMPLES: dict[str, Event] = {
    "PlatformNotified": PlatformNotified(
        platform="stripe",
        event_id="evt_1",
        kind="invoice.finalized",
        object_kind="invoice",
        object_id="in_1",
        created_at=END,
        body='{"id":"evt_1"}',
    ),
    "PlatformNotified.obstacle": PlatformNotified(
        platform="stripe",
        event_id="evt_2",
        kind="entitlements.created",
        object_kind="",
        object_id="",
        created_at=END,
        body='{"id":"evt_2"}',
        obstacle="it is written in version 2099-01-01, which is newer than the ledger knows",
    ),
    "CustomerSynced": CustomerSynced(platform="stripe", customer=Customer(id="cus_1", name="Acme Ltd")),
    "CustomerSynced.deleted": CustomerSynced(platform="stripe", customer=Customer(id="cus_1", is_deleted=True)),
    "PlatformMeterSynced": PlatformMeterSynced(
        platform="stripe", meter=PlatformMeter(id="mtr_1", event_type="tokens", formula="sum")
    ),
    "PriceSynced": PriceSynced(
        platform="stripe",
        price=Price(
            id="price_1",
            product="prod_1",
            currency="EUR",
            interval="month",
            meter="mtr_1",
            charge=Charge(model=PerUnit(unit_amount=Decimal("0.002"))),
        ),
    ),
    "PriceSynced.obstacle": PriceSynced(
        platform="stripe",
        price=Price(id="price_2", product="prod_1", currency="EUR", obstacle="the customer chooses the amount"),
    ),
    "SubscriptionSynced": SubscriptionSynced(
        platform="stripe",
        subscription=Subscription(
            id="sub_1",
            customer="cus_1",
            status="active",
            currency="EUR",
            started_at=START,
            period_start=START,
            period_end=END,
            anchor=START,
            items=(
                SubscriptionItem(id="si_1", price="price_1"),
                SubscriptionItem(id="si_2", price="price_3", quantity=Decimal(3)),
            ),
        ),
    ),
    "InvoiceSynced": InvoiceSynced(
        platform="stripe",
        invoice=PlatformInvoice(
            id="in_1",
            customer="cus_1",
            status="open",
            start=START,
            end=END,
            lines=(
                PlatformLine(
                    id="il_1",
                    label="Tokens",
                    money=Money(307, "EUR"),
                    start=START,
                    end=END,
                    quantity=Decimal("1536.5"),
                    price="price_1",
                    meter="mtr_1",
                ),
                PlatformLine(id="il_2", label="By hand", money=Money(-100, "EUR"), start=START, end=END),
            ),
            subtotal=Money(207, "EUR"),
            total=Money(207, "EUR"),
            created_at=END,
            subscription="sub_1",
            finalized_at=END,
        ),
    ),
    "CreditNoteSynced": CreditNoteSynced(
        platform="stripe",
        credit_note=CreditNote(
            id="cn_1",
            invoice="in_1",
            customer="cus_1",
            money=Money(100, "EUR"),
            reason="product_unsatisfactory",
            created_at=END,
        ),
    ),
    "ObstacleEncountered": ObstacleEncountered(
        platform="stripe",
        inexpressible=Inexpressible(
            kind="invoice", id="in_2", obstacle='the currency "XTS" is not one of ISO 4217', customer="cus_1"
        ),
    ),
    "SendingStarted": SendingStarted(platform="stripe", account="acme", customer="cus_1", since=START),
    "SendingStopped": SendingStopped(platform="stripe", account="acme"),
    "MeterMapped": MeterMapped(platform="stripe", meter="tokens", event_type="llm_tokens"),
    "UsageSendIntended": UsageSendIntended(
        platform="stripe", batch="1", intended_at=END, derived_up_to=9_007_199_254_740_993, sends=(SEND,)
    ),
    "UsageSendIntended.again": UsageSendIntended(
        platform="stripe",
        batch="2",
        intended_at=END,
        derived_up_to=9_007_199_254_740_993,
        sends=(
            msgspec.structs.replace(SEND, repeats=SEND.identifier),
            msgspec.structs.replace(SEND, undoes=SEND.identifier),
        ),
    ),
    "UsageSendSettled": UsageSendSettled(
        platform="stripe",
        batch="b1",
        attempt=1,
        settled_at=END,
        settlements=(
            Settlement(
                identifier=SEND.identifier, outcome="rejected", code="archived_meter", message="The meter is archived."
            ),
        ),
    ),
    "UsageSendSettled.accepted": UsageSendSettled(platform="stripe", batch="b1", attempt=2, settled_at=END),
    "SendCancelIntended": SendCancelIntended(
        platform="stripe", identifier=SEND.identifier, event_type="tokens", position=7, intended_at=END
    ),
    "SendCancelSettled": SendCancelSettled(
        platform="stripe", settlement=Settlement(identifier=SEND.identifier, outcome="accepted"), settled_at=END
    ),
    "CreditSendIntended": CreditSendIntended(
        platform="stripe",
        account="acme",
        adjustment="outage-17",
        customer="cus_1",
        instrument="credit_note",
        money=Money(-1250, "EUR"),
        identifier="acme/outage-17",
        invoice="in_1",
    ),
    "CreditSendSettled": CreditSendSettled(
        platform="stripe",
        account="acme",
        adjustment="outage-17",
        settlement=Settlement(identifier="acme/outage-17", outcome="accepted"),
        settled_at=END,
        reference="cn_2",
    ),
}
