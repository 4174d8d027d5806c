"""What billing platforms hold, through the API."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger.commands.accounts import change_account
from ledger.commands.platforms import keep_notifications, sync_listed
from ledger.domain.accounts import AliasAccount
from ledger.domain.metadata import Metadata
from ledger.domain.money import Money
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import (
    Customer,
    Inexpressible,
    ObjectKind,
    PlatformInvoice,
    PlatformLine,
    PlatformObject,
    Subscription,
    SubscriptionItem,
)
from tests.edges import Edge, open_accounts

METADATA = Metadata(actor="test")
START, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
HELD = """
query ($key: String!) { account(key: $key) { platform {
  customers { platform id name isDeleted }
  subscriptions { id status periodStart items { id price quantity obstacle } }
  invoices(first: 5) { id status total { amount currency } lines { label quantity money { amount } meter } }
  obstacles { kind id obstacle }
} } }
"""
NEWS = "{ platforms { platform notifications lastEventId lastKind lastPosition looked_into: lookedInto { position } } }"


async def unasked(kind: ObjectKind, object_id: str) -> PlatformObject | None:
    raise AssertionError("nobody is asked")


async def hold(edge: Edge) -> None:
    """A customer of the account acme with a subscription and two invoices, one of them beyond words."""
    line = PlatformLine(
        id="il_1",
        label="Tokens",
        money=Money(307, "EUR"),
        start=START,
        end=END,
        quantity=Decimal("1536.5"),
        meter="mtr_1",
    )
    held: list[PlatformObject] = [
        Customer(id="cus_1", name="Acme"),
        Customer(id="cus_2", name="Other"),
        Subscription(
            id="sub_1",
            customer="cus_1",
            status="active",
            currency="EUR",
            started_at=START,
            period_start=START,
            period_end=END,
            anchor=START,
            items=(SubscriptionItem(id="si_1", price="price_1"),),
        ),
        PlatformInvoice(
            id="in_1",
            customer="cus_1",
            status="open",
            start=START,
            end=END,
            lines=(line,),
            subtotal=Money(307, "EUR"),
            total=Money(307, "EUR"),
            created_at=END,
        ),
        Inexpressible(kind="invoice", id="in_2", obstacle="the currency is unknown", customer="cus_1"),
    ]
    await sync_listed(edge.pool, edge.log, "stripe", held, unasked, listed_after=0, now=END, metadata=METADATA)
    await open_accounts(edge)
    await change_account(edge.log, AliasAccount("acme", "cus_1"), now=END, metadata=METADATA)
    await edge.follower.refresh()
    await edge.project()


async def test_an_account_shows_what_its_customer_has_there(edge: Edge) -> None:
    await hold(edge)

    platform = (await edge.data(HELD, {"key": "cus_1"}))["account"]["platform"]

    assert platform["customers"] == [{"platform": "stripe", "id": "cus_1", "name": "Acme", "isDeleted": False}]
    [subscription] = platform["subscriptions"]
    assert subscription["items"] == [{"id": "si_1", "price": "price_1", "quantity": None, "obstacle": None}]
    [invoice] = platform["invoices"]
    assert invoice["total"] == {"amount": "3.07", "currency": "EUR"}
    assert invoice["lines"] == [
        {"label": "Tokens", "quantity": "1536.5", "money": {"amount": "3.07"}, "meter": "mtr_1"}
    ]
    assert platform["obstacles"] == [{"kind": "invoice", "id": "in_2", "obstacle": "the currency is unknown"}]


async def test_a_key_of_another_account_does_not_see_it(edge: Edge) -> None:
    await hold(edge)
    await open_accounts(edge, ["other"])

    answer = await edge.graphql(HELD, {"key": "acme"}, key=await edge.key("viewer", account="other"))

    assert answer["errors"][0]["extensions"]["code"] == "out_of_scope"


@pytest.mark.parametrize("first", [0, 101])
async def test_a_list_is_bounded(edge: Edge, first: int) -> None:
    await open_accounts(edge)
    query = 'query ($n: Int!) { account(key: "acme") { platform { invoices(first: $n) { id } } } }'

    answer = await edge.graphql(query, {"n": first})

    assert answer["errors"][0]["extensions"]["code"] == "argument_invalid"


async def test_the_news_of_a_platform_say_how_well_it_is_followed(edge: Edge) -> None:
    told = PlatformNotified(
        platform="stripe",
        event_id="evt_1",
        kind="invoice.paid",
        object_kind="invoice",
        object_id="in_1",
        created_at=END,
        body="{}",
    )
    await edge.key("admin")
    position = (await keep_notifications(edge.log, [told], now=END, metadata=METADATA)).positions[0]
    await edge.project()

    [one] = (await edge.data(NEWS))["platforms"]

    assert (one["platform"], one["notifications"], one["lastEventId"]) == ("stripe", 1, "evt_1")
    assert one["lastPosition"] == position > one["looked_into"]["position"]
