"""Work in a thread that is undone if its result comes when nobody waits for it any more."""

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
    """One piece of work in a thread; its result is undone if it comes when nobody waits for it any more.

    `undo` may wait, as closing a file may, and so never runs on the event loop's thread.
    """

    __slots__ = ("_abandoned", "_lock", "_made", "_undo", "_work")

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object]) -> None:
        self._work = work
        self._undo = undo
        self._lock = Lock()
        self._abandoned = False
        self._made: list[T] = []

    def __call__(self) -> T:
        """Do it, in this thread."""
        if self._abandoned:
            raise InterruptedError(errno.EINTR, "nobody waits for this any more")
        made = self._work()
        with self._lock:
            self._made.append(made)
            late = self._abandoned
        if late:
            self._take_back()
        return made

    async def run(self) -> T:
        """Do it in a thread, and undo it if cancelled."""
        try:
            return await run_sync(self)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Undo what was made, now in the background, or as soon as it is made."""
        with self._lock:
            self._abandoned = True
            late = bool(self._made)
        if late:
            in_background(self._take_back)

    async def take_back(self) -> None:
        """Undo what was made, in a thread, and wait for that."""
        self._abandoned = True
        await run_sync(self._take_back)

    def _take_back(self) -> None:
        with self._lock:
            made, self._made = self._made, []
        for thing in made:
            self._undo(thing)


def close_descriptor(descriptor: int) -> None:
    """Undo the opening of a file to which nothing was written."""
    # There is nobody to be told.
    with contextlib.suppress(OSError):
        os.close(descriptor)
