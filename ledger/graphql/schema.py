"""The schema, put together."""

import strawberry
from graphql import GraphQLError
from strawberry.extensions import DisableIntrospection, SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from ledger.graphql.limits import Limits
from ledger.graphql.lines import InvoiceLine
from ledger.graphql.log import Event
from ledger.graphql.meters import Meter
from ledger.graphql.mutations import Mutation
from ledger.graphql.plans import Plan
from ledger.graphql.queries import Query
from ledger.graphql.refusals import TELLERS
from ledger.graphql.scalars import SCALARS
from ledger.graphql.subscriptions import Subscription


class Schema(strawberry.Schema):
    """Leaves the logging of errors to the view, which knows the request."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing here."""


def make_schema(*, is_development: bool) -> Schema:
    """The schema, with introspection and suggestions only in development."""
    extensions: list[type[SchemaExtension]] = [Limits]
    if not is_development:
        extensions.append(DisableIntrospection)
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Event, InvoiceLine, Meter, Plan],
        extensions=extensions,
        exception_handlers=TELLERS,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=not is_development),
    )
