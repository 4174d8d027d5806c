"""Random histories of a ledger, for Hypothesis: what happened, in any order, sensible or not."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st

from ledger.domain.accounts import (
    AccountCommand,
    AliasAccount,
    ChangeAccountZone,
    OpenAccount,
    RemoveAccountAlias,
    RenameAccount,
)
from ledger.domain.events import UsageRecorded
from ledger.domain.metering import Aggregation, Filter, MeterDefinition
from ledger.domain.meters import ChangeMeter, DefineMeter, MeterCommand, RetireMeter
from ledger.domain.refusals import Refusal
from tests.projections.worlds import World

ACCOUNTS = ("a", "b")
METERS = ("m", "n")
ZONES = ("UTC", "Europe/Paris", "America/St_Johns", "Asia/Kathmandu")
FIRST = datetime(2026, 3, 27, 20, tzinfo=UTC)
"""The histories lie around 29 March 2026, a day of 23 hours in Paris."""
FAR_AHEAD = datetime(2099, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """Usage in one request; the same id again is a duplicate or, with other content, a conflict."""

    usage: Sequence[UsageRecorded]


class Mend(NamedTuple):
    """A person puts right the held event that is `number`-th in the log, counted round."""

    number: int
    changes: dict[str, Any]


class Dismiss(NamedTuple):
    """A person turns down the held event that is `number`-th in the log, counted round."""

    number: int


class Amend(NamedTuple):
    """A person puts right the usage event that is `number`-th from the end of the log, counted round."""

    number: int
    changes: dict[str, Any]


class Void(NamedTuple):
    """A person takes out the usage event that is `number`-th from the end of the log, counted round."""

    number: int


class Project(NamedTuple):
    """The projector takes some steps of a size."""

    steps: int
    size: int


Happening = AccountCommand | MeterCommand | Told | Mend | Dismiss | Amend | Void | Project

# Sampled from lists in which what matters most stands most often: most usage is to count, so that errors show.
names = st.sampled_from("aaabbxxy")
accounts = st.sampled_from(ACCOUNTS)
zones = st.sampled_from(ZONES)
types = st.sampled_from(("t", "t", "t", "u", "u", "never"))
times = st.integers(0, 5 * 96).map(lambda quarter: FIRST + timedelta(minutes=15 * quarter))
numbers = [*range(-4, 20), Decimal("0.001"), Decimal("2.50"), Decimal(-3), Decimal("1E+19"), "7", "2.50"]
properties = st.fixed_dictionaries(
    {"v": st.sampled_from([*numbers, *numbers, "many", True, None, Decimal("1E+30")])},
    optional={
        "d": st.sampled_from(["p", "p", "q", 1, Decimal("1.0"), None, []]),
        "e": st.sampled_from(["r", True]),
        "op": st.sampled_from(["add", "remove"]),
    },
)
usages = st.builds(
    UsageRecorded,
    source=st.just("s"),
    id=st.integers(0, 60).map(str),
    type=types,
    subject=names,
    time=st.integers(0, 19).flatmap(lambda number: times if number else st.just(FAR_AHEAD)),
    data=properties,
)


@st.composite
def definitions(draw: st.DrawFn, event_types: st.SearchStrategy[str] = types) -> MeterDefinition:
    aggregation = draw(st.sampled_from(get_args(Aggregation)))
    return MeterDefinition(
        name="M",
        event_type=draw(event_types),
        aggregation=aggregation,
        property=None if aggregation == "count" else "v",
        filters=draw(st.sampled_from([(), (), (Filter(property="e", values=("r", None)),)])),
        dimensions=draw(st.sampled_from([(), ("d",), ("d", "e")])),
        operation_property="op",
        carries_over=draw(st.booleans()),
    )


told = st.builds(Told, st.lists(usages, min_size=3, max_size=12))
corrections = st.fixed_dictionaries(
    {}, optional={"subject": names, "event_type": types, "time": times, "properties": properties}
)
decisions: list[st.SearchStrategy[Happening]] = [
    st.builds(OpenAccount, names, st.just("Name"), zones),
    st.builds(AliasAccount, accounts, names),
    st.builds(RemoveAccountAlias, accounts, names),
    st.builds(ChangeAccountZone, accounts, zones),
    st.builds(RenameAccount, accounts, st.just("Other")),
    st.builds(DefineMeter, st.sampled_from(METERS), definitions()),
    st.builds(ChangeMeter, st.sampled_from(METERS), definitions()),
    st.builds(RetireMeter, st.sampled_from(METERS), times),
    st.builds(Dismiss, st.integers(0, 9)),
    st.builds(Mend, st.integers(0, 9), corrections),
    st.builds(Void, st.integers(0, 9)),
    st.builds(Amend, st.integers(0, 9), corrections),
]
projections = st.builds(Project, st.integers(1, 4), st.integers(1, 9))
# `one_of` would draw from each strategy as often as from any other, however often it is named.
happenings: st.SearchStrategy[Happening] = st.sampled_from([*decisions, *[told] * 5, *[projections] * 3]).flatmap(
    lambda strategy: strategy
)
# Two accounts and two meters come to be in any history; anything may happen before, between and after.
beginnings: st.SearchStrategy[tuple[Happening, ...]] = st.tuples(
    st.builds(OpenAccount, st.just("a"), st.just("A"), zones),
    st.builds(OpenAccount, st.just("b"), st.just("B"), zones),
    st.builds(DefineMeter, st.just("m"), definitions(st.just("t"))),
    st.builds(DefineMeter, st.just("n"), definitions(st.just("u"))),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    history: list[Happening] = []
    for beginning in draw(st.permutations(draw(beginnings))):
        history.extend(draw(st.lists(told, max_size=1)))
        history.append(beginning)
    return [*history, *draw(st.lists(happenings, min_size=6, max_size=25)), draw(told)]


async def live_through(world: World, history: Sequence[Happening], resize: Callable[[int], None]) -> None:
    """Let a history happen; what breaks a rule is refused and does not happen."""
    for happening in history:
        try:
            await _happen(world, happening, resize)
        except Refusal:
            continue


async def _happen(world: World, happening: Happening, resize: Callable[[int], None]) -> None:
    match happening:
        case Told():
            await world.tell(*happening.usage)
        case Project():
            resize(happening.size)
            for _ in range(happening.steps):
                await world.projector.step()
        case Mend():
            await world.mend(await _held(world, happening.number), **happening.changes)
        case Dismiss():
            await world.dismiss(await _held(world, happening.number))
        case Amend():
            await world.amend(await _told(world, happening.number), **happening.changes)
        case Void():
            await world.void(await _told(world, happening.number))
        case DefineMeter() | ChangeMeter() | RetireMeter():
            await world.meter(happening)
        case _:
            await world.account(happening)


async def _held(world: World, number: int) -> int:
    """The position of a held event, or of some other where none is held: the command is refused then."""
    await world.project()
    held = [one.position for one in await world.held()]
    return held[number % len(held)] if held else number


async def _told(world: World, number: int) -> int:
    """The position of a usage event, or of some other where there is none: the command is refused then."""
    rows = await world.ledger.pool.fetch(
        "select position from events where topic in ('UsageRecorded', 'UsageMended') order by position desc"
    )
    return int(rows[number % len(rows)]["position"]) if rows else number
