"""The bill of materials names each package of the lock file, with its files and its licence."""

import re
from typing import Any

import pytest

from tests.bill_of_materials import LOCK, NOT_KNOWN, Package, bill, packages

HASH = "0" * 64


def components_of(*found: Package) -> Any:
    """The components of the bill of these packages."""
    return bill([*found])["components"]


def test_every_package_of_the_lock_file_is_named_with_all_its_files() -> None:
    lock = LOCK.read_text(encoding="utf-8")

    found = packages(lock)

    assert {each.name for each in found} == set(re.findall(r"^([^\s#=]+)==", lock, re.MULTILINE))
    assert sum(len(each.hashes) for each in found) == lock.count("--hash=")


def test_a_package_of_another_form_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="NAME==VERSION"):
        packages(f"one==1 \\\n    --hash=sha256:{HASH}\ntwo==2\n")


def test_a_component_has_version_address_licence_and_hashes() -> None:
    component = components_of(Package("httpx", "1.2", (HASH,)))[0]

    assert (component["name"], component["version"], component["purl"]) == ("httpx", "1.2", "pkg:pypi/httpx@1.2")
    assert component["licenses"] == [{"license": {"name": "BSD License"}}]
    assert component["hashes"] == [{"alg": "SHA-256", "content": HASH}]


def test_what_is_not_installed_says_nothing_of_its_licence() -> None:
    package = Package("there-is-no-such-package", "1", (HASH,))

    assert package.licence == NOT_KNOWN
    assert components_of(package)[0]["licenses"] == []
