"""A tree as text, as `tree` draws it."""

from __future__ import annotations

import os
from collections import deque
from operator import index
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

import rapfiles._native as _native

from ._find import ReportedSearch, TreeSearch
from ._tree import wanted as tree_wanted

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._progress import ProgressCallback
    from ._pure.segments import SegmentsPath
    from ._scandir import AsyncDirEntry
    from ._tree import Globs, OnError

__all__ = ["drawn", "outline"]

_BRANCH, _LAST = "├── ", "└── "
_BESIDE, _BELOW = "│   ", "    "
# Lines between which other tasks may have a turn: some 100 µs of work.
_LOT: Final = 128


class _Level:
    """A directory that is being drawn: what comes before the names in it, and those that are left."""

    __slots__ = ("before", "left", "prefix")

    def __init__(self, before: str, prefix: str) -> None:
        self.before = before
        self.prefix = prefix
        self.left: deque[tuple[str, bool]] = deque()


class _Drawing:
    """Lines that are drawn as far as is known what comes behind them.

    A directory is known when something of another one is found, and drawn down to that one. So nothing has to
    be sorted or kept but what is left of the directories on the way to the one at hand.
    """

    def __init__(self, root: str) -> None:
        # Nothing shows of the dot but in errors.
        self._dot = os.path.join(root, "") if root == os.curdir else ""
        self.here = _Level("", "" if self._dot else os.path.join(root, ""))
        self.refused: dict[str, str] = {}
        self._root = root
        self._above: list[_Level] = []
        # What is joined begins with a line break.
        self._lines = [""]
        # Joined some at a time: nothing here takes long, however large the tree is.
        self._texts: list[str] = []

    async def go_on_to(self, prefix: str | None) -> None:
        """Draw everything before the directory whose names have this before them, or all."""
        while True:
            if not self.here.left:
                if not self._above:
                    return
                self.here = self._above.pop()
                continue
            name, is_directory = self.here.left.popleft()
            last = not self.here.left
            line = self.here.before + (_LAST if last else _BRANCH) + _shown(name)
            if is_directory:
                path = self.here.prefix + name
                await self._draw(line + os.sep + self._reason(self._dot + path))
                inside = os.path.join(path, "")
                if inside == prefix:
                    self._above.append(self.here)
                    self.here = _Level(self.here.before + (_BELOW if last else _BESIDE), inside)
                    return
            else:
                await self._draw(line)

    async def _draw(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) > _LOT:
            self._texts.append("\n".join(self._lines))
            self._lines = [""]
            await _native.checkpoint()

    async def text(self) -> str:
        """All lines."""
        root = _shown(self._root) + self._reason(self._root)
        joining = _native.Joining([root, *self._texts, "\n".join(self._lines)])
        while (text := joining.text()) is None:
            await _native.checkpoint()
        return text

    def _reason(self, path: str) -> str:
        """Why there is nothing in a directory, if it could not be read."""
        return f" [{self.refused[path]}]" if path in self.refused else ""


def drawn(
    *,
    max_depth: SupportsIndex | None,
    include: Globs,
    exclude: Globs,
    hidden: bool | None,
    gitignore: bool,
    follow_symlinks: bool,
    same_file_system: bool,
    workers: SupportsIndex | None,
) -> Wanted:
    """The conditions of a search that finds what is drawn."""
    deepest = None if max_depth is None else index(max_depth)
    if deepest == 0:
        raise ValueError("max_depth must be at least 1")
    return tree_wanted(
        max_depth=None if deepest is None else deepest - 1,
        include=include,
        exclude=exclude,
        # Whatever is not left out is drawn.
        hidden=None if hidden is None or hidden else False,
        gitignore=gitignore,
        follow_symlinks=follow_symlinks,
        same_file_system=same_file_system,
        sort=True,
        workers=workers,
        detect_loops=follow_symlinks,
        all_directories=True,
    )


async def outline(
    path: SegmentsPath,
    on_error: OnError,
    follow_symlinks: bool,
    wanted: Wanted,
    progress: ProgressCallback | None,
    totals: bool,
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
        else ReportedSearch(path, False, None, note, wanted, progress, totals)
    )
    async with search as found:
        async for entry in found:
            name = entry.name
            prefix = os.fspath(entry)[: -len(name)]
            if prefix != drawing.here.prefix:
                await drawing.go_on_to(prefix)
            drawing.here.left.append((name, _is_directory(entry, follow_symlinks)))
    await drawing.go_on_to(None)
    return await drawing.text()


def _is_directory(entry: AsyncDirEntry[Any], follow_symlinks: bool) -> bool:
    """Whether there may be something in it. A link whose target cannot be looked up is drawn as a link."""
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False


def _shown(name: str) -> str:
    """A name in one line that can be printed."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
