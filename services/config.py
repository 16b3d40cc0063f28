"""Reads the settings from the environment and from secret files. `docs/reference/configuration.md` lists them."""

import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.log.keys import is_key_name

SECRETS_DIR = "TALLYSTICK_SECRETS_DIR"


_STRONG = re.compile(r"[\x21-\x7e]{32,512}")


def _strong(key: SecretStr) -> SecretStr:
    if not _STRONG.fullmatch(key.get_secret_value()):
        raise ValueError("a key is 32 to 512 visible ASCII characters, which nobody can guess")
    return key


def _key_name(origin: str) -> str:
    if not is_key_name(origin):
        raise ValueError("an origin has no spaces and no plus, such as ledger.example/1")
    return origin


class Settings(BaseSettings):
    """Every setting of Tallystick. Raises pydantic.ValidationError naming those that are invalid."""

    model_config = SettingsConfigDict(
        env_prefix="TALLYSTICK_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    """A PostgreSQL 15+ to use; empty: the embedded one in `data_dir`."""

    db_schema: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "tallystick"
    """The schema of the ledger; one ledger is one schema."""

    data_dir: Path = Path(".tallystick")
    """The folder of the embedded PostgreSQL and the first key."""

    host: str = "127.0.0.1"
    """The address that the API listens on."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port that the API listens on."""

    bootstrap_key: Annotated[SecretStr, AfterValidator(_strong)] | None = None
    """An API key with every scope, for the first start: at least 32 visible ASCII characters."""

    signing_key: Path | None = None
    """The Ed25519 private key that signs checkpoints, in PEM; empty: `signing.key` in `data_dir`, made at first use."""

    checkpoint_seconds: Annotated[float, Field(ge=0)] = 10.0
    """The time between signed checkpoints that the projector makes; 0: it makes none."""

    log_origin: Annotated[str, AfterValidator(_key_name)] | None = None
    """The origin of the ledger's log, chosen when the ledger is made; empty: one that is made up."""

    witnesses: Path | None = None
    """A policy file (C2SP tlog-policy) of the witnesses that are asked to cosign checkpoints; empty: none."""

    catalogue: Path | None = None
    """A catalogue in TOML; empty: the packaged one."""

    webhooks_allow_private: bool = False
    """Whether webhooks may go to private, loopback and link-local addresses. Never where others make endpoints."""

    test_clocks: bool = False
    """Whether test clocks can be made and moved. Never in production."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """The number of API processes."""

    rate_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The requests a second that each key may make of each API process; empty: any number."""

    log_format: Literal["text", "json"] = "text"
    """The form of log lines."""

    access_log: bool = False
    """Whether each request has a line in the log, whatever the level."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written."""

    @cached_property
    def url(self) -> str | None:
        """The database URL in clear; None where the embedded PostgreSQL is to be used."""
        return self.database_url.get_secret_value() if self.database_url else None


class UnknownSettings(ValueError):
    """Variables of the environment look like settings and are none."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(f"no such setting: {', '.join(sorted(names))}")


def load_settings() -> Settings:
    """The settings of this process. A variable of the environment has precedence over a secret file.

    Secret files lie in `/run/secrets` (or in `TALLYSTICK_SECRETS_DIR`), each with the name of its setting:
    `tallystick_database_url`, `tallystick_bootstrap_key`.

    Raises pydantic.ValidationError; UnknownSettings for a variable with the prefix of a setting that is none, since a
    misspelt setting would silently have its default.
    """
    prefix = str(Settings.model_config.get("env_prefix"))
    known = {SECRETS_DIR, *(prefix + name.upper() for name in Settings.model_fields)}
    if unknown := [name for name in os.environ if name.upper().startswith(prefix) and name.upper() not in known]:
        raise UnknownSettings(unknown)
    secrets_dir = Path(os.environ.get(SECRETS_DIR, "/run/secrets"))
    return Settings(_secrets_dir=secrets_dir if secrets_dir.is_dir() else None)
