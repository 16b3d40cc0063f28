"""How Python itself is set in a process that serves."""

import gc
import sys

_ALLOCATIONS = 50_000
_SWITCH_SECONDS = 0.0005


def set_for_serving() -> None:
    """Collect cyclic garbage seldom, and pass the interpreter on soon. Call it once everything is made.

    Requests leave next to no cycles, but a batch makes thousands of objects that live until it is answered; Python's
    own threshold of 700 looked through them again and again, a third of the CPU of a charge. And an event loop that
    gave up the interpreter at a system call would wait 5 ms for the writer lane to let go of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)
