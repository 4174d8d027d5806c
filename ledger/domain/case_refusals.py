"""The rules of cases: what may be decided on them, when, and on what grounds. As `refusals`, one class a rule."""

from dataclasses import dataclass

from ledger.domain.refusals import Refusal


@dataclass(eq=False)
class CaseUnknown(Refusal):
    """There is no case "{case}"."""

    case: str


@dataclass(eq=False)
class CaseNotOpen(Refusal):
    """The case "{case}" is {state} already."""

    case: str
    state: str


@dataclass(eq=False)
class CaseNotResolved(Refusal):
    """The case "{case}" is {state}, and only a resolved one can be reopened."""

    case: str
    state: str


@dataclass(eq=False)
class CaseInvalid(Refusal):
    """This cannot be done to the case "{case}": {why}."""

    case: str
    why: str


@dataclass(eq=False)
class CaseTooLong(Refusal):
    """The case "{case}" has {count_max} events, which is as many as people may add to."""

    case: str
    count_max: int
