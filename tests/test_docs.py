"""The documents say what the program does: their examples run, and their tables are held against the code.

A block ```graphql is sent with the ```json variables below it, a block ```sh is carried out (curl, gzip, ledger), a
block with `file=NAME` is put into a file, and what follows as ```json answer or ```text answer must be the answer.
`...` in an answer stands for anything. Blocks ```console are for people only.
"""

import ast
import asyncio
import gzip
import importlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, get_args

import httpx
import pytest
from graphql import GraphQLObjectType, build_schema, parse, validate

from ledger.commands.accounts import change_account
from ledger.commands.meters import change_meter
from ledger.domain.access import GRANTS, ROLES, KeyEvent
from ledger.domain.accounts import AccountEvent, AliasAccount, OpenAccount
from ledger.domain.events import EVENTS, Event, UsageDismissed
from ledger.domain.mending import REASONS
from ledger.domain.metadata import Metadata
from ledger.domain.metering import AGGREGATIONS
from ledger.domain.meters import DefineMeter, MeterEvent
from ledger.domain.usage import UsageEvent
from ledger.sandbox.customers import CUSTOMERS, METERS
from ledger.settings import Settings
from ledger.telemetry import Telemetry
from tests.edges import Edge, open_edge

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
RUN = [DOCS / "api.md", DOCS / "usage-in.md", ROOT / "README.md"]
FENCE = re.compile(r"^```(?P<told>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
COMMAND = re.compile(r"^(?=curl |gzip |ledger )", re.MULTILINE)
ANYTHING = "..."
SHIFTING = frozenset({"position", "firstPosition", "lastPosition", "lagMilliseconds", "eventsBehind"})
"""What differs between the ledger that the README was written on and another one with the same usage."""


class Block(NamedTuple):
    """A fenced block of a document: the words after the fence, the text in it, and where the text begins."""

    language: str
    words: tuple[str, ...]
    text: str
    at: int

    def option(self, name: str) -> str | None:
        """The value of `name=value` among the words."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


def blocks(document: str) -> list[Block]:
    found = []
    for match in FENCE.finditer(document):
        language, *words = match["told"].split() or [""]
        found.append(Block(language, tuple(words), match["text"], match.start("text")))
    return found


@dataclass
class Story:
    """Carries out a document's examples in their order on one ledger, and keeps what was answered last."""

    edge: Edge
    folder: Path
    environ: Mapping[str, str]
    said: str | None = None

    async def tell(self, document: str) -> list[tuple[Block, str]]:
        """Every block that shows an answer, with the answer that there was."""
        answers = []
        told = blocks(document)
        for block, following in zip(told, [*told[1:], None], strict=True):
            if block.language == "graphql":
                is_given = following is not None and following.words == ("variables",)
                await self.ask(block, json.loads(following.text) if following and is_given else None)
            elif block.language == "sh":
                for command in COMMAND.split(block.text):
                    await self.carry_out(command, block)
            elif name := block.option("file"):
                (self.folder / name).write_text(block.text)
            elif block.words == ("answer",):
                assert self.said is not None, f"nothing was asked that this answers: {block.text}"
                answers.append((block, self.said))
                self.said = None
        return answers

    async def ask(self, block: Block, variables: dict[str, Any] | None) -> None:
        response = await self.edge.client.post(
            "/graphql",
            json={"query": block.text, "variables": variables},
            headers={"authorization": f"Bearer {await self.key(block)}"},
        )
        await self._settle(response.text)

    async def carry_out(self, command: str, block: Block) -> None:
        text = command.replace("\\\n", " ").replace("$LEDGER", str(self.edge.client.base_url).rstrip("/"))
        match shlex.split(text.replace("$KEY", await self.key(block)), comments=True):
            case []:
                return
            case ["curl", *options]:
                response = await self.edge.client.request(**curl(options, self.folder))
                await self._settle(response.text)
            case ["gzip", "--keep", name]:
                (self.folder / f"{name}.gz").write_bytes(gzip.compress((self.folder / name).read_bytes()))
            case ["ledger", *arguments]:
                await self._settle(await ledger(arguments, self.folder, self.environ))
            case other:
                raise AssertionError(f"nobody knows how to run {other}")

    async def key(self, block: Block) -> str:
        """The admin's key, or that of `as=ROLE` or `as=ROLE:ACCOUNT`."""
        role, _, account = (block.option("as") or "admin").partition(":")
        return await self.edge.key(role, account=account or None)

    async def _settle(self, said: str) -> None:
        self.said = said
        await self.edge.follower.refresh()
        await self.edge.project()


def curl(options: list[str], folder: Path) -> dict[str, Any]:
    """The request that curl would make of its options."""
    request: dict[str, Any] = {"method": "GET", "headers": {}}
    words = iter(options)
    for word in words:
        if word == "-H":
            name, _, text = next(words).partition(": ")
            request["headers"][name] = text
        elif word in ("-d", "--data-binary"):
            told = next(words)
            request["method"] = "POST"
            request["content"] = (folder / told[1:]).read_bytes() if told.startswith("@") else told.encode()
        elif word != "-sS":
            assert "url" not in request, f"curl is given {word}, which is no option that we know"
            request["url"] = word
    return request


async def ledger(arguments: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    """What the command prints."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger", *arguments),
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT), **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await program.communicate()
    return printed.decode()


def is_as_shown(shown: object, actual: object, *, shifting: frozenset[str] = frozenset()) -> bool:
    """Whether an answer is the one that is shown; the numbers called as in `shifting` may be others."""
    if shown == ANYTHING:
        return True
    if isinstance(shown, dict) and isinstance(actual, dict):
        return shown.keys() == actual.keys() and all(
            (name in shifting and isinstance(actual[name], int))
            or is_as_shown(shown[name], actual[name], shifting=shifting)
            for name in shown
        )
    if isinstance(shown, list) and isinstance(actual, list):
        return len(shown) == len(actual) and all(
            is_as_shown(one, other, shifting=shifting) for one, other in zip(shown, actual, strict=True)
        )
    return type(shown) is type(actual) and shown == actual


async def open_story(edge: Edge, folder: Path, database_url: str) -> Story:
    """A story whose first event is the admin's key, as `ledger keys issue` makes it."""
    await edge.key("admin")
    return Story(edge, folder, {"LEDGER_DATABASE_URL": database_url, "LEDGER_ENV": "development"})


async def open_demo(edge: Edge) -> None:
    """The accounts and meters of `./dev demo`, without its usage."""
    now, metadata = datetime.now(UTC), Metadata(actor="test")
    for key, definition in METERS.items():
        await change_meter(edge.log, DefineMeter(key, definition), now=now, metadata=metadata)
    for one in CUSTOMERS:
        await change_account(edge.log, OpenAccount(one.key, one.name, one.zone), now=now, metadata=metadata)
        for alias in one.aliases:
            await change_account(edge.log, AliasAccount(one.key, alias), now=now, metadata=metadata)


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.name)
async def test_the_examples_answer_what_the_document_shows(path: Path, database_url: str, tmp_path: Path) -> None:
    async with open_edge(database_url) as edge:
        is_readme = path.name == "README.md"
        if is_readme:
            await open_demo(edge)
        story = await open_story(edge, tmp_path, database_url)
        answers = await story.tell(path.read_text())
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
    for block in blocks(path.read_text()):
        if block.language == "graphql" and "invalid" not in block.words:
            assert validate(schema, parse(block.text)) == [], block.text


def test_the_cookbook_uses_every_query_and_mutation() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    told = " ".join(block.text for block in blocks((DOCS / "api.md").read_text()) if block.language == "graphql")
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
    granted = {
        role: frozenset(row[0] for row in rows if row[2:][column] == "yes") for column, role in enumerate(ROLES)
    }
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


def test_the_table_of_held_usage_has_every_code() -> None:
    assert set(first_column(DOCS / "concepts.md", "Code")) == texts(calls("ledger/domain", {"Held", "Unreadable"}), 0)


def test_the_table_of_problems_has_every_code_of_the_http_edge() -> None:
    documented = set(first_column(DOCS / "usage-in.md", "Problem"))
    assert texts(calls("ledger/http", {"Problem"}), 1) <= documented


def test_the_table_of_topics_has_every_event_that_a_command_writes() -> None:
    written: set[type[Event]] = {UsageDismissed}
    written.update(*map(get_args, (AccountEvent, MeterEvent, KeyEvent, UsageEvent)))
    documented = set(first_column(DOCS / "concepts.md", "Topic"))
    assert {event.TOPIC for event in written} <= documented <= {event.TOPIC for event in EVENTS}


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
