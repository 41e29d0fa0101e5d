"""A status line of the terminal that is overwritten with each message."""

import shutil
import sys


class StatusLine:
    """Shows messages on standard error if that is a terminal, without escape codes; nothing otherwise."""

    def __init__(self, shown: bool | None = None) -> None:
        self.shown = sys.stderr.isatty() if shown is None else shown
        self._width = 0

    def __call__(self, message: str) -> None:
        """Show a message in place of the last one, shortened to the width of the terminal."""
        if self.shown:
            text = message[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r{text:<{self._width}}")
            sys.stderr.flush()
            self._width = len(text)

    def clear(self) -> None:
        """Remove the line."""
        if self.shown and self._width:
            sys.stderr.write(f"\r{'':<{self._width}}\r")
            sys.stderr.flush()
            self._width = 0
