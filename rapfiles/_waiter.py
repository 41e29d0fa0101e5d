"""`new_waiter`: suspends the current task, of asyncio or trio, until another task or a thread wakes it."""

from __future__ import annotations

from typing import Protocol

import rapfiles._native as _native

__all__ = ["Waiter", "new_waiter"]


class Waiter(Protocol):
    """Suspends the task that created it, once."""

    woken: bool

    def wake(self) -> None:
        """Wake the task. Call this in the thread of its loop."""

    def wake_from_thread(self) -> None:
        """Wake the task from any thread.

        Raises:
            RuntimeError: Its loop is closed (on trio, its run has finished).
        """

    async def wait(self) -> None:
        """Suspend the task until it is woken."""


class _AsyncioWaiter:
    __slots__ = ("_future", "_loop", "woken")

    def __init__(self) -> None:
        import asyncio

        self.woken = False
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def wake(self) -> None:
        self.woken = True
        if not self._future.done():
            self._future.set_result(None)

    def wake_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self.wake)

    async def wait(self) -> None:
        await self._future


class _TrioWaiter:
    __slots__ = ("_event", "_token", "woken")

    def __init__(self) -> None:
        import trio

        self.woken = False
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wake(self) -> None:
        self.woken = True
        self._event.set()

    def wake_from_thread(self) -> None:
        self._token.run_sync_soon(self.wake)

    async def wait(self) -> None:
        await self._event.wait()


def new_waiter() -> Waiter:
    """A waiter for the current task."""
    return _TrioWaiter() if _native.in_trio_task() else _AsyncioWaiter()
