"""How far long work has come, and how its caller is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain, islice
from typing import Final, NamedTuple, TypeAlias, TypeGuard, TypeVar, cast

import rapfiles._native as _native

from ._stream import Stream

T = TypeVar("T")

__all__ = ["Progress"]

# Names that are looked up before other tasks may run: some 100 µs of work.
_LOT: Final = 1024


class Progress(NamedTuple):
    """How far a copy, a move, a removal, a listing, a search or a sum has come.

    ```python
    from rapfiles import Progress

    async def show(progress: Progress) -> None:
        if progress.counted is not None:
            print(f"{progress.counted} entries so far")
        else:
            print(f"{progress.bytes} of {progress.total_bytes} bytes", progress.current)

    await (directory / "data").write_bytes(b"abc")
    await (directory / "data").copy(directory / "copy", progress=show, totals=True)
    ```
    """

    files: int
    """Completed entries other than directories."""
    directories: int
    """Directories that have been begun."""
    bytes: int
    """Bytes of content that are done, holes included. Removals, listings and searches have none."""
    total_files: int | None
    """How many files there are altogether; `None` where that is not known: without `totals=True`, and until
    everything has been counted."""
    total_directories: int | None
    """How many directories there are altogether; `None` where that is not known."""
    total_bytes: int | None
    """How many bytes there are altogether; `None` where that is not known, as for
    `du`, which finds it out."""
    counted: int | None
    """With `totals=True`, how many entries have been counted so far; `None` when that is over."""
    errors: int
    """Entries that have failed."""
    current: str | None
    """The path of an entry that is being processed; `None` at the end."""
    elapsed: float
    """Seconds since the beginning of the counting, and then of the work."""

    @property
    def rate(self) -> float:
        """Bytes per second since the beginning."""
        return self.bytes / self.elapsed if self.elapsed > 0 else 0.0


ProgressCallback: TypeAlias = Callable[[Progress], object]
ErrorCallback: TypeAlias = Callable[[OSError], object]
# Gets the path of a directory and the names in it; returns those that are left out. See `shutil.copytree`.
Ignore: TypeAlias = Callable[[str, list[str]], Iterable[str] | Awaitable[Iterable[str]]]

# The figures of a snapshot, as the native half gives them: files, directories and bytes, done and in total.
Figures: TypeAlias = tuple[
    tuple[int, int, int], tuple[int, int, int] | None, int, str | None, int | None, float
]
# What it tells of a copy: an entry that failed, a directory of which it asks what to copy, or a snapshot.
Report: TypeAlias = Exception | _native.Selection | Figures


class Reports(Stream[T]):
    """The reports of long work, until it is complete."""

    __slots__ = ("_begin",)

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, begin: Callable[[], _native.Source], /
    ) -> None:
        self._begin = begin

    def _open(self) -> _native.Source:
        return self._begin()


_native.set_next_slot(Reports)


async def attend(
    begin: Callable[[], _native.Source],
    progress: ProgressCallback | None,
    on_error: ErrorCallback | None,
    ignore: Ignore | None = None,
) -> None:
    """Run long work, and pass its reports to the callbacks. An exception of a callback ends the work."""
    stream: Reports[Report] = Reports(begin)
    async with stream as reports:
        async for report in reports:
            answer: object = None
            if isinstance(report, Exception):
                if on_error is None or not isinstance(report, OSError):
                    raise report
                answer = on_error(report)
            elif isinstance(report, _native.Selection):
                await _select(report, ignore)
            elif progress is not None:
                answer = progress(snapshot(report))
            if isinstance(answer, Awaitable):
                await answer


def _are_figures(item: object) -> TypeGuard[Figures]:
    # The items of streams are no tuples, or those of a walk, which have three elements.
    return isinstance(item, tuple) and len(cast("tuple[object, ...]", item)) == 6


async def next_item(
    stream: Stream[T], ask: Callable[[], Awaitable[T | Figures]], progress: ProgressCallback
) -> T:
    """The next item of a stream that also tells how far it has come. An exception of the callback ends it."""
    while True:
        found = await ask()
        if not _are_figures(found):
            return cast("T", found)
        try:
            answer = progress(snapshot(found))
            if isinstance(answer, Awaitable):
                await answer
        except BaseException:
            stream._end()  # pyright: ignore[reportPrivateUsage]
            raise


async def _select(selection: _native.Selection, ignore: Ignore | None) -> None:
    """Select the entries of a directory that are not ignored."""
    # In a large directory other tasks run in between.
    lots: deque[list[str]] = deque()
    count = 0
    while lot := selection.names(count):
        lots.append(lot)
        count += len(lot)
        await _native.checkpoint()
    ignored = () if ignore is None else ignore(selection.directory, list(chain.from_iterable(lots)))
    if isinstance(ignored, Awaitable):
        ignored = await ignored
    # A string would be the set of its characters.
    if isinstance(ignored, str) or not isinstance(ignored, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"ignore must return the names that are left out, not {ignored!r}")
    left_out = ignored if isinstance(ignored, set | frozenset) else await _set_of(ignored)
    kept = bytearray()
    while lots:
        kept += bytes(name not in left_out for name in lots.popleft())
        await _native.checkpoint()
    selection.keep(bytes(kept))


async def _set_of(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    rest = iter(names)
    while lot := list(islice(rest, _LOT)):
        found.update(lot)
        await _native.checkpoint()
    return found


def snapshot(figures: Figures) -> Progress:
    """The figures as a `Progress`."""
    done, total, errors, current, counted, elapsed = figures
    files, directories, size = done
    total_files, total_directories, total_size = total or (None, None, None)
    return Progress(
        files,
        directories,
        size,
        total_files,
        total_directories,
        total_size,
        counted,
        errors,
        current,
        elapsed,
    )
