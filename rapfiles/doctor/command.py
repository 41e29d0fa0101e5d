"""The command: its arguments, its deadline, Ctrl-C and its exit code.

The examination runs on an event loop in a thread of its own, because any call it makes may never return: on a
dead mount a thread in the kernel cannot be interrupted. The main thread does nothing but wait, so that it can
always end the process when the time is up or the user asks for it.
"""

import argparse
import asyncio
import os
import sys
import sysconfig
import threading
from collections.abc import Sequence
from time import monotonic
from typing import NoReturn

from .. import __version__
from . import report, sample, ways
from .examination import Examination
from .findings import Stall
from .passes import SEQUENTIAL
from .sample import Sample, UnusableDirectoryError

FINE, AT_FAULT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
_WALK, _WALK_FOR_ONE_FILE = 1.5, 5.0
"""Seconds for finding files, and for finding the first one."""
_MEASURED = 15.0
"""Seconds from the start at which the examination ends by itself …"""
_DEADLINE = 18.5
"""… and at which the process ends, whatever it waits for."""
_DESCRIPTION = """\
Read and stat real files synchronously, through threads, through aiofiles and anyio if they are installed,
and through AsyncPath, and watch the event loop meanwhile. Changes nothing. Ends within 20 seconds.
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
    progress = _Progress()
    try:
        return _doctor(options.directory, options.json, started, progress)
    except KeyboardInterrupt:
        progress.clear()
        _leave(INTERRUPTED)


def _doctor(directory: str, as_json: bool, started: float, progress: "_Progress") -> int:
    progress("looking for files")
    try:
        found = sample.collect(directory, _WALK, _WALK_FOR_ONE_FILE)
    except UnusableDirectoryError as error:
        progress.clear()
        return _complain(str(error))
    examination, finished = _examine(found, started, progress)
    progress.clear()
    findings = examination.findings
    if not finished:
        operation, way = examination.under_way or ("the file system", "the engine")
        findings.notes.append(f"The time was up while {operation} in the way {way} waited for an answer.")
        findings.seconds = monotonic() - started
        if examination.stuck():
            findings.stalls.append(Stall(operation, SEQUENTIAL, 1.0))
    text = report.as_json(findings) if as_json else report.as_text(findings, sys.stdout.encoding or "ascii")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has enough of it; the interpreter's own flush at exit would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if findings.stalls or findings.broken:
        code = AT_FAULT
    elif not findings.files:
        code = _complain(f"{directory}: {_nothing_to_read(found)}") if finished else FINE
    else:
        code = FINE
    if not finished:
        _leave(code)
    return code


def _examine(found: Sample, started: float, progress: "_Progress") -> tuple[Examination, bool]:
    """Run the examination in a thread; return it, and whether it and all that it started came to an end."""
    available, versions = ways.available_ways()
    examination = Examination(found, available, versions, started + _MEASURED, progress)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(examination.run())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="rapfiles-doctor", daemon=True)
    thread.start()
    # Short waits, because on Windows a long one would not notice Ctrl-C.
    while thread.is_alive() and monotonic() - started < _DEADLINE:
        thread.join(0.25)
    if errors:
        raise errors[0]
    return examination, not thread.is_alive()


def _nothing_to_read(found: Sample) -> str:
    if found.files:
        return "none of the files there can be read"
    if found.entries == 0 and found.unreadable == 0:
        return "the directory is empty: there are no files to read"
    return (
        f"no files to read there: none that is regular, not empty and at most {sample.LARGEST_FILE >> 20} MiB"
    )


def _complain(message: str) -> int:
    print(f"python -m rapfiles doctor: {report.printable(message)}", file=sys.stderr)
    return BAD_USAGE


def _leave(code: int) -> NoReturn:
    """End the process at once: threads that are stuck in a call are not waited for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _prepare_output() -> None:
    """A name that the terminal cannot show must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class _Progress:
    """What is going on, in one line that is overwritten, if standard error is a terminal. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown = sys.stderr.isatty()
        self._width = 0

    def __call__(self, message: str) -> None:
        with self._lock:
            if self._shown:
                text = message[:70]
                sys.stderr.write(f"\r{text:<{self._width}}")
                sys.stderr.flush()
                self._width = len(text)

    def clear(self) -> None:
        """Remove the line; nothing is shown any more."""
        with self._lock:
            if self._shown and self._width:
                sys.stderr.write(f"\r{'':<{self._width}}\r")
                sys.stderr.flush()
            self._shown = False


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
