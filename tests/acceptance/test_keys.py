"""Keys as operators handle them: expiry, rotation, history, last use; and that a change holds within five seconds."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.errors import IntegrityConstraintViolation

from services.keys import FIRST_KEY_ID, CannotChange, KeyRing
from tests.acceptance.server import Server
from tests.acceptance.test_access import get_plans
from tests.waiting import wait_until


class Seconds:
    """A monotonic clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def ring(server: Server, seconds: Seconds) -> KeyRing:
    """The keys as another process has them cached."""
    return KeyRing(server.backend.reads, server.backend.schema, "ada@ops", monotonic=seconds)


def test_a_key_expires(ring: KeyRing, server: Server) -> None:
    key = ring.create("for a day", ["read"], expires_in=86_400)
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
    assert ring.authenticate(key.key) is not None

    with server.backend.reads.connection() as connection:
        connection.execute("UPDATE tallystick.api_keys SET expires_at = now() WHERE key_id = %s", [key.key_id])

    assert get_plans(server, key.key).status_code == 401
    with pytest.raises(CannotChange):
        ring.rotate(key.key_id, 60)


def test_a_key_that_is_cached_ends_at_its_instant(ring: KeyRing, seconds: Seconds) -> None:
    key = ring.create("for two seconds", ["read"], expires_in=2)
    assert ring.authenticate(key.key) is not None

    seconds.now += 2
    assert ring.known(key.key) is None


def test_while_a_key_is_rotated_it_has_two_secrets(ring: KeyRing, seconds: Seconds, server: Server) -> None:
    first = ring.create("backend", ["read"])
    second = ring.rotate(first.key_id, 60)
    found = [ring.authenticate(each.key) for each in (first, second)]

    assert second.key_id == first.key_id
    assert second.key != first.key
    assert found[0] == found[1] is not None

    third = ring.rotate(first.key_id, 60)
    seconds.now += 5
    assert [ring.authenticate(each.key) is not None for each in (first, second, third)] == [False, True, True]

    with server.backend.reads.connection() as connection:
        connection.execute("UPDATE tallystick.api_keys SET previous_until = now()")
    seconds.now += 5
    assert [ring.authenticate(each.key) is not None for each in (second, third)] == [False, True]


def test_without_an_overlap_the_secret_before_ends_within_five_seconds(ring: KeyRing, seconds: Seconds) -> None:
    first = ring.create("backend", ["read"])
    assert ring.authenticate(first.key) is not None
    second = ring.rotate(first.key_id, 0)

    seconds.now += 5
    assert ring.authenticate(first.key) is None
    assert ring.authenticate(second.key) is not None


def test_revoking_ends_both_secrets(ring: KeyRing, seconds: Seconds) -> None:
    first = ring.create("backend", ["read"])
    second = ring.rotate(first.key_id, 60)
    assert ring.authenticate(first.key) is not None

    ring.revoke(first.key_id)
    seconds.now += 5

    assert [ring.authenticate(each.key) for each in (first, second)] == [None, None]
    with pytest.raises(CannotChange):
        ring.rotate(first.key_id, 60)


def test_it_is_recorded_who_did_what(ring: KeyRing) -> None:
    before = ring.history()
    key = ring.create("backend", ["read", "charge"])
    ring.rotate(key.key_id, 60)
    ring.revoke(key.key_id)

    changes = ring.history()[len(before) :]
    (record,) = [each for each in ring.list() if each.key_id == key.key_id]
    assert [(each.key_id, each.action, each.by) for each in changes] == [
        (key.key_id, action, "ada@ops") for action in ("created", "rotated", "revoked")
    ]
    assert (record.created_by, record.created_at, record.revoked_at) == ("ada@ops", changes[0].at, changes[2].at)


@pytest.mark.parametrize("change", [b"UPDATE {} SET changed_by = 'x'", b"DELETE FROM {}", b"TRUNCATE {}"])
def test_the_history_of_keys_does_not_change(server: Server, change: bytes) -> None:
    statement = change.replace(b"{}", b"tallystick.api_key_changes")
    with server.backend.reads.connection() as connection, pytest.raises(IntegrityConstraintViolation):
        connection.execute(statement)


def test_the_last_use_is_noted_to_the_minute(server: Server, ring: KeyRing) -> None:
    key = ring.create("backend", ["read"])

    def last_used_at() -> datetime | None:
        return next(each.last_used_at for each in ring.list() if each.key_id == key.key_id)

    assert last_used_at() is None
    assert get_plans(server, key.key).status_code == 200
    first = wait_until(last_used_at)
    assert first is not None

    KeyRing(server.backend.reads, server.backend.schema, "another process").authenticate(key.key)
    ring.note_uses()
    assert last_used_at() == first


def test_a_mistyped_key_is_told(server: Server, ring: KeyRing) -> None:
    key = ring.create("backend", ["read"]).key
    mistyped = key[:-8] + ("A" if key[-8] != "A" else "B") + key[-7:]

    answer = get_plans(server, mistyped)

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.json()["detail"] == "The API key is mistyped: its last six characters do not fit the rest."


def test_a_configured_key_may_have_any_form(ring: KeyRing) -> None:
    configured = "tsk_mine_0123456789012345678901234567890123456z"

    ring.ensure_bootstrap(configured)

    key = ring.authenticate(configured)
    assert key is not None
    assert key.key_id == FIRST_KEY_ID


def test_a_start_does_not_bring_back_a_secret_that_was_rotated_away(ring: KeyRing, seconds: Seconds) -> None:
    ring.ensure_bootstrap("the secret of the settings, which stays there")
    rotated = ring.rotate(FIRST_KEY_ID, 0)
    seconds.now += 5

    ring.ensure_bootstrap("the secret of the settings, which stays there")

    assert ring.authenticate("the secret of the settings, which stays there") is None
    assert ring.authenticate(rotated.key) is not None
    actions = [each.action for each in ring.history() if each.key_id == FIRST_KEY_ID]
    assert actions == ["created", "rotated"]


def test_a_caller_who_sees_everything_costs_no_query_more(
    server: Server, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[bytes] = []
    run = server.backend.keys._run

    def counted(query: str, **arguments: object) -> object:
        queries.append(query.encode())
        return run(query, **arguments)

    monkeypatch.setattr(server.backend.keys, "_run", counted)
    monkeypatch.setattr("projections.renewal.queries.RenewalQueries.accounts", None)
    with server.client() as client:
        for _ in range(10):
            assert client.get("/v1/subscriptions/5b1f7a3e-90c4-4c55-8f0e-2f6d2a9d7c11/balance").status_code == 404
    assert queries.count(b"find_key") <= 1
