"""Stripe's prices as our charges: rated by our calculator they come to what Stripe says, or they have an obstacle."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.charges import Graduated, Package, PerUnit, Volume
from ledger.domain.money import payable
from ledger.domain.platform_objects import Price
from ledger.domain.rating import Metered, rate
from ledger.domain.tiers import Tier
from ledger.platforms.stripe_connection import read
from ledger.platforms.stripe_prices import TheirPrice, price_of
from ledger.sandbox.stripe.rating import parts

METERED = {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"}


def priced(**differences: Any) -> Price:
    """A price of Stripe's, by what it differs in from 0.2 cents a unit, as our words tell it."""
    theirs = {
        "id": "price_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "eur",
        "custom_unit_amount": None,
        "product": "prod_1",
        "recurring": METERED,
        "tiers_mode": None,
        "transform_quantity": None,
        "unit_amount": None,
        "unit_amount_decimal": "0.2",
    }
    return price_of(read(msgspec.json.encode(theirs | differences), TheirPrice))


def tiered(mode: str, *tiers: tuple[int | None, str | None, str | None]) -> Price:
    """A tiered price, by bound, unit amount and flat amount in cents."""
    told = [{"up_to": up_to, "unit_amount_decimal": unit, "flat_amount_decimal": flat} for up_to, unit, flat in tiers]
    return priced(billing_scheme="tiered", tiers_mode=mode, tiers=told, unit_amount_decimal=None)


def model(price: Price) -> object:
    assert price.obstacle is None
    assert price.charge is not None
    return price.charge.model


def test_a_unit_amount_is_in_cents_and_keeps_its_places() -> None:
    assert model(priced(unit_amount_decimal="0.000000000001")) == PerUnit(unit_amount=Decimal("1E-14"))
    assert model(priced()) == PerUnit(unit_amount=Decimal("0.002"))


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("jpy", "20"), ("bhd", "0.020"), ("isk", "0.20"), ("ugx", "0.20"), ("mga", "20"), ("usd", "0.20")],
)
def test_each_currency_is_written_in_units_of_its_own(currency: str, amount: str) -> None:
    assert model(priced(currency=currency, unit_amount_decimal="20")) == PerUnit(unit_amount=Decimal(amount))


def test_packages_are_begun_or_filled() -> None:
    begun = priced(unit_amount_decimal="500", transform_quantity={"divide_by": 100, "round": "up"})
    filled = priced(unit_amount_decimal="500", transform_quantity={"divide_by": 100, "round": "down"})

    assert model(begun) == Package(package_amount=Decimal(5), package_size=Decimal(100))
    assert model(filled) == PerUnit(unit_amount=Decimal(5))
    assert filled.charge is not None
    assert filled.charge.conversion is not None
    assert (filled.charge.conversion.factor, filled.charge.conversion.rounding) == (Decimal(100), "floor")


def test_tiers_keep_their_bounds_and_flat_amounts() -> None:
    tiers = ((100, "10", None), (None, "5", "200"))
    ours = (
        Tier(up_to=Decimal(100), unit_amount=Decimal("0.1")),
        Tier(up_to=None, unit_amount=Decimal("0.05"), flat_amount=Decimal(2)),
    )

    assert model(tiered("graduated", *tiers)) == Graduated(tiers=ours)
    assert model(tiered("volume", *tiers)) == Volume(tiers=ours)


@pytest.mark.parametrize(
    ("differences", "why"),
    [
        ({"custom_unit_amount": {"minimum": 100}}, "the customer chooses the amount"),
        ({"currency": "xts"}, 'the currency "xts" is not one of ISO 4217'),
        ({"unit_amount_decimal": None}, "it has no amount"),
        ({"billing_scheme": "matrix"}, 'the billing scheme "matrix" is not known'),
        ({"recurring": METERED | {"meter": None}}, "its usage is told by usage records, not by a meter"),
        ({"billing_scheme": "tiered", "tiers_mode": "graduated"}, "its tiers were not told"),
        ({"billing_scheme": "tiered", "tiers_mode": "stairs", "tiers": []}, 'the tiers mode "stairs" is not known'),
        ({"transform_quantity": {"divide_by": 10, "round": "near"}}, 'the rounding "near" of packages is not known'),
        ({"transform_quantity": {"divide_by": 0, "round": "down"}}, "zero"),
        ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": []}, "tier"),
        ({"unit_amount_decimal": "-1"}, "below zero"),
    ],
)
def test_what_we_cannot_rate_says_why_and_is_never_guessed(differences: dict[str, Any], why: str) -> None:
    price = priced(**differences)

    assert price.charge is None
    assert why in (price.obstacle or "")


def test_a_price_of_an_agreed_quantity_has_no_meter() -> None:
    price = priced(recurring={"interval": "year", "interval_count": 2, "usage_type": "licensed", "meter": None})

    assert (price.interval, price.interval_count, price.meter, price.obstacle) == ("year", 2, None, None)
    assert priced(recurring=None).interval is None


def cents(most: int = 1_000) -> st.SearchStrategy[str]:
    """An amount in cents with up to 4 places."""
    return st.decimals(0, most, places=4).map(lambda amount: f"{amount.normalize():f}")


def tier(up_to: int | None) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {"up_to": st.just(up_to), "unit_amount_decimal": cents()}
    return st.fixed_dictionaries(fixed | {"flat_amount_decimal": st.none() | cents()})


TIERS = (
    st.lists(st.integers(1, 500), unique=True, max_size=4)
    .map(sorted)
    .flatmap(lambda bounds: st.tuples(*map(tier, [*bounds, None])))
)
PRICES = st.one_of(
    st.fixed_dictionaries({"unit_amount_decimal": cents()}),
    st.fixed_dictionaries(
        {
            "unit_amount_decimal": cents(),
            "transform_quantity": st.fixed_dictionaries(
                {"divide_by": st.integers(2, 50), "round": st.sampled_from(["up", "down"])}
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "billing_scheme": st.just("tiered"),
            "tiers_mode": st.sampled_from(["graduated", "volume"]),
            "tiers": TIERS,
            "unit_amount_decimal": st.none(),
        }
    ),
)


@given(PRICES, st.decimals(-10, 1_000, places=2))
def test_a_charge_comes_to_what_stripe_bills_but_for_the_cents_of_its_tiers(
    differences: dict[str, Any], quantity: Decimal
) -> None:
    """Against the sandbox's own calculator, written from Stripe's pages. Stripe rounds each part, we the line."""
    price = priced(**differences)
    assert price.charge is not None, price.obstacle
    theirs = parts(
        {"transform_quantity": None, "billing_scheme": "per_unit"} | differences,
        [*differences.get("tiers", ())],
        quantity,
    )

    ours = payable(rate(price.charge, Metered(quantity=quantity)).amount, "EUR", price.charge.rounding)

    apart = abs(ours.minor_units - sum(part.amount for part in theirs))
    assert apart <= (len(theirs) + 1) // 2 if len(theirs) > 1 else apart == 0
