"""`ledger verify` and `ledger seals` as an auditor meets them."""

import base64
import json
from pathlib import Path

import pytest

from ledger.domain.proof_files import ProofFile, check, read
from ledger.domain.tree_heads import PublicKey, SealUnsound, public_key
from ledger.sealing.guards import guards_missing
from ledger.sealing.keys import rotate
from tests.log.ledgers import Ledger, owner
from tests.seals.sealed import event, fill, sealing
from tests.test_cli import assert_one_sentence
from tests.test_cli import ledger as command


async def seal(ledger: Ledger, tmp_path: Path, events: int = 30) -> None:
    async with sealing(ledger, tmp_path / "keys", str(tmp_path / "heads")) as sealer:
        await fill(ledger, sealer, events, heads=3)
        await sealer.publish()


async def test_a_sound_log_is_told_to_be_sound(ledger: Ledger, tmp_path: Path) -> None:
    await seal(ledger, tmp_path)
    await ledger.log.append([event(31)])
    key = command("seals", "keys", LEDGER_DATABASE_URL=ledger.url).stdout.strip()
    arguments = ["--key", key, "--heads", str(tmp_path / "heads")]
    found = command("verify", *arguments, LEDGER_DATABASE_URL=ledger.url)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "30 events are sealed under 3 heads; 1 are not sealed yet." in found.stdout
    assert "3 published heads were compared." in found.stdout
    assert "Every sealed event is what it was when it was sealed." in found.stdout
    assert "No --key was given" in command("verify", LEDGER_DATABASE_URL=ledger.url).stdout


async def test_an_altered_log_is_told_with_the_place(ledger: Ledger, tmp_path: Path) -> None:
    await seal(ledger, tmp_path)
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events disable trigger user")
        await connection.execute("update events set account = 'other' where position = 17")
        await connection.execute("delete from events where position = 20")
    found = command("verify", LEDGER_DATABASE_URL=ledger.url)
    assert found.returncode == 1
    assert "changed: 1 events, the first at position 17." in found.stdout
    assert "removed: 1 events, the first at position 20." in found.stdout
    assert "No trigger refuses update and delete on events." in found.stdout


async def test_a_log_that_was_never_sealed_is_told_so(ledger: Ledger) -> None:
    await ledger.log.append([event(1)])
    found = command("verify", LEDGER_DATABASE_URL=ledger.url)
    assert found.returncode == 0
    assert "0 events are sealed under 0 heads; 1 are not sealed yet." in found.stdout
    assert_one_sentence(command("seals", "keys", LEDGER_DATABASE_URL=ledger.url), "never sealed")
    assert_one_sentence(command("seals", "rotate", LEDGER_DATABASE_URL=ledger.url), "LEDGER_SEAL_KEYS is not set")
    assert_one_sentence(command("seals", "proof", "1", LEDGER_DATABASE_URL=ledger.url), "no sealed event at position 1")


async def test_a_proof_is_checked_without_a_database(ledger: Ledger, tmp_path: Path) -> None:
    await seal(ledger, tmp_path)
    made = command("seals", "proof", "12", LEDGER_DATABASE_URL=ledger.url).stdout
    key = command("seals", "keys", LEDGER_DATABASE_URL=ledger.url).stdout
    (tmp_path / "proof.json").write_text(made)
    (tmp_path / "key").write_text(key)
    nowhere = {"LEDGER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    found = command("verify", "--proof", str(tmp_path / "proof.json"), "--key", str(tmp_path / "key"), **nowhere)
    assert found.returncode == 0, found.stderr
    assert "signed a log of 30 events that has this one" in found.stdout
    assert "position: 12" in found.stdout

    proof = json.loads(made)
    proof["entry"] = base64.b64encode(base64.b64decode(proof["entry"]).replace(b'"number"', b'"numbex"')).decode()
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    found = command("verify", "--proof", str(tmp_path / "proof.json"), "--key", key.strip(), **nowhere)
    assert found.returncode == 1
    assert "The proof does not hold" in found.stdout
    for arguments, said in (
        (["--proof", "absent.json", "--key", key.strip()], "absent.json cannot be read"),
        (["--proof", str(tmp_path / "proof.json")], "give the public key with --key"),
        (["--key", str(tmp_path / "proof.json")], "cannot be used as a key"),
        (["--key", "nonsense"], "cannot be read"),
    ):
        assert_one_sentence(command("verify", *arguments, **nowhere), said)


async def test_keys_are_rotated_by_command(ledger: Ledger, tmp_path: Path) -> None:
    await seal(ledger, tmp_path)
    ours = {"LEDGER_DATABASE_URL": ledger.url, "LEDGER_SEAL_KEYS": str(tmp_path / "keys")}
    made = command("seals", "rotate", **ours).stdout.strip()
    assert command("seals", "keys", **ours).stdout.split()[1:] == [made]
    async with sealing(ledger, tmp_path / "keys") as sealer:
        await fill(ledger, sealer, 5, heads=1, start=31)
    assert command("verify", **ours).returncode == 0
    ours["LEDGER_SEAL_KEYS"] = str(tmp_path / "elsewhere")
    assert_one_sentence(command("seals", "rotate", **ours), "cannot be used to seal the log")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("alter table events disable trigger events_are_immutable", "update and delete on events"),
        ("alter table events enable trigger events_are_not_truncated", "truncate on events"),
        ("drop trigger tree_heads_are_immutable on tree_heads", "update and delete on tree_heads"),
        (
            "create or replace function refuse_change() returns trigger language plpgsql as 'begin return new; end'",
            "refuse_change",
        ),
        ("grant update on events to ledger_service", "The role ledger_service may update events."),
        ("grant delete on tree_hashes to public", "The role public may delete tree_hashes."),
        ("alter table seal_keys owner to ledger_service", "The table seal_keys belongs to ledger_service"),
        ("alter table events enable row level security", "row security"),
    ],
)
async def test_a_guard_that_is_gone_is_told(ledger: Ledger, change: str, said: str) -> None:
    async with owner(ledger.url) as connection:
        assert await guards_missing(connection) == []
        await connection.execute(change)
        [sentence] = await guards_missing(connection)
        assert said in sentence


async def proof_of(ledger: Ledger, tmp_path: Path) -> tuple[ProofFile, PublicKey]:
    await seal(ledger, tmp_path)
    made = command("seals", "proof", "12", LEDGER_DATABASE_URL=ledger.url).stdout
    return read(made.encode()), public_key(command("seals", "keys", LEDGER_DATABASE_URL=ledger.url).stdout)


async def test_every_altered_part_of_a_proof_is_found(ledger: Ledger, tmp_path: Path) -> None:
    proof, key = await proof_of(ledger, tmp_path)
    assert check(proof, [key])[0].position == 12
    entry = bytearray(base64.b64decode(proof.entry))
    for at in range(len(entry)):
        entry[at] ^= 1
        with pytest.raises(SealUnsound):
            check(ProofFile(base64.b64encode(entry).decode(), 11, 30, proof.path, proof.head), [key])
        entry[at] ^= 1
    for other in (
        ProofFile(proof.entry, 10, 30, proof.path, proof.head),
        ProofFile(proof.entry, 11, 29, proof.path, proof.head),
        ProofFile(proof.entry, 11, 30, proof.path[1:], proof.head),
        ProofFile(proof.entry, 11, 30, proof.path[::-1], proof.head),
        ProofFile(proof.entry, -1, 30, proof.path, proof.head),
        ProofFile("?", 11, 30, proof.path, proof.head),
    ):
        with pytest.raises(SealUnsound):
            check(other, [key])
    with pytest.raises(SealUnsound):
        check(proof, [])


async def test_a_key_of_the_middle_is_not_named_by_the_end(ledger: Ledger, tmp_path: Path) -> None:
    """Trust goes forward only: who knows just the newest key learns nothing of what an older one signed."""
    await seal(ledger, tmp_path)
    async with sealing(ledger, tmp_path / "keys") as sealer:
        newest = await rotate(sealer._connection, tmp_path / "keys")
    found = command("verify", "--key", str(newest), LEDGER_DATABASE_URL=ledger.url)
    assert found.returncode == 1
    assert "not signed by a key that is known" in found.stdout
