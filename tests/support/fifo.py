"""A FIFO that nobody opens: opening it blocks until the test releases it."""

import os
from pathlib import Path


class Fifo:
    """A FIFO at `path`. Who opens it for reading or writing waits, as on a dead server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._handle = os.open(path, os.O_PATH)

    def release(self) -> None:
        """Release everything that waits; later calls find an empty regular file."""
        fresh = self.path.with_name(f"{self.path.name}.regular")
        fresh.touch()
        os.replace(fresh, self.path)
        # Opening both ends never blocks, and lets the others' open() return; closing is their end of file.
        os.close(os.open(f"/proc/self/fd/{self._handle}", os.O_RDWR))
        os.close(self._handle)
        self._handle = -1

    def __enter__(self) -> "Fifo":
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            self.release()
