"""Runs a Python program in a process of its own and says how it ended; no child of a test lives forever."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import AnyStr

import rapfiles

_TESTS = Path(__file__).parent.parent
# Where this process found the package: an installed wheel or the checkout.
_PACKAGE = Path(rapfiles.__file__).parent.parent
# At the end, because a folder of the tests may have the name of a standard module.
PREAMBLE = f"import sys; sys.path += [{str(_PACKAGE)!r}, {str(_TESTS)!r}]\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended; `seconds` is the time from the line "ready" on its output to its end."""

    code: int
    output: str
    errors: str
    seconds: float


# Less than `watchdog.SECONDS`, so that the test that started the child is the one that fails.
LIMIT = 60.0
# In less than this a process has ended that waited for nothing at its end, however busy the machine is; what
# it may wait for by mistake takes the 5 s of an idle worker, or forever.
AT_ONCE = 4.5


@contextlib.contextmanager
def limited(
    child: "subprocess.Popen[AnyStr]", seconds: float = LIMIT
) -> "Iterator[subprocess.Popen[AnyStr]]":
    """Enter the block of `child`, which is killed after so many seconds: whoever waits then sees its end."""
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        with child:
            yield child
    finally:
        timer.cancel()


def run(
    program: str, *arguments: str, interrupt: bool = False, timeout: float = LIMIT, **variables: str
) -> Ended:
    """Run the text `program` with every warning an error; it can import the package and `support`.

    It must print the line "ready" when it is where the test wants it to be; `interrupt` then sends SIGINT, as
    Ctrl-C does.
    """
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + program, *arguments]
    started = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        bufsize=0,  # what is behind the first line is left to communicate()
    )
    with limited(started, timeout) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline().decode()
            ready = time.monotonic()
            if interrupt:
                process.send_signal(signal.SIGINT)
            output, errors = (text.decode() for text in process.communicate())
        except BaseException:
            process.kill()
            raise
    seconds = time.monotonic() - ready
    assert first == "ready\n", f"the program said {first!r} first; errors:\n{errors}"
    return Ended(process.returncode, output, errors, seconds)
