"""Work in a thread whose result is undone if the task that waits for it is cancelled."""

from __future__ import annotations

import contextlib
import errno
import os
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from ._threads import in_background, run_sync

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Undoable", "close_descriptor"]

T = TypeVar("T")


class Undoable(Generic[T]):
    """A call in a thread whose result is undone if the task that waits for it is cancelled.

    `undo` may block, as closing a file may, and so never runs on the event loop's thread.
    """

    __slots__ = ("_abandoned", "_lock", "_made", "_undo", "_work")

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object]) -> None:
        self._work = work
        self._undo = undo
        self._lock = Lock()
        self._abandoned = False
        self._made: list[T] = []

    def __call__(self) -> T:
        """Do the work, in this thread."""
        if self._abandoned:
            raise InterruptedError(errno.EINTR, "the task that waited for this was cancelled")
        made = self._work()
        with self._lock:
            self._made.append(made)
            late = self._abandoned
        if late:
            self._take_back()
        return made

    async def run(self) -> T:
        """Do the work in a thread, and undo it if cancelled."""
        try:
            return await run_sync(self)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Undo the result in the background: now, or as soon as there is one."""
        with self._lock:
            self._abandoned = True
            late = bool(self._made)
        if late:
            in_background(self._take_back)

    async def take_back(self) -> None:
        """Undo the result in a thread, and wait for that."""
        self._abandoned = True
        await run_sync(self._take_back)

    def _take_back(self) -> None:
        with self._lock:
            made, self._made = self._made, []
        for thing in made:
            self._undo(thing)


def close_descriptor(descriptor: int) -> None:
    """Close a descriptor through which nothing was written."""
    # Nobody waits, so there is nobody to report an error to.
    with contextlib.suppress(OSError):
        os.close(descriptor)
