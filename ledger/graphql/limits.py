"""Limits on what one operation may ask for: tokens, depth, aliases, and cost by page sizes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)
from strawberry.extensions import SchemaExtension

from ledger.graphql.pages import PAGE_DEFAULT

TOKENS_MAX: Final = 2_000
DEPTH_MAX: Final = 12
ALIASES_MAX: Final = 30
COST_MAX: Final = 200_000
SIZES: Final = frozenset({"first", "last", "limit"})
"""The arguments that say how many objects a field may answer."""
WEIGHTS: Final = {
    "Account.projectedInvoice": 500,
    "Account.invoiceComparison": 1_000,
    "Account.creditBalances": 1_000,
    "Account.entitlements": 200,
    "Account.history": 200,
    "Account.asOf": 1_000,
    "Account.difference": 20_000,
    "Case.timeline": 100,
    "CaseFinding.events": 100,
    "CaseResolution.adjustment": 5,
    "CaseResolution.sends": 50,
    "Query.reconciliationSummary": 500,
    "Query.reconciliations": 100,
    "AccountAsOf.usage": 5_000,
    "AccountAsOf.projectedInvoice": 5_000,
    "ClosedPeriod.invoice": 20,
    "ClosedPeriod.lateUsage": 500,
    "InvoiceLine.days": 500,
    "InvoiceLine.decidingEvents": 500,
    "InvoiceLine.levels": 500,
    "InvoiceLine.events": 500,
    "Query.adjustmentEffect": 1_000,
    "Query.auditTrail": 5_000,
    "Query.consistencyProof": 100,
    "Query.inclusionProof": 100,
    "Query.whatIf": 20_000,
}
"""What a field that works things out costs beside its answer: a field that is only read is 1."""
LISTED: Final = {
    "Invoice.lines": 20,
    "InvoiceAsOf.lines": 20,
    "Case.findings": 10,
    "CaseFinding.evidence": 5,
    "CaseFinding.events": 20,
    "CaseResolution.sends": 20,
    "ReconciliationSummary.leaks": 10,
    "AccountAsOf.adjustments": 20,
    "AccountAsOf.closedPeriods": 12,
    "Adjustment.evidence": 5,
    "AdjustmentEffect.lines": 20,
    "ClosedPeriod.assessments": 3,
    "ClosedPeriod.notes": 5,
    "Difference.lines": 20,
    "Difference.steps": 20,
    "DifferenceStep.events": 15,
    "DifferenceStep.lines": 5,
    "HistoryEntry.links": 5,
    "InvoiceLine.adjustments": 5,
    "PlatformInvoice.lines": 10,
    "PlatformSubscription.items": 5,
    "PeriodsClosed.closed": 24,
    "Query.adjustmentLimits": 10,
    "Query.platforms": 3,
    "Query.reasonCodes": 50,
    "Replay.models": 10,
    "Replay.divergences": 20,
    "Divergence.rows": 3,
}
"""How many objects are reckoned with in lists that have no argument to say it, and fields that work in them."""


class Measure(NamedTuple):
    """What a selection asks for: levels of fields, aliases, and fields resolved at most."""

    depth: int
    aliases: int
    cost: int


class Limits(SchemaExtension):
    """Refuses an operation that asks for too much before anything of it is resolved."""

    def on_operation(self) -> Iterator[None]:
        """Bound the parser."""
        self.execution_context.parse_options["max_tokens"] = TOKENS_MAX
        yield

    def on_execute(self) -> Iterator[None]:
        """Measure what has been found valid, so that no fragment can be cyclic; raises what the client sees."""
        context = self.execution_context
        assert context.graphql_document is not None, "only a parsed document is executed"
        ruler = Ruler(context.schema._schema, context.graphql_document, context.variables or {})  # noqa: SLF001
        fault = ruler.fault()
        if fault is not None:
            raise GraphQLError(fault, extensions={"code": "query_too_large"})
        yield


class Ruler:
    """Measures the operations of a document: every fragment once, however often it is spread."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._document = document
        self._variables = variables
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure] = {}

    def fault(self) -> str | None:
        """What one of the operations has too much of, None where all are within limits."""
        for operation in self._document.definitions:
            if not isinstance(operation, OperationDefinitionNode):
                continue
            measure = self._selection(
                operation.selection_set, self._schema.get_root_type(operation.operation), _defaults(operation)
            )
            for name, value, limit in zip(("depth", "aliases", "cost"), measure, MAXIMA, strict=True):
                if value > limit:
                    return f"The operation's {name} is {value}, more than {limit}. Ask for less at once."
        return None

    def _selection(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None, defaults: Mapping[str, int]
    ) -> Measure:
        if selections is None:
            return Measure(0, 0, 0)
        depth, aliases, cost = 0, 0, 0
        for one in selections.selections:
            match one:
                case FieldNode():
                    measure = self._field(one, parent, defaults)
                case FragmentSpreadNode():
                    measure = self._fragment(one.name.value, defaults)
                case InlineFragmentNode():
                    condition = one.type_condition
                    inner = parent if condition is None else self._schema.get_type(condition.name.value)
                    measure = self._selection(one.selection_set, inner, defaults)
                case _:
                    continue
            depth = max(depth, measure.depth)
            aliases += measure.aliases
            cost += measure.cost
        return Measure(depth, aliases, cost)

    def _fragment(self, name: str, defaults: Mapping[str, int]) -> Measure:
        if name not in self._measured:
            fragment = self._fragments[name]
            parent = self._schema.get_type(fragment.type_condition.name.value)
            self._measured[name] = self._selection(fragment.selection_set, parent, defaults)
        return self._measured[name]

    def _field(self, field: FieldNode, parent: GraphQLNamedType | None, defaults: Mapping[str, int]) -> Measure:
        if field.name.value.startswith("__"):
            return Measure(0, 0, 0)  # introspection is for development only, where it may be deep
        definition: GraphQLField = getattr(parent, "fields", {})[field.name.value]
        inner = self._selection(field.selection_set, get_named_type(definition.type), defaults)
        path = f"{parent}.{field.name.value}"
        size = LISTED.get(path) or self._size(field, definition, defaults)
        aliases = inner.aliases + (field.alias is not None)
        return Measure(inner.depth + 1, aliases, WEIGHTS.get(path, 1) + size * inner.cost)

    def _size(self, field: FieldNode, definition: GraphQLField, defaults: Mapping[str, int]) -> int:
        sizes = SIZES & definition.args.keys()
        if not sizes:
            return 1
        given = {
            argument.name.value: argument.value for argument in field.arguments or () if argument.name.value in sizes
        }
        asked = [self._number(value, defaults) for value in given.values()]
        known = [size for size in asked if size is not None]
        if known:
            return max(known)
        default = definition.args["limit"].default_value if "limit" in sizes else PAGE_DEFAULT
        return default if isinstance(default, int) else PAGE_DEFAULT

    def _number(self, value: ValueNode, defaults: Mapping[str, int]) -> int | None:
        if isinstance(value, VariableNode):
            name = value.name.value
            given = self._variables.get(name, defaults.get(name))
            return given if isinstance(given, int) else None
        return int(value.value[:10]) if isinstance(value, IntValueNode) else None


MAXIMA: Final = (DEPTH_MAX, ALIASES_MAX, COST_MAX)


def _defaults(operation: OperationDefinitionNode) -> dict[str, int]:
    """The whole numbers that the operation's variables have where none are given."""
    return {
        one.variable.name.value: int(one.default_value.value[:10])
        for one in operation.variable_definitions or ()
        if isinstance(one.default_value, IntValueNode)
    }
