"""The asynchronous iterator over the directories of a tree."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, SupportsIndex, TypeVar

import rapfiles._native as _native

from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

P = TypeVar("P", bound=SegmentsPath)

__all__ = ["DirectoryWalk"]

# Deeper than any path, and within what the native half counts with.
_MOST = 1 << 30


class DirectoryWalk(Stream[tuple[P, list[str], list[str]]]):
    """The directories of a tree, each with the names in it.

    Workers read ahead of what is asked for, but only so far. Ending the iteration closes every directory.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_on_error", "_options")

    # The native half takes anything: what comes of it is decided here.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self,
        directory: P,
        top_down: bool,
        on_error: Callable[[OSError], object] | None,
        follow_symlinks: bool,
        /,
        *,
        max_depth: SupportsIndex | None,
        min_depth: SupportsIndex,
        same_file_system: bool,
        detect_loops: bool,
        sort: bool,
        workers: SupportsIndex | None,
    ) -> None:
        if on_error is not None and _is_coroutine_function(on_error):
            raise TypeError("on_error must be a plain function: a coroutine that it returned would never run")
        self._directory = directory
        self._on_error = on_error
        self._options = (
            bool(top_down),
            bool(follow_symlinks),
            depth("min_depth", min_depth),
            None if max_depth is None else depth("max_depth", max_depth),
            bool(same_file_system),
            bool(detect_loops),
            bool(sort),
            worker_count(workers),
        )

    def _open(self) -> _native.Source:
        return _native.walk(self._directory, self._on_error, *self._options)


_native.set_next_slot(DirectoryWalk)


def _is_coroutine_function(function: Callable[[OSError], object]) -> bool:
    # What this imports takes as long as the whole of rapfiles.
    from inspect import iscoroutinefunction

    return iscoroutinefunction(function)


def depth(name: str, value: SupportsIndex) -> int:
    """A number of levels."""
    number = operator.index(value)
    if number < 0:
        raise ValueError(f"{name} must not be negative")
    return min(number, _MOST)


def worker_count(workers: SupportsIndex | None) -> int:
    """How many directories are read at once at most; 0 for as many as is sensible."""
    if workers is None:
        return 0
    number = operator.index(workers)
    if number < 1:
        raise ValueError("workers must be at least 1")
    return min(number, _MOST)
