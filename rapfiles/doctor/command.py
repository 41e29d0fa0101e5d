"""The command: its arguments, its output and its exit code."""

import argparse
import os
import sys
import sysconfig
from time import monotonic
from typing import NoReturn

from .._commands.console import discard_output, printable
from .._commands.status_line import StatusLine
from .supervision import DEADLINE, INTERRUPTED, examine

DESCRIPTION = f"""\
Read and stat real files synchronously, through threads, through aiofiles and anyio if they are installed,
and through AsyncPath, and watch the event loop meanwhile. Changes nothing. Waits no longer than
{DEADLINE:.0f} seconds for an answer, and ends within 20, as far as it gets a processor.
"""
EPILOG = """\
exit codes: 0 nothing is wrong, 1 AsyncPath held up the event loop or failed where a synchronous call works,
2 DIR does not exist, is not a directory, cannot be read or has no files to read, 130 interrupted
"""


def run(options: argparse.Namespace) -> int:
    """Run `python -m rapfiles doctor` and return its exit code."""
    started = monotonic()
    progress = StatusLine()
    try:
        outcome = examine(
            options.directory,
            as_json=options.json,
            encoding=sys.stdout.encoding or "ascii",
            started=started,
            progress=progress,
        )
    except KeyboardInterrupt:
        progress.clear()
        _leave(INTERRUPTED)
    progress.clear()
    _print(outcome.text)
    if outcome.complaint is not None:
        print(f"python -m rapfiles doctor: {printable(outcome.complaint)}", file=sys.stderr)
    _leave(outcome.code)


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        if not isinstance(error, BrokenPipeError):
            print(f"python -m rapfiles doctor: standard output: {error.strerror}", file=sys.stderr)
            _leave(1)


def _leave(code: int) -> NoReturn:
    """End the process at once: the threads that read from the child may never see its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default=sysconfig.get_path("stdlib"),
        help="the files under it are read (default: the standard library, %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
