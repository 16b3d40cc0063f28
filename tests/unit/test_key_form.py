"""The form of a key: long enough, and told from a mistyped one by itself."""

import re

import pytest

from services.keys.form import hash_of, is_mistyped, new_key_id, new_secret

KEY = "tsk_h5q2wmzt_0123456789ABCDEFGHIJKLMNOPQRSTUV"


def test_a_key_is_its_id_a_secret_and_a_checksum() -> None:
    key_id = new_key_id()

    assert re.fullmatch(rf"tsk_{key_id}_[0-9A-Za-z]{{38}}", new_secret(key_id))
    assert len({new_secret(key_id) for _ in range(100)}) == 100


def test_any_character_that_is_mistyped_is_seen() -> None:
    key = new_secret("h5q2wmzt")
    secret = key.rindex("_") + 1
    others = [key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :] for at in range(secret, len(key))]
    swapped = [
        key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(secret, len(key) - 1) if key[at] != key[at + 1]
    ]

    assert not is_mistyped(key)
    assert all(map(is_mistyped, others))
    assert all(map(is_mistyped, swapped))


@pytest.mark.parametrize("secret", ["", "tsk_", "ts_h5q2wmzt_secret", KEY[:-1], "a key that an operator has chosen"])
def test_what_has_not_the_form_may_be_a_key_of_another_form(secret: str) -> None:
    assert not is_mistyped(secret)


def test_a_version_before_does_not_find_a_key_of_this_form() -> None:
    assert hash_of(KEY) == hash_of(KEY.removeprefix("tsk_"))
    assert hash_of("ts_before_secret").hex() == "d7df01e4b1a4f91e2c8d9c63cd430db29b532fa1179d4e8e54c81dfec062da52"
