"""Removing temporary files and directories from the disk, reliably.

Removing may wait for a disk, so it never happens on the event loop's thread, not even when the object is
garbage-collected there. It is always completed: if the wait for it is cancelled, it continues in the
background, and what still exists when the interpreter exits is removed then.
"""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from threading import RLock
from typing import TYPE_CHECKING

from .._threads import in_background, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Cleanup"]

_all: set[Cleanup] = set()


class Cleanup:
    """Something on the disk that is removed at most once, however many callers request it.

    `remove` is called in a thread. It must accept that there is nothing to remove.
    """

    __slots__ = ("__weakref__", "_lock", "_owner", "_remove", "_requested", "_warning")

    def __init__(self, remove: Callable[[], object]) -> None:
        self._remove: Callable[[], object] | None = remove
        self._warning: str | None = None
        self._requested = False
        # A forked child must not remove what its parent uses, unless it is told to.
        self._owner = os.getpid()
        # Reentrant: a garbage collection during the removal may lock it again in the same thread.
        self._lock = RLock()
        _all.add(self)

    @property
    def there(self) -> bool:
        """Whether there may still be something to remove."""
        return self._remove is not None

    def warn(self, warning: str) -> None:
        """From now on, give a ResourceWarning if the removal is not requested before the interpreter
        exits."""
        self._warning = warning

    def keep(self) -> None:
        """Leave it where it is."""
        self._remove = None
        _all.discard(self)

    def remove(self) -> None:
        """Remove it now, in this thread; if another thread is removing it, wait for that."""
        self._requested = True
        with self._lock:
            if (remove := self._remove) is not None:
                try:
                    remove()
                finally:
                    # Not retried automatically: the caller gets the error.
                    self.keep()

    async def finish(self, natively: Callable[[], Awaitable[object]]) -> None:
        """Remove it by an operation of the engine's; if cancelled, in the background.

        Args:
            natively: Starts the operation, which does the same as `remove`.
        """
        self._requested = True
        if self._remove is None:
            return
        try:
            await natively()
        except BlockingIOError:
            # The system refuses a thread, so it is still there, for another call or the end of the process.
            raise
        except Exception:
            self.keep()
            raise
        except BaseException:
            self.remove_later()
            raise
        self.keep()

    def remove_later(self) -> None:
        """Remove it in the background."""
        self._requested = True
        if self._remove is not None:
            in_background(self.remove)

    def dropped(self) -> None:
        """The owner was garbage-collected: remove it in the background, and warn."""
        if self._remove is None or self._owner != os.getpid():
            return
        unexpected = not self._requested
        self.remove_later()
        if unexpected and self._warning is not None:
            warnings.warn(self._warning, ResourceWarning, stacklevel=2)

    def ended(self) -> None:
        """The interpreter exits: remove it in this thread, and warn."""
        if self._remove is None or self._owner != os.getpid():
            return
        unexpected = not self._requested
        self.remove()
        if unexpected and self._warning is not None:
            warnings.warn(self._warning, ResourceWarning, stacklevel=2)


@atexit.register
def _remove_all() -> None:
    # What they are just making has no cleanup yet.
    wait_for_threads()
    for cleanup in list(_all):
        try:
            cleanup.ended()
        except Exception as error:
            # As `weakref.finalize` does at exit: report the error and continue with the others.
            sys.excepthook(type(error), error, error.__traceback__)
