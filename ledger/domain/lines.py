"""The lines of an invoice: what each charge, fee, discount and bound of a plan comes to in one segment of a period."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from ledger.domain.charges import Charge, Dimensional, Flat
from ledger.domain.money import ONE, Money, minus, percent_of, subtract, total
from ledger.domain.pricing import Convention, FixedFee, PlanCharge, PlanDiscount, PlanTerms, Term
from ledger.domain.proration import HALF_UP, WHOLE, Share
from ledger.domain.rating import Grouped, Metered, rate
from ledger.domain.steps import Group, Line, Step, line_of, rounded_line
from ledger.domain.values import ZERO

LineKind = Literal["usage", "fee", "discount", "maximum", "minimum", "commitment", "adjustment"]


class Used(NamedTuple):
    """What was metered for a charge in a segment: all of it, or that of one combination of its dimensions' values.

    `adjusted` is what `adjustments` made of it, in the meter's unit, and part of what is `metered`.
    """

    charge: str
    metered: Metered
    segment: int = 0
    group: Group = ()
    adjusted: Decimal = ZERO
    adjustments: tuple[str, ...] = ()


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `steps` add up exactly to `money`; without the rounding among them, to the unrounded `amount`.

    `key` is that of the charge, fee, discount, commitment or adjustment, or "amount_min" or "amount_max" of the plan.
    `segment` is None for what concerns the whole period. Lines `in_advance` are due when their segment begins, others
    when the period closes. `share` is the part of an amount per period that they stand for, `subtotal` what discounts
    and bounds are reckoned on. `adjusted` is what `adjustments` made of what was metered for the line, before its
    price; a line that is an adjustment names itself.
    """

    kind: LineKind
    key: str
    label: str
    quantity: Decimal
    steps: tuple[Step, ...]
    amount: Decimal
    money: Money
    segment: int | None = None
    group: Group = ()
    meter: str | None = None
    term: Term = "in_arrears"
    share: Share = WHOLE
    subtotal: Money | None = None
    adjusted: Decimal = ZERO
    adjustments: tuple[str, ...] = ()


class Part(NamedTuple):
    """A segment to be priced: its plan's terms and the shares of the period that fall on it, whole if not told."""

    segment: int
    terms: PlanTerms
    convention: Convention
    shares: dict[tuple[Convention, Term], Share]

    def share(self, term: Term, convention: Convention | None = None) -> Share:
        """The share of an amount per period that is due for the segment."""
        return self.shares.get((convention or self.convention, term), WHOLE)

    @property
    def share_of_bounds(self) -> Share:
        """The share of what limits or includes usage: that bears on each segment, also where nothing is prorated."""
        return WHOLE if self.convention == "none" else self.share("in_arrears")


def lines_of(part: Part, used: Iterable[Used]) -> list[InvoiceLine]:
    """The segment's lines: charges and fees as the plan lists them, then discounts, maximum and minimum.

    `used` is all that was metered in the segment; what concerns no charge of the plan is passed over. Raises
    `LastTierExceeded` or `QuantityNegative` where a charge says so, `AmountTooLarge` beyond 38 digits.
    """
    by_charge: dict[str, list[Used]] = {}
    for one in used:
        by_charge.setdefault(one.charge, []).append(one)
    lines: list[InvoiceLine] = []
    for charge in part.terms.charges:
        lines += _usage_lines(part, charge, by_charge.get(charge.key, []))
    for fee in part.terms.fees:
        lines += _fee_lines(part, fee)
    for discount in sorted(part.terms.discounts, key=lambda discount: not discount.percent):
        lines += _discount_lines(part, discount, lines)
    return lines + _bound_lines(part, lines)


def _usage_lines(part: Part, charge: PlanCharge, used: Sequence[Used]) -> Iterator[InvoiceLine]:
    price = prorated_price(charge, part)
    term: Term = price.model.term if isinstance(price.model, Flat) else "in_arrears"
    for group, metered, adjusted, adjustments in _readings(charge, used):
        line, money = rounded_line(exact := rate(price, metered), part.terms.currency, price.rounding)
        yield InvoiceLine(
            kind="usage",
            key=charge.key,
            label=charge.label,
            quantity=line.quantity,
            steps=line.steps,
            amount=exact.amount,
            money=money,
            segment=part.segment,
            group=group,
            meter=charge.meter,
            term=term,
            share=WHOLE if price is charge.price else part.share(term),
            adjusted=adjusted,
            adjustments=adjustments,
        )


def prorated_price(charge: PlanCharge, part: Part) -> Charge:
    """The price with the amounts per period, and included units, that fall on the segment."""
    price, share, of_bounds = charge.price, part.share("in_arrears"), part.share_of_bounds
    if charge.prorates_included:
        price = msgspec.structs.replace(price, included_quantity=of_bounds.of(price.included_quantity))
    if not charge.prorates_amounts:
        return price
    if isinstance(price.model, Flat):
        amount = part.share(price.model.term).of(price.model.amount)
        price = msgspec.structs.replace(price, model=msgspec.structs.replace(price.model, amount=amount))
    if share == of_bounds == WHOLE:
        return price
    return msgspec.structs.replace(
        price,
        standing_amount=share.of(price.standing_amount),
        discount_amount=share.of(price.discount_amount),
        amount_min=None if price.amount_min is None else share.of(price.amount_min),
        amount_max=None if price.amount_max is None else of_bounds.of(price.amount_max),
    )


class _Reading(NamedTuple):
    """What one line is rated on, and what of it was adjusted."""

    group: Group
    metered: Metered
    adjusted: Decimal = ZERO
    adjustments: tuple[str, ...] = ()


def _readings(charge: PlanCharge, used: Sequence[Used]) -> list[_Reading]:
    """What is rated line by line; a charge without usage has one line too, because it may cost something."""
    if isinstance(charge.price.model, Dimensional):
        groups = (Grouped(dict(one.group), one.metered.quantity) for one in used)
        names = dict.fromkeys(name for one in used for name in one.adjustments)
        return [_Reading((), Metered(groups=tuple(groups)), total(one.adjusted for one in used), tuple(names))]
    found = [_Reading(one.group, one.metered, one.adjusted, one.adjustments) for one in used]
    readings = sorted(found, key=lambda reading: order_of(reading.group))
    assert len({reading.group for reading in readings}) == len(readings), (
        "usage comes once by charge, segment and group"
    )
    assert charge.group_by or len(readings) <= 1, "a charge that groups by nothing has one total"
    return readings or [_Reading((), Metered())]


def order_of(group: Group) -> tuple[tuple[str, bool, str], ...]:
    """What groups are sorted by: their values, a missing one first."""
    return tuple((dimension, value is not None, value or "") for dimension, value in group)


def _fee_lines(part: Part, fee: FixedFee) -> Iterator[InvoiceLine]:
    share = part.share(fee.term, fee.proration)
    if share.numerator:
        step = Step(kind="flat", rate=fee.amount, amount=share.of(fee.amount))
        line = rounded("fee", fee.key, fee.label, step, part.terms.currency, segment=part.segment, share=share)
        yield msgspec.structs.replace(line, term=fee.term)


def _discount_lines(part: Part, discount: PlanDiscount, lines: Sequence[InvoiceLine]) -> Iterator[InvoiceLine]:
    subtotal = sum_of(lines, part.terms.currency)
    left = max(subtotal.amount, ZERO)
    share = WHOLE
    if discount.percent:
        off = percent_of(left, discount.percent)
        step = Step(kind="discount_percent", rate=discount.percent, amount=minus(off))
    else:
        share = part.share("in_arrears")
        off = min(share.of(discount.amount), left)
        step = Step(kind="discount_amount", rate=discount.amount, amount=minus(off))
    if off:
        yield rounded(
            "discount",
            discount.key,
            discount.label,
            step,
            part.terms.currency,
            segment=part.segment,
            share=share,
            subtotal=subtotal,
        )


def _bound_lines(part: Part, lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    terms = part.terms
    subtotal = sum_of(lines, terms.currency)
    bounds: tuple[tuple[Literal["maximum", "minimum"], str, str, Decimal | None, Share, bool], ...] = (
        ("maximum", "amount_max", "Maximum", terms.amount_max, part.share_of_bounds, True),
        ("minimum", "amount_min", "Minimum", terms.amount_min, part.share("in_arrears"), False),
    )
    for kind, key, label, bound, share, is_above in bounds:
        if bound is None:
            continue
        missing = subtract(share.of(bound), subtotal.amount)
        if missing and (missing < 0) == is_above:
            step = Step(kind=kind, rate=bound, amount=missing)
            return [
                rounded(kind, key, label, step, terms.currency, segment=part.segment, share=share, subtotal=subtotal)
            ]
    return []


def rounded(
    kind: LineKind,
    key: str,
    label: str,
    step: Step,
    currency: str,
    *,
    share: Share,
    segment: int | None = None,
    subtotal: Money | None = None,
) -> InvoiceLine:
    """The line of one amount, rounded half away from zero."""
    exact: Line = line_of(ONE, [step])
    line, money = rounded_line(exact, currency, HALF_UP)
    return InvoiceLine(
        kind=kind,
        key=key,
        label=label,
        quantity=ONE,
        steps=line.steps,
        amount=exact.amount,
        money=money,
        segment=segment,
        share=share,
        subtotal=subtotal,
    )


def sum_of(lines: Iterable[InvoiceLine], currency: str) -> Money:
    """What lines of one currency come to together."""
    return Money(sum(line.money.minor_units for line in lines), currency)
