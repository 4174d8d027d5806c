"""Money: an amount with its currency."""

from decimal import Decimal
from typing import Self

import strawberry

from ledger.domain import money
from ledger.domain.pricing_refusals import NumberTooLong
from ledger.domain.values import quantity_of
from ledger.graphql.structs import StructShown


@strawberry.type(description="A payable amount, whole in minor units; below zero it is owed to the customer.")
class Money(StructShown):
    """`amount` is in major units: 1.5 EUR is 150 cents."""

    STRUCT = money.Money

    amount: Decimal
    currency: str = strawberry.field(description="An ISO 4217 code.")

    @classmethod
    def of(cls, struct: money.Money) -> Self:  # type: ignore[override]
        """The money as the API shows it."""
        return cls(amount=struct.amount, currency=struct.currency)


@strawberry.input(description="A payable amount: no more decimal places than its currency has.")
class MoneyInput:
    """`amount` is in major units."""

    amount: Decimal
    currency: str = strawberry.field(description="An ISO 4217 code.")

    def struct(self) -> money.Money:
        """The money. Raises `NumberTooLong`, `AmountUnrounded`, `AmountTooLarge`, `CurrencyUnknown`."""
        if quantity_of(self.amount) is None:
            raise NumberTooLong(field="amount")
        return money.exactly(self.amount, self.currency)
