"""The rules of adjustments: who may decide on them, what they may say, until when. As `refusals`, one class a rule."""

from dataclasses import dataclass
from datetime import datetime

from ledger.domain.refusals import Refusal


@dataclass(eq=False)
class PersonRequired(Refusal):
    """The API key {key_id} belongs to no person. Use one that was issued with --person."""

    key_id: str


@dataclass(eq=False)
class FourEyes(Refusal):
    """The adjustment "{adjustment}" was proposed by {proposed_by}: another person must decide on it."""

    adjustment: str
    proposed_by: str


@dataclass(eq=False)
class ProposerRequired(Refusal):
    """The adjustment "{adjustment}" was proposed by {proposed_by}, who alone may withdraw it."""

    adjustment: str
    proposed_by: str


@dataclass(eq=False)
class AdjustmentUnknown(Refusal):
    """The account "{account}" has no adjustment "{adjustment}"."""

    account: str
    adjustment: str


@dataclass(eq=False)
class AdjustmentExists(Refusal):
    """The account "{account}" has another adjustment "{adjustment}" already. Choose another key."""

    account: str
    adjustment: str


@dataclass(eq=False)
class AdjustmentDecided(Refusal):
    """The adjustment "{adjustment}" is {state} already."""

    adjustment: str
    state: str


@dataclass(eq=False)
class AdjustmentExpired(Refusal):
    """The adjustment "{adjustment}" could be decided on until {expires_at}. Propose it again under another key."""

    adjustment: str
    expires_at: datetime


@dataclass(eq=False)
class AdjustmentInvalid(Refusal):
    """The adjustment "{adjustment}" cannot be made like this: {why}."""

    adjustment: str
    why: str


@dataclass(eq=False)
class AdjustmentsTooMany(Refusal):
    """The account "{account}" has {count_max} adjustments, which is as many as it may have."""

    account: str
    count_max: int


@dataclass(eq=False)
class AdjustmentNotReversible(Refusal):
    """The adjustment "{adjustment}" cannot be reversed: it is {state}, and only approved ones can be, once."""

    adjustment: str
    state: str


@dataclass(eq=False)
class MoneyRequired(Refusal):
    """The charge "{charge}" prices each event of the meter "{meter}" alone. Adjust it in money instead."""

    charge: str
    meter: str


@dataclass(eq=False)
class EvidenceUnknown(Refusal):
    """There is no {kind} "{reference}" that the adjustment could rest on."""

    kind: str
    reference: str


@dataclass(eq=False)
class ReasonCodeInvalid(Refusal):
    """The reason code "{reason}" cannot be added like this: {why}."""

    reason: str
    why: str


@dataclass(eq=False)
class ReasonCodeExists(Refusal):
    """The reason code "{reason}" is there already, or was retired. Choose another."""

    reason: str


@dataclass(eq=False)
class ReasonCodeUnknown(Refusal):
    """There is no reason code "{reason}"."""

    reason: str
