"""Python code that may block, run in a thread: on asyncio and trio, and without holding up the process's end.

Only what is Python's own needs this: an `opener`, a file object that somebody else has made. The threads are
daemons, so that one that is stuck does not keep the interpreter from ending, and shared with nothing else.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_KEEP_ALIVE: Final = 5.0
"""Seconds after which an idle thread ends."""


class _Threads:
    """As many threads as there are calls under way, kept for a while for the next ones."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0

    def start(self, work: Callable[[], object]) -> None:
        """Run something in a thread."""
        with self._lock:
            new = self._free == 0
            if not new:
                self._free -= 1
            self._work.put(work)
        if new:
            threading.Thread(target=self._run, name="rapfiles call", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=_KEEP_ALIVE)
            except queue.Empty:
                with self._lock:
                    # Whoever counted this thread as free has put its work into the queue.
                    if not self._work.empty() or self._free == 0:
                        continue
                    self._free -= 1
                    return
            work()
            del work
            with self._lock:
                self._free += 1


_threads = _Threads()


def _forget() -> None:
    """In a forked child there are no threads but one."""
    global _threads
    _threads = _Threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class _Call:
    """A call, and what came of it."""

    __slots__ = ("_function", "_tell", "error", "result")

    def __init__(self, function: Callable[[], Any], tell: Callable[[], object]) -> None:
        self._function: Callable[[], Any] | None = function
        self._tell = tell
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        function, self._function = self._function, None
        try:
            assert function is not None, "a call is made once"
            self.result = function()
        except BaseException as error:
            self.error = error
        del function
        # The loop may be closed, and nobody interested any more.
        with contextlib.suppress(RuntimeError):
            self._tell()

    def outcome(self) -> Any:
        if self.error is None:
            return self.result
        try:
            raise self.error
        finally:
            # The traceback leads back here, and would keep everything alive.
            self.error = None


class Strand:
    """Makes one call after the other, in the order in which they were asked for, each in a thread."""

    __slots__ = ("_calls", "_lock", "_running")

    def __init__(self) -> None:
        self._calls: deque[_Call] = deque()
        self._lock = threading.Lock()
        self._running = False

    async def run(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function in a thread, and return or raise what comes of it.

        If cancelled, this raises at once; the call is made, or goes on, all the same.
        """
        work = partial(function, *args, **kwargs)
        run = self._run_on_trio if _native.in_trio_task() else self._run_on_asyncio
        outcome: T = await run(work)
        return outcome

    async def _run_on_asyncio(self, function: Callable[[], Any]) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tell() -> None:
            if not done.done():
                done.set_result(None)

        call = _Call(function, partial(loop.call_soon_threadsafe, tell))
        self._submit(call)
        await done
        return call.outcome()

    async def _run_on_trio(self, function: Callable[[], Any]) -> Any:
        import trio

        await trio.lowlevel.checkpoint_if_cancelled()
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        call = _Call(function, partial(token.run_sync_soon, done.set))
        self._submit(call)
        await done.wait()
        return call.outcome()

    def _submit(self, call: _Call) -> None:
        with self._lock:
            self._calls.append(call)
            if self._running:
                return
            self._running = True
        _threads.start(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._running = False
                    return
                call = self._calls.popleft()
            call.run()


async def run_sync(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call a function in a thread, and return or raise what comes of it.

    If cancelled, this raises at once; the call goes on all the same.
    """
    return await Strand().run(function, *args, **kwargs)
