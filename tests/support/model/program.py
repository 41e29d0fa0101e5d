"""A program: files that are opened, and rounds of tasks that use them and folders at the same time.

Written out (`repr`), it is Python that makes the same program.
"""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Data:
    """So many bytes or characters to be written; those of each key are different ones.

    `form`: bytes-like objects of which class; `lines`: whether there are line ends in it.
    """

    key: int
    size: int
    form: str = "bytes"
    lines: bool = True


@dataclass(frozen=True)
class Op:
    """An operation of the target: a file ("file 0") and its handle, or a folder ("folder 0")."""

    target: str
    name: str
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        arguments = f", {self.arguments!r}" if self.arguments else ""
        return f"Op({self.target!r}, {self.name!r}{arguments})"


@dataclass(frozen=True)
class Cancel:
    """When a task is cancelled: so much after its operation of this number has begun."""

    operation: int = 0
    turns: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Task:
    """Operations, one after the other."""

    operations: tuple[Op, ...]
    cancel: Cancel | None = None


@dataclass(frozen=True)
class Round:
    """Tasks that run at the same time, to their ends. `probe`: then the files are looked at."""

    tasks: tuple[Task, ...]
    probe: bool = False


@dataclass(frozen=True)
class File:
    """A file and how it is opened; None: there is none before.

    `opening`: attempts to open it that are cancelled. `ending`: how it is closed, if no round does it: with
    "close", with a close that is cancelled and another, with two at once ("twice"), or not at all ("drop").
    """

    keywords: tuple[tuple[str, Any], ...]
    content: Data | None = None
    opening: tuple[Cancel, ...] = ()
    ending: str | Cancel = "close"

    @property
    def mode(self) -> str:
        return str(dict(self.keywords)["mode"])

    @property
    def encoding(self) -> str | None:
        return dict(self.keywords).get("encoding")

    @property
    def text(self) -> bool:
        return "b" not in self.mode

    @property
    def raw(self) -> bool:
        return dict(self.keywords).get("buffering") == 0

    @property
    def readable(self) -> bool:
        return "r" in self.mode or "+" in self.mode

    @property
    def writable(self) -> bool:
        return "r" not in self.mode or "+" in self.mode

    @property
    def append(self) -> bool:
        return "a" in self.mode


@dataclass(frozen=True)
class Program:
    """What is played. `limit`: no file can grow beyond so many bytes."""

    files: tuple[File, ...]
    folders: int = 0
    rounds: tuple[Round, ...] = ()
    limit: int | None = None

    def with_rounds(self, rounds: tuple[Round, ...]) -> "Program":
        return replace(self, rounds=rounds)

    def __str__(self) -> str:
        lines = [f"Program({self.files!r}, {self.folders}, limit={self.limit}, rounds=("]
        for each in self.rounds:
            lines.append(f"  Round(probe={each.probe}, tasks=(")
            lines += [f"    {task!r}," for task in each.tasks]
            lines.append("  )),")
        return "\n".join([*lines, "))"])
