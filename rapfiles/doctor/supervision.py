"""Runs the examination in a child process and waits for its report, up to a time limit."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import IO, Any, NamedTuple

FINE, AT_FAULT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
"""The exit codes."""
DEADLINE = 18.0
"""Seconds from the start after which the report is not waited for any more."""


_left_alone: list["subprocess.Popen[bytes]"] = []
"""Children that may never end, kept because their pipes cannot be closed while threads read from them."""


class Outcome(NamedTuple):
    """What came of an examination."""

    text: str
    """The report, for standard output."""
    complaint: str | None
    """A message for standard error."""
    code: int
    """The exit code."""


def examine(
    directory: str, *, as_json: bool, encoding: str, started: float, progress: Callable[[str], None]
) -> Outcome:
    """Examine a directory in a child process.

    The child is left to itself when the time is up: in a call on a dead mount it cannot even be killed.

    Args:
        directory: The directory whose files are read.
        as_json: Whether the report is JSON.
        encoding: The encoding in which the report has to be printable.
        started: When the command started, on the monotonic clock.
        progress: Called with what is going on.
    """
    request = json.dumps(
        # The monotonic clock is the same one in every process: on a busy machine the child is late.
        {"directory": directory, "json": as_json, "encoding": encoding, "started": started}
    )
    child = subprocess.Popen(
        [sys.executable, *_search_options(), "-m", "rapfiles.doctor.child", request],
        stdin=subprocess.DEVNULL,
        # Pipes of its own: a process that cannot end would keep the caller's open forever.
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    complaints: list[bytes] = []
    assert child.stdout is not None
    assert child.stderr is not None
    readers = (
        threading.Thread(target=_read_messages, args=(child.stdout, messages), daemon=True),
        threading.Thread(target=_read_complaints, args=(child.stderr, complaints), daemon=True),
    )
    for reader in readers:
        reader.start()
    try:
        while monotonic() - started < DEADLINE:
            try:
                # Short waits, because on Windows a long one would not notice Ctrl-C.
                message = messages.get(timeout=0.25)
            except queue.Empty:
                continue
            if "progress" in message:
                progress(message["progress"])
            elif "code" in message:
                return Outcome(**message)
            else:
                readers[1].join(1)
                return Outcome("", "the examination failed: " + _last_line(complaints), AT_FAULT)
        return Outcome("", "the examination did not answer in time: its whole process was held up", AT_FAULT)
    finally:
        child.kill()
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            # Not waited for any further; when it ends, the init process takes over.
            child.returncode = -1
            _left_alone.append(child)
        else:
            for reader in readers:
                reader.join()
            child.stdout.close()
            child.stderr.close()


def _read_messages(stream: IO[bytes], messages: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in stream:
        messages.put(json.loads(line))
    messages.put({})


def _read_complaints(stream: IO[bytes], complaints: list[bytes]) -> None:
    complaints.extend(stream)


def _last_line(complaints: list[bytes]) -> str:
    return (
        complaints[-1].decode(errors="replace").strip() if complaints else "its process ended without a word"
    )


def _search_options() -> list[str]:
    """The options of this interpreter that decide which modules are found."""
    options = {
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-P": sys.flags.safe_path,
        "-s": sys.flags.no_user_site,
        "-S": sys.flags.no_site,
    }
    return [option for option, given in options.items() if given]
