"""Runs a Python program in a process of its own and says how it ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import rapfiles

_TESTS = Path(__file__).parent.parent
# Where this process found the package: an installed wheel or the checkout.
_PACKAGE = Path(rapfiles.__file__).parent.parent
# At the end, because a folder of the tests may have the name of a standard module.
_PREAMBLE = f"import sys; sys.path += [{str(_PACKAGE)!r}, {str(_TESTS)!r}]\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended; `seconds` is the time from the line "ready" on its output to its end."""

    code: int
    output: str
    errors: str
    seconds: float


def run(
    program: str, *arguments: str, interrupt: bool = False, timeout: float = 60, **variables: str
) -> Ended:
    """Run the text `program` with every warning an error; it can import the package and `support`.

    It must print the line "ready" when it is where the test wants it to be; `interrupt` then sends SIGINT, as
    Ctrl-C does.
    """
    command = [sys.executable, "-W", "error", "-c", _PREAMBLE + program, *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        bufsize=0,  # what is behind the first line is left to communicate()
    ) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline().decode()
            ready = time.monotonic()
            if interrupt:
                process.send_signal(signal.SIGINT)
            output, errors = (text.decode() for text in process.communicate(timeout=timeout))
        except BaseException:
            process.kill()
            raise
    seconds = time.monotonic() - ready
    assert first == "ready\n", f"the program said {first!r} first; errors:\n{errors}"
    return Ended(process.returncode, output, errors, seconds)
