"""Previews: what given quantities come to on given terms, before any contract."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import strawberry

from ledger.domain.explanations import explain
from ledger.domain.invoices import preview
from ledger.domain.lines import Used
from ledger.domain.pricing import PlanCharge, PlanTerms, check_terms
from ledger.domain.pricing_refusals import ChargeUnknown, NumberTooLong
from ledger.domain.rating import Metered
from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.steps import Group
from ledger.domain.values import ZERO, quantity_of
from ledger.graphql.lines import PreviewLine, facts
from ledger.graphql.money import Money
from ledger.graphql.plans import PlanTermsInput

QUANTITIES_MAX: Final = 1_000
EVENTS_MAX: Final = 10_000

_PREVIEWED = "preview"


@strawberry.input(description="The value of one dimension; null: the property is missing.")
class DimensionValueInput:
    """`name` is the property's."""

    name: str
    value: str | None = None


@strawberry.input(description="What was metered for a charge, or for one combination of its dimensions' values.")
class QuantityInput:
    """`events` are the amounts of single events in order, for percentage and dynamic models."""

    charge: str
    quantity: Decimal | None = strawberry.field(
        default=None, description="Null: the number of events, or zero without them."
    )
    events: list[Decimal] = strawberry.field(default_factory=list)
    dimensions: list[DimensionValueInput] = strawberry.field(
        default_factory=list, description="A value for each dimension that the charge groups by."
    )


@strawberry.type(description="What given quantities come to in a whole period.")
class InvoicePreview:
    """`total` is the sum of the lines' money."""

    currency: str
    lines: list[PreviewLine]
    total: Money


def preview_invoice(told: PlanTermsInput, quantities: Sequence[QuantityInput]) -> InvoicePreview:
    """The preview; raises `ArgumentInvalid`, `ChargeUnknown`, what `check_terms` and what the calculator raise."""
    terms: PlanTerms = told.struct()
    check_terms(_PREVIEWED, terms)
    if len(quantities) > QUANTITIES_MAX:
        raise ArgumentInvalid(argument="quantities", why=f"it has more than {QUANTITIES_MAX}")
    charges = {charge.key: charge for charge in terms.charges}
    used: dict[tuple[str, Group], Used] = {}
    for one in quantities:
        charge = charges.get(one.charge)
        if charge is None:
            known = ", ".join(charges) or "none"
            raise ChargeUnknown(plan=_PREVIEWED, charge=one.charge[:256], charges=known)
        group = _group(charge, one.dimensions)
        if (charge.key, group) in used:
            raise ArgumentInvalid(argument="quantities", why=f'the charge "{charge.key}" has two for the same group')
        used[charge.key, group] = Used(charge.key, _metered(one), group=group)
    found = preview(terms, used.values())
    return InvoicePreview(
        currency=found.currency,
        lines=[PreviewLine(**facts(one)) for one in explain(found)],
        total=Money.of(found.total),
    )


def _group(charge: PlanCharge, told: Sequence[DimensionValueInput]) -> Group:
    values = {one.name: one.value for one in told}
    if set(values) != set(charge.group_by) or len(values) != len(told):
        needed = ", ".join(charge.group_by) or "none"
        why = f'the charge "{charge.key}" needs a value for each of these dimensions: {needed}'
        raise ArgumentInvalid(argument="dimensions", why=why)
    return tuple((name, values[name]) for name in charge.group_by)


def _metered(told: QuantityInput) -> Metered:
    if len(told.events) > EVENTS_MAX:
        raise ArgumentInvalid(argument="events", why=f"it has more than {EVENTS_MAX}")
    for number in (told.quantity or ZERO, *told.events):
        if quantity_of(number) is None:
            raise NumberTooLong(field="quantity")
    quantity = Decimal(len(told.events)) if told.quantity is None else told.quantity
    return Metered(quantity=quantity, events=tuple(told.events))
