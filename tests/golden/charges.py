"""What golden cases say of a charge, its tiers and what was metered, put into the domain's terms."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from ledger.domain.charges import (
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
    QuantityModel,
    Volume,
    check,
)
from ledger.domain.money import CURRENCIES
from ledger.domain.percentage import Percentage
from ledger.domain.rating import Grouped, Metered
from ledger.domain.rounding import RoundingMode
from ledger.domain.tiers import PastLastTier, PercentTier, Portion, Tier
from ledger.domain.values import ZERO
from tests.golden import Unsupported

Told = Mapping[str, Any]
"""A case, its parameters or a part of them."""

ROUNDING: dict[str, RoundingMode] = {
    "ceil": "ceil",
    "ceiling": "ceil",
    "floor": "floor",
    "round": "half_up",
    "half_up": "half_up",
    "half_away_from_zero": "half_up",
    "half_even": "half_even",
    "half_down": "half_down",
    "up": "up",
    "down": "down",
    "truncate": "down",
}
NEGATIVE: dict[str | None, Literal["clamp", "error", "signed"]] = {
    None: "signed",
    "signed": "signed",
    "error": "error",
    "clamp": "clamp",
    "clamp_zero": "clamp",
}
CURRENCY_OF_PLACES = {0: "JPY", 2: "USD", 3: "KWD", 4: "CLF"}
assert all(CURRENCIES[currency] == places for places, currency in CURRENCY_OF_PLACES.items())


def decimal(value: object) -> Decimal:
    """The number a case gives as text, number or, for zero, not at all."""
    return ZERO if value is None else Decimal(str(value))


def optional(value: object) -> Decimal | None:
    """The number, or None where there is none."""
    return None if value is None else decimal(value)


def charge_of(model: str, params: Told) -> Charge:
    """The charge of a model's name and a case's parameters, checked as a plan's would be."""
    charge = Charge(
        model=_model(model, params),
        conversion=_conversion(model, params),
        included_quantity=decimal(params.get("usage_discount") or params.get("discount_quantity")),
        standing_amount=decimal(params.get("base_fee")),
        discount_percent=decimal(params.get("percentage_discount")),
        amount_max=optional(params.get("max_amount")),
        amount_min=optional(params.get("min_amount")),
        negative=NEGATIVE[params.get("negative")],
    )
    check(charge)
    return charge


def _conversion(model: str, params: Told) -> Conversion | None:
    if model == "transform_quantity":
        rounding = {"up": "ceil", "down": "floor"}[params["round"]]
        return Conversion(operation="divide", factor=decimal(params["divide_by"]), rounding=ROUNDING[rounding])
    if (asked := params if model == "unit_conversion" else params.get("conversion")) is None:
        return None
    return Conversion(
        operation=asked["operation"],
        factor=decimal(asked["factor"]),
        rounding=ROUNDING.get(asked.get("rounding") or "none"),
        places=asked.get("precision") or 0,
    )


def _model(model: str, params: Told) -> Model:
    match model:
        case "percentage" | "percentage_instant":
            return Percentage(
                rate_percent=decimal(params["rate_percent"]),
                fixed_amount=decimal(params.get("fixed_amount")),
                free_events=params.get("free_events"),
                free_total=optional(params.get("free_total")),
                event_amount_min=optional(params.get("per_transaction_min")),
                event_amount_max=optional(params.get("per_transaction_max")),
                fixed_at_zero=model == "percentage_instant",
            )
        case "flat":
            return Flat(amount=decimal(params["amount"]), term=params.get("term", "in_arrears"))
        case "dynamic":
            return Dynamic(multiplier=decimal(params.get("multiplier", "1")))
        case "dimensional":
            default = params.get("default_unit_amount")
            return Dimensional(
                cells=tuple(_cell(cell) for cell in params["cells"]),
                otherwise=None if default is None else PerUnit(unit_amount=decimal(default)),
            )
        case _:
            return _quantity_model(model, params)


def _quantity_model(model: str, params: Told) -> QuantityModel:
    past = cast("PastLastTier", params.get("past_last_tier", "error"))
    flat = params.get("first_tier_flat_at_zero", True)
    match model:
        case "per_unit" | "transform_quantity":
            return PerUnit(unit_amount=decimal(params["unit_amount"]))
        case "usage_discount" | "unit_conversion":
            return PerUnit(unit_amount=Decimal(1))
        case "graduated" | "graduated_prorated":
            is_prorated = model == "graduated_prorated"
            return Graduated(tiers=tiers_of(params), flat_at_zero=flat, past_last_tier=past, is_prorated=is_prorated)
        case "volume":
            return Volume(tiers=tiers_of(params), flat_at_zero=flat, past_last_tier=past)
        case "graduated_percentage":
            tiers = tuple(
                PercentTier(
                    up_to=optional(tier["up_to"]),
                    rate_percent=decimal(tier["rate_percent"]),
                    flat_amount=decimal(tier.get("flat_amount")),
                )
                for tier in params["tiers"]
            )
            return GraduatedPercentage(tiers=tiers, flat_at_zero=flat, past_last_tier=past)
        case "package":
            return Package(
                package_amount=decimal(params["package_amount"]),
                package_size=decimal(params["package_size"]),
                free_units=decimal(params.get("free_units")),
            )
        case _:
            raise Unsupported(f"unknown: the model {model}")


def tiers_of(params: Told) -> tuple[Tier, ...]:
    """The tiers that a case's parameters list."""
    return tuple(
        Tier(
            up_to=optional(tier["up_to"]),
            unit_amount=decimal(tier.get("unit_amount")),
            flat_amount=decimal(tier.get("flat_amount")),
        )
        for tier in params["tiers"]
    )


def _cell(cell: Told) -> Cell:
    price = _quantity_model(cell.get("model", "per_unit"), cell)
    return Cell(match={key: values_of(value) for key, value in cell["match"].items()}, price=price)


def values_of(value: object) -> tuple[str | None, ...]:
    return tuple(value) if isinstance(value, list) else (cast("str | None", value),)


def metered_of(model: str, case: Told) -> Metered:
    """What a case metered, as its model needs it: `quantity` (and `full_units`), or `events`."""
    events = case.get("events")
    if model == "graduated_prorated":
        return Metered(portions=tuple(_portion(event) for event in events or ()))
    if model == "dimensional":
        return Metered(groups=tuple(Grouped(event["properties"], _value(event)) for event in events or ()))
    quantity = sum(map(_value, events), ZERO) if case.get("quantity") is None and events else None
    quantity = decimal(case.get("quantity")) if quantity is None else quantity
    amounts = (quantity,) if events is None else tuple(_amount(event) for event in events)
    return Metered(quantity=quantity, full_quantity=optional(case.get("full_units")), events=amounts)


def _portion(event: Told) -> Portion:
    return Portion(decimal(event["full_units"]), decimal(event["prorated_units"]), decimal(event["full_units"]))


def _value(event: object) -> Decimal:
    """The units of an event; one where it tells none."""
    if not isinstance(event, dict):
        return decimal(event)
    told = (event[key] for key in ("value", "quantity", "units", "amount") if key in event)
    return decimal(next(told, 1))


def _amount(event: object) -> Decimal:
    return decimal(event["amount"]) if isinstance(event, dict) and "amount" in event else _value(event)
