"""What a subscription owes for a period."""

from dataclasses import dataclass

from ledger.sandbox.stripe.shelves import Json


@dataclass(frozen=True, slots=True)
class Due:
    """An item of a subscription that is due for a period. `share` of the amount, below one where it is prorated."""

    subscription: Json
    item: Json
    start: int
    end: int
    share: tuple[int, int] = (1, 1)

    @property
    def is_metered(self) -> bool:
        """Whether usage tells the quantity."""
        return bool(self.item["price"]["recurring"]["usage_type"] == "metered")
