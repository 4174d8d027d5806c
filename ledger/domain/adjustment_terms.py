"""Whether an adjustment fits the contract whose invoice it changes."""

from collections.abc import Mapping, Sequence

from ledger.domain.adjusted_usage import looks_at_events, takers
from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustment_refusals import AdjustmentInvalid, MoneyRequired
from ledger.domain.metering import TEXT_LENGTH_MAX, MeterDefinition
from ledger.domain.pricing_refusals import CurrencyMismatch, NumberTooLong
from ledger.domain.refusals import DimensionUndeclared, MeterUnknown
from ledger.domain.segments import Segment
from ledger.domain.values import quantity_of


def check_adjustment(
    adjustment: Adjustment, *, currency: str, segments: Sequence[Segment], meters: Mapping[str, MeterDefinition]
) -> None:
    """Raise a refusal unless the adjustment can change the invoice in `currency` with these segments.

    `AdjustmentInvalid`, `CurrencyMismatch`, `MeterUnknown`, `DimensionUndeclared`, `NumberTooLong`, `MoneyRequired`.
    """
    if adjustment.kind == "usage":
        _check_usage(adjustment, segments, meters)
    else:
        _check_money(adjustment, currency)


def _check_money(adjustment: Adjustment, currency: str) -> None:
    key, amount = adjustment.adjustment, adjustment.amount
    if adjustment.meter is not None or adjustment.quantity is not None or adjustment.dimensions:
        raise AdjustmentInvalid(adjustment=key, why="only one of usage has a meter, a quantity and dimensions")
    if amount is None or amount.minor_units <= 0:
        raise AdjustmentInvalid(adjustment=key, why="its amount must be above zero; its kind says which way it goes")
    if amount.currency != currency:
        raise CurrencyMismatch(what="The adjustment", actual=amount.currency, expected=currency)


def _check_usage(adjustment: Adjustment, segments: Sequence[Segment], meters: Mapping[str, MeterDefinition]) -> None:
    key, meter, quantity = adjustment.adjustment, adjustment.meter, adjustment.quantity
    if adjustment.amount is not None:
        raise AdjustmentInvalid(adjustment=key, why="one of usage has a quantity and no amount")
    if meter is None or not quantity:
        raise AdjustmentInvalid(adjustment=key, why="one of usage has a meter and a quantity other than zero")
    if quantity_of(quantity) is None:
        raise NumberTooLong(field="quantity")
    definition = meters.get(meter)
    if definition is None:
        raise MeterUnknown(meter=meter[:256])
    for name, value in adjustment.dimensions.items():
        if name not in definition.dimensions:
            declared = ", ".join(definition.dimensions) or "none"
            raise DimensionUndeclared(meter=meter, dimension=name[:256], declared=declared)
        if value is not None and (len(value) > TEXT_LENGTH_MAX or "\0" in value):
            why = f"a dimension's value has at most {TEXT_LENGTH_MAX} characters, none of them NUL"
            raise AdjustmentInvalid(adjustment=key, why=why)
    found = takers(adjustment, segments)
    for _, charge in found:
        if looks_at_events(charge):
            raise MoneyRequired(charge=charge.key, meter=meter)
    if not found:
        why = f"at that moment no charge of the contract takes the meter {meter} with these dimensions"
        raise AdjustmentInvalid(adjustment=key, why=why)
