"""What a replay found: every read model computed anew from the log and held against what queries see."""

from datetime import datetime

import msgspec

from ledger.domain.events import Event


class ReplayedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of a read model as it stood at `position`, on both sides.

    `living_digest` and `replayed_digest` are SHA-256 in hex over the accounts' digests, in order of the account.
    `accounts` counts those with rows on either side, `accounts_differing` those whose rows are not the same.
    """

    name: str
    position: int
    accounts: int
    accounts_differing: int
    living_rows: int
    living_digest: str
    replayed_rows: int
    replayed_digest: str


class RowDifference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row that is not the same: its key, and its columns on either side as text; None where it is absent."""

    key: dict[str, str | None]
    living: dict[str, str | None] | None
    replayed: dict[str, str | None] | None


class Divergence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs in one table and account.

    `first_position` is the lowest position of an event that every differing row it belongs to can be blamed on;
    `last_position`, no later than which the two sides part. `candidate` is the one event whose content explains a
    difference exactly: a hint, not a proof. `rows` are the first of `rows_differing`.
    """

    projection: str
    account: str | None
    first_position: int
    last_position: int
    candidate: int | None = None
    rows_differing: int
    rows: tuple[RowDifference, ...] = ()


class Unreadable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event at which the replay could go no further, and why."""

    position: int
    why: str


class ReplayFinished(Event, frozen=True, kw_only=True):
    """Every read model was computed anew from the log up to `position` and compared with the living one.

    `is_equal` where nothing differs. `divergences` are bounded, those with the lowest positions first;
    `divergences_found` counts all. With `unreadable` the log itself could not be folded to the end, and nothing was
    compared.
    """

    TOPIC = "ReplayFinished"

    position: int
    is_equal: bool
    models: tuple[ReplayedModel, ...]
    divergences: tuple[Divergence, ...] = ()
    divergences_found: int = 0
    unreadable: Unreadable | None = None
    started_at: datetime
    milliseconds: int
