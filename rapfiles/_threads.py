"""Python code that may block, run in a thread: on asyncio and on trio, and without holding up the end of the process.

Only what is Python's own needs this: an `opener`, a file object that somebody else has made. The threads are
daemons, so that one that is stuck does not keep the interpreter from ending, and are not shared with anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_KEEP_ALIVE: Final = 5.0
"""Seconds after which an idle thread ends."""


class _Call:
    """A call, and what came of it."""

    __slots__ = ("_function", "_tell", "error", "result")

    def __init__(self, function: Callable[[], Any], tell: Callable[[], object]) -> None:
        self._function = function
        self._tell = tell
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as error:
            self.error = error
        # The loop may be closed, and nobody interested any more.
        with contextlib.suppress(RuntimeError):
            self._tell()


class Worker:
    """A thread that makes one call after the other, in the order in which they were asked for."""

    __slots__ = ("_calls", "_lock", "_running", "_waiting")

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = False
        self._waiting = 0

    async def run(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function in the thread, and return or raise what comes of it.

        If cancelled, this raises at once; the call is made, or goes on, all the same.
        """
        call = partial(function, *args, **kwargs)
        if _native.in_trio_task():
            return await self._run_on_trio(call)  # type: ignore[no-any-return]
        return await self._run_on_asyncio(call)  # type: ignore[no-any-return]

    async def _run_on_asyncio(self, function: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tell() -> None:
            if not done.done():
                done.set_result(None)

        call = _Call(function, partial(loop.call_soon_threadsafe, tell))
        self._submit(call)
        await done
        return _outcome(call)

    async def _run_on_trio(self, function: Callable[[], Any]) -> Any:
        import trio

        await trio.lowlevel.checkpoint_if_cancelled()
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        call = _Call(function, partial(token.run_sync_soon, done.set))
        self._submit(call)
        await done.wait()
        return _outcome(call)

    def _submit(self, call: _Call) -> None:
        with self._lock:
            self._waiting += 1
            self._calls.put(call)
            if not self._running:
                threading.Thread(target=self._work, name="rapfiles call", daemon=True).start()
                self._running = True

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=_KEEP_ALIVE)
            except queue.Empty:
                with self._lock:
                    if self._waiting:
                        continue
                    self._running = False
                    return
            with self._lock:
                self._waiting -= 1
            call.run()


def _outcome(call: _Call) -> Any:
    if call.error is not None:
        try:
            raise call.error
        finally:
            # The traceback leads back here, and would keep everything alive.
            call.error = None
    return call.result


async def run_sync(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call a function in a thread of its own, and return or raise what comes of it.

    If cancelled, this raises at once; the call goes on all the same.
    """
    return await Worker().run(function, *args, **kwargs)
