"""Defines what is raised where a file does not hold, and names the part of it that is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager


class NotGenuine(Exception):
    """The file does not hold: `where` names the part of it, `why` the fault."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


class OutOfReach(NotGenuine):
    """The file does not lead to a key or a checkpoint that is pinned."""


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Raise NotGenuine, with the part that is at fault, for an error of a value within this context."""
    try:
        yield
    except (ValueError, ArithmeticError) as error:
        raise NotGenuine(where, str(error)) from None
