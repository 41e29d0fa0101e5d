"""The model of an open file: what `io` makes of operations, from any state of it.

The twin is an ordinary file. After each operation it is flushed and told where it is, so that its state is
what is in the file and the position, and it can go back to a state when there are several ways to go on.
"""

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support.handles import ENDS, PLAIN_POSITIONS, Outcome, of_call

from . import rules
from .content import written
from .program import File, Op
from .record import shown


@dataclass(frozen=True, eq=False)
class State:
    """What is in a file, where its handle is, and places that were told: those of io and ours."""

    content: bytes
    position: int
    closed: bool = False
    named: bool = True
    told: tuple[tuple[int, int], ...] = ()

    def key(self) -> tuple[Any, ...]:
        """Equal for equal states."""
        return (self.position, self.closed, self.named, self.told, self.content)

    def __str__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"at {self.position} of {len(self.content)} bytes{closed}, told {self.told}"


class Twin:
    """An ordinary file beside one of ours."""

    def __init__(self, file: File, path: Path) -> None:
        self.of = file
        self.path = path
        self.expected: object = None
        self.file: Any = None
        self.now: State | None = None

    def open(self, content: bytes | None) -> State:
        """Open it with this content; the state that it is in then."""
        if content is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_bytes(content)
        self.file = open(self.path, **dict(self.of.keywords))  # noqa: SIM115
        self.now = State(self.path.read_bytes(), self.file.tell())
        return self.now

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def steps(self, state: State, op: Op, outcome: Outcome | None) -> list[State]:
        """The states that this operation with this outcome may lead to from `state`."""
        if outcome is None:
            return self._cancelled(state, op)
        after = self._step(state, op, outcome)
        return [] if after is None else [after]

    def _cancelled(self, state: State, op: Op) -> list[State]:
        """What the documentation promises of a cancelled operation: it was done, or it was not."""
        if op.name not in rules.CHANGING or state.closed:
            return [state]
        if op.name == "writelines":
            # "may have accepted some of its lines"
            some = [
                Op(op.target, "writelines", (op.arguments[0][:count],))
                for count in range(1, 1 + len(op.arguments[0]))
            ]
            return [state, *(after for each in some if (after := self._step(state, each, None)) is not None)]
        after = self._step(state, op, None)
        return [state] if after is None else [state, after]

    def _step(self, state: State, op: Op, outcome: Outcome | None) -> State | None:
        """The state behind one operation; None where its outcome is another. No outcome stands for any."""
        if state.closed and op.name not in rules.OF_THE_PATH:
            if op.name == "close":
                return state if outcome in (None, ("returns", None)) else None
            self.expected = "ValueError: it is closed"
            refused = outcome is None or (outcome[0] == "raises" and issubclass(outcome[1][0], ValueError))
            return state if refused else None
        if op.name in rules.OF_THE_PATH:
            return self._step_of_path(state, op, outcome)
        self._restore(state)
        if op.name == "seek_told":
            return self._seek_told(state, op, outcome)
        expected = self._perform(op, outcome)
        agrees = self._agrees(expected, outcome)
        if op.name == "close":
            self.now = None
            content = self.path.read_bytes() if self.of.writable else state.content
            return replace(state, content=content, closed=True) if agrees else None
        told = state.told
        if op.name == "tell" and outcome is not None and outcome[0] == expected[0] == "returns":
            # Where there is the state of a decoder in it, it is the handle's own affair.
            plain = max(expected[1], outcome[1]) < PLAIN_POSITIONS
            agrees = expected[1] == outcome[1] if plain else isinstance(outcome[1], int)
            told = (*told, (expected[1], outcome[1]))
        if op.name in rules.OF_CONTENT:
            told = ()
        self.file.flush()
        content = self.path.read_bytes() if op.name in rules.OF_CONTENT else state.content
        self.now = State(content, self.file.tell(), False, state.named, told)
        return self.now if agrees else None

    def _step_of_path(self, state: State, op: Op, outcome: Outcome | None) -> State | None:
        """The same for what is asked of the path."""
        expected: Outcome = ("raises", FileNotFoundError)
        after = state
        if state.named and op.name == "path.unlink":
            expected, after = ("returns", None), replace(state, named=False)
            if self.now is state:
                self.now = after
        elif state.named:
            expected = ("returns", state.content if op.name == "path.read_bytes" else len(state.content))
        return after if self._agrees(expected, outcome) else None

    def _agrees(self, expected: Outcome, outcome: Outcome | None) -> bool:
        """Whether ours is as expected. Of errors the classes: their texts are compared elsewhere."""
        self.expected = expected
        if outcome is None:
            return True
        if "raises" in (expected[0], outcome[0]):
            kinds = [each[1][0] if isinstance(each[1], tuple) else each[1] for each in (expected, outcome)]
            return expected[0] == outcome[0] and kinds[0] is kinds[1]
        return expected == outcome and type(expected[1]) is type(outcome[1])

    def _seek_told(self, state: State, op: Op, outcome: Outcome | None) -> State | None:
        # The player has put the place that ours was told behind the number.
        place, ours = op.arguments[0], op.arguments[1]
        for theirs, known in state.told:
            if known == ours:
                place = theirs
        self.file.seek(place)
        self.now = replace(state, position=self.file.tell())
        return self.now if self._agrees(("returns", ours), outcome) else None

    def _restore(self, state: State) -> None:
        """Be in a state in which it was before."""
        if state is self.now:
            return
        if self.now is None or self.now.content is not state.content:
            if self.file is not None:
                self.file.close()
            self.path.write_bytes(state.content)
            self.file = open(self.path, **dict(self.of.keywords), opener=_as_it_is)  # noqa: SIM115
        self.file.seek(state.position)
        self.now = state

    def _perform(self, op: Op, outcome: Outcome | None) -> Outcome:
        """Do it, and see what io makes of it."""
        file, name = self.file, op.name
        if name == "next" or name == "chunk":
            found = of_call(file.readline) if name == "next" else of_call(lambda: file.read(*op.arguments))
            return ENDS if found in (("returns", b""), ("returns", "")) else found
        if name in ("readlines", "batch"):
            found = of_call(lambda: self._lines(*op.arguments))
            return ENDS if name == "batch" and found == ("returns", []) else found
        if name in ("read1", "peek", "readinto1") or (name in ("read", "readinto") and self.of.raw):
            return self._read_some(op, outcome)
        if name == "readinto":
            into = bytearray(b"." * op.arguments[0])
            found = of_call(lambda: file.readinto(into))
            return (found[0], (found[1], bytes(into)))
        if name == "write":
            return of_call(lambda: file.write(written(op.arguments[0], self.of)))
        if name == "writelines":
            return of_call(lambda: file.writelines([written(data, self.of) for data in op.arguments[0]]))
        if name in rules.FLUSHING:
            return of_call(file.flush)
        if name == "pread":
            return of_call(
                lambda: os.pread(file.fileno(), *op.arguments) if self.of.readable else _unsupported()
            )
        if name == "pwrite":
            data, place = op.arguments
            return of_call(lambda: self._write_at(written(data, self.of), place))
        if name == "size":
            return ("returns", os.fstat(file.fileno()).st_size)
        return of_call(lambda: getattr(file, name)(*op.arguments))

    def _lines(self, hint: int = -1) -> list[Any]:
        """As IOBase.readlines does it; but telling the position works afterwards."""
        lines: list[Any] = []
        length = 0
        while line := self.file.readline():
            lines.append(line)
            length += len(line)
            if 0 < hint < length:
                break
        return lines

    def _write_at(self, data: Any, place: int) -> int:
        if not self.of.writable:
            raise io.UnsupportedOperation
        # With O_APPEND, Linux appends wherever it is told to write (pwrite(2), "BUGS").
        at = 0
        while at < len(data):
            at += os.pwrite(self.file.fileno(), data[at:], place + at)
        return at

    def _read_some(self, op: Op, outcome: Outcome | None) -> Outcome:
        """What gives more or less of what is there: as much as ours gave, and nothing only at the end."""
        size = op.arguments[0] if op.arguments else -1
        if not self.of.readable or outcome is None or outcome[0] == "raises":
            return of_call(lambda: self.file.read(0))
        into = op.name.startswith("readinto")
        count = outcome[1][0] if into else len(outcome[1])
        if op.name == "read" and size in (-1, None):
            return of_call(self.file.read)
        before = self.file.tell()
        data = self.file.read(count)
        if count == 0 and size != 0:
            ended = self.file.read(1)
            self.file.seek(before)
            if ended:
                return ("returns", "more than nothing")
        if (count > size >= 0) and op.name != "peek":
            return ("returns", f"no more than {size}")
        if op.name == "peek":
            self.file.seek(before)
        return ("returns", (count, data + b"." * (size - count)) if into else data)


def _as_it_is(path: str, flags: int) -> int:
    """Open a file without emptying it."""
    return os.open(path, flags & ~(os.O_TRUNC | os.O_EXCL))


def _unsupported() -> bytes:
    raise io.UnsupportedOperation


def describe(state: State, twin: Twin) -> str:
    return f"{state}; the last thing expected was {shown(twin.expected)}"
