"""Makes random programs. Sizes are around those at which the engine does something else."""

import random
from dataclasses import replace
from typing import Any

from ..thresholds import LARGER, SMALLER, THRESHOLDS
from .folder import ATOMIC
from .program import Cancel, Data, File, Op, Program, Round, Task

ENCODINGS = ["utf-8", "utf-8", "utf-8", "latin-1", "ascii", "cp1252", "utf-16-le", "shift_jis"]
# With a byte order mark, which is in its place only at the start.
MARKED = ["utf-16", "utf-8-sig"]
NEWLINES = [None, None, "", "\n", "\r", "\r\n"]
# Of those, most take several steps, and do not take long.
STEPS = [size for size in THRESHOLDS if 128 << 10 <= size <= 1 << 20]
# More than that does not fit into a limited file.
FULL = (1 << 20) + 4321
NAMES = ["a", "b", "c", "s", "s/x", "s/y", "missing/x"]


class Generator:
    """Makes the program of a seed."""

    def __init__(self, seed: object) -> None:
        self.random = random.Random(str(seed))
        self.key = 0
        self.overwritten = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def size(self, large: float = 1.0) -> int:
        """Mostly small; `large`: how likely large ones are."""
        kind = self.random.random()
        if kind < 0.07 * large:
            return self._near(LARGER)
        if kind < 0.35 * large:
            return self._near(SMALLER)
        if kind < 0.60:
            return self.random.randrange(200, 12_000)
        return self.random.choice([0, 1, 2, 3, 5, 10, 50, 100, 150])

    def _near(self, thresholds: list[int]) -> int:
        return self.random.choice(thresholds) + self.random.choice([-1, 0, 1])

    def data(self, large: float = 1.0) -> Data:
        self.key += 1
        form = self.random.choice(["bytes", "bytes", "bytearray", "memoryview"])
        return Data(self.key, self.size(large), form, self.chance(0.85))

    def cancel(self, operations: int) -> Cancel:
        turns = self.random.choice([0, 0, 0, 1, 1, 2, 3, 5, 8, 20])
        seconds = round(self.random.random() * 0.0015, 5) if self.chance(0.25) else 0.0
        return Cancel(self.random.randrange(operations), turns, seconds)

    def program(self) -> Program:
        kind = self.random.random()
        if kind < 0.25:
            return self._limited()
        if kind < 0.75:
            return self._heavy()
        files = tuple(self._file() for _ in range(self.random.choice([1, 1, 1, 2, 2, 3])))
        folders = self.random.choice([0, 0, 1, 1, 2])
        rounds = [self._round(files, folders) for _ in range(self.random.randint(3, 10))]
        if self.chance(0.3):
            rounds[-1] = self._closing(files, rounds[-1])
        return Program(files, folders, tuple(rounds))

    def _file(self) -> File:
        keywords: dict[str, Any]
        if self.chance(0.5):
            mode = self.random.choice(["rb", "rb", "rb", "rb+", "rb+", "wb", "wb+", "ab", "ab+", "xb"])
            keywords = {"mode": mode, "buffering": self.random.choice([-1, -1, -1, 0, 5000, 300_000])}
        else:
            mode = self.random.choice(["r", "r", "r", "r+", "w", "w+", "a", "a+"])
            keywords = {
                "mode": mode,
                "buffering": self.random.choice([-1, -1, -1, 1, 5000]),
                "encoding": self.random.choice(ENCODINGS if "+" in mode else ENCODINGS + MARKED),
                # A file that is cut may end within a character.
                "errors": self.random.choice(
                    ["replace", "surrogateescape"] if mode != "r" else [None, "replace"]
                ),
                "newline": self.random.choice(NEWLINES),
            }
        content = None
        if "x" not in mode and ("r" in mode or self.chance(0.7)):
            self.key += 1
            size = self.random.choice([0, 100, 9000, 40_000, 40_000, 140_000, 300_000, 300_000, 700_000])
            if self.chance(0.1):
                size = self.random.choice([1_100_000, 2_200_000, 4_500_000])
            elif self.chance(0.2):
                size = self._near(SMALLER if self.chance(0.8) else LARGER)
            content = Data(self.key, size + self.random.randrange(5), lines=self.chance(0.9))
        opening = [self.cancel(1) for _ in range(2) if "x" not in mode and self.chance(0.2)]
        ending = self.random.choice(["close", self.cancel(1), "twice", "drop", "drop"])
        return File(tuple(keywords.items()), content, tuple(opening), ending)

    def _round(self, files: tuple[File, ...], folders: int) -> Round:
        """Tasks on files, each of which has one group of operations in this round, and folders."""
        groups = {f"file {at}": self._group(file) for at, file in enumerate(files)}
        alone = {f"folder {at}" for at in range(folders) if self.chance(0.5)}
        targets = [*groups, *groups, *(f"folder {at}" for at in range(folders))]
        tasks = []
        self.overwritten = 0
        main = self.random.choice(targets)
        for _ in range(self.random.choice([1, 1, 1, 2, 2, 3, 4])):
            operations: list[Op] = []
            for _ in range(self.random.choice([1, 1, 2, 3, 5])):
                target = main if self.chance(0.75) else self.random.choice(targets)
                if target in groups:
                    operations += self._file_operations(target, files[int(target[5:])], groups[target])
                else:
                    used = any(op.target == target for task in tasks for op in task.operations)
                    if target not in alone or not used:
                        operations.append(self._folder_operation(target, target in alone))
            if operations:
                plan = self.cancel(len(operations)) if self.chance(0.65) else None
                tasks.append(Task(tuple(operations), plan))
        return Round(tuple(tasks), self.chance(0.25))

    def _closing(self, files: tuple[File, ...], last: Round) -> Round:
        """A file is closed while others use it; and used afterwards."""
        at = self.random.randrange(len(files))
        close = Op(f"file {at}", "close")
        plan = self.cancel(1) if self.chance(0.4) else None
        tasks = [*last.tasks]
        tasks.insert(self.random.randint(0, len(tasks)), Task((close,), plan))
        return Round(tuple(tasks), last.probe)

    def _group(self, file: File) -> str:
        """What is done with the file in a round."""
        groups = ["reading"] if file.readable else []
        if file.writable:
            groups += ["writing", "writing", *(["cutting"] if self.chance(0.3) else [])]
        group = self.random.choice(groups)
        if self.chance(0.15):
            group = "path" if file.text or self.chance(0.3) else "positional"
            if group == "positional" and file.writable and not file.append and self.chance(0.5):
                group = "overwriting"
        elif (not file.text and not file.append) or file.raw:
            group = "free"
        return group

    def _file_operations(self, target: str, file: File, group: str) -> list[Op]:
        name = self._name(file, group)
        if name is None:
            return []
        if name in ("next", "chunk") and self.chance(0.5):
            # A part of an iteration that breaks off.
            return [Op(target, name, self._arguments(file, name))] * self.random.choice([2, 5, 20])
        if name == "read" and self.chance(0.2):
            return [Op(target, name, self._arguments(file, name))] * self.random.choice([2, 5, 9])
        return [Op(target, name, self._arguments(file, name))]

    def _name(self, file: File, group: str) -> str | None:
        reading = ["read", "read", "read", "readline", "readlines", "next", "batch"]
        moving = ["seek", "seek", "tell"]
        writing = ["write", "write", "write", "writelines", "flush", "sync"]
        if not file.text:
            reading += ["readinto", "readinto", "chunk"]
            if file.raw:
                reading = ["read", "read", "readinto", "chunk"]
                writing = ["write", "write", "flush", "sync"]
            else:
                reading += ["read1", "peek", "readinto1"]
        else:
            moving += ["seek_told", "seek_told"]
        match group:
            case "reading":
                # Where nothing is read, moving about is all there is.
                names = [*(reading if file.readable else []), *moving]
            case "writing":
                names = [*writing, *([] if file.append else ["tell", "seek"])]
            case "cutting":
                names = ["truncate"]
            case "free":
                names = [*moving]
                names += reading if file.readable else []
                names += [*writing, "truncate"] if file.writable else []
            case "overwriting":
                # What overlaps is in no order.
                self.overwritten += 1
                return "pwrite" if self.overwritten <= 3 else None
            case "positional":
                names = ["size"]
                names += ["pread", "pread"] if file.readable else []
            case _:
                names = [
                    "path.read_bytes",
                    "path.size",
                    "path.size",
                    *(["path.unlink"] if self.chance(0.1) else []),
                ]
        return self.random.choice(names)

    def _arguments(self, file: File, name: str) -> tuple[Any, ...]:
        match name:
            case "read":
                return (self.size(),) if self.chance(0.85) else ()
            case "readline":
                return (self.size(0.3),) if self.chance(0.2) else ()
            case "readlines" | "batch":
                return () if name == "readlines" and self.chance(0.3) else (max(self.size(), 1),)
            case "chunk" | "readinto" | "readinto1":
                return (max(self.size(), 1),)
            case "read1" | "peek":
                return (self.size(),) if self.chance(0.7) else ()
            case "seek":
                return self._place(file)
            case "seek_told":
                return (self.random.randrange(20),)
            case "write":
                return (self.data(),)
            case "writelines":
                return (tuple(self.data(0.5) for _ in range(self.random.randint(0, 3))),)
            case "truncate":
                return () if self.chance(0.3) and not file.text else (self._offset(file),)
            case "pread":
                return (self.size(), self._offset(file))
            case "pwrite":
                at = 400_000 * self.overwritten + self.random.choice([-400_000, -399_000, -398_977])
                return (replace(self.data(0.5), size=self.random.choice([1, 100, 5000, 70_000, 390_000])), at)
            case _:
                return ()

    def _offset(self, file: File) -> int:
        size = file.content.size if file.content is not None else 10_000
        return self.random.choice([0, 1, 100, self.size(), self.random.randrange(size + 10), size])

    def _place(self, file: File) -> tuple[int, ...]:
        if self.chance(0.2):
            return (0, 2)
        if file.text:
            return (0,)
        if self.chance(0.2) and not file.append:
            return (self.random.choice([0, 3, 5000]), 1)
        return (self._offset(file),)

    def _folder_operation(self, target: str, alone: bool) -> Op:
        name, other = self.random.choice(NAMES), self.random.choice(NAMES)
        names = sorted(ATOMIC) * 2 + ["mkdir", "mkdir", "unlink"]
        if alone:
            names += ["write_bytes", "write_text", "append_bytes", "append_text", "touch", "truncate"] * 3
            names += ["read_bytes", "read_text", "iterdir", "mkdir parents"] * 3
        what = self.random.choice(names)
        match what:
            case "rename" | "replace" | "hardlink_to":
                return Op(target, what, (name, other))
            case "symlink_to":
                return Op(target, what, (name, self.random.choice(["a", "b", "s", "missing"])))
            case "write_bytes" | "append_bytes":
                return Op(target, what, (name, self.data(0.6)))
            case "write_text" | "append_text":
                return Op(
                    target, what, (name, self.data(0.6), self.random.choice(["utf-8", "utf-8", "utf-16-le"]))
                )
            case "read_text":
                return Op(target, what, (name, "latin-1"))
            case "truncate":
                return Op(target, what, (name, self.size(0.5)))
            case "iterdir":
                return Op(target, what, (self.random.choice(["", "s"]),))
            case "mkdir parents":
                return Op(target, "mkdir", (self.random.choice(["s/x", "a", "b/x"]), True))
            case "unlink":
                return Op(target, what, (name, self.chance(0.3)))
            case _:
                return Op(target, what, (name,))

    def _heavy(self) -> Program:
        """One file, and operations that take several steps, of which most are cancelled in the middle."""
        text = self.chance(0.4)
        mode = self.random.choice(["r", "r", "r+", "r+", "w+"]) + ("" if text else "b")
        keywords: dict[str, Any] = {"mode": mode, "buffering": self.random.choice([-1, -1, -1, 0, 5000])}
        if text:
            encoding = self.random.choice(["utf-8", "utf-8", "latin-1", "cp1252", "shift_jis"])
            keywords |= {"buffering": -1, "encoding": encoding, "newline": self.random.choice(NEWLINES)}
            keywords["errors"] = None if mode == "r" else "surrogateescape"
        self.key += 1
        content = Data(self.key, self.random.choice([300_000, 700_000, 1_500_000]), lines=self.chance(0.8))
        ending = self.random.choice(["close", self.cancel(1), "drop"])
        file = File(tuple(keywords.items()), content, (), ending)
        rounds = [self._heavy_round(file) for _ in range(self.random.randint(6, 14))]
        return Program((file,), 0, tuple(rounds))

    def _heavy_round(self, file: File) -> Round:
        groups = ["reading"] * 3 + (["writing"] if file.writable else [])
        group = "free" if not file.text else self.random.choice(groups)
        tasks = []
        for _ in range(self.random.choice([1, 1, 2, 3])):
            name = self.random.choice(["read"] * 3 + ["seek", "write"])
            if (group == "reading" or not file.writable) and name == "write":
                name = self.random.choice(["readlines", "readline", "tell"])
            elif group == "writing" and name == "read":
                name = self.random.choice(["write", "write", "flush"])
            elif name == "read" and not file.text and self.chance(0.3):
                name = "readinto"
            size = self._near(STEPS) if self.chance(0.7) else self.size()
            arguments: tuple[Any, ...] = (size,)
            if name == "write":
                data = self.data()
                # What can change goes another way than what cannot.
                arguments = (replace(data, size=size, form=self.random.choice(["bytes", "bytearray"])),)
            elif name == "seek":
                arguments = self.random.choice([(0,), (0,), self._place(file)])
            elif name in ("tell", "flush", "readline"):
                arguments = ()
            turns = self.random.choice([0, 0, 1, 2, 3, 4, 6, 9, 14, 25, 60])
            plan = Cancel(0, turns, round(self.random.random() * 0.002, 5) if self.chance(0.3) else 0.0)
            first = Op("file 0", name, arguments)
            # A little is read first, so that there is something in the buffer.
            little = Op("file 0", "read", (self.random.choice([1, 10, 1000]),))
            some = (little, first) if group != "writing" and self.chance(0.3) else (first,)
            tasks.append(Task(some, replace(plan, operation=len(some) - 1) if self.chance(0.8) else None))
        return Round(tuple(tasks), self.chance(0.3))

    def _limited(self) -> Program:
        """A file that cannot hold what is written to it."""
        keywords: dict[str, Any] = self.random.choice(
            [
                *({"mode": "wb", "buffering": buffering} for buffering in (-1, -1, 5000)),
                *({"mode": "w", "encoding": "utf-8", "newline": ""}, {"mode": "wb+", "buffering": -1}),
            ]
        )
        file = File(tuple(keywords.items()), ending=self.random.choice(["close", self.cancel(1), "twice"]))
        rounds = []
        if self.chance(0.6):
            # The last thing that is written fails in the hands of a worker, and nobody is there any more.
            self.key += 2
            large = Data(self.key, self.random.choice([1_100_000, 1_500_000, 3_000_000]), "bytearray")
            some = (Op("file 0", "write", (Data(self.key + 1, 5000),)), Op("file 0", "write", (large,)))
            plan = Cancel(1, self.random.choice([1, 2, 3, 4, 6, 9, 14]))
            return Program((file,), 0, (Round((Task(some, plan),)),), limit=FULL)
        for _ in range(self.random.randint(1, 3)):
            tasks = []
            for _ in range(self.random.choice([1, 1, 2])):
                count = self.random.choice([1, 1, 2])
                names = self.random.choices(["write", "write", "write", "writelines", "flush"], k=count)
                operations = tuple(Op("file 0", name, self._limited_arguments(name)) for name in names)
                tasks.append(Task(operations, self.cancel(count) if self.chance(0.75) else None))
            rounds.append(Round(tuple(tasks)))
        return Program((file,), 0, tuple(rounds), limit=FULL)

    def _limited_arguments(self, name: str) -> tuple[Any, ...]:
        self.key += 3
        sizes = [10, 5000, 300_000, 700_000, 1_100_000, 1_500_000, 3_000_000, 3_000_000]
        forms = ["bytes", "bytearray", "bytearray"]
        some = [Data(self.key + at, self.random.choice(sizes), self.random.choice(forms)) for at in range(2)]
        return (some[0],) if name == "write" else (tuple(some),) if name == "writelines" else ()


def program_of(seed: object) -> Program:
    """The program of a seed: always the same."""
    return Generator(seed).program()
