"""Creating something on the disk in a thread; undone if cancelled, and not left by the end of the process."""

from __future__ import annotations

from typing import TypeVar

from .._undoable import Undoable
from ._cleanup import being_made

__all__ = ["Creation"]

T = TypeVar("T")


class Creation(Undoable[T]):
    """An `Undoable` call for which the end of the interpreter waits, if it has begun.

    The thread is a daemon: without that wait, it could end after the system call, before anything is
    responsible for removing what that has made.
    """

    __slots__ = ()

    def __call__(self) -> T:
        with being_made():
            return super().__call__()

    def _take_back(self) -> None:
        with being_made():
            super()._take_back()
