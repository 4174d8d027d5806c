"""The rules of STYLE that a linter does not know, each with a planted offence that it must find."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
MEDIAN_MODULE_LINES_MAX = 150

NOT_OURS = {".git", ".venv", ".ledger", "node_modules", "dist", "build", "__pycache__"}
BANNED_WORDS = set("service services manager managers helper helpers util utils base data info common misc".split())
BANNED_ALONE = {"process", "handle"}
ENTRY_POINTS = {
    "ledger.app",
    "ledger.cli",
    "ledger.__main__",
}
STATISTICS = {"forecast.py", "anomaly.py"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "uuid1", "uuid4"}
OUTSIDE = set(
    "aiohttp asyncio asyncpg concurrent dramatiq ftplib glob http httpx io logging multiprocessing os pathlib psycopg "
    "random redis requests secrets select selectors shutil signal smtplib socket sqlite3 ssl starlette strawberry "
    "stripe structlog subprocess sys tempfile threading time typer urllib3 uvicorn".split()
)
SQL = re.compile(r"\s*(--.*\n\s*)*(select|insert|update|delete|with|copy|merge|lock)\b")
DDL = re.compile(r"\s*(create|alter|drop|truncate|grant|revoke)\s+(?!temp)")
TABLE_IN_SQL = re.compile(r"\b(?:from|into|update|copy|join|using|lock table)\s+(?:only\s+)?([a-z_][a-z_0-9]*)")
TABLE_WRITTEN = re.compile(
    r"\b(?:insert into|delete from|copy|(?<!for )update)\s+(?:only\s+)?(?!set\b)([a-z_][a-z_0-9]*)"
)
TABLE_IN_DDL = re.compile(
    r"create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?([a-z_][a-z_0-9]*)", re.IGNORECASE
)
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "deb." + "debian.org")
MACHINE_PATHS = ("/work" + "/main", "/root" + "/.")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[str], list[str]]


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def text_files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_cache = any(part.startswith(".") and part.endswith("_cache") for part in parts)
        hidden_cache |= ".hypothesis" in parts
        if path.is_file() and not NOT_OURS & set(parts) and not hidden_cache and not parts[-1].startswith(".coverage"):
            yield path


def offences(rule: Rule, paths: list[Path]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {found}" for path in paths for found in rule(path.read_text())]


def long_functions(source: str) -> list[str]:
    return [
        f"{node.name} has {lines} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function) and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def long_modules(source: str) -> list[str]:
    lines = len(source.splitlines())
    return [f"{lines} lines"] if lines > MODULE_LINES_MAX else []


def is_banned(name: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return bool(BANNED_WORDS & {word.lower() for word in words}) or name.strip("_").lower() in BANNED_ALONE


def banned_names(source: str) -> list[str]:
    named = Function | ast.ClassDef
    return [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, named) and is_banned(node.name)]


def clocks(source: str) -> list[str]:
    return [
        f"line {node.lineno} reads {ast.unparse(node.func)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in CLOCKS
    ]


def floats(source: str) -> list[str]:
    """Float literals, and the type's name anywhere but in a question whether something is one."""
    tree = ast.parse(source)
    questions = {
        id(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        for name in ast.walk(node.args[1])
    }
    return [
        f"line {node.lineno} has a float"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float" and id(node) not in questions)
    ]


def imported(source: str) -> set[str]:
    """The dotted names that a module imports, each also with what is taken from it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def outside_imports(source: str) -> list[str]:
    return sorted(name for name in imported(source) if name.split(".")[0] in OUTSIDE)


def documented(node: ast.AST) -> bool:
    return not isinstance(node, Function | ast.ClassDef | ast.Module) or ast.get_docstring(node) is not None


def undocumented(source: str) -> list[str]:
    """Public classes, functions and methods without a docstring; the module too."""
    tree = ast.parse(source)
    found = [] if documented(tree) or not tree.body else ["the module"]
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
                continue
            overload = any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
            if not documented(node) and not overload:
                found.append(node.name)
            if isinstance(node, ast.ClassDef):
                scopes.append(node)
    return found


def unfinished(source: str) -> list[str]:
    return [match.group() for match in UNFINISHED.finditer(source)]


def addresses(source: str) -> list[str]:
    return [word for word in (*REGISTRY_HOSTS, *MACHINE_PATHS) if word in source]


def strings(source: str) -> list[str]:
    """The texts of a module that are not docstrings, those of f-strings in one piece."""
    tree = ast.parse(source)
    aside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in aside:
            aside |= {id(value) for value in node.values}
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
            found.append(node.value)
    return found


def ddl(source: str) -> list[str]:
    return [text.strip()[:60] for text in strings(source) if DDL.match(text)]


def tables_named(source: str, pattern: re.Pattern[str] = TABLE_IN_SQL) -> set[str]:
    """What stands in SQL, or in a COPY by asyncpg, where a table's name stands."""
    names = {name for text in strings(source) if SQL.match(text) for name in pattern.findall(text)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("copy_records_to_table", "copy_to_table")):
            names |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    return names


def tables_made() -> set[str]:
    migrations = [path for path in text_files() if path.suffix == ".sql" and path.parent.name == "migrations"]
    return {name for path in migrations for name in TABLE_IN_DDL.findall(path.read_text())}


def shared_tables(sources: dict[str, str], tables: set[str]) -> list[str]:
    """Tables that two modules write, or that one reads which does not stand beside the writer."""
    found = []
    for table in sorted(tables):
        writers = [module for module, source in sources.items() if table in tables_named(source, TABLE_WRITTEN)]
        readers = [module for module, source in sources.items() if table in tables_named(source)]
        packages = {module.rpartition(".")[0] for module in (*writers, *readers)}
        if len(writers) > 1:
            found.append(f"{table} is written in {', '.join(writers)}")
        elif len(packages) > 1:
            found.append(f"{table} is named in {', '.join(sorted({*writers, *readers}))}")
    return found


def dead_modules(sources: dict[str, str]) -> list[str]:
    """Modules that nothing imports; a package counts as imported with anything in it."""
    used = set().union(*(imported(source) for source in sources.values())) | ENTRY_POINTS
    return sorted(
        name for name, source in sources.items() if source and name not in used and not is_package(name, sources)
    )


def is_package(name: str, sources: dict[str, str]) -> bool:
    return any(other.startswith(f"{name}.") for other in sources)


def sources() -> dict[str, str]:
    found = {}
    for path in modules("ledger"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


@pytest.mark.parametrize("package", ["ledger", "tests", "benchmarks"])
def test_functions_fit_on_a_screen(package: str) -> None:
    assert offences(long_functions, modules(package)) == []


def test_modules_are_short() -> None:
    assert offences(long_modules, modules("ledger")) == []
    lengths = sorted(len(path.read_text().splitlines()) for path in modules("ledger") if path.name != "__init__.py")
    assert lengths[len(lengths) // 2] < MEDIAN_MODULE_LINES_MAX


def test_names_say_something() -> None:
    named = [
        path
        for path in modules("ledger")
        if any(is_banned(part) for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert named == []
    assert offences(banned_names, modules("ledger")) == []


@pytest.mark.parametrize("rule", [clocks, outside_imports])
def test_the_domain_is_pure(rule: Rule) -> None:
    assert offences(rule, modules("ledger/domain")) == []


def test_the_domain_has_no_floats() -> None:
    exact = [path for path in modules("ledger/domain") if path.name not in STATISTICS]
    assert offences(floats, exact) == []


def test_every_public_thing_says_what_it_is() -> None:
    assert offences(undocumented, modules("ledger")) == []


def test_nothing_is_left_unfinished() -> None:
    assert offences(unfinished, [*modules("ledger"), *modules("tests"), *modules("benchmarks"), ROOT / "dev"]) == []


def test_tables_are_made_by_migrations_alone() -> None:
    """Only what runs them makes a table of its own: the list of those that ran."""
    others = [path for path in modules("ledger") if path.name != "migrate.py"]
    assert offences(ddl, others) == []


def test_a_table_has_one_writer_and_readers_beside_it_alone() -> None:
    assert shared_tables(sources(), tables_made()) == []


def test_no_module_is_dead() -> None:
    assert dead_modules(sources()) == []


def test_no_file_names_a_registry_or_this_machine() -> None:
    found = []
    for path in text_files():
        content = path.read_bytes()
        if b"\0" not in content[:1000]:
            found += [f"{path.relative_to(ROOT)}: {word}" for word in addresses(content.decode(errors="replace"))]
    assert found == []


LONG_FUNCTION = "def long():\n" + "    pass\n" * FUNCTION_LINES_MAX

PLANTED: list[tuple[Rule, str, str]] = [
    (long_functions, LONG_FUNCTION, LONG_FUNCTION.removesuffix("    pass\n")),
    (long_modules, "pass\n" * (MODULE_LINES_MAX + 1), "pass\n" * MODULE_LINES_MAX),
    (banned_names, "class UsageManager: pass", "class Manageress: pass"),
    (banned_names, "def load_data(): pass", "def load_database(): pass"),
    (banned_names, "async def process(): pass", "async def process_usage(): pass"),
    (clocks, "from datetime import datetime\nat = datetime.now()", "def decide(now): return now"),
    (clocks, "import time\nat = time.time()", "timed = at.time"),
    (floats, "rate = 0.1", "rate = 1"),
    (floats, "def rate(x: float): pass", "refused = isinstance(x, (float, bool))"),
    (outside_imports, "from pathlib import Path", "from decimal import Decimal"),
    (outside_imports, "import asyncpg.pool", "import ledger.domain.values"),
    (undocumented, '"""Said."""\ndef public(): pass', '"""Said."""\ndef _private(): pass'),
    (undocumented, '"""Said."""\nclass A:\n  """Said."""\n  def b(self): pass', '"""Said."""'),
    (unfinished, "# TO" + "DO later", "# to do what the charge says"),
    (addresses, "https://pypi" + ".org/simple", "https://index.example/simple"),
    (addresses, "cd /work" + "/main", "cd ../main"),
    (ddl, 'DROP = "drop table usage"', 'STAGE = "create temporary table stage (n int)"'),
    (ddl, 'MAKE = """\n  create index on usage (account)"""', '"""create table is for migrations"""'),
]


@pytest.mark.parametrize(("rule", "offence", "harmless"), PLANTED)
def test_each_rule_finds_what_it_forbids_and_nothing_else(rule: Rule, offence: str, harmless: str) -> None:
    assert rule(offence) != []
    assert rule(harmless) == []


@pytest.mark.parametrize(
    "statement",
    [
        'WRITE = """\n  with new as (select 1) insert into usage (n) select n from new"""',
        'FORGET = f"delete from usage where {condition}"',
        'await connection.copy_records_to_table("usage", records=rows)',
    ],
)
def test_a_second_writer_of_a_table_is_found(statement: str) -> None:
    owner = 'ADD = "update usage set n = n + 1"'
    assert shared_tables({"p.a": owner, "p.b": statement}, {"usage"}) == ["usage is written in p.a, p.b"]
    assert shared_tables({"p.a": owner, "p.b": statement}, {"invoices"}) == []


def test_a_reader_of_a_table_in_another_package_is_found() -> None:
    owner, reader = 'ADD = "update usage set n = n + 1"', 'COUNT = f"select {what} from other join usage using (n)"'
    assert shared_tables({"p.a": owner, "q.b": reader}, {"usage"}) == ["usage is named in p.a, q.b"]
    assert shared_tables({"p.a": owner, "p.b": reader}, {"usage"}) == []


def test_prose_about_a_table_does_not_own_it() -> None:
    assert tables_named('"""Rows come from usage."""\nprint("nothing from usage")') == set()


def test_a_module_that_nothing_imports_is_found() -> None:
    used = {
        "ledger.cli": "from ledger.domain import values",
        "ledger.domain": "'''x'''",
        "ledger.domain.values": "x = 1",
    }
    assert dead_modules(used) == []
    assert dead_modules(used | {"ledger.domain.unused": "x = 1"}) == ["ledger.domain.unused"]


def test_the_banned_words_are_parts_of_names() -> None:
    assert list(filter(is_banned, ["UsageInfo", "rebase", "base_rate", "handle"])) == [
        "UsageInfo",
        "base_rate",
        "handle",
    ]
