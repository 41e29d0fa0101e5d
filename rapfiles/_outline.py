"""A tree as text, as `tree` draws it."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

import rapfiles._native as _native

from ._find import ReportedSearch, TreeSearch

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._progress import ProgressCallback
    from ._pure.segments import SegmentsPath
    from ._tree import OnError

__all__ = ["outline"]

_BRANCH, _LAST = "├── ", "└── "
_BESIDE, _BELOW = "│   ", "    "
# Lines between which other tasks may have a turn: some 100 µs of work.
_LOT: Final = 128


async def outline(
    path: SegmentsPath,
    on_error: OnError,
    follow_symlinks: bool,
    wanted: Wanted,
    progress: ProgressCallback | None,
) -> str:
    """The lines of a tree, joined. The search has to be sorted."""
    drawing = _Drawing(str(path))

    def note(error: OSError) -> None:
        if on_error is not None:
            on_error(error)
        drawing.refused[str(error.filename)] = error.strerror or type(error).__name__

    search = (
        TreeSearch(path, False, None, note, wanted)
        if progress is None
        else ReportedSearch(path, False, None, note, wanted, progress)
    )
    async with search as found:
        async for entry in found:
            name = entry.name
            prefix = os.fspath(entry)[: -len(name)]
            if prefix != drawing.here.prefix:
                await drawing.go_on_to(prefix)
            drawing.here.left.append((name, entry.is_dir(follow_symlinks=follow_symlinks)))
    await drawing.go_on_to(None)
    return drawing.text()


def _shown(name: str) -> str:
    """A name in one line that can be printed."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
