"""Calls each method of AsyncPath beside its twin in pathlib, all of them or at random; lists the differences.

It needs no test framework, so that a process that gave up its privileges can run it too.
"""

import contextlib
import errno
import inspect
import os
import random
import stat
from pathlib import Path, PurePath

import anyio

from support import ground
from support.oracle import Call, by_async_path, by_pathlib, call, call_with_path, refused

# Opening one of these for its content waits for the other end of a FIFO.
OPENING = {"read_bytes", "read_text", "write_bytes", "write_text"}

PREDICATES = [
    "exists",
    "is_file",
    "is_dir",
    "is_symlink",
    "is_mount",
    "is_socket",
    "is_fifo",
    "is_block_device",
    "is_char_device",
]
# The methods that change something.
CHANGING = {
    "touch",
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "replace",
    "symlink_to",
    "hardlink_to",
    "chmod",
    "lchmod",
    "write_bytes",
    "write_text",
}
_ENCODINGS = [
    None,
    "utf-8",
    "UTF8",
    "ascii",
    "latin-1",
    "iso-8859-1",
    "utf-16",
    "utf-8-sig",
    "cp1252",
]
_ERRORS = ["strict", "ignore", "replace", "surrogateescape", "backslashreplace", "no-such"]
_NEWLINES = ["", "\n", "\r", "\r\n"]


def _accepted(calls: list[Call]) -> list[Call]:
    """The calls that the running interpreter's pathlib knows; the others have no oracle here."""

    def known(step: Call) -> bool:
        method = getattr(Path, step.method, None)
        if method is None:
            return False
        args, keywords = step.arguments(Path)
        try:
            inspect.signature(method).bind(None, *args, **keywords)
        except TypeError:
            return False
        return True

    return [step for step in calls if known(step)]


def reading_calls(others: list[str]) -> list[Call]:
    """Every call that changes nothing; `others` are paths to compare with in `samefile`."""
    calls = [
        call(name) for name in (*PREDICATES, "is_junction", "stat", "lstat", "owner", "group", "readlink")
    ]
    calls += [
        call(name, follow_symlinks=False)
        for name in ("stat", "exists", "is_file", "is_dir", "owner", "group")
    ]
    calls += [call("resolve"), call("resolve", strict=True), call("resolve", True)]
    calls += [
        call("absolute"),
        call("expanduser"),
        call("cwd"),
        call("home"),
        call("iterdir"),
        call("read_bytes"),
    ]
    calls += [call("samefile", other) for other in others]
    calls += [refused("samefile", other) for other in ("nul\0", "lone\ud800")]
    calls += [refused("read_text", "no-such-encoding"), refused("read_text", newline="x")]
    calls += [call_with_path("samefile", other) for other in others]
    calls += [call("read_text", encoding) for encoding in _ENCODINGS]
    calls += [call("read_text", "ascii", errors) for errors in _ERRORS]
    calls += [call("read_text", "utf-8", errors=errors) for errors in _ERRORS]
    calls += [call("read_text", "utf-8", newline=newline) for newline in _NEWLINES]
    calls += [call("read_text", "utf-16", None, newline) for newline in _NEWLINES]
    return _accepted(calls)


def _is_fifo(path: str) -> bool:
    try:
        # As pathlib spells it: the kernel takes "fifo/." for a folder, pathlib for the FIFO.
        return stat.S_ISFIFO(os.stat(PurePath(path)).st_mode)
    except (OSError, ValueError):
        return False


def _unusable(path: str) -> bool:
    """Whether no system takes this path."""
    try:
        return b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        return True


def spellings(tree: ground.Tree) -> list[str]:
    """Paths into the tree, absolute and relative to its root, that exist, do not exist or cannot exist."""
    base = os.fspath(tree.root)
    odd = [
        "missing",
        "missing/deeper",
        "small/inside",
        "small/..",
        "small/.",
        "dir/../small",
        "dir/../../" + os.path.basename(base) + "/small",
        "to-dir/../small",
        "to-dir/file",
        "loop/inside",
        "dangling/inside",
        "secret-dir/inside",
        "secret-dir/missing",
        "secret-dir/../small",
        "entered-dir/inside",
        "listed-dir/inside",
        "to-secret/../x",
        "n" * 256,
        "missing/" + "n" * 256,
        "n" * 256 + "/..",
        "dir/" * 1100,
        "./" + "x/" * 2200,
        "nul\0nul",
        "dir\0/x",
        "lone\ud800",
        "lone\udbff\udc00",
    ]
    relative = [
        *tree.names,
        *odd,
        "",
        ".",
        "..",
        "~",
        "~/x",
        "~root",
        "~root/x",
        "~no-such-user",
        "./~",
        "a/~",
    ]
    absolute = [
        "/",
        "//",
        "/..",
        "/missing",
        "/dev/null",
        "/root/x",
        "/proc/1/cwd",
        "/proc/1/cwd/x",
        "/proc/self",
    ]
    return [*(f"{base}/{name}" for name in (*tree.names, *odd, "")), *relative, *absolute]


def random_paths(tree: ground.Tree, count: int, generator: random.Random) -> list[str]:
    """Random walks through the names of the tree: links after links, `..` after files, and so on."""
    last = [*sorted({os.path.basename(name) for name in tree.names}), "..", "..", ".", "missing"]
    starts = [f"{tree.root}/", ""]
    paths = []
    for _ in range(count):
        parts = generator.choices(last, k=generator.randint(2, 6))
        paths.append(generator.choice(starts) + "/".join(parts))
    return paths


def _volatile(path: str) -> bool:
    """Whether something else than this test changes what `stat` says of this path."""
    return path.startswith(("/proc", "/dev")) or os.path.normpath(path) == "/"


async def compare_reading(tree: ground.Tree, paths: list[str], calls: list[Call]) -> list[str]:
    """Make every call on every path with both classes, from inside the tree; the differences, in words."""
    differences = []
    with contextlib.chdir(tree.root):
        for path in paths:
            for step in calls:
                if step.method in OPENING and _is_fifo(path):
                    continue
                if step.method in ("stat", "lstat") and _volatile(path):
                    continue
                if step.refused and _unusable(path):
                    continue  # two things are wrong, and either may be named
                # A wrong argument is refused before the path is looked at, even if that leads nowhere.
                for _ in range(3):
                    asked = "small" if step.refused else path
                    expected = by_pathlib(asked, step)
                    actual = await _in_time(path, step)
                    if actual == expected:
                        break
                    # A path that leads out of the tree may lead to where others are at work.
                    if not _too_many_links(expected, actual) and by_pathlib(asked, step) == expected:
                        break
                if actual != expected:
                    differences.append(_difference(path, step, expected, actual))
    return differences


def _too_many_links(*answers: object) -> bool:
    """Whether one of the answers is ELOOP, which a path of 21 to 40 links may also get by chance.

    A walk that the kernel begins anew, because another process was changing the directories, goes on counting
    the links where it was: fs/namei.c sets `total_link_count` in `set_nameidata`, before both of its walks.
    """
    return any(f", {errno.ELOOP}, " in repr(answer) for answer in answers)


async def _in_time(path: str, step: Call, root: str | None = None) -> object:
    """What AsyncPath answers; an operation that hangs fails by its name."""
    try:
        with anyio.fail_after(60):
            return await by_async_path(path, step, root)
    except TimeoutError:
        return ("hangs", None)


def _difference(path: str, step: Call, expected: object, actual: object) -> str:
    return f"{step} on {path[:200]!r}:\n  pathlib   {expected!r:.600}\n  AsyncPath {actual!r:.600}"


_NAMES = [
    *(
        "a",
        "b",
        "h",
        "l",
        "ld",
        "d",
        "d/e",
        "full",
        "full/x",
        "locked",
        "locked/x",
        "kept",
        "kept/x",
        "kept/new",
    ),
    *(
        "dangling",
        "loop",
        "through",
        "up/beside",
        "fifo",
        "new",
        "new/deep/er",
        "d/new",
        "ld/new",
        "a/x",
        "loop/x",
    ),
    *("missing/x", "", ".", "d/..", "odd\udcff", "n" * 256, "nul\0", "lone\ud800", "foreign", "foreign/file"),
    *("foreign/secret", "foreign/new", "other", "other/x", "d/e/f"),
]
_MODES = [0o777, 0o700, 0o555, 0o000, 0o6711, 0o1777]


def random_steps(count: int, generator: random.Random, root: str) -> list[tuple[str, Call]]:
    """A random sequence of (name, call); paths are under `root`, a text that `play` replaces."""
    steps: list[tuple[str, Call]] = []
    while len(steps) < count:
        name = generator.choice(_NAMES)
        other = generator.choice(_NAMES)
        target = f"{root}{other}" if generator.random() < 0.8 else other
        mode = generator.choice(_MODES)
        flag = generator.random() < 0.5
        data = generator.choice([b"", b"short", b"x" * 5000])
        text = generator.choice(["", "text\n", "gr\u00fc\u00df\r\nx", "\u20ac\ud800", "long\n" * 2000])
        candidates = [
            call("touch"),
            call("touch", mode, flag),
            call("mkdir"),
            call("mkdir", mode),
            call("mkdir", parents=True, exist_ok=flag),
            call("mkdir", mode, flag, True),
            call("rmdir"),
            call("unlink"),
            call("unlink", missing_ok=True),
            call("rename", target),
            call("replace", target),
            call("symlink_to", target),
            call("symlink_to", target, True),
            call("chmod", mode),
            call("chmod", mode, follow_symlinks=flag),
            call("lchmod", mode),
            call("write_bytes", data),
            call("write_text", text),
            call("write_text", text, generator.choice(_ENCODINGS)),
            call("write_text", text, "ascii", generator.choice(_ERRORS)),
            call("write_text", text, newline=generator.choice(_NEWLINES)),
            call("read_bytes"),
            call("read_text"),
            call("exists"),
            call("iterdir"),
            call("readlink"),
            call("resolve"),
            call("resolve", strict=True),
        ]
        if not other.startswith("foreign"):  # a second link to a foreign file would show in the other tree
            candidates.append(call("hardlink_to", target))
        if "\0" not in other:
            candidates += [call_with_path(method, target) for method in ("rename", "replace", "symlink_to")]
        steps += [(name, step) for step in _accepted([generator.choice(candidates)])]
    return steps


# Stands for the root of the tree in the arguments of random steps.
ROOT = "<ROOT>/"


def _at_root(step: Call, root: str) -> Call:
    """The step with its arguments' placeholder replaced."""

    def arguments(kind: object) -> object:
        args, keywords = step.arguments(kind)  # type: ignore[arg-type]
        return tuple(_place(argument, root) for argument in args), keywords

    return Call(step.method, step.text, arguments)  # type: ignore[arg-type]


def _place(argument: object, root: str) -> object:
    text = str(argument)
    if not text.startswith(ROOT.rstrip("/")):
        return argument
    placed = root + text.removeprefix(ROOT.rstrip("/")).removeprefix("/")
    return placed if isinstance(argument, str) else type(argument)(placed)  # type: ignore[call-arg]


async def play(
    steps: list[tuple[str, Call]], folder: Path, foreign: Path | None, relative: bool
) -> list[str]:
    """Play the steps on two equal trees, one with each class; the differences in answers and trees, in words.

    With `relative` the paths are relative to the current folder, then the tree's root. `foreign` is a
    folder that this user may not change; both trees have a link to it.
    """
    differences = []
    twins = [folder / "first" / "tree", folder / "other" / "tree"]
    try:
        for root in twins:
            root.mkdir(parents=True)
            ground.build_plain(root)
            if foreign is not None:
                os.symlink(foreign, root / "foreign")
        left, right = ("" if relative else f"{root}/" for root in twins)
        for name, step in steps:
            if not all(os.access(root, os.X_OK) for root in twins):
                break  # a step has closed the root itself
            with contextlib.chdir(twins[0]):
                if step.method in OPENING | {"touch"} and _is_fifo(left + name):
                    continue
                expected = by_pathlib(left + name, _at_root(step, left), os.fspath(twins[0].parent))
            with contextlib.chdir(twins[1]):
                actual = await _in_time(right + name, _at_root(step, right), os.fspath(twins[1].parent))
            if step.method == "iterdir" and isinstance(expected, tuple) and expected[0] == "returns":
                expected, actual = (_sorted(each) for each in (expected, actual))
            if actual != expected:
                differences.append(_difference(name, step, expected, actual))
        before, after = (ground.snapshot(root.parent) for root in twins)
        for name in sorted({*before, *after}):
            ours, theirs = after.get(name, "absent"), before.get(name, "absent")
            if ours != theirs:
                differences.append(
                    f"the tree at {name!r}:\n  pathlib   {theirs!r:.600}\n  AsyncPath {ours!r:.600}"
                )
    finally:
        ground.remove(folder)
    return differences


def _sorted(outcome: object) -> object:
    """Two folders with the same entries may list them in different orders."""
    if isinstance(outcome, tuple) and isinstance(outcome[1], list):
        return (outcome[0], sorted(outcome[1], key=repr))
    return outcome


async def compare_changing(seed: int, rounds: range, folder: Path, foreign: Path | None) -> list[str]:
    """Play random sequences; the first one that differs, cut down to the steps that matter, in words."""
    for number in rounds:
        generator = random.Random(f"{seed}/{number}")
        umask = generator.choice([0o000, 0o022, 0o027, 0o077])
        relative = number % 2 == 1
        steps = random_steps(generator.randint(5, 40), generator, ROOT)
        previous = os.umask(umask)
        try:
            place = folder / "play"
            differences = await play(steps, place, foreign, relative)
            if not differences:
                continue
            for position in reversed(range(len(steps))):
                fewer = steps[:position] + steps[position + 1 :]
                if found := await play(fewer, place, foreign, relative):
                    steps, differences = fewer, found
        finally:
            os.umask(previous)
        told = [f"{step} on {name!r}" for name, step in steps]
        return [f"seed {seed}, round {number}, umask {umask:o}: after\n  " + "\n  ".join(told), *differences]
    return []
