"""A catalogue of planted mismatches between a ledger and the sandbox: one account for each cause, some with two.

Every account uses the same, on a plan that the sandbox bills alike; each plot then does one thing wrong, or two.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ledger.commands.accounts import change_account
from ledger.commands.mending import amend_usage, void_usage
from ledger.domain.accounts import AliasAccount
from ledger.domain.mending import DismissUsage, MendUsage
from ledger.domain.money import Money
from ledger.sandbox.mismatch_hands import METADATA, VALUES, Hands

D = Decimal
USED_FOR: Final = timedelta(days=10)
PERIOD_OVER: Final = timedelta(days=31, hours=4)
"""From the start of all periods to when their invoices are final and settled."""


class Scene(NamedTuple):
    """An account to do wrong to: its customer, and the positions of its usage, of which none was sent yet."""

    hands: Hands
    account: str
    customer: str
    positions: list[int]

    async def send(self, number: int, **how: Any) -> str:  # noqa: ANN401 - what `Hands.send` takes
        """Tell the usage of a number, as `Hands.send`."""
        at = self.hands.begun + timedelta(hours=12 + number)
        return await self.hands.send(self.account, self.customer, self.positions[number], VALUES[number], at, **how)

    async def send_all(self, *but: int) -> dict[int, str]:
        """Tell all usage but some, rightly; the identifiers by number."""
        return {number: await self.send(number) for number in range(len(VALUES)) if number not in but}


Act = Callable[[Scene], Awaitable[None]]


class Plot(NamedTuple):
    """What goes wrong: `during` the period, and `after` the invoice is final.

    `subscriptions` are the prices of each; `anchored` is how much earlier than theirs our periods start.
    """

    causes: frozenset[str]
    during: Act | None = None
    after: Act | None = None
    subscriptions: tuple[tuple[str, ...], ...] = (("tokens",),)
    plan: str = "pro"
    anchored: timedelta = timedelta()
    is_customer: bool = True
    is_account: bool = True

    @property
    def name(self) -> str:
        """The causes, as an account's key."""
        return "-and-".join(sorted(self.causes))


def _rejected(code: str) -> Act:
    async def act(scene: Scene) -> None:
        await scene.send_all(3)
        await scene.send(3, outcome="rejected", code=code)

    return act


async def _unsent(scene: Scene) -> None:
    await scene.send_all(3)


async def _unknown(scene: Scene) -> None:
    await scene.send_all(3)
    await scene.send(3, outcome="unknown")


async def _before_sending(scene: Scene) -> None:
    await scene.hands.start_sending(
        scene.account, scene.customer, since=scene.hands.begun + timedelta(hours=14, minutes=30)
    )
    await scene.send_all(0, 1, 2)


async def _voided(scene: Scene) -> None:
    await scene.send_all()
    hands = scene.hands
    await hands.refreshed()
    command = DismissUsage(scene.positions[2], "test_traffic")
    now = hands.sandbox.clock.moment
    await void_usage(hands.log, hands.follower.catalogue, command, now=now, metadata=METADATA)


async def _amended(scene: Scene) -> None:
    await scene.send_all()
    hands = scene.hands
    await hands.refreshed()
    command = MendUsage(scene.positions[2], "wrong_value", properties={"tokens": 3})
    now = hands.sandbox.clock.moment
    await amend_usage(hands.log, hands.follower.catalogue, command, now=now, metadata=METADATA)


async def _cancelled(scene: Scene) -> None:
    sent = await scene.send_all()
    await scene.hands.cancel(sent[2])


async def _other_value(scene: Scene) -> None:
    await scene.send_all(3)
    hands, at = scene.hands, scene.hands.begun + timedelta(hours=15)
    await hands.send(scene.account, scene.customer, scene.positions[3], D(61), at)


async def _other_customer(scene: Scene) -> None:
    await scene.send_all(3)
    other = await scene.hands.customer("Another")
    at = scene.hands.begun + timedelta(hours=15)
    await scene.hands.send(scene.account, other, scene.positions[3], VALUES[3], at)


async def _adjusted(scene: Scene) -> None:
    await scene.send_all()
    await scene.hands.adjust(scene.account, quantity=D(-7))


async def _late(scene: Scene) -> None:
    """Usage of the last day that is told once the invoice is final."""
    hands = scene.hands
    start = hands.begun + timedelta(days=6)
    [position] = await hands.use(scene.account, D(9), start=start)
    await hands.send(scene.account, scene.customer, position, D(9), start + timedelta(hours=12))


async def _twice(scene: Scene) -> None:
    await scene.send_all(3)
    identifier = await scene.send(3, attempts=2)
    scene.hands.sandbox.plants.double_usage(identifier)


async def _duplicate_customer(scene: Scene) -> None:
    """The log says the one customer, an alias of the account that is billed for nothing got it."""
    hands = scene.hands
    other = await hands.customer("The same again")
    await change_account(
        hands.log, AliasAccount(scene.account, other), now=hands.sandbox.clock.moment, metadata=METADATA
    )
    for number in range(len(VALUES)):
        how = {"told_as": (other, VALUES[number])} if number in (2, 5, 6) else {}
        await scene.send(number, **how)


async def _skewed(scene: Scene) -> None:
    sent = await scene.send_all()
    scene.hands.sandbox.plants.shift_usage(sent[0], -13 * 3600)


async def _unit(scene: Scene) -> None:
    for number in range(len(VALUES)):
        await scene.send(number, told_as=(scene.customer, VALUES[number] * 1000))


async def _negative(scene: Scene) -> None:
    """More is taken back than was used: the plan here counts below zero, the platform's invoice does not."""
    await scene.send_all()
    hands = scene.hands
    start = hands.begun + timedelta(days=3)
    [position] = await hands.use(scene.account, D(-600), start=start)
    await hands.send(scene.account, scene.customer, position, D(-600), start + timedelta(hours=12))


async def _lost(scene: Scene) -> None:
    scene.hands.sandbox.plants.drop_usage((await scene.send_all())[4])


async def _doubled(scene: Scene) -> None:
    scene.hands.sandbox.plants.double_usage((await scene.send_all())[4])


async def _foreign(scene: Scene) -> None:
    await scene.send_all()
    at = scene.hands.begun + timedelta(days=4, minutes=17)
    await scene.hands.tell(scene.customer, D(11), at, f"{scene.account} elsewhere")


async def _less(scene: Scene) -> None:
    scene.hands.sandbox.plants.revalue_usage((await scene.send_all())[6], D("77.5"))


async def _all_sent(scene: Scene) -> None:
    await scene.send_all()


async def _edited(scene: Scene) -> None:
    hands = scene.hands
    [invoice] = await _invoices(scene)
    lines = hands.sandbox.state.lines[invoice]
    hands.sandbox.plants.edit_line(invoice, 0, amount=lines[0]["amount"] - 1000)


async def _credit_note(scene: Scene) -> None:
    [invoice] = await _invoices(scene)
    await scene.hands.ask("/v1/credit_notes", invoice=invoice, amount=700, reason="order_change")


async def _void_invoice(scene: Scene) -> None:
    [invoice] = await _invoices(scene)
    await scene.hands.ask(f"/v1/invoices/{invoice}/void")


async def _manual_line(scene: Scene) -> None:
    await scene.send_all()
    await scene.hands.ask(
        "/v1/invoiceitems", customer=scene.customer, amount=1500, currency="eur", description="Support"
    )


async def _money_adjusted(scene: Scene) -> None:
    await scene.send_all()
    await scene.hands.adjust(scene.account, amount=Money(700, "EUR"))


async def _before_theirs(scene: Scene) -> None:
    """Usage between the start of our period and that of theirs."""
    await scene.send_all()
    hands = scene.hands
    start = hands.begun - timedelta(hours=18)
    [position] = await hands.use(scene.account, D(9), start=start)
    await hands.send(scene.account, scene.customer, position, D(9), start + timedelta(hours=12))


async def _invoices(scene: Scene) -> list[str]:
    answer = await scene.hands.client.get("/v1/invoices", params={"customer": scene.customer})
    return [one["id"] for one in answer.json()["data"] if one["status"] in ("open", "paid") and one["total"]]


async def _unsent_and_rejected(scene: Scene) -> None:
    await scene.send_all(3, 5)
    await scene.send(5, outcome="rejected", code="odd")


async def _unsent_and_lost(scene: Scene) -> None:
    sent = await scene.send_all(3)
    scene.hands.sandbox.plants.drop_usage(sent[4])


async def _voided_and_foreign(scene: Scene) -> None:
    await _voided(scene)
    at = scene.hands.begun + timedelta(days=4, minutes=17)
    await scene.hands.tell(scene.customer, D(11), at, f"{scene.account} elsewhere")


def _plot(*causes: str, **how: Any) -> Plot:  # noqa: ANN401 - what `Plot` takes
    return Plot(frozenset(causes), **how)


PLOTS: Final = (
    _plot("unsent", during=_unsent),
    _plot("send_rejected", during=_rejected("odd")),
    _plot("outside_backdating_window", during=_rejected("timestamp_too_far_in_past")),
    _plot("future_dated", during=_rejected("timestamp_in_future")),
    _plot("meter_archived", during=_rejected("archived_meter")),
    _plot("customer_not_found", during=_rejected("meter_event_customer_not_found")),
    _plot("before_sending_started", during=_before_sending),
    _plot("voided_still_counted", during=_voided),
    _plot("cancelled_still_used", during=_cancelled),
    _plot("amended_after_send", during=_amended),
    _plot("value_differs", during=_other_value),
    _plot("sent_for_another_account", during=_other_customer),
    _plot("adjusted_here_only", during=_adjusted),
    _plot("late_after_finalisation", during=_all_sent, after=_late),
    _plot("sent_twice", during=_twice),
    _plot("send_unknown", during=_unknown),
    _plot("clamped_negative", during=_negative, plan="signed"),
    _plot("duplicate_customer", during=_duplicate_customer),
    _plot("clock_skew", during=_skewed),
    _plot("unit_differs", during=_unit),
    _plot("lost_there", during=_lost),
    _plot("counted_twice_there", during=_doubled),
    _plot("told_by_another", during=_foreign),
    _plot("not_counted_there", during=_less),
    _plot("manual_edit", during=_all_sent, after=_edited),
    _plot("manual_line", during=_manual_line),
    _plot("invoice_void", during=_all_sent, after=_void_invoice),
    _plot("credit_note_there_only", during=_all_sent, after=_credit_note),
    _plot("adjusted_amount_here_only", during=_money_adjusted),
    _plot("price_differs", during=_all_sent, subscriptions=(("dear tokens",),)),
    _plot("plan_version", during=_all_sent, subscriptions=(("old tokens",),)),
    _plot("currency_mismatch", during=_all_sent, subscriptions=(("dollar tokens",),)),
    _plot(
        "line_there_only",
        during=_all_sent,
        subscriptions=(
            (
                "tokens",
                "seats",
            ),
        ),
    ),
    _plot("line_here_only", during=_all_sent, plan="with a fee"),
    _plot("duplicate_subscription", during=_all_sent, subscriptions=(("tokens",), ("tokens",))),
    _plot("anchor_boundary", during=_before_theirs, anchored=timedelta(hours=12)),
    _plot("no_customer", subscriptions=(), is_customer=False),
    _plot("no_subscription", subscriptions=()),
    _plot("no_account", is_account=False),
    _plot("inexpressible_price", during=_all_sent, subscriptions=(("tokens", "donation"),)),
    _plot("unsent", "send_rejected", during=_unsent_and_rejected),
    _plot("unsent", "lost_there", during=_unsent_and_lost),
    _plot("voided_still_counted", "told_by_another", during=_voided_and_foreign),
    _plot("unsent", "manual_edit", during=_unsent, after=_edited),
)


async def plant(hands: Hands, plots: tuple[Plot, ...] = PLOTS) -> None:
    """Let all periods begin, do everything wrong, and let the invoices become final."""
    scenes = []
    for plot in plots:
        customer = await hands.customer(plot.name)
        for prices in plot.subscriptions:
            await hands.subscribe(customer, *prices)
        if plot.is_account:
            alias = customer if plot.is_customer else None
            await hands.open(plot.name, alias, plan=plot.plan, anchor=hands.begun - plot.anchored)
            scenes.append((plot, customer))
    await hands.sandbox.advance(hands.begun + USED_FOR)
    played = []
    for plot, customer in scenes:
        scene = Scene(hands, plot.name, customer, await hands.use(plot.name, *VALUES))
        if plot.during is not _before_sending:
            await hands.start_sending(plot.name, customer)
        if plot.during is not None:
            await plot.during(scene)
        played.append((plot, scene))
    await hands.sandbox.advance(hands.begun + PERIOD_OVER)
    for plot, scene in played:
        if plot.after is not None:
            await plot.after(scene)
    await hands.sandbox.advance(hands.begun + PERIOD_OVER + timedelta(hours=4))
