"""A clock of one thread that stands still while another thread has the processor."""

import os
import sys
from time import perf_counter
from types import TracebackType
from typing import Self


class ThreadClock:
    """The time of the thread that enters the block, without the time in which it waited for a processor.

    The difference of two readings is the time that the thread itself spent: its own work, its sleeps, and all
    its waits: for a disk, for a lock, and for the GIL too, since a loop that another thread blocks does not
    run. Only this time is left out:

    - the time for which it was ready to run, but other threads had the processors (proc(5),
      `/proc/[pid]/schedstat`, the second number, in nanoseconds);
    - the time for which the host of a virtual machine ran something else (`steal` in `/proc/stat`, of all
      processors together, in clock ticks).

    Where the system does not report these times, it is an ordinary clock.

    Example:
        ```python
        with ThreadClock() as clock:
            before = clock.read()
            something()
            print(clock.read() - before)
        ```
    """

    def __init__(self) -> None:
        self._schedule = -1
        self._processors = -1
        self._tick = 0.0

    def __enter__(self) -> Self:
        if sys.platform == "linux":
            self._schedule = _open("/proc/thread-self/schedstat")
            self._processors = _open("/proc/stat")
            self._tick = 1 / os.sysconf("SC_CLK_TCK")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in (self._schedule, self._processors):
            if handle >= 0:
                os.close(handle)
        self._schedule = self._processors = -1

    def read(self) -> float:
        """Seconds since some moment. Must be called by the thread that entered the block."""
        # /proc/stat: cpu  user nice system idle iowait irq softirq steal ...
        return perf_counter() - _number(self._schedule, 1) / 1e9 - _number(self._processors, 8) * self._tick


def _open(path: str) -> int:
    """A descriptor, or -1 if the kernel has not these statistics."""
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return -1


def _number(handle: int, at: int) -> int:
    """The word at this place of the first line, which is a number, or 0 if nothing is open."""
    if sys.platform == "win32" or handle < 0:
        return 0
    return int(os.pread(handle, 200, 0).split(None, at + 1)[at])
