"""Settings of the Python interpreter for a process that serves."""

import ctypes
import gc
import sys
from contextlib import suppress

_ARENA_MAX = -8
"""A parameter of glibc's `mallopt`."""
_ALLOCATIONS = 50_000
_SWITCH_SECONDS = 0.0005


def tune_for_serving() -> None:
    """Collect cyclic garbage seldom, and switch threads soon. Call it once everything is made.

    Requests leave next to no cycles, but a batch makes thousands of objects that live until it is answered; Python's
    own threshold of 700 looked through them again and again, a third of the CPU of a charge. And an event loop that
    gave up the interpreter at a system call would wait 5 ms, Python's own interval, for the writer lane to pass it on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _share_arenas()


def _share_arenas() -> None:
    """Let all threads share two arenas; each would else keep what it once needed.

    Other parameters stay as they are: to set one ends glibc's own adjustment of them to the sizes of the buffers of
    batches.
    """
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def give_memory_back() -> None:
    """Give what is free back to the system, from the middle of the arenas too. It takes milliseconds."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
