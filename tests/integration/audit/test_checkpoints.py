"""Checkpoints cover every event once, are chained and signed, and outlive the keys that signed them."""

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import Connection

from services.integrity import checkpoints as checkpoints_module
from services.integrity.checkpoints import Checkpoint, Checkpoints, OtherKey
from services.integrity.merkle import inclusion_proof, is_included, root_of
from services.integrity.receipts import Receipts
from services.integrity.sealer import LedgerIsOlder, Sealer
from services.integrity.signing import KeyFile, NoSigningKey, SigningKey, is_signed
from services.ledger.hashing import NO_HASH
from services.ledger.ledger import Ledger
from services.ledger.recorder import COLUMNS, chained_event
from services.postgres.database import connect
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys" / "signing.key")


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path / "receipts")


@pytest.fixture
def sealer(key_file: KeyFile, receipts: Receipts, clock: SettableClock) -> Sealer:
    return Sealer(SCHEMA, key_file, receipts, clock)


@pytest.fixture
def lives(ledger: Ledger, clock: SettableClock) -> Lives:
    lives = Lives(ledger, clock)
    lives.start(3)
    return lives


def stored(connection: Connection[Any]) -> list[Checkpoint]:
    return list(Checkpoints(SCHEMA).all(connection))


def hashes(connection: Connection[Any]) -> list[bytes]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM tallystick.ledger_events ORDER BY notification_id")
    return [chained_event(row).hash for row in rows]


def test_every_event_is_covered_once_chained_and_signed(
    lives: Lives, sealer: Sealer, key_file: KeyFile, connection: Connection[Any], clock: SettableClock
) -> None:
    lives.go_on(20)
    first = sealer.seal(connection)
    lives.go_on(30)
    clock.advance(seconds=1.5)
    second = sealer.seal(connection)

    checkpoints = stored(connection)
    assert checkpoints == first + second
    assert sealer.seal(connection) == [], "nothing is new"
    leaves = hashes(connection)
    one, two = checkpoints
    assert (one.number, one.from_position, two.number) == (1, 1, 2)
    assert two.from_position == one.to_position + 1
    assert two.to_position == len(leaves)
    assert one.root == root_of(leaves[: one.to_position])
    assert two.root == root_of(leaves[one.to_position :])
    assert (one.previous_hash, two.previous_hash) == (NO_HASH, one.hash)
    assert one.ledger == two.ledger == leaves[0]
    key = key_file.read()
    assert key is not None
    assert one.public_key == two.public_key == key.public_key
    assert one.is_signed
    assert two.is_signed
    assert stat.S_IMODE(key_file.path.stat().st_mode) == 0o600


def test_the_signature_is_over_canonical_json(lives: Lives, sealer: Sealer, connection: Connection[Any]) -> None:
    (checkpoint,) = sealer.seal(connection)

    text = json.dumps(checkpoint.body, sort_keys=True, separators=(",", ":")).encode()

    assert lives.subscription_ids
    assert checkpoint.body["made_at"] == "2026-01-15T12:00:00.000000Z"
    assert checkpoint.body["key_id"] == sha256(checkpoint.public_key).hexdigest()
    assert checkpoint.hash == sha256(text).digest()
    assert is_signed(text, checkpoint.signature, checkpoint.public_key)


@pytest.mark.parametrize("field", Checkpoint.__struct_fields__)
def test_no_field_can_be_changed_without_breaking_the_signature(
    lives: Lives, sealer: Sealer, connection: Connection[Any], clock: SettableClock, field: str
) -> None:
    (checkpoint,) = sealer.seal(connection)
    value = getattr(checkpoint, field)
    clock.advance(microseconds=1)
    match value:
        case int():
            changed: Any = value + 1
        case bytes():
            changed = bytes([value[0] ^ 1]) + value[1:]
        case None:
            changed = bytes(32)
        case _:
            changed = clock()

    assert checkpoint.is_signed
    assert not replace(checkpoint, **{field: changed}).is_signed
    assert lives.subscription_ids


def test_many_events_give_several_checkpoints(
    lives: Lives, sealer: Sealer, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints_module, "EVENTS_LIMIT", 10)
    lives.go_on(60)

    checkpoints = sealer.seal(connection)

    leaves = hashes(connection)
    assert [each.event_count for each in checkpoints[:-1]] == [10] * (len(checkpoints) - 1)
    assert checkpoints[-1].to_position == len(leaves)
    for position, leaf in enumerate(leaves, start=1):
        covering = Checkpoints(SCHEMA).covering(connection, position)
        assert covering is not None
        tree = Checkpoints(SCHEMA).leaves(connection, covering)
        index = position - covering.from_position
        assert is_included(leaf, index, covering.event_count, inclusion_proof(tree, index), covering.root)
    assert Checkpoints(SCHEMA).covering(connection, len(leaves) + 1) is None


def test_concurrent_sealers_make_one_chain(
    lives: Lives, sealer: Sealer, database_url: str, connection: Connection[Any]
) -> None:
    def seal_often(_number: int) -> None:
        with connect(database_url, autocommit=True) as own:
            for _ in range(10):
                sealer.seal(own)

    with ThreadPoolExecutor(4) as sealers:
        running = [sealers.submit(seal_often, number) for number in range(4)]
        lives.go_on(60)
        for each in running:
            each.result()
    sealer.seal(connection)

    checkpoints = stored(connection)
    assert [each.number for each in checkpoints] == list(range(1, len(checkpoints) + 1))
    assert [each.previous_hash for each in checkpoints] == [NO_HASH, *(each.hash for each in checkpoints[:-1])]
    ends = [0, *(each.to_position for each in checkpoints)]
    assert [each.from_position for each in checkpoints] == [end + 1 for end in ends[:-1]]
    assert ends[-1] == len(hashes(connection))


@pytest.mark.parametrize("change", ["UPDATE {} SET root = root", "DELETE FROM {}", "TRUNCATE {}"])
def test_checkpoints_cannot_be_changed(lives: Lives, sealer: Sealer, connection: Connection[Any], change: str) -> None:
    sealer.seal(connection)
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="is refused"):
        connection.execute(change.format("tallystick.checkpoints"))
    assert lives.subscription_ids


def test_nothing_is_signed_over_a_gap(lives: Lives, sealer: Sealer, connection: Connection[Any]) -> None:
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id = 4")
    with pytest.raises(ValueError, match="no event 4"):
        sealer.seal(connection)
    assert stored(connection) == []
    assert lives.subscription_ids


def test_an_empty_ledger_has_nothing_to_sign(sealer: Sealer, connection: Connection[Any]) -> None:
    assert sealer.seal(connection) == []
    assert sealer.rotate(connection) == []


def test_a_new_key_takes_over_and_the_old_one_vouches_for_it(
    lives: Lives, sealer: Sealer, key_file: KeyFile, connection: Connection[Any]
) -> None:
    sealer.seal(connection)
    old = key_file.read()
    lives.go_on(10)

    covering, last_of_old, first_of_new = sealer.rotate(connection)

    new = key_file.read()
    assert old is not None
    assert new is not None
    assert old.public_key == covering.public_key == last_of_old.public_key
    assert new.public_key == first_of_new.public_key == last_of_old.next_public_key
    assert last_of_old.next_key_id == new.key_id != old.key_id
    assert all(each.is_signed for each in stored(connection)), "old evidence still verifies"
    lives.go_on(10)
    (after,) = sealer.seal(connection)
    assert after.public_key == new.public_key


def test_a_hand_over_that_was_cut_short_is_finished(
    lives: Lives, sealer: Sealer, key_file: KeyFile, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_key_file: KeyFile) -> None:
        raise OSError("cut short")

    with monkeypatch.context() as patch:
        patch.setattr(KeyFile, "adopt", die)
        with pytest.raises(OSError, match="cut short"):
            sealer.rotate(connection)
    lives.go_on(10)

    (after,) = sealer.seal(connection)

    key = key_file.read()
    assert key is not None
    assert after.public_key == key.public_key == stored(connection)[-2].public_key


def test_another_key_may_not_sign_unless_it_replaces_a_lost_one(
    lives: Lives, sealer: Sealer, key_file: KeyFile, connection: Connection[Any]
) -> None:
    (first,) = sealer.seal(connection)
    key_file.path.unlink()
    lives.go_on(10)

    with pytest.raises(OtherKey, match=first.key_id):
        sealer.seal(connection)
    checkpoints = sealer.replace_lost_key(connection)

    assert checkpoints[0].public_key != first.public_key
    assert checkpoints[0].previous_hash == first.hash
    assert sealer.seal(connection) == []


def test_a_key_made_by_openssl_is_accepted_and_other_files_are_not(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    encoded = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"
    path.write_text(f"-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n")
    # The first test vector of RFC 8032, 7.1.
    key = SigningKey.read(path)
    assert key.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")

    path.write_text("no key")
    with pytest.raises(NoSigningKey, match="holds no private key"):
        SigningKey.read(path)
    with pytest.raises(FileExistsError):
        key.write(path)


def test_an_older_state_of_the_ledger_is_not_signed(
    lives: Lives, sealer: Sealer, receipts: Receipts, connection: Connection[Any]
) -> None:
    sealer.seal(connection)
    lives.go_on(10)
    sealer.seal(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM tallystick.checkpoints WHERE number = 2")

    with pytest.raises(LedgerIsOlder, match="newest checkpoint is 1, but 2 were made here"):
        sealer.seal(connection)

    receipts.path(stored(connection)[0].ledger).unlink()
    assert [each.number for each in sealer.seal(connection)] == [2]
