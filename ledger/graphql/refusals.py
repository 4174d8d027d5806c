"""Refusals as GraphQL types: one object type per rule, made from its class, all of the interface `Refusal`."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, get_type_hints

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.union import StrawberryUnion

from ledger.domain import (  # noqa: F401 - makes them known
    adjustment_refusals,
    case_refusals,
    closing_refusals,
    pricing_refusals,
    send_refusals,
)
from ledger.domain import refusals as rules
from ledger.graphql.context import Info
from ledger.graphql.scalars import BigInt, Position

POSITIONS: Final = frozenset({"position", "settled_by", "wanted", "reached", "head"})
"""The facts that are places in the log."""
RENAMED: Final = {"account": "account_key", "meter": "meter_key", "adjustment": "adjustment_key", "case": "case_key"}
"""Facts that are keys are called so: elsewhere the plain word is the object, and one selection may ask for both."""
COMMON: Final[tuple[type[rules.Refusal], ...]] = (
    rules.Forbidden,
    rules.OutOfScope,
    rules.ArgumentInvalid,
    rules.VersionTaken,
    rules.LedgerBusy,
    rules.LedgerUnavailable,
)
"""What any mutation may be refused for."""


@strawberry.interface(name="Refusal", description="Why something was not done: an answer, not a fault.")
class RefusalAnswer:
    """`code` is the rule's permanent name in snake case, `message` a sentence for people."""

    code: str
    message: str


def _answer_type(rule: type[rules.Refusal]) -> type[RefusalAnswer]:
    annotations = {RENAMED.get(name, name): _fact_type(name, kind) for name, kind in get_type_hints(rule).items()}
    body = {"__annotations__": annotations, "__module__": __name__, "__doc__": rule.__doc__}
    return strawberry.type(type(rule.__name__, (RefusalAnswer,), body), description=rule.__doc__)


def _fact_type(name: str, kind: object) -> object:
    if kind is int:
        return Position if name in POSITIONS else BigInt
    assert kind in (str, datetime, Decimal, Decimal | None), f"a refusal's fact {name} has no GraphQL type"
    return kind


ANSWER_TYPES: Final = {rule: _answer_type(rule) for rule in rules.Refusal.__subclasses__()}
"""Rule -> the object type that tells it."""


class RefusalTeller:
    """Turns a raised refusal into its object, in fields whose union has that."""

    def __init__(self, rule: type[rules.Refusal]) -> None:
        self.exception_type = rule
        self.error_type = ANSWER_TYPES[rule]

    def tell(self, exception: rules.Refusal, *, field: StrawberryField, info: Info) -> RefusalAnswer:  # noqa: ARG002
        """The refusal's object with its facts."""
        facts = {RENAMED.get(name, name): fact for name, fact in exception.facts.items()}
        return self.error_type(code=exception.code, message=exception.message, **facts)

    handle = tell  # what strawberry calls it


TELLERS: Final = tuple(RefusalTeller(rule) for rule in ANSWER_TYPES)


class Refuses(FieldExtension):
    """Makes a field's type a union of what its resolver returns and of the refusals it can give.

    The union is called `<Field>Result`. The resolver just raises.
    """

    def __init__(self, *refusals: type[rules.Refusal]) -> None:
        self._refusals = refusals

    def apply(self, field: StrawberryField) -> None:
        """Widen the type, once, however many schemas are made of the field."""
        success: Any = field.type
        if isinstance(success, StrawberryUnion):
            return
        assert isinstance(success.__strawberry_definition__, StrawberryObjectDefinition), "a success is an object"
        name = "".join(word.title() for word in field.python_name.split("_"))
        members = (success, *(ANSWER_TYPES[rule] for rule in dict.fromkeys(self._refusals)))
        field.type = StrawberryUnion(
            name=f"{name}Result",
            type_annotations=tuple(map(strawberry.annotation.StrawberryAnnotation, members)),
        )
