"""Access, declared at each field: the right it needs, and whose account it is about."""

from collections.abc import Awaitable, Callable
from typing import Any

from strawberry.extensions import FieldExtension

from ledger.domain.access import GRANTS, may
from ledger.domain.events import KeyIssued
from ledger.domain.refusals import Forbidden, OutOfScope
from ledger.graphql.context import Info


class Needs(FieldExtension):
    """Lets a field resolve only for keys with a right; `right` None is any key.

    `account` names the argument with the account that the field is about: a bound key passes only with its own.
    `is_global` marks what concerns every account: no bound key passes.
    """

    def __init__(self, right: str | None, *, account: str | None = None, is_global: bool = False) -> None:
        self.right = right
        self._account = account
        self._is_global = is_global

    def resolve(self, next_: Callable[..., Any], source: object, info: Info, **kwargs: Any) -> object:  # noqa: ANN401
        """Check, then resolve."""
        self._check(info, kwargs)
        return next_(source, info, **kwargs)

    async def resolve_async(
        self,
        next_: Callable[..., Any],
        source: object,
        info: Info,
        **kwargs: Any,  # noqa: ANN401 - whatever arguments the field has
    ) -> object:
        """Check, then resolve."""
        self._check(info, kwargs)
        found = next_(source, info, **kwargs)
        return await found if isinstance(found, Awaitable) else found  # a subscription's is iterated over instead

    def _check(self, info: Info, kwargs: dict[str, Any]) -> None:
        key = info.context.key
        if self.right is not None:
            require(key, self.right)
        if key.account is None:
            return
        if self._is_global or (self._account is not None and kwargs[self._account] != key.account):
            raise OutOfScope


def require(key: KeyIssued, right: str) -> None:
    """Raise `Forbidden` unless one of the key's roles grants the right."""
    if not may(key, right):
        raise Forbidden(role=" or ".join(role for role, rights in GRANTS.items() if right in rights))
