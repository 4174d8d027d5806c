"""Random charges, each of them well-formed, for properties that hold for all."""

from decimal import Decimal

from hypothesis import strategies as st

from ledger.domain.charges import Charge, Conversion, Graduated, GraduatedPercentage, Model, Package, PerUnit
from ledger.domain.tiers import PercentTier, Tier
from ledger.domain.values import ZERO

D = Decimal
quantities = st.decimals(min_value=0, max_value=10**6, places=3)
prices = st.decimals(min_value=0, max_value=1000, places=4)


@st.composite
def models(draw: st.DrawFn) -> Model:
    bounds = sorted(draw(st.sets(st.integers(min_value=1, max_value=10**4), max_size=4)))
    ends = [*map(D, bounds), None]
    tiers = tuple(Tier(up_to=end, unit_amount=draw(prices), flat_amount=draw(prices)) for end in ends)
    percents = tuple(PercentTier(up_to=end, rate_percent=draw(prices), flat_amount=draw(prices)) for end in ends)
    flat_at_zero = draw(st.booleans())
    choices: tuple[Model, ...] = (
        PerUnit(unit_amount=draw(prices)),
        Graduated(tiers=tiers, flat_at_zero=flat_at_zero),
        GraduatedPercentage(tiers=percents, flat_at_zero=flat_at_zero),
        Package(package_amount=draw(prices), package_size=D(7), free_units=draw(quantities)),
    )
    return draw(st.sampled_from(choices))


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    low = draw(st.none() | prices)
    return Charge(
        model=draw(models()),
        conversion=draw(
            st.none()
            | st.builds(
                Conversion,
                operation=st.sampled_from(("multiply", "divide")),
                factor=st.sampled_from((D(1000), D("1.2"), D(3))),
                rounding=st.sampled_from((None, "ceil", "floor", "half_up")),
            )
        ),
        included_quantity=draw(st.just(ZERO) | quantities),
        standing_amount=draw(st.just(ZERO) | prices),
        discount_percent=draw(st.decimals(min_value=0, max_value=100, places=1)),
        discount_amount=draw(st.just(ZERO) | prices),
        amount_min=low,
        amount_max=draw(st.none() | st.decimals(min_value=low or 0, max_value=2000, places=2)),
    )
