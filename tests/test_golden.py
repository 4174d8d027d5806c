"""The runner of golden cases, and the sample of cases that we have."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ["aggregation.json"]

CASE: dict[str, Any] = {
    "id": "two-events",
    "aggregation": "sum",
    "field": "value",
    "events": [
        {"timestamp": "2024-01-01T00:00:00Z", "properties": {"value": 1}},
        {"timestamp": "2024-01-01T01:00:00", "properties": {"value": "2.5"}},
        {"timestamp": "2024-01-02T00:30:00+02:00", "properties": {"value": 4}},
    ],
    "period": {"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z", "to_inclusive": False},
    "semantics": {"numeric_strings": "parse", "dedupe": "none"},
    "expected": "7.5",
}


def run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.golden", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def run_cases(tmp_path: Path, *cases: Any) -> tuple[int, list[str]]:
    """The runner's status and lines for a file of cases."""
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(list(cases)))
    result = run(file)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


@pytest.mark.shared
@pytest.mark.parametrize("name", FILES)
def test_every_sample_case_passes(shared: Path, name: str) -> None:
    path = shared / "golden" / name
    result = run(path)
    assert result.stdout == f"{name}: {len(json.loads(path.read_text()))} passed, 0 failed, 0 unsupported\n"
    assert result.returncode == 0


def test_a_case_that_comes_out_as_expected_passes(tmp_path: Path) -> None:
    assert run_cases(tmp_path, CASE) == (0, ["cases.json: 1 passed, 0 failed, 0 unsupported"])


def test_a_wrong_expected_value_is_told_with_its_id(tmp_path: Path) -> None:
    assert run_cases(tmp_path, CASE, CASE | {"id": "wrong", "expected": "7.6"}) == (
        1,
        ["cases.json: 1 passed, 1 failed, 0 unsupported", "  failed wrong: expected 7.6, got 7.5"],
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected": None},
        {"expected_count": 2},
        {"expected_total": "8"},
        {"expected": []},
        {"expected": [{"value": "7.5"}, {"value": "0"}]},
        {"window": "DAY", "expected": [{"window_start": "2024-01-01T01:00:00Z", "value": "7.5"}]},
        {"group_by": ["region"], "expected": [{"group": {"region": ""}, "value": "7.5"}]},
        {"expected": "7.50001", "tolerance": "0.000001"},
    ],
)
def test_each_kind_of_expectation_can_fail(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Fails where the adapter does not look at what a case expects."""
    status, lines = run_cases(tmp_path, CASE | wrong)
    assert (status, lines[0]) == (1, "cases.json: 0 passed, 1 failed, 0 unsupported")


@pytest.mark.parametrize(
    "unknown",
    [
        {"aggregation": "median"},
        {"window": "FORTNIGHT", "expected": []},
        {"expected_variance": "1"},
        {"semantics": {"dedupe": "by_colour"}, "expected": "1"},
        {"result_rounding": {"places": 2, "mode": "random"}},
    ],
)
def test_a_convention_that_we_lack_is_unsupported(tmp_path: Path, unknown: dict[str, Any]) -> None:
    status, lines = run_cases(tmp_path, CASE | unknown)
    assert (status, lines[0]) == (1, "cases.json: 0 passed, 0 failed, 1 unsupported")


def test_an_unknown_word_that_makes_no_difference_is_let_pass(tmp_path: Path) -> None:
    assert run_cases(tmp_path, CASE | {"remark": "none"})[0] == 0
    status, lines = run_cases(tmp_path, CASE | {"id": "doubled", "scaled_by": 2, "expected": "15"})
    assert (status, lines[1]) == (1, "  unsupported doubled: unknown: scaled_by; without: expected 15, got 7.5")


def test_a_case_that_breaks_its_adapter_fails_alone(tmp_path: Path) -> None:
    broken = CASE | {"id": "broken", "events": [{"timestamp": "yesterday", "properties": {}}]}
    status, lines = run_cases(tmp_path, broken, CASE, {"id": "shapeless"})
    assert status == 1
    assert lines == [
        "cases.json: 1 passed, 1 failed, 1 unsupported",
        "  failed broken: ValueError: Invalid isoformat string: 'yesterday'",
        "  unsupported shapeless: its shape is that of no file we know",
    ]


def test_a_file_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text('{"cases": [3]}')
    result = run(tmp_path / "cases.json", tmp_path / "absent.json")
    assert result.returncode == 1
    assert result.stdout.splitlines()[0] == "cases.json: cannot be read: it is no list of cases"
    assert result.stdout.splitlines()[1].startswith("absent.json: cannot be read: ")
    assert run().returncode == 2
