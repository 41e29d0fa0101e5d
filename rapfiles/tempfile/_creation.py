"""Creating something on the disk in a thread; removed if cancelled, or by the end of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .._threads import awaited_at_exit
from .._undoable import Undoable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cleanup import Cleanup

__all__ = ["Creation"]

T = TypeVar("T")


class Creation(Undoable["tuple[T, Cleanup]"]):
    """A call that returns what it has made and its `Cleanup`, which removes it if nobody gets it.

    The thread is a daemon: if the end of the process did not wait for it, it could end between the two.
    """

    __slots__ = ()

    def __init__(self, make: Callable[[], tuple[T, Cleanup]]) -> None:
        super().__init__(make, _remove)

    def __call__(self) -> tuple[T, Cleanup]:
        """Do the work, in this thread."""
        with awaited_at_exit():
            return super().__call__()


def _remove(made: tuple[object, Cleanup]) -> None:
    made[1].remove()
