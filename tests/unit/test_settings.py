"""Settings come from the environment, and nothing that looks like one is passed over."""

import pytest
from pydantic import ValidationError

from services.config import UnknownSettings, load_settings


def test_a_variable_that_is_no_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_TEST_CLOCK", "true")
    monkeypatch.setenv("TALLYSTICK_RATE_LIMITS", "")

    with pytest.raises(UnknownSettings, match="no such setting: TALLYSTICK_RATE_LIMITS, TALLYSTICK_TEST_CLOCK"):
        load_settings()


def test_every_setting_and_the_folder_of_secrets_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_SECRETS_DIR", "/nowhere")
    monkeypatch.setenv("TALLYSTICK_PORT", "8123")
    monkeypatch.setenv("TALLYSTICKS", "others")

    assert load_settings().port == 8123


@pytest.mark.parametrize("key", ["x", "a" * 31, "a key with spaces " * 3, "ключ" * 10])
def test_a_key_that_can_be_guessed_stops_the_start(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("TALLYSTICK_BOOTSTRAP_KEY", key)

    with pytest.raises(ValidationError, match="32 to 512 visible ASCII characters") as refused:
        load_settings()
    assert repr(key) not in str(refused.value)
