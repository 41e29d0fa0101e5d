"""What a device may hold after a power cut, chosen from the record of its writes and flushes."""

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_HEADER = struct.Struct("<QQQ")
_BLOCK = 4096
# What a disk writes as a whole: today's, and older ones.
_SECTORS = (_BLOCK, 512)
# The superblocks of a btrfs, which rests on it that they are written as a whole.
_WHOLE = (64 << 10, 64 << 20)


@dataclass(frozen=True)
class Entry:
    """A write, a flush or a mark."""

    kind: str
    """`W`, `F` or `M`."""
    offset: int
    content: bytes


@dataclass(frozen=True, order=True)
class State:
    """The device after the first `cut` entries, and a choice among those of the writes that no flush has
    followed.

    `choice` 0 has all of them, 1 none. From 2 on each is there or not, at random, and in every second of
    these one of them is torn: only some of its sectors are there, of 4096 bytes or of 512.
    """

    cut: int
    choice: int

    def __str__(self) -> str:
        return f"{self.cut}:{self.choice}"

    @classmethod
    def parse(cls, text: str) -> "State":
        """The state with this name."""
        cut, _, choice = text.partition(":")
        return cls(int(cut), int(choice))


def read(log: Path) -> list[Entry]:
    """The entries of a record."""
    entries, at, content = [], 0, log.read_bytes()
    while at < len(content):
        kind, offset, length = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        entries.append(Entry(chr(kind), offset, content[at : at + length]))
        at += length
    return entries


def _pending(entries: list[Entry], cut: int) -> list[Entry]:
    """The writes that no flush has followed."""
    first = cut
    while first > 0 and entries[first - 1].kind != "F":
        first -= 1
    return [entry for entry in entries[first:cut] if entry.kind == "W"]


def choose(entries: list[Entry], seed: int, most: int) -> list[State]:
    """At most so many states, in their order: prefixes, and other choices for the rest of the number."""
    random_state = random.Random(seed)

    def some(cuts: list[int], most: int) -> list[int]:
        return cuts if len(cuts) <= most else random_state.sample(cuts, most)

    # A flush changes nothing; a mark changes what has to be there.
    prefixes = [0] + [cut for cut, entry in enumerate(entries, 1) if entry.kind != "F"]
    chosen = {State(cut, 0) for cut in some(prefixes, (most + 1) // 2)}
    # Without any pending write it is the same from flush to flush, and most marks are there before the next
    # one.
    before_flushes = [cut for cut, entry in enumerate(entries) if cut > 0 and entry.kind == "F"]
    chosen.update(State(cut, 1) for cut in some(before_flushes, (most - len(chosen)) // 3))
    undecided = [cut for cut in range(len(entries) + 1) if len(_pending(entries, cut)) > 1]
    choice = 2
    while len(chosen) < most and undecided:
        chosen.update(State(cut, choice) for cut in some(undecided, most - len(chosen)))
        choice += 1
    return sorted(chosen)


def _torn(entry: Entry, random_state: random.Random) -> Iterator[Entry]:
    """Some of a write's sectors."""
    sector = random_state.choice(_SECTORS)
    end = entry.offset + len(entry.content)
    at = entry.offset
    while at < end:
        following = min(end, at + (_BLOCK if at in _WHOLE else sector))
        if random_state.random() < 0.5:
            yield Entry("W", at, entry.content[at - entry.offset : following - entry.offset])
        at = following


def _selected(entries: list[Entry], state: State, seed: int) -> Iterator[Entry]:
    """Those of the pending writes that have reached the device."""
    pending = _pending(entries, state.cut)
    if state.choice == 0:
        yield from pending
    if state.choice <= 1:
        return
    random_state = random.Random(f"{seed}/{state}")
    torn = random_state.randrange(len(pending)) if pending and state.choice % 2 else None
    for number, entry in enumerate(pending):
        if number == torn:
            yield from _torn(entry, random_state)
        elif random_state.random() < 0.5:
            yield entry


def _apply(entries: Iterator[Entry] | list[Entry], image: IO[bytes]) -> None:
    for entry in entries:
        image.seek(entry.offset)
        image.write(entry.content)


class Device:
    """An image that is brought from one state to the next, forwards."""

    def __init__(self, base: Path, entries: list[Entry], seed: int, folder: Path) -> None:
        self._entries = entries
        self._seed = seed
        self._flushed = folder / "flushed"
        """The base, and all writes that a flush has followed."""
        self._done = 0
        copy(base, self._flushed)

    def become(self, state: State, image: Path) -> None:
        """Make the image of a state, which is not before the last one."""
        before = self._entries[self._done : state.cut]
        last = max((n for n, entry in enumerate(before) if entry.kind == "F"), default=None)
        if last is not None:
            with self._flushed.open("r+b") as file:
                _apply([entry for entry in before[:last] if entry.kind == "W"], file)
            self._done += last + 1
        copy(self._flushed, image)
        with image.open("r+b") as file:
            _apply(_selected(self._entries, state, self._seed), file)

    def marks(self, state: State) -> int:
        """How many marks there were by then."""
        return sum(entry.kind == "M" for entry in self._entries[: state.cut])


def copy(source: Path, target: Path) -> None:
    """Copy a sparse file: its data only."""
    target.unlink(missing_ok=True)
    with source.open("rb") as old, target.open("wb") as new:
        length = os.fstat(old.fileno()).st_size
        new.truncate(length)
        at = 0
        while at < length:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole up to the end
                return
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(old.fileno(), new.fileno(), end - at, at, at)
