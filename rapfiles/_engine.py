"""The engine's settings and counters, as the user of the library sees them."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.

import atexit
import os
import warnings
from typing import Final, NamedTuple

import rapfiles._native as _native

_VARIABLE: Final = "RAPFILES_MAX_WORKERS"


def _check_environment() -> None:
    """Warn if the environment variable is invalid; the engine then uses its default."""
    value = os.environ.get(_VARIABLE, "1").strip()
    if not (value.isascii() and value.isdecimal() and int(value) > 0):
        warnings.warn(
            f"{_VARIABLE} must be a whole number of at least 1, not {value!r}: it is ignored",
            RuntimeWarning,
            stacklevel=2,
        )


_check_environment()

_LAST_WRITES: Final = 5.0
"""Seconds that the process waits at exit for the buffers of unclosed files to be written."""

atexit.register(_native.finish_closing, _LAST_WRITES)


class Configuration(NamedTuple):
    """The engine's settings, as [`configuration()`][rapfiles.configuration] returns them.

    Later versions may add fields, so access them by name.
    """

    max_workers: int
    """The most worker threads that run operations at once."""
    usable_cpus: int
    """Processors that this process may use, with CPU affinity and the cgroup's quota taken into account."""
    spin: bool
    """Whether threads may poll for work or answers for a few microseconds before they sleep."""


class Stats(NamedTuple):
    """A snapshot of the engine's counters, as [`stats()`][rapfiles.stats] returns it.

    The first group counts since the process started, the second is the current state. Later versions may add
    fields, so access them by name.
    """

    cached: int
    """Operations answered on the event loop's thread from the kernel's caches, without a worker."""
    submitted: int
    """Jobs handed to workers."""
    unsuspended: int
    """Jobs that were finished so soon that the awaiting task was not suspended."""
    completed: int
    """Jobs that workers have finished."""
    cancelled: int
    """Jobs dropped before a worker began them, because the awaiting task was cancelled."""
    wakeups: int
    """Times that an event loop was woken to collect finished jobs. One wake-up collects all of them."""
    panics: int
    """Bugs of the library that made a job in a worker fail. Each was raised where its operation was
    awaited."""

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

    The setting applies to the whole process, takes effect at once, and may be changed at any time. Threads
    are started when there is work and exit after some idle seconds. A worker that is stuck in one operation,
    for example on a dead mount, stops counting against the limit after half a second. The initial value is
    64, or that of the environment variable `RAPFILES_MAX_WORKERS`.

    Args:
        max_workers: The most worker threads that run operations at once, at least 1.

    Raises:
        TypeError: `max_workers` is not an integer.
        ValueError: `max_workers` is less than 1 or more than 32,768.

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
    """The engine's settings.

    Returns:
        The settings that apply now.

    ```python
    from rapfiles import configuration

    assert configuration().max_workers >= 1
    ```
    """
    settings = _native.configuration()
    return Configuration(settings["max_workers"], settings["usable_cpus"], bool(settings["spin"]))


def stats() -> Stats:
    """The engine's counters.

    Reading them takes about a microsecond, never blocks, and starts no thread.

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
