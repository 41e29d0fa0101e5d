"""Standard output and standard error of all commands."""

import contextlib
import json
import os
import sys
from typing import Any, Final

from .status_line import StatusLine

BROKEN_PIPE: Final = 128 + 13
"""The exit code where nobody reads the output any more: that of a shell for a program that SIGPIPE ended."""

EXIT_CODES: Final = (
    "exit codes: 0 nothing went wrong, 1 something could not be read, 2 wrong usage, 130 interrupted"
)
"""What `--help` says of commands that only read."""

# What is written at once where nobody watches.
_BUFFER: Final = 64 << 10


class OutputError(Exception):
    """The output cannot be written; not an `OSError`, which is of a path that is left out."""


def prepare_streams() -> None:
    """A stream that is closed, or a name that the terminal cannot show, must not end the program."""
    # Python has `None` for a closed one. As in GNU's programs, there is nothing to read, results cannot be
    # written, and complaints go nowhere.
    if sys.stdin is None:
        sys.stdin = _null(os.O_RDONLY, "r")
    if sys.stdout is None:
        sys.stdout = _null(os.O_RDONLY, "w")
    if sys.stderr is None:
        sys.stderr = _null(os.O_WRONLY, "w")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _null(flags: int, mode: str) -> Any:
    return open(os.open(os.devnull, flags), mode, closefd=False)


def discard_output() -> None:
    """Nothing more can be written, for example because the reader has gone (`| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """The text with control characters and lone surrogates escaped, which file names may have."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class Console:
    """Where a command writes its results and its complaints.

    Results that are not JSON are written as they are: a name is the bytes that it has in the file system.
    """

    def __init__(self, command: str, *, as_json: bool = False, end: bytes = b"\n") -> None:
        self.failed = False
        self.status = StatusLine()
        self.as_json = as_json
        self._command = command
        self._end = end
        self._written = bytearray()
        self._at_once = sys.stdout.isatty()

    def result(self, text: str) -> None:
        """Write a line, or what ends with NUL where that was asked for."""
        self._written += os.fsencode(text)
        self._written += self._end
        self._flush_if_due()

    def record(self, **fields: Any) -> None:
        """Write a line of JSON."""
        self._written += json.dumps(fields).encode()
        self._written += b"\n"
        self._flush_if_due()

    def listed(self, path: str, options: Any) -> None:
        """Write a path on which something has been done, where that is wanted."""
        if (options.verbose or options.null) and not self.as_json:
            self.result(path)

    def complain(self, error: BaseException) -> None:
        """Say what went wrong, and that the command has failed."""
        self.failed = True
        if isinstance(error, OSError) and error.strerror is not None:
            names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
            text = f"{names}: {error.strerror}" if names else error.strerror
        else:
            text = str(error)
        self.say(text)

    def say(self, text: str) -> None:
        """Write a line to standard error."""
        self.status.clear()
        # Where standard error cannot be written to, the exit code says it.
        with contextlib.suppress(OSError):
            print(f"python -m rapfiles {self._command}: {printable(text)}", file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Write what has not been written yet."""
        if self._written:
            if self._at_once:
                self.status.clear()
            try:
                sys.stdout.flush()
                sys.stdout.buffer.write(self._written)
                self._written.clear()
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputError(f"standard output: {error.strerror}") from None

    def _flush_if_due(self) -> None:
        if self._at_once or len(self._written) >= _BUFFER:
            self.flush()
