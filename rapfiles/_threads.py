"""Running Python code that may block in a thread, on asyncio and trio, without delaying the process's exit.

Only Python code needs this: an `opener`, a file object of another library. The threads are daemons, for which
the interpreter does not wait at exit (`threading.Thread.daemon`), and are not shared with anything else.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import sys
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rapfiles._native as _native

from ._waiter import new_waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

_KEEP_ALIVE: Final = 5.0
"""Seconds after which an idle thread exits."""

_PATIENCE: Final = 5.0
"""Seconds for which the end of the process waits for threads."""


class _Threads:
    """A pool with a thread for each running call; idle threads are kept for a while."""

    def __init__(self) -> None:
        self._work: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0

    def start(self, work: Callable[[], object]) -> BaseException | None:
        """Run something in a thread.

        Returns what a signal handler has raised after a thread had taken the work, such as KeyboardInterrupt:
        the caller has to raise it.

        Raises:
            RuntimeError: The system refuses a thread.
        """
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
                return None
        try:
            threading.Thread(target=self._run, name="rapfiles call", daemon=True).start()
        except BaseException as error:
            with self._changed:
                if work not in self._work:
                    # A thread that became idle has taken it, or the new one, for which `start` waits.
                    return None if isinstance(error, RuntimeError) else error
                self._work.remove(work)
            raise
        return None

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
    """A forked child has only the thread that called fork(2)."""
    global _threads
    _threads = _Threads()
    _awaited.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)


class _Call:
    """A call and its outcome."""

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
        # The loop may be closed (RuntimeError of both frameworks); then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._tell()

    def refuse(self, error: BaseException) -> None:
        """Fail the call without making it."""
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
            # The traceback refers to this frame: a reference cycle.
            self.error = None


class Strand:
    """Runs calls in threads, one at a time, in the order in which they were submitted."""

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
        """Call a function in a thread, and return its result or raise its exception.

        If cancelled, this raises at once; the call is still made, or continues.
        """
        submit = self._submit
        if _native.in_trio_task():
            import trio

            from ._trio import without_interrupt

            await trio.lowlevel.checkpoint_if_cancelled()
            submit = partial(without_interrupt, submit)
        waiter = new_waiter()
        call = _Call(partial(function, *args, **kwargs), waiter.wake_from_thread)
        submit(call)
        await waiter.wait()
        outcome: T = call.outcome()
        return outcome

    def _submit(self, call: _Call) -> None:
        if self._threads is not _threads:
            self._start_over()  # in a forked child there is nobody who would make the calls of its parent
        with self._changed:
            self._calls.append(call)
            if self._running:
                return
            self._running = True
        try:
            interrupted = _threads.start(self._work)
        except BaseException as error:
            with self._changed:
                refused, self._calls = self._calls, deque()
                self._running = False
                self._changed.notify_all()
            for each in refused:
                each.refuse(error)
            return
        if interrupted is not None:
            try:
                raise interrupted
            finally:
                # The traceback refers to this frame: a reference cycle.
                del interrupted

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
    """Call a function in a thread, and return its result or raise its exception.

    If cancelled, this raises at once; the call continues.
    """
    return await Strand().run(function, *args, **kwargs)


_awaited: Final[set[_thread.LockType]] = set()
"""Locks that threads release when the end of the process has not to wait for them any more."""


def _await_at_exit() -> _thread.LockType:
    lock = _thread.allocate_lock()
    lock.acquire()
    _awaited.add(lock)
    return lock


def _let_exit(lock: _thread.LockType) -> None:
    _awaited.discard(lock)
    lock.release()


@contextlib.contextmanager
def awaited_at_exit() -> Generator[None]:
    """The end of the process waits for this block, which a thread runs, for up to five seconds."""
    lock = _await_at_exit()
    try:
        yield
    finally:
        _let_exit(lock)


@atexit.register
def wait_for_threads() -> None:
    """Wait for what the end of the process has to wait for, for up to five seconds in all."""
    until = time.monotonic() + _PATIENCE
    while _awaited:
        for lock in list(_awaited):
            if not lock.acquire(timeout=max(until - time.monotonic(), 0.0)):
                # Not waited for by the next caller either.
                _awaited.discard(lock)


def in_background(work: Callable[[], object]) -> None:
    """Call a function in a new thread that nobody waits for; may be called during a garbage collection.

    The end of the process waits until the thread has begun: the end of the interpreter frees the states of
    threads that do not run yet, and CPython 3.11.2 crashes when they use them. So did 5 of 150 processes that
    started 100 threads with `_thread` alone and ended.
    """
    begun = _await_at_exit()

    def run() -> None:
        _let_exit(begun)
        work()

    try:
        # The pool above has a lock, which this thread may already hold.
        _thread.start_new_thread(run, ())
    except RuntimeError:  # the system refuses a thread, or the interpreter is finalizing
        _let_exit(begun)
        with contextlib.suppress(OSError):
            work()
