"""Inputs and objects that have the fields of a struct of the domain, carried over field by field."""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_type_hints

import msgspec
import strawberry


class StructInput:
    """Bears the fields of `STRUCT`, called alike; whether their values make sense, the domain decides."""

    STRUCT: ClassVar[type[msgspec.Struct]]

    def struct(self) -> Any:  # noqa: ANN401 - the type is STRUCT, which each subclass names
        """The struct that was told."""
        return self.STRUCT(**self.facts())

    def facts(self) -> dict[str, Any]:
        """The struct's fields by name."""
        return {name: _told(getattr(self, name)) for name in self.STRUCT.__struct_fields__}


def _told(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case list():
            return tuple(_told(one) for one in value)
        case _:
            return value.struct() if hasattr(value, "struct") else value


class OneOfInput:
    """An input of which exactly one field is given; the struct that it tells is that field's."""

    def struct(self) -> Any:  # noqa: ANN401 - of whatever is given
        """The struct that was told."""
        [told] = [value for value in vars(self).values() if value is not strawberry.UNSET]
        return told.struct()


class StructShown:
    """Shows the fields of `STRUCT`, called alike; structs within it are shown by the classes that name them."""

    STRUCT: ClassVar[type[msgspec.Struct]]

    def __init_subclass__(cls) -> None:
        if "STRUCT" in vars(cls):
            _SHOWN_BY[cls.STRUCT] = cls

    @classmethod
    def of(cls, struct: msgspec.Struct) -> Self:
        """The struct as the API shows it."""
        return cls(**{name: _shown(getattr(struct, name), enum) for name, enum in _fields(cls.STRUCT).items()})


_SHOWN_BY: dict[type, type[StructShown]] = {}


@cache
def _fields(struct: type[msgspec.Struct]) -> Mapping[str, type[Enum] | None]:
    """The fields of the struct with the enum that each one's values are shown by, if any."""
    hints = get_type_hints(_SHOWN_BY[struct])
    return {name: _enum_of(hints[name]) for name in struct.__struct_fields__}


def _enum_of(hint: object) -> type[Enum] | None:
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind
    return None


def _shown(value: object, enum: type[Enum] | None) -> object:
    match value:
        case None:
            return None
        case msgspec.Struct():
            return _SHOWN_BY[type(value)].of(value)
        case tuple():
            return [_shown(one, enum) for one in value]
        case dict():
            return [DimensionFilter(dimension=name, values=list(values)) for name, values in value.items()]
        case _:
            return value if enum is None else enum(value)


@strawberry.type(description="A dimension and the values it may have; null among them: the property is missing.")
class DimensionFilter:
    """One of several that must all match."""

    dimension: str
    values: list[str | None]


@strawberry.input(description="A dimension and the values it may have; null among them: the property is missing.")
class DimensionFilterInput:
    """One of several that must all match; each dimension once."""

    dimension: str
    values: list[str | None]


def values_by_dimension(told: Iterable[DimensionFilterInput]) -> dict[str, tuple[str | None, ...]]:
    """The filters as the domain knows them; of two on one dimension, what both allow."""
    allowed: dict[str, tuple[str | None, ...]] = {}
    for one in told:
        known = allowed.get(one.dimension)
        allowed[one.dimension] = tuple(value for value in one.values if known is None or value in known)
    return allowed
