"""What a request may ask for: a method, a path, arguments, and the function that does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic

from ledger.sandbox.stripe.arguments import A
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[A]):
    """One operation of Stripe's API.

    `perform` gets the state, the arguments, and the identifiers of the path in their order.
    `lane` tells what only one request at a time may touch.
    """

    method: str
    path: str
    arguments: type[A]
    perform: Callable[..., Json]
    lane: Callable[[State, A], tuple[str, ...] | None] | None = None

    @property
    def name(self) -> str:
        """How faults and counters call it: `POST /v1/billing/meter_events`."""
        return f"{self.method} {self.path}"

    @property
    def is_second_api(self) -> bool:
        """Whether it belongs to `/v2`: JSON bodies, another shape of errors, other idempotency."""
        return self.path.startswith("/v2/")


AnyOperation = Operation[Any]


def get(path: str, arguments: type[A], perform: Callable[..., Json]) -> Operation[A]:
    """An operation that reads."""
    return Operation(method="GET", path=path, arguments=arguments, perform=perform)


def post(path: str, arguments: type[A], perform: Callable[..., Json]) -> Operation[A]:
    """An operation that writes."""
    return Operation(method="POST", path=path, arguments=arguments, perform=perform)


def delete(path: str, arguments: type[A], perform: Callable[..., Json]) -> Operation[A]:
    """An operation that removes."""
    return Operation(method="DELETE", path=path, arguments=arguments, perform=perform)
