"""The document of the sandbox says what the sandbox does: its tables are held against the code."""

import re
from dataclasses import fields
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import get_args

from ledger.sandbox.stripe.app import OPERATIONS
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.expansion import REFERENCES
from ledger.sandbox.stripe.faults import Fault
from ledger.sandbox.stripe.plants import Plants

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "stripe-sandbox.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    lines = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:]]


def test_the_table_of_operations_is_whole() -> None:
    assert [row[0].strip("`") for row in rows("What it answers")] == [one.name for one in OPERATIONS]


def test_the_table_of_rules_is_what_the_code_holds_to() -> None:
    for _, value, constant in rows("Rules to know"):
        module, _, name = constant.strip("` |").rpartition(".")
        assert str(timedelta(seconds=getattr(import_module(module), name))) == value, constant


def test_the_table_of_behaviour_is_whole() -> None:
    told = [(row[0].strip("`"), row[1]) for row in rows("Behaviour")]

    assert sorted(told) == sorted((one.name, str(one.default)) for one in fields(Behaviour))


def test_the_tables_of_faults_and_plants_are_whole() -> None:
    assert [row[0].strip("`") for row in rows("Faults")] == list(get_args(Fault))
    assert {row[0].strip("`") for row in rows("Planted mismatches")} == {
        name for name in vars(Plants) if not name.startswith("_")
    }


def test_every_reference_that_can_be_expanded_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", DOCUMENT.partition("`expand` works on")[2].partition("which like")[0]))

    assert told == {*REFERENCES, "tiers"}


def test_every_operation_names_its_page() -> None:
    """Of Stripe's documentation: in the docstring of what performs it, or of its module."""
    pages = [
        f"{one.perform.__doc__} {import_module(one.perform.__module__).__doc__}".count("docs.stripe.com/")
        for one in OPERATIONS
    ]

    assert min(pages) >= 1
