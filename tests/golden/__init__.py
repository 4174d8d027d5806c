"""Golden cases of other systems, run through thin adapters onto the domain: `python -m tests.golden FILE...`.

An adapter is a module beside this one named in `tests.golden.__main__`, with a function `check(case)` that returns what
differs from what the case expects, a sentence each, and raises `Unsupported` for a convention that we lack.
"""

from typing import Any

Case = dict[str, Any]
"""A case as its JSON tells it, numbers with a point or exponent as `Decimal`."""


class Unsupported(Exception):
    """A case names something that the domain or its adapter does not know."""
