"""A tree as text, as `tree` draws it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

import rapfiles._native as _native

from ._walk import DirectoryWalk

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._pure.segments import SegmentsPath
    from ._tree import OnError

__all__ = ["outline"]

_BRANCH, _LAST = "├── ", "└── "
_BESIDE, _BELOW = "│   ", "    "
# Lines between which other tasks may have a turn: some 100 µs of work.
_LOT = 128

# The names in a directory; those of directories have what is in them.
_Names: TypeAlias = "dict[str, _Names | None]"


async def outline(path: SegmentsPath, on_error: OnError, wanted: Wanted) -> str:
    """The lines of a tree, joined. The walk has to be sorted, and from the top down."""
    refused: dict[str, str] = {}

    def note(error: OSError) -> None:
        if on_error is not None:
            on_error(error)
        refused[str(error.filename)] = error.strerror or type(error).__name__

    top: _Names = {}
    # The directories on the way to the one that the walk is in.
    way = [top]
    async with DirectoryWalk(path, note, wanted) as walk:
        async for directory, directories, files in walk:
            depth = len(directory.parts) - len(path.parts)
            if depth:
                del way[depth:]
                here: _Names = {}
                way[-1][directory.name] = here
                way.append(here)
            below = dict.fromkeys(directories, True)
            for name in sorted(directories + files, key=os.fsencode):
                way[-1][name] = {} if name in below else None
    return await _drawn(str(path), top, refused)


async def _drawn(root: str, top: _Names, refused: dict[str, str]) -> str:
    lines = [_shown(root) + _reason(root, refused)]
    levels = [("", root, list(reversed(top.items())))]
    while levels:
        before, path, names = levels[-1]
        if not names:
            levels.pop()
            continue
        name, inside = names.pop()
        line = before + (_BRANCH if names else _LAST) + _shown(name)
        if inside is not None:
            whole = os.path.join(path, name)
            line += os.sep + _reason(whole, refused)
            levels.append((before + (_BESIDE if names else _BELOW), whole, list(reversed(inside.items()))))
        lines.append(line)
        if len(lines) % _LOT == 0:
            await _native.checkpoint()
    return "\n".join(lines)


def _reason(path: str, refused: dict[str, str]) -> str:
    """Why there is nothing in a directory, if it could not be read."""
    return f" [{refused[path]}]" if path in refused else ""


def _shown(name: str) -> str:
    """A name in one line that can be printed."""
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
