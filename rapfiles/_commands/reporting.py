"""The progress of long work, shown if standard error is a terminal."""

import os
import stat
import sys
from typing import Final

from .._progress import Progress
from ..progress._bar import Position, amount
from .console import Console, printable

# How many characters the bar has.
_WIDTH: Final = 20


def reporter_beside_output(console: Console, verb: str) -> "Reporter | None":
    """A reporter for a command that prints, unless nobody would see it or it would disturb a reader.

    A pager at the other end of a pipe has the same terminal.
    """
    if not console.status.shown:
        return None
    output = os.fstat(sys.stdout.fileno()).st_mode
    return Reporter(console, verb) if sys.stdout.isatty() or stat.S_ISREG(output) else None


def counts_first(reporter: "Reporter | None") -> bool:
    """Whether what prints as it goes may count everything first: not if somebody waits to see it printed."""
    return reporter is not None and not sys.stdout.isatty()


class Reporter:
    """Shows each snapshot in the status line, and keeps the last one for the end."""

    def __init__(self, console: Console, verb: str) -> None:
        self.last: Progress | None = None
        self._console = console
        self._verb = verb

    def __call__(self, progress: Progress) -> None:
        """How far it is now."""
        self.last = progress
        done, total, _ = Position.of(progress)
        bar = ""
        if total:
            share = min(done / total, 1)
            bar = f" {share:4.0%} [{'#' * int(share * _WIDTH):.<{_WIDTH}}]"
        current = "" if progress.current is None else f"  {printable(progress.current)}"
        self._console.status(f"{self._verb}{bar} {amount(progress)}{current}")

    def end(self, **fields: object) -> None:
        """Remove the line; with `--json`, say how much it was."""
        self._console.status.clear()
        if self._console.as_json:
            last = self.last
            figures = (
                {}
                if last is None
                else {
                    "files": last.files,
                    "directories": last.directories,
                    "bytes": last.bytes,
                    "errors": last.errors,
                    "seconds": round(last.elapsed, 3),
                }
            )
            self._console.record(**fields, **figures)
