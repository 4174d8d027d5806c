"""Figures: what a benchmark yields, as a table for people and as JSON for machines."""

import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

Direction = Literal["at least", "at most"]

PROCESSORS = Path("/proc/cpuinfo")


class Side(msgspec.Struct, frozen=True):
    """One side of a ratio: what was measured and its samples, in the order they were taken."""

    name: str
    samples: list[float]

    @property
    def median(self) -> float:
        """The middle sample."""
        return median(self.samples)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `value` is in `unit`; a ratio is the first side's median over the second's, in `side_unit`.

    `goal` is what its issue asks for, None where it asks for nothing; `note` says what the figure leaves out.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    direction: Direction = "at least"
    sides: list[Side] = []
    side_unit: str = ""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.direction == "at least" else self.value <= self.goal


class Machine(msgspec.Struct, frozen=True):
    """Where and when the figures were taken."""

    cores: int
    processor: str
    python: str
    postgres: str
    taken_at: datetime


class Report(msgspec.Struct, frozen=True):
    """A run of the benchmarks. A quick run only shows that they work: its figures say nothing."""

    machine: Machine
    is_quick: bool
    figures: list[Figure]


def ratio(
    name: str,
    first: Side,
    second: Side,
    *,
    side_unit: str,
    goal: float | None = None,
    direction: Direction = "at least",
    note: str = "",
) -> Figure:
    """The figure of two sides: how many times the second is the first, by their medians."""
    return Figure(
        name=name,
        value=first.median / second.median,
        unit="x",
        goal=goal,
        direction=direction,
        sides=[first, second],
        side_unit=side_unit,
        note=note,
    )


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of the samples does not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def this_machine(postgres: str) -> Machine:
    """The machine we run on, with the version of its Postgres."""
    return Machine(
        cores=os.cpu_count() or 0,
        processor=_processor(),
        python=platform.python_version(),
        postgres=postgres,
        taken_at=datetime.now(UTC).replace(microsecond=0),
    )


def _processor() -> str:
    try:
        lines = PROCESSORS.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def show(console: Console, report: Report) -> None:
    """Print the report's table, one row per figure and below it one per side."""
    machine = report.machine
    table = Table(title="quick run: not measurements" if report.is_quick else None, title_justify="left")
    table.add_column("figure, and its sides by their medians", no_wrap=True)
    for heading in ("value", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in report.figures:
        table.add_row(figure.name, _value(figure), _goal(figure), style="bold")
        for side in figure.sides:
            table.add_row(f"  {side.name}", f"{_short(side.median)} {figure.side_unit}", "", style="dim")
    console.print(table)
    for figure in report.figures:
        if figure.note:
            console.print(f"{figure.name}: {figure.note}", style="dim", highlight=False)
    console.print(
        f"{machine.cores} cores ({machine.processor}), Python {machine.python}, PostgreSQL {machine.postgres}, "
        f"{machine.taken_at:%Y-%m-%d %H:%M} UTC",
        style="dim",
        highlight=False,
    )


def _value(figure: Figure) -> str:
    colour = {True: "green", False: "red", None: "default"}[figure.is_met]
    return f"[{colour}]{_short(figure.value)} {figure.unit}[/]"


def _goal(figure: Figure) -> str:
    return "" if figure.goal is None else f"{figure.direction} {_short(figure.goal)}"


def _short(number: float) -> str:
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"
