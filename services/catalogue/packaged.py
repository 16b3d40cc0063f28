"""Reads the catalogue that comes with Tallystick; since it touches a file, only the composition root uses it."""

from importlib.resources import files

PACKAGED_SOURCE = "services/catalogue/default.toml"


def packaged() -> str:
    """Read the TOML text of the packaged catalogue; `PACKAGED_SOURCE` names it in errors."""
    return files("services.catalogue").joinpath("default.toml").read_text(encoding="utf-8")
