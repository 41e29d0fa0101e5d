"""The progress of long work, shown if standard error is a terminal."""

from .._progress import Progress
from .console import Console, printable
from .sizes import human


class Reporter:
    """Shows each snapshot in the status line, and keeps the last one for the end."""

    def __init__(self, console: Console, verb: str) -> None:
        self.last: Progress | None = None
        self._console = console
        self._verb = verb

    def __call__(self, progress: Progress) -> None:
        """How far it is now."""
        self.last = progress
        done = f"{progress.files:,}"
        if progress.total_files is not None:
            done += f" of {progress.total_files:,}"
        size = human(progress.bytes)
        if progress.total_bytes is not None:
            size += f" of {human(progress.total_bytes)}"
        current = "" if progress.current is None else f"  {printable(progress.current)}"
        self._console.status(f"{self._verb} {done} files, {size}, {human(progress.rate)}/s{current}")

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
