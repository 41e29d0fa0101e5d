"""The engine's settings and counters, as the user of the library sees them."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The annotations promise what the checks of arguments check.

import atexit
import os
import warnings
from typing import Final, NamedTuple

import rapfiles._native as _native

_VARIABLE: Final = "RAPFILES_MAX_WORKERS"


def _check_environment() -> None:
    """Say so if the environment asks for something that cannot be; the engine then keeps to its default."""
    value = os.environ.get(_VARIABLE, "1").strip()
    if not (value.isascii() and value.isdecimal() and int(value) > 0):
        warnings.warn(
            f"{_VARIABLE} must be a whole number of at least 1, not {value!r}: it is ignored",
            RuntimeWarning,
            stacklevel=2,
        )


_check_environment()

_LAST_WRITES: Final = 5.0
"""Seconds that the end of the process waits for what unclosed files still have to write."""

atexit.register(_native.finish_closing, _LAST_WRITES)


class Configuration(NamedTuple):
    """What the engine may use of the machine, as [`configuration()`][rapfiles.configuration] reports it.

    Later versions may add fields, so take them by name.
    """

    max_workers: int
    """The most worker threads that run operations at once."""
    usable_cpus: int
    """Processors that this process may use, with CPU affinity and the cgroup's quota taken into account."""
    spin: bool
    """Whether threads may look for work or answers for a few microseconds before they sleep."""


class Stats(NamedTuple):
    """One reading of the engine's counters, as [`stats()`][rapfiles.stats] reports it.

    The first group counts since the process started, the second is the state at this moment. Later versions
    may add fields, so take them by name.
    """

    cached: int
    """Operations answered on the event loop's thread from the kernel's caches, without a worker."""
    submitted: int
    """Jobs handed to workers."""
    unsuspended: int
    """Jobs whose answer came so fast that the awaiting task did not have to be suspended."""
    completed: int
    """Jobs that workers have finished."""
    cancelled: int
    """Jobs dropped before a worker began them, because the awaiting task was cancelled."""
    wakeups: int
    """Times that an event loop was woken to collect finished jobs. One wake-up collects all there are."""
    panics: int
    """Failures of the library itself in workers. Each was raised where its operation was awaited."""

    queued: int
    """Jobs waiting for a worker."""
    in_flight: int
    """Jobs that workers are running."""
    workers: int
    """Worker threads, with or without a job."""
    idle_workers: int
    """Worker threads without a job."""


def configure(*, max_workers: int) -> None:
    """Set how many worker threads the engine may use at once.

    The setting holds for the whole process, takes effect at once, and may be changed at any time. Threads are
    started when work needs them and end when they have been idle. A worker that is stuck in one operation,
    say on a mount that has died, does not count against the limit for ever. The initial value is 64, or that
    of the environment variable `RAPFILES_MAX_WORKERS`.

    Args:
        max_workers: The most worker threads that run operations at once, at least 1.

    Raises:
        TypeError: `max_workers` is not an integer.
        ValueError: `max_workers` is less than 1 or absurdly large.

    ```python
    from rapfiles import configuration, configure

    configure(max_workers=32)
    assert configuration().max_workers == 32
    configure(max_workers=64)
    ```
    """
    if not isinstance(max_workers, int) or isinstance(max_workers, bool):
        raise TypeError(f"max_workers must be an integer, not {type(max_workers).__name__}")
    if not 1 <= max_workers <= _MOST_WORKERS:
        raise ValueError(f"max_workers must be between 1 and {_MOST_WORKERS}, not {max_workers}")
    _native.configure(max_workers)


# The default limit on the threads of all processes together on a small Linux machine is about this.
_MOST_WORKERS = 32_768


def configuration() -> Configuration:
    """What the engine may use of the machine.

    Returns:
        The settings in force.

    ```python
    from rapfiles import configuration

    assert configuration().max_workers >= 1
    ```
    """
    settings = _native.configuration()
    return Configuration(settings["max_workers"], settings["usable_cpus"], bool(settings["spin"]))


def stats() -> Stats:
    """The engine's counters at this moment.

    Reading them costs about a microsecond, waits for nothing, and starts no thread.

    Returns:
        The counters of this process. In a forked child they start again from zero.

    ```python
    from rapfiles import stats

    before = stats()
    await directory.exists()
    after = stats()
    assert after.cached + after.submitted > before.cached + before.submitted
    ```
    """
    return Stats(**_native.stats())
