"""The reference names what there is, and nothing that is not there."""

import re
from pathlib import Path

from services.config import Settings

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs/reference/configuration.md").read_text()


def test_every_setting_is_documented_with_its_default() -> None:
    documented = dict(re.findall(r"^\| `(TALLYSTICK_\w+)` \| (?:`([^`]*)`)? ?\|", CONFIGURATION, re.MULTILINE))
    actual = {f"TALLYSTICK_{name.upper()}": _as_written(field.default) for name, field in Settings.model_fields.items()}
    assert documented == actual


def _as_written(default: object) -> str:
    if default is None:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default).lower()


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken
