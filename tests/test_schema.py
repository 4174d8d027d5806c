"""The committed schema is the code's, and breaks no client of the last release."""

from pathlib import Path

from graphql import build_schema, find_breaking_changes

from ledger.domain.refusals import Refusal
from ledger.graphql.refusals import ANSWER_TYPES, RENAMED, TELLERS
from ledger.graphql.schema import make_schema

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "schema.graphql"
RELEASED = ROOT / "schema.released.graphql"


def test_the_committed_schema_is_the_codes() -> None:
    """Write it anew with `ledger schema > schema.graphql`."""
    assert COMMITTED.read_text() == make_schema(is_development=False).as_str() + "\n"


def test_the_schema_breaks_no_client_of_the_last_release() -> None:
    """A release copies schema.graphql to schema.released.graphql; before the first there is nothing to break."""
    if RELEASED.exists():
        changes = find_breaking_changes(build_schema(RELEASED.read_text()), build_schema(COMMITTED.read_text()))
        assert [change.description for change in changes] == []


def test_a_breaking_change_would_be_found() -> None:
    text = COMMITTED.read_text()
    changed = text.replace("  eventsBehind: BigInt!\n", "")
    assert changed != text
    found = find_breaking_changes(build_schema(text), build_schema(changed))
    assert [change.description for change in found] == ["Field Projection.eventsBehind was removed."]


def test_every_refusal_has_an_object_type_with_its_facts() -> None:
    assert set(ANSWER_TYPES) == set(Refusal.__subclasses__())
    assert {teller.exception_type for teller in TELLERS} == set(ANSWER_TYPES)
    for rule, answer in ANSWER_TYPES.items():
        facts = {RENAMED.get(name, name) for name in rule.__annotations__}
        fields = {one.python_name for one in answer.__strawberry_definition__.fields}  # type: ignore[attr-defined]
        assert fields == facts | {"code", "message"}
