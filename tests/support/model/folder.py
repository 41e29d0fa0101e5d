"""The model of a folder: what `pathlib` makes of operations on paths in it, from any state of it."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapfiles import AsyncPath
from support.handles import Outcome, of_await, of_call

from .content import bytes_of, text_of
from .program import Data, Op

# These are one step for whoever looks on: done or not, and in some order with others. (What follows the name
# of a file that is being renamed may find it at neither place or both: each name is looked up on its own.)
ATOMIC = {
    *("mkdir", "rmdir", "unlink", "rename", "replace", "symlink_to", "hardlink_to", "readlink"),
    *("exists", "is_file", "is_dir", "is_symlink", "stat", "lstat"),
}
QUESTIONS = {
    "exists",
    "is_file",
    "is_dir",
    "is_symlink",
    "stat",
    "lstat",
    "readlink",
    "iterdir",
    "read_bytes",
    "read_text",
}


@dataclass(frozen=True, eq=False)
class Entries:
    """What is in a folder: for each name its kind, and the content, the target, or the other name of it."""

    entries: tuple[tuple[str, str, Any], ...] = ()

    def key(self) -> tuple[Any, ...]:
        return self.entries

    def __str__(self) -> str:
        return ", ".join(f"{name}: {kind} {str(value)[:40]}" for name, kind, value in self.entries)


def entries_of(root: Path) -> Entries:
    """What is there."""
    found: list[tuple[str, str, Any]] = []
    first: dict[int, str] = {}
    for folder, folders, files in os.walk(root):
        for each in sorted([*folders, *files]):
            path = Path(folder, each)
            name = path.relative_to(root).as_posix()
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                found.append((name, "link", os.readlink(path)))
            elif stat.S_ISDIR(status.st_mode):
                found.append((name, "folder", None))
            elif status.st_ino in first:
                found.append((name, "same", first[status.st_ino]))
            else:
                first[status.st_ino] = name
                found.append((name, "file", path.read_bytes()))
    return Entries(tuple(found))


class TwinFolder:
    """A folder beside one of ours."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.now = Entries()
        self.expected: object = None

    def steps(self, state: Entries, op: Op, outcome: Outcome | None) -> list[Entries]:
        """The states that this operation with this outcome may lead to from `state`."""
        if outcome is not None:
            return [after] if (after := self._step(state, op, outcome)) is not None else []
        if op.name in QUESTIONS:
            return [state]
        after = self._step(state, op, None)
        found = [state, *([] if after is None else [after])]
        if op.name == "mkdir" and len(op.arguments) > 1:
            # "any of the directories may have been created"
            parent = Op(op.target, "mkdir", (os.path.dirname(op.arguments[0]),))
            if parent.arguments != ("",) and (between := self._step(state, parent, None)) is not None:
                found.append(between)
        return found

    def _step(self, state: Entries, op: Op, outcome: Outcome | None) -> Entries | None:
        self._restore(state)
        self.expected = of_call(lambda: _by_pathlib(self.root, op))
        self.now = state if op.name in QUESTIONS else entries_of(self.root)
        if outcome is not None and _relative(self.expected, self.root) != outcome:
            return None
        return self.now

    def _restore(self, state: Entries) -> None:
        if state.key() == self.now.key():
            return
        shutil.rmtree(self.root)
        self.root.mkdir()
        for name, kind, value in state.entries:
            path = self.root / name
            if kind == "folder":
                path.mkdir()
            elif kind == "link":
                path.symlink_to(value)
            elif kind == "same":
                os.link(self.root / value, path)
            else:
                path.write_bytes(value)
        self.now = state


def _relative(value: Any, root: Path) -> Any:
    """The outcome, in which the two folders have one name."""
    if isinstance(value, tuple):
        return tuple(_relative(each, root) for each in value)
    if isinstance(value, str | os.PathLike) and os.fspath(value).startswith(os.fspath(root)):
        return "<folder>" + os.fspath(value)[len(os.fspath(root)) :]
    return value


def _data(data: Data) -> bytes:
    return bytes_of(data.key, data.size, data.lines)


def _text(data: Data, encoding: str) -> str:
    return text_of(data.key, data.size, data.lines, encoding)


def _seen(status: os.stat_result) -> tuple[int, int]:
    mode = stat.S_IFMT(status.st_mode)
    return (mode, status.st_size if mode == stat.S_IFREG else 0)


def _by_pathlib(root: Path, op: Op) -> Any:
    name, *others = op.arguments
    path = root / name
    match op.name:
        case "rename" | "replace" | "hardlink_to":
            found = getattr(path, op.name)(root / others[0])
            return found if found is None else str(found)
        case "iterdir":
            return sorted(child.name for child in path.iterdir())
        case "stat" | "lstat":
            return _seen(getattr(path, op.name)())
        case "readlink":
            return str(path.readlink())
        case "write_bytes":
            return path.write_bytes(_data(others[0]))
        case "append_bytes":
            with path.open("ab", buffering=0) as file:
                return file.write(_data(others[0]))
        case "write_text":
            return path.write_text(_text(*others), others[1])
        case "append_text":
            with path.open("a", encoding=others[1]) as text:
                return text.write(_text(*others))
        case "truncate":
            return os.truncate(path, others[0])
        case "mkdir":
            return path.mkdir(parents=bool(others), exist_ok=bool(others))
        case _:
            return getattr(path, op.name)(*others)


async def by_rapfiles(root: Path, op: Op) -> Outcome:
    """Do it with the library."""
    return _relative(await of_await(lambda: _awaited(AsyncPath(root), op)), root)  # type: ignore[no-any-return]


async def _awaited(root: AsyncPath, op: Op) -> Any:
    name, *others = op.arguments
    path = root / name
    match op.name:
        case "rename" | "replace" | "hardlink_to":
            found = await getattr(path, op.name)(root / others[0])
            return found if found is None else str(found)
        case "iterdir":
            return sorted([child.name async for child in path.iterdir()])
        case "stat" | "lstat":
            return _seen(await getattr(path, op.name)())
        case "readlink":
            return str(await path.readlink())
        case "write_bytes" | "append_bytes":
            return await getattr(path, op.name)(_data(others[0]))
        case "write_text" | "append_text":
            return await getattr(path, op.name)(_text(*others), others[1])
        case "mkdir":
            return await path.mkdir(parents=bool(others), exist_ok=bool(others))
        case _:
            return await getattr(path, op.name)(*others)
