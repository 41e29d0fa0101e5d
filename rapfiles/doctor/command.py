"""The command: its arguments, its output and its exit code."""

import argparse
import os
import sys
import sysconfig
from collections.abc import Sequence
from time import monotonic
from typing import NoReturn

from .. import __version__
from .progress import Progress
from .report import printable
from .supervision import DEADLINE, INTERRUPTED, examine

_DESCRIPTION = f"""\
Read and stat real files synchronously, through threads, through aiofiles and anyio if they are installed,
and through AsyncPath, and watch the event loop meanwhile. Changes nothing. Waits no longer than
{DEADLINE:.0f} seconds for an answer, and ends within 20, as far as it gets a processor.
"""
_EPILOG = """\
exit codes: 0 nothing is wrong, 1 AsyncPath held up the event loop or failed where a synchronous call works,
2 DIR does not exist, is not a directory, cannot be read or has no files to read, 130 interrupted
"""


def run(arguments: Sequence[str]) -> int:
    """Run `python -m rapfiles` with the given arguments and return its exit code."""
    started = monotonic()
    options = _parser().parse_args(arguments)
    _prepare_output()
    progress = Progress()
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
    except BrokenPipeError:
        # The reader of the output has gone (`| head`); that is no reason to complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> NoReturn:
    """End the process at once: the threads that read from the child may never see its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _prepare_output() -> None:
    """A name that the terminal cannot show must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rapfiles", description="Asynchronous pathlib.")
    parser.add_argument("--version", action="version", version=f"rapfiles {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="show what the engine can use here, and how AsyncPath does on your own files",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default=sysconfig.get_path("stdlib"),
        help="the files under it are read (default: the standard library, %(default)s)",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser
