"""The sample: a bounded walk over a directory that finds real files to read.

It runs in a thread of its own, because listing a directory on a slow or dead mount can take any time: the
caller stops waiting when the time is up and takes what was found until then.
"""

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic

MOST_FILES = 240
MOST_ENTRIES = 20_000
LARGEST_FILE = 16 << 20
MOST_BYTES = 64 << 20


class UnusableDirectoryError(Exception):
    """The directory cannot be examined; the message says why."""


@dataclass
class Sample:
    """Files to read, with their sizes in bytes."""

    directory: str
    files: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    entries: int = 0
    """How many directory entries were looked at."""
    unreadable: int = 0
    """Entries and directories that could not be looked at."""
    too_large: int = 0
    complete: bool = False
    """Whether the walk ended by itself, not at its time limit."""

    @property
    def size(self) -> int:
        """Bytes in all files together."""
        return sum(size for _, size in self.files)


def collect(directory: str, seconds: float, patience: float) -> Sample:
    """Find files under a directory, within bounds of number, size and time.

    Only regular files that are not empty count (those of /proc claim to be empty), on the file system of the
    directory itself, and links are not followed.

    Args:
        directory: Where to look.
        seconds: How long to look for more files.
        patience: How many seconds to wait for the first one, on a slow file system.

    Raises:
        UnusableDirectoryError: There is no such directory, it cannot be listed, or it does not answer.
    """
    started = monotonic()
    walk = _Walk(directory, started + seconds, started + patience)
    walk.start()
    while walk.is_alive() and not walk.late():
        walk.join(0.05)
    if walk.failure is not None:
        raise UnusableDirectoryError(walk.failure)
    if walk.is_alive() and not walk.sample.files:
        raise UnusableDirectoryError(f"{directory}: no answer within {patience:.0f} s")
    found = walk.sample
    # A copy: the thread may still be in the middle of a listing.
    return Sample(
        directory, list(found.files), found.entries, found.unreadable, found.too_large, found.complete
    )


class _Walk(threading.Thread):
    """Breadth first, so that the sample is spread over the directory and not all from its first branch."""

    def __init__(self, directory: str, enough: float, end: float) -> None:
        super().__init__(name="rapfiles-doctor-walk", daemon=True)
        self.sample = Sample(directory)
        self.failure: str | None = None
        self._enough = enough
        self._end = end

    def late(self) -> bool:
        """Whether the time is up: sooner if there are files already."""
        return monotonic() > (self._enough if self.sample.files else self._end)

    def run(self) -> None:
        root = self.sample.directory
        try:
            device = os.stat(root).st_dev
            with os.scandir(root):
                pass
        except OSError as error:
            self.failure = f"{root}: {error.strerror or error}"
            return
        pending = deque([root])
        size = 0
        while pending:
            try:
                with os.scandir(pending.popleft()) as entries:
                    for entry in entries:
                        if self._finished(size):
                            return
                        self.sample.entries += 1
                        size += self._look_at(entry, device, pending)
            except OSError:
                self.sample.unreadable += 1
        self.sample.complete = True

    def _finished(self, size: int) -> bool:
        return (
            self.late()
            or self.sample.entries >= MOST_ENTRIES
            or len(self.sample.files) >= MOST_FILES
            or size >= MOST_BYTES
        )

    def _look_at(self, entry: os.DirEntry[str], device: int, pending: deque[str]) -> int:
        """Take the entry into the sample or the walk; return the bytes it adds."""
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.stat(follow_symlinks=False).st_dev == device:
                    pending.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                if size > LARGEST_FILE:
                    self.sample.too_large += 1
                elif size > 0:
                    self.sample.files.append((entry.path, size))
                    return size
        except OSError:
            self.sample.unreadable += 1
        return 0
