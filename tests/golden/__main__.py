"""Run every case of golden files: `python -m tests.golden FILE...`.

Prints `name: N passed, N failed, N unsupported` for each file, with the id of each case that did not pass and what
differed, and exits with 1 unless all passed.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

from tests.golden import Case, Unsupported

PERIOD_KINDS = {
    "billing_period",
    "partial_period",
    "day_diff",
    "recurrence",
    "add_duration",
    "schedule",
}


class Verdict(NamedTuple):
    id: str
    outcome: Literal["passed", "failed", "unsupported"]
    why: str = ""


def adapter_for(case: Case) -> str:
    """The name of the adapter that a case's shape asks for."""
    if "aggregation" in case:
        return "aggregation"
    if "kind" in case:
        return "periods" if case["kind"] in PERIOD_KINDS else "reconciliation"
    if "model" in case:
        return "rating"
    raise Unsupported("its shape is that of no file we know")


def differences_of(case: Case) -> list[str]:
    """What the adapter for the case's shape finds."""
    module = f"tests.golden.{adapter_for(case)}"
    if importlib.util.find_spec(module) is None:
        raise Unsupported(f"there is no adapter {module} yet")
    differences: list[str] = importlib.import_module(module).check(case)
    return differences


def judge(case: Case, number: int) -> Verdict:
    """What becomes of a case. Whatever an adapter raises is that case's failure, for the others to be run."""
    name = str(case.get("id", f"#{number}"))
    try:
        differences = differences_of(case)
    except Unsupported as reason:
        return Verdict(name, "unsupported", str(reason))
    except Exception as fault:  # noqa: BLE001
        return Verdict(name, "failed", f"{type(fault).__name__}: {fault}")
    return Verdict(name, "failed", "; ".join(differences)) if differences else Verdict(name, "passed")


def read_cases(path: Path) -> list[Case]:
    """The cases of a file: a list, or an object with the list under `cases`."""
    content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_constant=Decimal)
    cases = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError("it is no list of cases")
    return cases


def report(path: Path) -> bool:
    """Run and print a file's cases; whether all passed."""
    try:
        cases = read_cases(path)
    except (OSError, ValueError) as fault:
        print(f"{path.name}: cannot be read: {fault}")
        return False
    verdicts = [judge(case, number) for number, case in enumerate(cases)]
    counts = dict.fromkeys(("passed", "failed", "unsupported"), 0)
    for verdict in verdicts:
        counts[verdict.outcome] += 1
    print(f"{path.name}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    for verdict in verdicts:
        if verdict.outcome != "passed":
            print(f"  {verdict.outcome} {verdict.id}: {verdict.why}")
    return counts["passed"] == len(verdicts)


def main(paths: Iterable[str]) -> int:
    """The exit status: 0 if every case of every file passed."""
    results = [report(Path(path)) for path in paths]
    if not results:
        print("usage: python -m tests.golden FILE...", file=sys.stderr)
        return 2
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
