"""Every field with a resolver declares the right that it needs."""

from typing import Any

import pytest
import strawberry
from strawberry.types.field import StrawberryField

from ledger.domain.access import GRANTS, ROLES
from ledger.graphql.access import Needs
from ledger.graphql.mutations import Mutation
from ledger.graphql.queries import Query
from ledger.graphql.schema import make_schema
from tests.edges import Edge, open_accounts

RIGHTS = frozenset().union(*GRANTS.values())
FREE = {
    (name, "id")
    for name in ("Node", "Account", "Meter", "Event", "Plan", "ClosedPeriod", "InvoiceLine", "Adjustment", "Case")
}
"""Resolvers that only put together what the object already holds."""
EXPECTED = {
    "viewer": None,
    "node": None,
    "account": "read_usage",
    "accounts": "read_usage",
    "meter": "read_usage",
    "meters": "read_usage",
    "plan": "read_usage",
    "plans": "read_usage",
    "preview_invoice": "read_usage",
    "what_if": "read_usage",
    "held_usage": "read_usage",
    "events": "read_log",
    "audit_trail": "read_log",
    "projections": "read_usage",
    "tree_heads": "read_log",
    "inclusion_proof": "read_log",
    "consistency_proof": "read_log",
    "replays": "read_log",
    "sends": "read_usage",
    "dead_letters": "operate",
    "start_sending": "operate",
    "stop_sending": "operate",
    "map_platform_meter": "operate",
    "resend_usage": "operate",
    "cancel_send": "operate",
    "redrive_dead_letter": "operate",
    "platforms": "read_log",
    "record_usage": "record_usage",
    "open_account": "write_accounts",
    "rename_account": "write_accounts",
    "change_account_zone": "write_accounts",
    "alias_account": "write_accounts",
    "remove_account_alias": "write_accounts",
    "define_meter": "write_meters",
    "change_meter": "write_meters",
    "retire_meter": "write_meters",
    "mend_held_usage": "mend_usage",
    "dismiss_held_usage": "mend_usage",
    "backfill_usage": "mend_usage",
    "amend_usage": "mend_usage",
    "close_periods": "close_periods",
    "assess_late_usage": "close_periods",
    "void_usage": "mend_usage",
    "define_plan": "write_plans",
    "revise_plan": "write_plans",
    "retire_plan": "write_plans",
    "start_contract": "write_contracts",
    "change_plan": "write_contracts",
    "pause_contract": "write_contracts",
    "resume_contract": "write_contracts",
    "end_contract": "write_contracts",
    "grant_credit": "write_contracts",
    "revoke_credit": "write_contracts",
    "change_entitlement": "write_contracts",
    "adjustment": "read_usage",
    "adjustments": "read_usage",
    "adjustment_effect": "propose_adjustments",
    "reason_codes": "read_usage",
    "adjustment_limits": "read_usage",
    "propose_adjustment": "propose_adjustments",
    "reverse_adjustment": "propose_adjustments",
    "withdraw_adjustment": "propose_adjustments",
    "approve_adjustment": "approve",
    "reject_adjustment": "approve",
    "add_reason_code": "govern",
    "retire_reason_code": "govern",
    "set_adjustment_limit": "govern",
    "case": "read_usage",
    "cases": "read_usage",
    "reconciliation_summary": "read_usage",
    "reconciliations": "read_usage",
    "reconcile": "operate",
    "assign_case": "work_cases",
    "comment_case": "work_cases",
    "resolve_case": "work_cases",
    "reopen_case": "work_cases",
}
OPERATIONS = {
    '{ account(key: "x") { key } }': "read_usage",
    "{ accounts { totalCount } }": "read_usage",
    '{ meter(key: "x") { key } }': "read_usage",
    "{ meters { totalCount } }": "read_usage",
    "{ heldUsage { totalCount } }": "read_usage",
    "{ events { edges { cursor } } }": "read_log",
    "{ projections { name } }": "read_usage",
    "{ treeHeads { totalCount } }": "read_log",
    "{ answer: inclusionProof(position: 1) { __typename } }": "read_log",
    "{ answer: consistencyProof(from: 1, to: 2) { __typename } }": "read_log",
    "{ replays { isEqual } }": "read_log",
    "mutation { answer: recordUsage(events: []) { __typename } }": "record_usage",
    'mutation { answer: openAccount(account: "x", name: "X", zone: "-") { __typename } }': "write_accounts",
    'mutation { answer: retireMeter(meter: "x") { __typename } }': "write_meters",
    '{ plan(key: "x") { key } }': "read_usage",
    "{ plans { totalCount } }": "read_usage",
    '{ answer: previewInvoice(terms: {name: "X", currency: "EUR"}, quantities: []) { __typename } }': "read_usage",
    '{ answer: whatIf(plan: {plan: "x"}) { __typename } }': "read_usage",
    'mutation { answer: retirePlan(plan: "x") { __typename } }': "write_plans",
    'mutation { answer: pauseContract(account: "x", effectiveAt: "2026-01-01T00:00:00Z") { __typename } }': (
        "write_contracts"
    ),
    "{ adjustments { totalCount } }": "read_usage",
    "{ cases { totalCount } }": "read_usage",
    "{ reconciliationSummary { counts { count } } }": "read_usage",
    'mutation { answer: commentCase(key: "x", comment: "x") { __typename } }': "work_cases",
    'mutation { answer: withdrawAdjustment(account: "x", key: "x") { __typename } }': "propose_adjustments",
    'mutation { answer: approveAdjustment(account: "x", key: "x") { __typename } }': "approve",
    'mutation { answer: retireReasonCode(code: "x") { __typename } }': "govern",
    'mutation { answer: dismissHeldUsage(position: 1, reason: "x") { __typename } }': "mend_usage",
}


def declared(field: StrawberryField) -> list[Needs]:
    return [extension for extension in field.extensions if isinstance(extension, Needs)]


def undeclared(types: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of object types that have a resolver and no right."""
    return [
        (name, field.python_name)
        for name, one in types.items()
        for field in getattr(one.definition, "fields", ())
        if field.base_resolver is not None and not declared(field)
    ]


def test_every_field_with_a_resolver_declares_a_known_right() -> None:
    missing = undeclared(make_schema(is_development=False).schema_converter.type_map)
    assert set(missing) <= FREE
    fields = [*Query.__strawberry_definition__.fields, *Mutation.__strawberry_definition__.fields]  # type: ignore[attr-defined]
    assert {field.python_name: declared(field)[0].right for field in fields} == EXPECTED
    assert set(EXPECTED.values()) <= RIGHTS | {None}


def test_a_forgotten_right_is_found() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def secret(self) -> str:
            return "x"

    planted = strawberry.Schema(query=Query).schema_converter.type_map
    assert undeclared(planted) == [("Query", "secret")]


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_do_what_it_is_granted_and_nothing_else(edge: Edge, role: str) -> None:
    key = await edge.key(role)
    for operation, right in OPERATIONS.items():
        answer = await edge.graphql(operation, key=key)
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        typename = ((answer.get("data") or {}).get("answer") or {}).get("__typename")
        is_forbidden = "forbidden" in codes or typename == "Forbidden"
        assert is_forbidden == (right not in GRANTS[role]), operation


async def test_an_objects_own_fields_check_rights_too(edge: Edge) -> None:
    await open_accounts(edge)
    events = '{ account(key: "acme") { events { edges { node { topic } } } } }'
    refused = await edge.graphql(events, key=await edge.key("viewer"))
    assert refused["errors"][0]["extensions"]["code"] == "forbidden"
    assert (await edge.data(events, key=await edge.key("auditor")))["account"]["events"]["edges"]
    viewer = await edge.key("ingest", account="acme")
    usage = (
        '{ viewer { account { usage(meter: "m", from: "2026-01-01", to: "2026-01-02")'
        " { __typename ... on Refusal { code } } } } }"
    )
    answer = await edge.data(usage, key=viewer)
    assert answer["viewer"]["account"]["usage"] == {"__typename": "Forbidden", "code": "forbidden"}
