"""The works that are measured: one for each row of the table, with the ratio that rapfiles has to keep.

A work says which operation runs, over which names, and what has to exist before. Setting up, checking and
clearing away happen outside the measured time.
"""

import filecmp
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .handles import PROGRAMS, did_its_work, write_file

Names = Sequence[str] | Sequence[tuple[str, Any]]
Shape = Literal["sequential", "concurrent", "single", "stream"]

SMALL = 4096
_LINE = "The quick brown fox jumps over the lazy dog; 0123456789.\n"
CONTENT = (_LINE * (SMALL // len(_LINE) + 1)).encode()[:SMALL]
SEQUENTIAL_FILES = 64
"""How many files a sequential work reads in turn."""
_SIZED = 8 << 20
"""Bytes of all files of one size, where a work reads files of that size in turn."""
MOST_ENTRIES = 2_000
"""The most directory entries that a work makes for one turn."""


LISTINGS = {"iterdir": "entries", "scandir_stat": "few", "rglob": "tree", "walk": "tree", "find": "tree"}
"""The works that read directories, and the one that each reads."""
COPIES = {"copy": "large", "copy_tree": "small"}
"""The works that copy, and what each copies."""


@dataclass(frozen=True)
class Work:
    """One row of the table."""

    key: str
    title: str
    operation: str
    """The attribute of the peer that does it, or the program over an open file."""
    most: float
    """The ratio to the same, done synchronously, that rapfiles may not exceed in wall time."""
    shape: Shape = "sequential"
    keep_path: bool = False
    count: int = 0
    """Files under one gather; 0 where the number follows from the clock."""
    size: int = 0
    """Bytes of the file that is read or written; 0 for the small files."""
    unit: int = 0
    """Bytes of one item of a stream: a chunk, a line."""
    most_cpu: float | None = None
    """The same bound for the processor time of all threads, where one is set."""
    most_memory: float | None = None
    """The bound for the peak memory, as a ratio to the size of the file."""
    most_lag: float | None = None
    """The bound for the worst lag of the loop, in seconds."""
    most_compat: float | None = None
    """The bound for rapfiles.compat, as a ratio to aiofiles."""
    below: str | None = None
    """A peer that rapfiles has to beat here, apart from the bound."""

    @property
    def consuming(self) -> bool:
        """Whether a run uses up what was prepared, so that each needs a set of names of its own."""
        return self.operation in _ENTRIES

    @property
    def handle(self) -> bool:
        """Whether it is a program over an open file."""
        return self.operation in PROGRAMS

    @property
    def has_floor(self) -> bool:
        """Whether the bare calls are measured as well."""
        trees = {*LISTINGS, *COPIES, "remove_tree"}
        return not self.handle and not self.size and self.operation not in trees

    @property
    def base(self) -> str:
        """What the figures are compared with."""
        return "open" if self.handle else "pathlib"

    @property
    def items(self) -> int:
        """How many items the stream has."""
        return self.size // self.unit if self.unit else 0

    @property
    def counts_wakeups(self) -> bool:
        """Whether the loop may be woken once for each window that is read ahead, and twice more."""
        return self.operation == "lines"

    @property
    def arguments(self) -> str:
        """The loop variables of the operation."""
        if self.shape == "stream":
            return "name, count"
        return "name, target" if self.operation in {"rename", *COPIES} else "name"


def _streamed(key: str, title: str, operation: str, most: float, size: int, unit: int) -> Work:
    """A file from its beginning to its end, item by item; the figures are those of one item."""
    return Work(key, title, operation, most, shape="stream", size=size, unit=unit, most_compat=0.1)


def _sized(operation: str, title: str, size: int, most: float) -> Work:
    """A whole file of a size at which neither the calls nor the copying is everything."""
    label = f"{size >> 20}m" if size >= 1 << 20 else f"{size >> 10}k"
    return Work(f"{operation}_{label}", title, operation, most, size=size)


def _whole_text(operation: str, title: str) -> Work:
    """A large text, with one call."""
    return Work(operation, title, operation, 1.0, shape="single", size=64 << 20, most_lag=0.02)


WORKS: dict[str, Work] = {
    work.key: work
    for work in (
        Work("read_bytes", "read_bytes 4 KiB, new path object each time", "read_bytes", 0.65),
        Work("read_bytes_kept", "read_bytes 4 KiB, one path object kept", "read_bytes", 0.4, keep_path=True),
        Work("read_text", "read_text 4 KiB", "read_text", 0.6),
        Work("stat", "stat", "stat", 0.6),
        Work("exists", "exists", "exists", 0.6),
        Work(
            "read_bytes_gather",
            "read_bytes 4 KiB, {count:,} files under one gather",
            "read_bytes",
            0.85,
            shape="concurrent",
            count=2_000,
            most_cpu=1.3,
        ),
        Work("write_bytes", "write_bytes 4 KiB", "write_bytes", 1.5),
        Work(
            "write_bytes_gather",
            "write_bytes 4 KiB, {count:,} files under one gather",
            "write_bytes",
            1.1,
            shape="concurrent",
            count=1_000,
        ),
        Work("mkdir", "mkdir", "mkdir", 1.0, below="to_thread"),
        Work("rmdir", "rmdir", "rmdir", 1.0, below="to_thread"),
        Work("unlink", "unlink", "unlink", 1.0, below="to_thread"),
        Work("rename", "rename", "rename", 1.0, below="to_thread"),
        Work("iterdir", "iterdir, {entries:,} entries", "iterdir", 0.8),
        Work("scandir_stat", "scandir, 52 entries with stat each", "scandir_stat", 3.0, below="to_thread"),
        Work("rglob", "rglob, {folders:,} directories of 50 files", "rglob", 0.15),
        Work("walk", "walk, {folders:,} directories of 50 files", "walk", 0.4),
        Work("find", "find with the stat of each, on the same", "find", 0.4),
        Work("copy_large", "copy {large}", "copy", 1.0, shape="single"),
        Work("copy_tree", "copy {small:,} files of 1 KiB, with metadata", "copy_tree", 0.6, shape="single"),
        Work("rmtree", "rmtree, {small:,} files of 1 KiB", "remove_tree", 0.5, shape="single"),
        _sized("read_bytes", "read_bytes {size}", 32 << 10, 0.8),
        _sized("read_bytes", "read_bytes {size}", 256 << 10, 1.3),
        _sized("read_bytes", "read_bytes {size}", 1 << 20, 1.2),
        _sized("read_bytes", "read_bytes {size}", 4 << 20, 1.1),
        _sized("read_text", "read_text {size}", 32 << 10, 0.8),
        _sized("read_text", "read_text {size}", 256 << 10, 1.6),
        _sized("read_text", "read_text {size}", 1 << 20, 1.6),
        Work("read_bytes_large", "read_bytes {large}", "read_bytes", 0.8, shape="single", most_memory=1.05),
        _streamed("read_64k", "read {size} in chunks of 64 KiB", "read_chunks", 1.0, 64 << 20, 64 << 10),
        _streamed("read_4k", "read {size} in chunks of 4 KiB", "read_chunks", 0.7, 8 << 20, 4 << 10),
        _streamed("lines", "async for over {items:,} lines", "lines", 1.25, 50_000 * 60, 60),
        _whole_text("readlines", "readlines() of {size} of mixed scripts"),
        _whole_text("read_all", "read() of {size} of mixed scripts"),
        _streamed("write_4k", "{items:,} writes of 4 KiB", "write_chunks", 0.8, 2_000 * SMALL, SMALL),
        Work("open_read", "open, read 4 KiB, close", "open_read", 1.0),
        _sized("open_all", "open, read() {size}, close", 32 << 10, 1.6),
        _sized("open_all", "open, read() {size}, close", 128 << 10, 1.5),
        _sized("open_all", "open, read() {size}, close", 256 << 10, 1.5),
        _sized("open_all", "open, read() {size}, close", 1 << 20, 1.3),
        _sized("open_text", "open, read() {size} of text, close", 32 << 10, 1.6),
        _sized("open_text", "open, read() {size} of text, close", 128 << 10, 1.5),
        _sized("open_text", "open, read() {size} of text, close", 256 << 10, 2.0),
        _sized("open_text", "open, read() {size} of text, close", 1 << 20, 2.0),
    )
}


@dataclass(frozen=True)
class Scale:
    """How much of everything a run does."""

    rounds: int
    turn: float
    """Seconds that one turn of one peer should take."""
    lag: float
    """Seconds for which the loop's lag is watched, for each peer and work."""
    large: int
    """Bytes of the large file."""
    gather: int
    """The most files under one gather."""
    entries: int
    """Entries of the directory that is iterated over."""
    folders: int
    """Directories of the tree that is searched, each with 50 files."""
    small: int
    """Files of the tree that is copied or removed, 50 in a directory."""
    part: int
    """Works on open files read and write a `part`-th of their usual size."""
    settle: bool
    """Whether to wait after each turn until the library's threads are quiet."""
    blocked: float
    """Seconds for which the stall test blocks."""

    def fit(self, work: Work) -> Work:
        """The work at this scale, its title filled in."""
        fitted = replace(work, count=min(work.count, self.gather), size=work.size // self.part)
        title = work.title.format(
            count=fitted.count,
            entries=self.entries,
            folders=self.folders,
            small=self.small,
            large=_binary(self.large),
            size=_binary(fitted.size),
            items=fitted.items,
        )
        return replace(fitted, title=title)


FULL = Scale(
    rounds=15,
    turn=0.03,
    lag=0.3,
    large=256 << 20,
    gather=2_000,
    entries=5_000,
    folders=900,
    small=20_000,
    part=1,
    settle=True,
    blocked=0.3,
)
QUICK = Scale(
    rounds=1,
    turn=0.002,
    lag=0.005,
    large=4 << 20,
    gather=50,
    entries=300,
    folders=20,
    small=200,
    part=8,
    settle=False,
    blocked=0.15,
)


class Files:
    """The files under the benchmark's directory: those that all peers read, and a corner for each peer."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.large = os.path.join(directory, "large")

    def create(self, scale: Scale) -> None:
        """Make the files that are read, all of them in the page cache and on the device."""
        shared = os.path.join(self.directory, "shared")
        os.mkdir(shared)
        for name in self.shared(max(scale.gather, SEQUENTIAL_FILES)):
            with open(name, "wb") as file:
                file.write(CONTENT)
        for name, count in (("entries", scale.entries), ("few", 52)):
            os.mkdir(os.path.join(self.directory, name))
            for index in range(count):
                _empty_file(os.path.join(self.directory, name, f"entry-{index:06}"))
        for folder in range(scale.folders):
            path = os.path.join(self.directory, "tree", str(folder % 30), str(folder // 30))
            os.makedirs(path)
            for index in range(50):
                _empty_file(os.path.join(path, f"file-{index:02}.{'txt' if index % 2 else 'dat'}"))
        for number in range(scale.small):
            path = os.path.join(self.directory, "small", str(number // 50))
            if number % 50 == 0:
                os.makedirs(path)
            with open(os.path.join(path, f"file-{number:06}"), "wb") as file:
                file.write(CONTENT[:1024])
        block = CONTENT * 256
        with open(self.large, "wb") as file:
            for _ in range(scale.large // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def shared(self, count: int) -> list[str]:
        """The first `count` of the small files that are read."""
        return [os.path.join(self.directory, "shared", f"{index:06}") for index in range(count)]

    def sized(self, size: int) -> list[str]:
        """Files of a size, all of them together no more than a processor's cache."""
        count = max(1, min(SEQUENTIAL_FILES, _SIZED // size))
        return [os.path.join(self.directory, "sized", f"{size}-{index:02}") for index in range(count)]

    def names(self, work: Work, owner: str, count: int, first: int = 0) -> Names:
        """The names that a run over `count` operations goes through; `prepare` makes what they need.

        Runs that have no name in common begin at different numbers, `first`.
        """
        if work.shape == "stream":
            # Whole files, or one that is as short as it has to be for a slow library.
            items = min(count, work.items)
            numbers = range(first, first + max(1, count // work.items))
            return [(self._stream(work, owner, number, items * work.unit), items) for number in numbers]
        numbers = range(first, first + count)
        if work.operation in COPIES:
            source = os.path.join(self.directory, COPIES[work.operation])
            return [(source, self._own(owner, number)) for number in numbers]
        if work.operation == "remove_tree":
            return [self._own(owner, number) for number in numbers]
        if work.shape == "single":
            name = self._stream(work, owner, 0, work.size) if work.handle else self.large
            return [name for _ in numbers]
        if work.operation in LISTINGS:
            return [os.path.join(self.directory, LISTINGS[work.operation]) for _ in numbers]
        if not work.consuming:
            available = self.sized(work.size) if work.size else self.shared(work.count or SEQUENTIAL_FILES)
            return [available[number % len(available)] for number in numbers]
        names = [self._own(owner, number) for number in numbers]
        if work.operation == "rename":
            return [(name, f"{name}.renamed") for name in names]
        return names

    def _own(self, owner: str, number: int) -> str:
        return os.path.join(self.directory, owner, f"{number:06}")

    def _stream(self, work: Work, owner: str, number: int, size: int) -> str:
        if work.consuming:
            return self._own(owner, number)
        return os.path.join(self.directory, "streams", f"{work.operation}-{size}")

    def prepare(self, work: Work, owner: str, names: Names) -> None:
        """Make what the work reads, or the corner of `owner` with what it consumes and nothing else."""
        if not work.consuming:
            if work.size:
                for name in names:
                    path, count = name if isinstance(name, tuple) else (name, 0)
                    write_file(path, work.operation, count * work.unit or work.size)
            return
        corner = os.path.join(self.directory, owner)
        shutil.rmtree(corner, ignore_errors=True)
        os.mkdir(corner)
        make = _ENTRIES[work.operation]
        if make is not None:
            for name in names:
                make(name if isinstance(name, str) else name[0])

    def clear(self, owner: str) -> None:
        """Remove the corner of `owner`."""
        shutil.rmtree(os.path.join(self.directory, owner), ignore_errors=True)


def verify(work: Work, names: Names, result: Any) -> None:
    """Raise AssertionError unless the operation on the first name returned, or left behind, what it should.

    A library that is quick because it does less does not belong in the table.
    """
    name, second = names[0] if isinstance(names[0], tuple) else (names[0], "")
    done: bool
    match work.operation:
        case operation if work.handle:
            done = did_its_work(operation, name, int(second or 1), CONTENT, result)
        case "read_bytes" if work.shape == "single" or work.size:
            with open(name, "rb") as file:
                done = memoryview(result) == file.read()
        case "read_text" if work.size:
            with open(name, encoding="utf-8") as file:
                done = result == file.read()
        case "iterdir":
            done = sorted(map(os.fspath, result)) == sorted(entry.path for entry in os.scandir(name))
        case "scandir_stat":
            done = sorted(stat.st_ino for stat in result) == sorted(it.inode() for it in os.scandir(name))
        case "rglob":
            texts = [
                os.path.join(at, it) for at, _, files in os.walk(name) for it in files if it[-4:] == ".txt"
            ]
            done = sorted(map(os.fspath, result)) == sorted(texts)
        case "walk":
            done = sorted(os.fspath(path) for path, _, _ in result) == sorted(
                path for path, _, _ in os.walk(name)
            )
        case "find":
            total = walk_and_stat(name)
            # du counts the top, too, and since coreutils 9.2 no directory at all.
            files = total - sum(os.lstat(path).st_size for path, _, _ in os.walk(name) if path != name)
            done = result in (total, total + os.lstat(name).st_size, files)
        case "read_bytes":
            done = bytes(result) == CONTENT
        case "read_text":
            done = result == CONTENT.decode()
        case "stat":
            done = _size(result) == SMALL
        case "exists":
            done = result is True
        case "write_bytes":
            with open(name, "rb") as file:
                done = file.read() == CONTENT
        case "mkdir":
            done = os.path.isdir(name)
        case "rmdir" | "unlink" | "remove_tree":
            done = not os.path.lexists(name)
        case "copy":
            done = filecmp.cmp(name, second, shallow=False)
        case "copy_tree":
            done = _tree(name) == _tree(second)
        case "rename":
            done = os.path.exists(second) and not os.path.lexists(name)
        case other:
            raise AssertionError(f"no check for {other}")
    if not done:
        raise AssertionError(f"{work.operation} did not do its work: {result!r:.200}")


def walk_and_stat(name: str) -> int:
    """The sum of the sizes of everything in a tree, links not followed."""
    total = 0
    for path, directories, files in os.walk(name):
        for entry in directories + files:
            total += os.lstat(os.path.join(path, entry)).st_size
    return total


def _tree(name: str) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path, _, files in os.walk(name):
        for entry in ["", *files]:
            status = os.lstat(os.path.join(path, entry))
            size = status.st_size if entry else 0
            found[os.path.join(path, entry)[len(name) :]] = (status.st_mode, status.st_mtime_ns, size)
    return found


def _binary(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _size(result: Any) -> int | None:
    """The size in whatever a library returns from stat."""
    if isinstance(result, dict):
        return result["size"]
    return getattr(result, "st_size", None) or getattr(result, "content_length", None)


def _empty_file(name: str) -> None:
    with open(name, "wb"):
        pass


def _small_tree(name: str) -> None:
    """A copy of the tree of small files, which is beside the corners."""
    source = os.path.join(os.path.dirname(os.path.dirname(name)), "small")
    shutil.copytree(source, name, copy_function=shutil.copyfile)


_ENTRIES: dict[str, Callable[[str], None] | None] = {
    "write_bytes": None,
    "write_chunks": None,
    "mkdir": None,
    "rmdir": os.mkdir,
    "unlink": _empty_file,
    "rename": _empty_file,
    "copy": None,
    "copy_tree": None,
    "remove_tree": _small_tree,
}
"""What has to exist under each name before an operation that consumes it; None for nothing."""
