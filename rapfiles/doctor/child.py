"""The process in which the examination runs, started by `supervision`.

A call on a dead mount may never return, and then the process cannot even be killed (a thread in
uninterruptible sleep, state `D` in ps(1), does not react to SIGKILL). So everything that touches the user's
files happens here, in a process that nobody waits for, and even here the main thread only watches the time:
the event loop has a thread of its own.

Messages go to standard output, one JSON object per line: the current activity, and at the end the report.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import NoReturn

from . import report, sample, ways
from .examination import Examination
from .findings import Findings, Stall
from .passes import SEQUENTIAL
from .sample import Sample, UnusableDirectoryError
from .supervision import AT_FAULT, BAD_USAGE, DEADLINE, FINE, Outcome

_WALK, _WALK_FOR_ONE_FILE = 1.5, 5.0
"""Seconds for finding files, and for finding the first one."""
_MEASURED = 15.0
"""Seconds after which the examination ends by itself."""
_LATEST = DEADLINE - 2.0
"""Seconds after which a report is made of what there is by then."""


def main() -> NoReturn:
    """Examine the directory given on the command line as JSON, send the report and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles Ctrl-C
    request = json.loads(sys.argv[1])
    send = _channel()
    outcome = _outcome(
        request["directory"],
        request["json"],
        request["encoding"],
        request["started"],
        lambda message: send({"progress": message}),
    )
    send(outcome._asdict())
    # Threads that are stuck in a call are not waited for.
    os._exit(0)


def _channel() -> Callable[[dict[str, object]], None]:
    """A function that sends a message, from any thread. Standard output is kept for messages alone."""
    messages = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(message: dict[str, object]) -> None:
        with lock:
            messages.write(json.dumps(message) + "\n")
            messages.flush()

    return send


def _outcome(
    directory: str, as_json: bool, encoding: str, started: float, progress: Callable[[str], None]
) -> Outcome:
    progress("looking for files")
    try:
        found = sample.collect(directory, _WALK, _WALK_FOR_ONE_FILE)
    except UnusableDirectoryError as error:
        return Outcome("", str(error), BAD_USAGE)
    findings = _examine(found, started, progress)
    text = report.as_json(findings) if as_json else report.as_text(findings, encoding)
    if findings.stalls or findings.broken:
        return Outcome(text, None, AT_FAULT)
    if not findings.files:
        return Outcome(text, f"{directory}: {_nothing_to_read(findings)}", BAD_USAGE)
    return Outcome(text, None, FINE)


def _examine(found: Sample, started: float, progress: Callable[[str], None]) -> Findings:
    """Run the examination in a thread; return its findings when it ends or the time is up."""
    available, versions = ways.available_ways()
    examination = Examination(found, available, versions, started + _MEASURED, progress)
    ended = threading.Event()
    errors: list[BaseException] = []

    async def examine() -> None:
        try:
            await examination.run()
        except BaseException as error:
            errors.append(error)
        finally:
            # Before asyncio.run() waits for the threads of the default executor, which may be stuck
            # (`loop.shutdown_default_executor` in asyncio's documentation).
            ended.set()

    threading.Thread(target=lambda: asyncio.run(examine()), daemon=True).start()
    in_time = ended.wait(max(0.0, started + _LATEST - monotonic()))
    if errors:
        raise errors[0]
    findings = examination.findings
    if not in_time:
        operation, way = examination.under_way or ("the file system", "the engine")
        findings.notes.append(f"The time was up while {operation}, {way}, waited for an answer.")
        findings.seconds = monotonic() - started
        if examination.stuck():
            findings.stalls.append(Stall(operation, SEQUENTIAL, 1.0))
    return findings


def _nothing_to_read(findings: Findings) -> str:
    found = findings.sample
    if found.files:
        return "none of the files there could be read"
    if found.entries == 0 and found.unreadable == 0:
        return "the directory is empty: there are no files to read"
    limit = sample.LARGEST_FILE >> 20
    return f"no files to read there: none that is regular, not empty and at most {limit} MiB"


if __name__ == "__main__":
    main()
