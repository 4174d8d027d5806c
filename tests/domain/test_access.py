"""API keys: made, revoked, recognised, and what their roles allow."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.domain.access import GRANTS, ROLES, IssueKey, KeyEvent, RevokeKey, decide, evolve, is_good, may, secret_hash
from ledger.domain.events import KeyIssued, KeyRevoked
from ledger.domain.refusals import KeyInvalid, KeyUnknown, NameInvalid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ISSUED = KeyIssued(key_id="k1", name="CI", secret_sha256=secret_hash("s3cret"), roles=("ingest",), expires_at=LATER)
ISSUE = IssueKey("k1", "CI", secret_hash("s3cret"), ("ingest",), None, LATER)
REVOKED = KeyRevoked(key_id="k1")


def state(past: list[KeyEvent]) -> KeyIssued | None:
    now: KeyIssued | None = None
    for event in past:
        now = evolve(now, event)
    return now


def test_a_key_is_issued_and_revoked() -> None:
    assert decide(None, ISSUE, now=NOW) == [ISSUED]
    assert decide(state([ISSUED]), RevokeKey("k1"), now=NOW) == [REVOKED]


@pytest.mark.parametrize("past", [[], [ISSUED, REVOKED]])
def test_only_a_living_key_is_revoked(past: list[KeyEvent]) -> None:
    with pytest.raises(KeyUnknown):
        decide(state(past), RevokeKey("k1"), now=NOW)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (ISSUE._replace(roles=()), "roles"),
        (ISSUE._replace(roles=("ingest", "root")), "roles"),
        (ISSUE._replace(expires_at=NOW), "expire"),
        (ISSUE._replace(expires_at=NOW - timedelta(days=1)), "expire"),
    ],
)
def test_a_key_that_could_do_nothing_is_refused(command: IssueKey, why: str) -> None:
    with pytest.raises(KeyInvalid, match=why):
        decide(None, command, now=NOW)


def test_a_key_needs_a_name_and_an_id_of_its_own() -> None:
    with pytest.raises(NameInvalid):
        decide(None, ISSUE._replace(name=""), now=NOW)
    with pytest.raises(KeyInvalid, match="taken"):
        decide(ISSUED, ISSUE, now=NOW)


def test_a_key_is_good_with_its_secret_until_it_expires() -> None:
    assert is_good(ISSUED, "s3cret", NOW)
    assert not is_good(ISSUED, "secret", NOW)
    assert is_good(ISSUED, "s3cret", LATER - timedelta.resolution)
    assert not is_good(ISSUED, "s3cret", LATER)


def test_a_key_without_an_end_does_not_expire() -> None:
    [issued] = decide(None, ISSUE._replace(expires_at=None), now=NOW)
    assert isinstance(issued, KeyIssued)
    assert is_good(issued, "s3cret", datetime.max.replace(tzinfo=UTC))


def test_a_key_may_what_any_of_its_roles_grants() -> None:
    assert may(ISSUED, "record_usage")
    assert not may(ISSUED, "read_usage")
    both = KeyIssued(key_id="k2", name="both", secret_sha256="", roles=("ingest", "viewer"))
    assert may(both, "record_usage")
    assert may(both, "read_usage")


def test_every_role_grants_something_and_nobody_grants_what_nobody_checks() -> None:
    assert set(GRANTS) == set(ROLES)
    assert all(GRANTS.values())
    assert "record_usage" not in GRANTS["viewer"] | GRANTS["ops"] | GRANTS["approver"] | GRANTS["auditor"]
    assert all(not right.startswith(("write", "mend", "record")) for right in GRANTS["auditor"])
