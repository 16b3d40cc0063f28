"""Writes the bill of materials of `requirements.lock`, as CycloneDX: `make sbom` (ARGS=--licences for a list).

The lock file says what is installed, and which files of it: version and hashes. The licence is what each package says
of itself, where it is installed here.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import NamedTuple

import msgspec

LOCK = Path(__file__).parents[1] / "requirements.lock"
_PACKAGE = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)(?: ; [^\\\n]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)
_BEGINNING = re.compile(r"^[^\s#]", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
NOT_KNOWN = "not known here"
"""The licence of a package that is not installed here, such as one for another system, or that says nothing of it."""


class Package(NamedTuple):
    """A package of the lock file, with the SHA-256 of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def licence(self) -> str:
        """What it says of its licence, in a line."""
        try:
            said = metadata(self.name)
        except PackageNotFoundError:
            return NOT_KNOWN
        classifiers = [each.removeprefix(_CLASSIFIER) for each in said.get_all("Classifier", []) if _CLASSIFIER in each]
        expressions, texts = said.get_all("License-Expression", []), said.get_all("License", [])
        first_lines = [text.partition("\n")[0] for text in texts]
        return next(filter(None, (*expressions, ", ".join(classifiers), *first_lines)), NOT_KNOWN)


def packages(lock: str) -> list[Package]:
    """Read the packages of a lock file. Raises ValueError where a line of a package is not understood."""
    found = [Package(name, version, tuple(_hashes(hashes))) for name, version, hashes in _PACKAGE.findall(lock)]
    if len(found) != len(_BEGINNING.findall(lock)):
        raise ValueError("the lock file has packages of another form than NAME==VERSION with hashes")
    return found


def bill(found: list[Package]) -> dict[str, object]:
    """Make the bill of materials, in the form of CycloneDX 1.6."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "tallystick"}},
        "components": [
            {
                "type": "library",
                "name": each.name,
                "version": each.version,
                "purl": f"pkg:pypi/{each.name}@{each.version}",
                "licenses": [] if each.licence == NOT_KNOWN else [{"license": {"name": each.licence}}],
                "hashes": [{"alg": "SHA-256", "content": content} for content in each.hashes],
            }
            for each in found
        ],
    }


def _hashes(text: str) -> list[str]:
    return re.findall(r"sha256:([0-9a-f]{64})", text)


if __name__ == "__main__":
    locked = packages(LOCK.read_text(encoding="utf-8"))
    if "--licences" in sys.argv:
        sys.stdout.writelines(f"{each.name} {each.version}: {each.licence}\n" for each in locked)
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(bill(locked)), indent=2).decode() + "\n")
