"""The documents say what the program does: their examples run, and their tables are held against the code."""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    build_schema,
    parse,
    print_ast,
    validate,
)

from ledger.commands.accounts import change_account
from ledger.commands.contracts import change_contract
from ledger.commands.meters import change_meter
from ledger.commands.plans import change_plan
from ledger.domain.access import GRANTS, ROLES
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.aggregation import Query
from ledger.domain.aggregation import measure as measured
from ledger.domain.agreements import Commitment, ContractTerms, CreditGrant, PlanChoice
from ledger.domain.charges import Charge, Graduated, Model, Package, PerUnit, Volume
from ledger.domain.contracts import Contract, Granted, Phase
from ledger.domain.invoices import project
from ledger.domain.lines import Used
from ledger.domain.mending import REASONS
from ledger.domain.metadata import Metadata
from ledger.domain.metering import AGGREGATIONS, MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import DefinePlan, Plan, PlanVersion
from ledger.domain.pricing import FixedFee, PlanCharge, PlanDiscount, PlanTerms
from ledger.domain.rating import Metered, rate
from ledger.domain.reckoning import Measure
from ledger.domain.samples import Sample
from ledger.domain.tiers import Tier
from ledger.domain.topics import EVENTS
from ledger.sandbox.billing import HISTORY, PLANS, contracts
from ledger.sandbox.customers import CUSTOMERS, METERS
from ledger.settings import Settings
from ledger.telemetry import Telemetry
from tests.edges import Edge, cloud_event, open_edge
from tests.stories import ANYTHING, FENCE, Story, blocks, curl, is_as_shown

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
RUN = [DOCS / "api.md", DOCS / "usage-in.md", ROOT / "README.md"]
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
SHIFTING = frozenset({"position", "firstPosition", "lastPosition", "lagMilliseconds", "eventsBehind"})
"""What differs between the ledger that the README was written on and another one with the same usage."""


async def open_story(edge: Edge, folder: Path, database_url: str) -> Story:
    """A story whose first event is the admin's key, as `ledger keys issue` makes it."""
    await edge.key("admin")
    return Story(edge, folder, {"LEDGER_DATABASE_URL": database_url, "LEDGER_ENV": "development"})


async def open_demo(edge: Edge) -> None:
    """The accounts, meters, plans and contracts of `./dev demo`, without its usage."""
    now, metadata = datetime.now(UTC), Metadata(actor="test")
    opened_at = now - HISTORY
    for key, definition in METERS.items():
        await change_meter(edge.log, DefineMeter(key, definition), now=now, metadata=metadata)
    for one in CUSTOMERS:
        await change_account(edge.log, OpenAccount(one.key, one.name, one.zone, opened_at), now=now, metadata=metadata)
        for alias in one.aliases:
            await change_account(edge.log, AliasAccount(one.key, alias), now=now, metadata=metadata)
    await edge.follower.refresh()
    for plan, terms in PLANS.items():
        await change_plan(edge.log, edge.follower.catalogue, DefinePlan(plan, terms), now=now, metadata=metadata)
    await edge.follower.refresh()
    for command in contracts(opened_at, now):
        await change_contract(edge.log, edge.follower.catalogue, command, now=now, metadata=metadata)


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.name)
async def test_the_examples_answer_what_the_document_shows(path: Path, database_url: str, tmp_path: Path) -> None:
    async with open_edge(database_url) as edge:
        is_readme = path.name == "README.md"
        if is_readme:
            await open_demo(edge)
        story = await open_story(edge, tmp_path, database_url)
        answers = await story.tell(blocks(path))
    assert answers
    for block, said in answers:
        if block.language == "json":
            shown, actual = json.loads(block.text), json.loads(said)
            shifting = SHIFTING if is_readme else frozenset[str]()
            assert is_as_shown(shown, actual, shifting=shifting), f"{json.dumps(actual)} is not\n{block.text}"
        else:
            pattern = re.escape(block.text.strip()).replace(re.escape(ANYTHING), ".*")
            assert re.fullmatch(pattern, said.strip()), f"{said} is not\n{block.text}"


def test_an_answer_that_is_another_is_found() -> None:
    shown = {"rows": [{"quantity": "1", "position": 5}], "at": ANYTHING}
    assert is_as_shown(shown, {"rows": [{"quantity": "1", "position": 5}], "at": "today"})
    assert not is_as_shown(shown, {"rows": [{"quantity": "2", "position": 5}], "at": "today"})
    assert not is_as_shown(shown, {"rows": [{"quantity": "1", "position": 6}], "at": "today"})
    assert not is_as_shown(shown, {"rows": [], "at": "today"})
    assert not is_as_shown({"is": True}, {"is": 1})
    assert is_as_shown(shown, {"rows": [{"quantity": "1", "position": 6}], "at": 1}, shifting=SHIFTING)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_query_is_one_that_the_schema_knows(path: Path) -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    for block in blocks(path):
        if block.language == "graphql" and "invalid" not in block.words:
            assert validate(schema, parse(block.text)) == [], block.text


def test_the_cookbook_uses_every_query_and_mutation() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    told = " ".join(block.text for block in blocks(DOCS / "api.md") if block.language == "graphql")
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    fields = [*schema.query_type.fields, *schema.mutation_type.fields]
    assert [name for name in fields if not re.search(rf"\b{name}\b", told)] == []


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    plain = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for match in LINK.finditer(FENCE.sub("", path.read_text())):
        target = path.parent / match["target"] if match["target"] else path
        assert target.exists(), match[0]
        if match["anchor"] and target.suffix == ".md":
            assert match["anchor"] in anchors(target), match[0]


def test_the_index_names_every_document() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / match["target"]).resolve() for match in LINK.finditer(index) if match["target"]}
    assert {path for path in DOCS.rglob("*.md") if path.name != "README.md"} - linked == set()


def table(path: Path, first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading; code marks are taken off."""
    lines = path.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split(" |")])
    return rows


def first_column(path: Path, first_heading: str) -> list[str]:
    return [row[0] for row in table(path, first_heading)]


def constant(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_table_of_limits_is_what_the_code_holds_to() -> None:
    rows = table(DOCS / "limits.md", "Limit")
    assert len(rows) > 20
    for limit, value, _, name in rows:
        assert value.replace(",", "") == str(constant(name)).replace(",", ""), limit


def test_the_table_of_settings_has_every_variable_that_is_read() -> None:
    asked: list[str] = []

    class Environ(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return default

    Settings.from_environ(Environ())
    assert first_column(DOCS / "operations.md", "Variable") == asked
    assert len(asked) == len(Settings.__struct_fields__)


def test_the_table_of_rights_is_what_roles_are_granted() -> None:
    rows = table(DOCS / "security.md", "Right")
    granted = {role: frozenset(row[0] for row in rows if row[2:][column] == "yes") for column, role in enumerate(ROLES)}
    assert granted == GRANTS


def test_the_table_of_metrics_has_every_metric() -> None:
    told = {metric.name for metric in Telemetry().registry.collect()}
    assert {name.removesuffix("_total") for name in first_column(DOCS / "operations.md", "Metric")} == told


def test_the_table_of_refusals_has_every_one_that_the_schema_tells() -> None:
    types = build_schema((ROOT / "schema.graphql").read_text()).type_map
    rules = {
        name: " ".join((one.description or "").split())
        for name, one in types.items()
        if isinstance(one, GraphQLObjectType) and any(parent.name == "Refusal" for parent in one.interfaces)
    }
    assert {row[0]: row[2] for row in table(DOCS / "api.md", "Refusal")} == rules


def calls(folder: str, names: set[str]) -> Iterator[ast.Call]:
    """The calls of some functions in a package."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield node


def texts(nodes: Iterator[ast.Call], argument: int) -> set[str]:
    return {
        told.value
        for node in nodes
        if len(node.args) > argument
        and isinstance(told := node.args[argument], ast.Constant)
        and isinstance(told.value, str)
    }


def test_the_worked_examples_of_aggregations_come_out_as_told() -> None:
    monday = datetime(2025, 3, 3, tzinfo=UTC)

    def days(measure: Measure, told: list[tuple[int, int, str, bool]], *, carries_over: bool) -> list[int]:
        samples = [
            Sample(monday + timedelta(hours=hour), number, Decimal(change), text, is_removal)
            for number, (hour, change, text, is_removal) in enumerate(told, 1)
        ]
        end = monday + timedelta(days=3)
        query = Query(measure=measure, start=monday, end=end, window="DAY", carries_over=carries_over)
        return [int(one.value) for one in measured(query, samples) if one.value is not None]

    seats = [(9, 1, "anna", False), (10, 1, "ben", False), (36, 1, "anna", True)]
    assert days("unique_count", seats, carries_over=True) == [2, 1, 1]
    assert days("unique_count", seats, carries_over=False) == [2, 0]
    assert days("time_weighted_sum", [(12, 10, "", False), (66, -4, "", False)], carries_over=True) == [5, 10, 9]


def test_the_worked_prices_come_out_as_told() -> None:
    tiers = (
        Tier(up_to=Decimal(1_000), unit_amount=Decimal("0.10"), flat_amount=Decimal(5)),
        Tier(up_to=None, unit_amount=Decimal("0.08"), flat_amount=Decimal(2)),
    )
    models: tuple[Model, ...] = (
        Graduated(tiers=tiers),
        Volume(tiers=tiers),
        Package(package_amount=Decimal(40), package_size=Decimal(500)),
    )
    used = Metered(quantity=Decimal("1200.5"))
    told = [Decimal(row[2]) for row in table(DOCS / "concepts.md", "Priced as")]
    assert told == [rate(Charge(model=model), used).amount for model in models]


def contract(plan: PlanTerms, **terms: Any) -> tuple[Contract, dict[str, Plan], Period]:
    """A contract on the plan since January, its plans, and its March."""
    march = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    started_at = datetime(2026, 1, 1, tzinfo=UTC)
    agreed = ContractTerms(currency="EUR", alignment="calendar", **terms)
    signed = Contract("acme", started_at, agreed, (Phase(started_at, PlanChoice(plan="old")),))
    return signed, {"old": Plan("old", (PlanVersion(None, plan),))}, march


def test_the_worked_proration_comes_out_as_told() -> None:
    def plan(amount: int) -> PlanTerms:
        return PlanTerms(name="P", currency="EUR", fees=(FixedFee(key="fee", label="Fee", amount=Decimal(amount)),))

    signed, plans, march = contract(plan(31), proration="days")
    change = Phase(march.start + timedelta(days=10), PlanChoice(plan="new"))
    plans["new"] = Plan("new", (PlanVersion(None, plan(62)),))
    signed = signed._replace(phases=(*signed.phases, change))
    invoice = project(signed, plans, march, [], zone="UTC", as_of=march.end, spent={})
    told = [Decimal(row[2]) for row in table(DOCS / "concepts.md", "Segment")]
    assert told == [line.money.amount for line in invoice.lines]


def test_the_worked_invoice_comes_out_as_told() -> None:
    tiers = (Tier(up_to=Decimal(1_000), unit_amount=Decimal("0.01")), Tier(up_to=None, unit_amount=Decimal("0.005")))
    tokens, peak = Charge(model=Graduated(tiers=tiers)), Charge(model=PerUnit(unit_amount=Decimal(2)))
    plan = PlanTerms(
        name="Pro",
        currency="EUR",
        charges=(
            PlanCharge(key="tokens", label="Tokens", meter="tokens", price=tokens),
            PlanCharge(key="peak", label="Peak", meter="connections", price=peak),
        ),
        fees=(FixedFee(key="base", label="Base fee", amount=Decimal(49)),),
        discounts=(PlanDiscount(key="partner", label="Partner", percent=Decimal(10)),),
    )
    commitment = Commitment(key="minimum", label="Minimum", amount=Decimal(100))
    signed, plans, march = contract(plan, commitments=(commitment,))
    grant = CreditGrant(grant="welcome", label="Welcome", amount=Money(5_000, "EUR"), effective_at=march.start)
    used = [Used("tokens", Metered(quantity=Decimal("1800.5"))), Used("peak", Metered(quantity=Decimal(12)))]
    signed = signed._replace(grants=(Granted(grant),))
    invoice = project(signed, plans, march, used, zone="UTC", as_of=march.end, spent={})
    told = [Decimal(row[2]) for row in table(DOCS / "concepts.md", "Line")]
    assert told == [*(line.money.amount for line in invoice.lines), -invoice.credited.amount, invoice.total.amount]


async def test_the_invoices_of_the_tour_come_out_as_told(database_url: str, tmp_path: Path) -> None:
    used = {"azure-code": (18_059_974, 245_896), "azure-conversation": (22_361_870, 4_088_665)}
    opened_at, metadata = datetime(2023, 11, 1, tzinfo=UTC), Metadata(actor="test")
    async with open_edge(database_url) as edge:
        for name in ("input_tokens", "output_tokens"):
            meter = MeterDefinition(name=name, event_type="llm.request", aggregation="sum", property=name)
            await change_meter(edge.log, DefineMeter(f"request_{name}", meter), now=opened_at, metadata=metadata)
        for account, (read, written) in used.items():
            opening = OpenAccount(account, account, "UTC", opened_at)
            await change_account(edge.log, opening, now=opened_at, metadata=metadata)
            data = {"input_tokens": read, "output_tokens": written}
            told = cloud_event(
                subject=account, source=account, type="llm.request", time="2023-11-16T18:30:00Z", data=data
            )
            await edge.post(json.dumps(told).encode())
        story = await open_story(edge, tmp_path, database_url)
        await story.tell([block for block in blocks(DOCS / "tour.md") if "billed" in block.words])
    invoices = [account["projectedInvoice"] for account in json.loads(story.said or "")["data"].values()]
    found = [[*(line["money"] for line in one["lines"]), one["total"]] for one in invoices]
    rows = [row[1:] for row in table(DOCS / "tour.md", "invoice of")]
    assert [[Decimal(money["amount"]) for money in one] for one in found] == [[*map(Decimal, row)] for row in rows]


def test_the_table_of_conventions_has_every_optional_field_of_a_price_with_its_default() -> None:
    types = build_schema((ROOT / "schema.graphql").read_text()).type_map
    models = types["ChargeModelInput"]
    assert isinstance(models, GraphQLInputObjectType)
    assert first_column(DOCS / "concepts.md", "Model") == list(models.fields)
    parts = ["Price", "PlanCharge", "Tier", "PercentTier", *(name[0].upper() + name[1:] for name in models.fields)]
    defaults: dict[str, set[str]] = {}
    for part in parts:
        fields = types[f"{part}Input"]
        assert isinstance(fields, GraphQLInputObjectType)
        for name, one in fields.fields.items():
            if one.ast_node is not None and one.ast_node.default_value is not None:
                defaults.setdefault(name, set()).add(print_ast(one.ast_node.default_value).strip('"'))
    rows = table(DOCS / "concepts.md", "Field")
    told = {name.rpartition(".")[2]: row[2] for row in rows for name in row[0].split(", ")}
    assert set(defaults) - set(told) == set()
    shown = {"null": {"null", "..."}, "[]": {"none", "all usage"}}
    assert [name for name, [one] in defaults.items() if told[name] not in shown.get(one, {one})] == []


def test_the_tables_of_proration_and_of_excluded_events_are_whole() -> None:
    types = build_schema((ROOT / "schema.graphql").read_text()).type_map
    proration, event = types["Proration"], types["LineEvent"]
    assert isinstance(proration, GraphQLEnumType)
    assert isinstance(event, GraphQLObjectType)
    assert {row[0].split()[0] for row in table(DOCS / "concepts.md", "Convention")} == set(proration.values)
    codes = set(re.findall(r"[a-z]+_[a-z]+", event.fields["reason"].description or "")) | {"superseded"}
    assert set(first_column(DOCS / "concepts.md", "Excluded")) == codes - {"key_conflict"}


def test_the_table_of_held_usage_has_every_code() -> None:
    assert set(first_column(DOCS / "concepts.md", "Code")) == texts(calls("ledger/domain", {"Held", "Unreadable"}), 0)


def test_the_table_of_problems_has_every_code_of_the_http_edge() -> None:
    documented = set(first_column(DOCS / "usage-in.md", "Problem"))
    assert texts(calls("ledger/http", {"Problem"}), 1) <= documented


def test_the_table_of_topics_has_every_event() -> None:
    assert first_column(DOCS / "concepts.md", "Topic") == [event.TOPIC for event in EVENTS]


def test_the_tables_of_aggregations_and_reasons_are_whole() -> None:
    concepts = DOCS / "concepts.md"
    assert set(first_column(concepts, "Aggregation")) == set(AGGREGATIONS)
    assert set(first_column(concepts, "Reason")) == set(REASONS)


def test_the_readme_leads_through_at_most_six_files_that_are_there() -> None:
    rows = table(ROOT / "README.md", "Step")
    assert len(rows) <= 6
    assert [row[1] for row in rows if not (ROOT / row[1]).is_file()] == []


def test_a_request_of_curl_is_read_as_curl_would() -> None:
    request = curl(shlex.split("-sS http://x/y -H 'A: b: c' -d '{\"n\": 1}'"), ROOT)
    assert request == {"method": "POST", "url": "http://x/y", "headers": {"A": "b: c"}, "content": b'{"n": 1}'}
    assert httpx.Request(**request).content == b'{"n": 1}'
