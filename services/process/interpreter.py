"""Settings of the Python interpreter for a process that serves."""

import gc
import sys

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
