"""Ends a test run that hangs, and shows where all of its threads were.

A test may be stuck where no exception reaches it: in C, in a deadlock around the GIL, in a wait of the
interpreter's own at exit. The watchdog is a thread of the interpreter's `faulthandler` that needs no GIL.
"""

import faulthandler
import os
from typing import TextIO

SECONDS = 120
"""What one test may take, with its fixtures; the slowest takes a tenth of it on an idle machine."""

_stderr: TextIO | None = None


def prepare() -> None:
    """Keep the real standard error, before pytest captures what is written to it."""
    global _stderr
    if _stderr is None:
        _stderr = os.fdopen(os.dup(2), "w")


def start(seconds: float) -> None:
    """End the process after this many seconds with a dump of all threads, unless it is stopped before."""
    assert _stderr is not None
    faulthandler.dump_traceback_later(seconds, exit=True, file=_stderr)


def stop() -> None:
    """Call it off."""
    faulthandler.cancel_dump_traceback_later()
