"""A charge is refused when it is defined, not when it is billed."""

from decimal import Decimal

import msgspec
import pytest

from ledger.domain.charges import (
    CELLS_MAX,
    Cell,
    Charge,
    Conversion,
    Dimensional,
    Dynamic,
    Flat,
    Graduated,
    GraduatedPercentage,
    Model,
    Package,
    PerUnit,
    Volume,
    check,
)
from ledger.domain.percentage import Percentage
from ledger.domain.pricing_refusals import ChargeInvalid, LastTierBounded, NumberTooLong, PriceNegative, TiersMissing
from ledger.domain.refusals import Refusal
from ledger.domain.tiers import PercentTier, Tier

D = Decimal
UNIT = PerUnit(unit_amount=D(1))
OPEN = (Tier(up_to=None, unit_amount=D(1)),)
CELL = Cell(match={"region": ("eu", None)}, price=UNIT)


@pytest.mark.parametrize(
    "charge",
    [
        Charge(model=UNIT, conversion=Conversion(operation="divide", factor=D(1000), rounding="ceil")),
        Charge(model=Graduated(tiers=OPEN), included_quantity=D(10), amount_min=D(5), amount_max=D(5)),
        Charge(model=Graduated(tiers=OPEN, is_prorated=True)),
        Charge(model=Volume(tiers=(Tier(up_to=D(5), flat_amount=D(1)),), past_last_tier="error")),
        Charge(model=GraduatedPercentage(tiers=(PercentTier(up_to=None, rate_percent=D(1)),))),
        Charge(model=Package(package_amount=D(5), package_size=D(10))),
        Charge(model=Percentage(rate_percent=D("2.9"), event_amount_min=D(1), event_amount_max=D(1))),
        Charge(model=Flat(amount=D(-5)), discount_percent=D(100)),
        Charge(model=Dynamic()),
        Charge(model=Dimensional(cells=(CELL,), otherwise=Volume(tiers=OPEN))),
        Charge(model=Dimensional(cells=(CELL,))),
    ],
)
def test_a_good_charge_passes_and_survives_the_wire(charge: Charge) -> None:
    check(charge)
    assert msgspec.json.decode(msgspec.json.encode(charge), type=Charge) == charge


def conversion(factor: str, places: int = 0) -> Conversion:
    return Conversion(operation="multiply", factor=D(factor), places=places)


@pytest.mark.parametrize(
    ("charge", "refusal", "field"),
    [
        (Charge(model=PerUnit(unit_amount=D(-1))), PriceNegative, "model.unit_amount"),
        (
            Charge(model=Graduated(tiers=(Tier(up_to=None, flat_amount=D("-0.01")),))),
            PriceNegative,
            "model.tiers.1.flat_amount",
        ),
        (Charge(model=Package(package_amount=D(-5), package_size=D(1))), PriceNegative, "model.package_amount"),
        (Charge(model=UNIT, discount_percent=D(-1)), PriceNegative, "discount_percent"),
        (
            Charge(model=Dimensional(cells=(Cell(match={"a": ("b",)}, price=PerUnit(unit_amount=D(-1))),))),
            PriceNegative,
            "model.cells.1.price.unit_amount",
        ),
        (Charge(model=PerUnit(unit_amount=D("1E+20"))), NumberTooLong, "model.unit_amount"),
        (Charge(model=PerUnit(unit_amount=D("1E-19"))), NumberTooLong, "model.unit_amount"),
        (Charge(model=PerUnit(unit_amount=D("NaN"))), NumberTooLong, "model.unit_amount"),
        (Charge(model=UNIT, discount_percent=D("100.01")), ChargeInvalid, "discount_percent"),
        (Charge(model=UNIT, amount_min=D(2), amount_max=D(1)), ChargeInvalid, "amount_min"),
        (Charge(model=UNIT, conversion=conversion("0")), ChargeInvalid, "conversion.factor"),
        (Charge(model=UNIT, conversion=conversion("1", 19)), ChargeInvalid, "conversion.places"),
        (Charge(model=Flat(amount=D(1)), conversion=conversion("2")), ChargeInvalid, "conversion"),
        (Charge(model=Dynamic(), included_quantity=D(1)), ChargeInvalid, "included_quantity"),
        (
            Charge(model=Graduated(tiers=OPEN, is_prorated=True), included_quantity=D(1)),
            ChargeInvalid,
            "included_quantity",
        ),
        (Charge(model=Package(package_amount=D(5), package_size=D(0))), ChargeInvalid, "model.package_size"),
        (Charge(model=Percentage(rate_percent=D(1), free_events=-1)), ChargeInvalid, "model.free_events"),
        (
            Charge(model=Percentage(rate_percent=D(1), event_amount_min=D(2), event_amount_max=D(1))),
            ChargeInvalid,
            "model.event_amount_min",
        ),
        (Charge(model=Dimensional(cells=(CELL,) * (CELLS_MAX + 1))), ChargeInvalid, "model.cells"),
        (
            Charge(model=Dimensional(cells=(Cell(match={}, price=UNIT),))),
            ChargeInvalid,
            "model.cells.1.match",
        ),
        (
            Charge(model=Dimensional(cells=(CELL, Cell(match={"a": ()}, price=UNIT)))),
            ChargeInvalid,
            "model.cells.2.match",
        ),
        (
            Charge(model=Dimensional(cells=(), otherwise=Graduated(tiers=OPEN, is_prorated=True))),
            ChargeInvalid,
            "model.cells",
        ),
    ],
)
def test_figures_that_make_no_sense_are_refused_by_their_field(
    charge: Charge, refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as refused:
        check(charge)
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize(
    ("model", "refusal"),
    [
        (Graduated(tiers=()), TiersMissing),
        (Volume(tiers=(Tier(up_to=D(5)),)), LastTierBounded),
        (GraduatedPercentage(tiers=(PercentTier(up_to=D(5), rate_percent=D(1)),)), LastTierBounded),
        (Dimensional(cells=(), otherwise=Volume(tiers=())), TiersMissing),
    ],
)
def test_tiers_are_checked_wherever_they_are(model: Model, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        check(Charge(model=model))
