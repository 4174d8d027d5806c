"""Every benchmark runs, at a tiny size, and tells its figures in the form that is promised; none is timed here."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, Report, Side, quantile, ratio

ROOT = Path(__file__).resolve().parents[1]

FIGURES = {
    "ingest_1000": {"ingest_1000"},
    "ingest_100": {"ingest_100"},
    "ingest_1": {"ingest_1"},
    "stock": {"stock_1000", "stock_1000_shared", "stock_1"},
    "projection": {"projection", "projection_group_by", "projection_reads"},
    "projection_memory": {"projection_memory"},
    "freshness": {"freshness_100_p50", "freshness_100_p99", "freshness_1_p50", "freshness_1_p99"},
    "rating": {"rating", "rating_read", "rating_group_by"},
    "projected_invoice": {
        "projected_invoice_100_p50",
        "projected_invoice_100_p99",
        "projected_invoice_1_p50",
        "projected_invoice_1_p99",
    },
    "account_page": {"account_page"},
    "explain": {"explain_p50", "explain_p99"},
    "as_of": {"as_of"},
    "reconcile_agreeing": {"reconcile_agreeing", "reconcile_agreeing_calls"},
    "bisect_minute": {"bisect_minute_calls", "bisect_minute"},
    "sealing": {"sealing_ingest", "sealing_catch_up", "inclusion_proof_p50", "inclusion_proof_p99"},
    "replay": {"replay", "replay_group_by"},
    "webhooks": {"webhooks"},
    "sends": {"sends"},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert finished.returncode == 0, finished.stderr
    return msgspec.json.decode(file.read_bytes(), type=Report)


def test_every_benchmark_has_its_figures_under_stable_names(report: Report) -> None:
    assert set(BENCHMARKS) == set(FIGURES)
    assert {figure.name for figure in report.figures} == set().union(*FIGURES.values())


def test_every_figure_is_a_positive_number_in_a_unit(report: Report) -> None:
    assert all(figure.value > 0 and figure.unit for figure in report.figures)
    assert all(sample > 0 for figure in report.figures for side in figure.sides for sample in side.samples)


def test_a_ratio_carries_both_sides_with_as_many_samples_each(report: Report) -> None:
    ratios = [figure for figure in report.figures if figure.unit == "x"]
    assert len(ratios) == 13
    for figure in ratios:
        first, second = figure.sides
        assert len(first.samples) == len(second.samples)
        assert figure.value == pytest.approx(first.median / second.median)


def test_the_report_says_where_and_how_it_was_taken(report: Report) -> None:
    machine = report.machine
    assert report.is_quick
    assert machine.cores > 0
    assert machine.python == sys.version.split()[0]
    assert machine.postgres
    assert machine.taken_at.tzinfo is not None


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks", "ingest_7"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert "ingest_7" in finished.stderr
    assert "ingest_1000" in finished.stderr


def test_a_ratio_is_that_of_the_medians_and_knows_whether_its_goal_is_met() -> None:
    ours, theirs = Side("ours", [9.0, 1.0, 6.0]), Side("theirs", [2.0, 3.0, 30.0])
    assert ratio("r", ours, theirs, side_unit="s", goal=2).is_met
    assert not ratio("r", ours, theirs, side_unit="s", goal=1.9, direction="at most").is_met
    assert Figure(name="f", value=1, unit="ms").is_met is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_a_quantile_is_a_sample(share: float, value: int) -> None:
    assert quantile([float(number) for number in range(1, 101)], share) == value
