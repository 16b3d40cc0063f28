"""Every refusal has an HTTP status, and no status is for a refusal that does not exist."""

from collections.abc import Iterator

import services.http.app  # noqa: F401 # imports every module that defines a refusal
from services.http.problems import STATUS
from services.subscription.refusals import Refusal


def test_every_refusal_has_a_status() -> None:
    codes = {kind.code for kind in _kinds_of(Refusal) if kind.__module__.startswith("services.")}
    assert codes == set(STATUS)


def _kinds_of(base: type[Refusal]) -> Iterator[type[Refusal]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds_of(kind)
