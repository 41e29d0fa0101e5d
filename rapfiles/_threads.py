"""Python code that may block, run in a thread: on asyncio and trio, and without holding up the process's end.

Only what is Python's own needs this: an `opener`, a file object of another library's. The threads are
daemons, so that one that is stuck does not keep the interpreter from ending, and shared with nothing else.
"""

from __future__ import annotations

import _thread
import contextlib
import os
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
        self._work: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0

    def start(self, work: Callable[[], object]) -> None:
        """Run something in a thread.

        Raises:
            RuntimeError: The system refuses a thread.
        """
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
                return
        try:
            threading.Thread(target=self._run, name="rapfiles call", daemon=True).start()
        except BaseException:
            with self._changed:
                if work not in self._work:
                    return  # a thread that was done with something else has taken it
                self._work.remove(work)
            raise

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    self._idle += 1
                    notified = self._changed.wait(_KEEP_ALIVE)
                    self._idle -= 1
                    if not notified and not self._work:
                        return
                work = self._work.popleft()
            work()
            del work


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

    def refuse(self, error: BaseException) -> None:
        """It is not going to be made."""
        self._function = None
        self.error = error
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

    __slots__ = ("_calls", "_changed", "_running", "_threads")

    def __init__(self) -> None:
        self._start_over()

    def _start_over(self) -> None:
        self._threads = _threads
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._running = False

    def finish(self) -> None:
        """Wait until every call has been made. For the end of the process."""
        if self._threads is not _threads:
            return  # the calls were made in the process that this one was forked from
        with self._changed:
            self._changed.wait_for(lambda: not self._running)

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
        if self._threads is not _threads:
            self._start_over()  # in a forked child there is nobody who would make the calls of its parent
        with self._changed:
            self._calls.append(call)
            if self._running:
                return
            self._running = True
        try:
            _threads.start(self._work)
        except BaseException as error:
            with self._changed:
                refused, self._calls = self._calls, deque()
                self._running = False
                self._changed.notify_all()
            for each in refused:
                each.refuse(error)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._calls:
                    self._running = False
                    self._changed.notify_all()
                    return
                call = self._calls.popleft()
            call.run()


async def run_sync(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call a function in a thread, and return or raise what comes of it.

    If cancelled, this raises at once; the call goes on all the same.
    """
    return await Strand().run(function, *args, **kwargs)


def in_background(work: Callable[[], object]) -> None:
    """Do something in a thread of its own that nobody waits for; safe while the garbage is collected."""
    try:
        # The threads above have a lock, which this thread may hold.
        _thread.start_new_thread(work, ())
    except RuntimeError:  # no more threads to be had, or the interpreter is ending
        with contextlib.suppress(OSError):
            work()
