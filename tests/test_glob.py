"""`glob` and `rglob` beside the interpreter's own pathlib, and what pathlib does not promise."""

import contextlib
import inspect
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support import process, strace
from support.engine import idle
from support.leaks import descriptors
from support.leftovers import same_descriptors

MODERN = sys.version_info >= (3, 13)
SEED = int(os.environ.get("RAPFILES_SEED", "1"))
COUNT = int(os.environ.get("RAPFILES_PATTERNS", "120"))
CASE = "case_sensitive" in inspect.signature(Path.glob).parameters
RECURSE = "recurse_symlinks" in inspect.signature(Path.glob).parameters


def build(root: Path) -> None:
    """A tree with everything that patterns are about."""
    for folder in (
        "a/b/a/b",
        "a/.hidden/a",
        "B/a",
        "dir[1]/a",
        "c",
        "a/ä",
        "empty",
        "a/b\n/c",
        "un\udcffusual/a",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for file in (
        *(
            "x.txt",
            "a/x.txt",
            "a/b/x.TXT",
            "a/b/a/x.txt",
            "a/.hidden/x.txt",
            ".x.txt",
            "B/a/b",
            "dir[1]/x.txt",
        ),
        *(
            "dir[1]/[",
            "c/a",
            "a/ä/x.txt",
            "a/ä/\udcff",
            "a/b\n/c/x\n.txt",
            "un\udcffusual/a/x.txt",
            "c/b",
            "?",
        ),
    ):
        (root / file).touch()
    (root / "link").symlink_to("a")
    (root / "c/up").symlink_to("..")
    (root / "a/file link").symlink_to("x.txt")
    (root / "dangling").symlink_to("nowhere")
    (root / "a/loop").symlink_to("loop")
    (root / "a/b/to").symlink_to("../../B")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("glob") / "top"
    root.mkdir()
    build(root)
    return root


async def globbed(path: Path, method: str, pattern: Any, **options: Any) -> object:
    try:
        stream = getattr(AsyncPath(path), method)(pattern, **options)
        found = [str(match) async for match in stream]
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        return type(error)
    assert len(found) == len(set(found)), f"{method} {pattern!r} repeats paths"
    return sorted(found)


def expected(path: Path, method: str, pattern: Any, **options: Any) -> object:
    try:
        return sorted({str(match) for match in getattr(path, method)(pattern, **options)})
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        return type(error)


async def compare(path: Path, method: str, pattern: Any, **options: Any) -> None:
    theirs, ours = expected(path, method, pattern, **options), await globbed(path, method, pattern, **options)
    assert ours == theirs, f"{path}.{method}({pattern!r}, {options})"


COMPONENTS = [
    *(
        "*",
        "**",
        "**",
        "*",
        "a",
        "b",
        "A",
        "..",
        ".hidden",
        "?",
        "[ab]",
        "[!a]",
        "*b",
        "a*",
        "x.txt",
        "*.txt",
    ),
    *(
        "*.TXT",
        "link",
        "up",
        "dangling",
        "[",
        "dir[1]",
        "dir[[]1]",
        "?.*",
        "ä",
        "*\udcff*",
        "[\udc80-\udcff]",
    ),
    *("loop", "to", "c", "B", "b?", "*[", "missing", "*a*", "[a-c]", "x*t"),
]


def patterns(seed: int, count: int) -> Iterator[str]:
    generator = random.Random(seed)
    for _ in range(count):
        parts = generator.choices(COMPONENTS, k=generator.randint(1, 4))
        yield "/".join(parts) + generator.choice(["", "", "", "/"])


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("method", ["glob", "rglob"])
async def test_patterns_mean_what_they_mean_in_pathlib(method: str, tree: Path) -> None:
    for pattern in patterns(SEED, COUNT):
        await compare(tree, method, pattern)


@pytest.mark.skipif(not CASE, reason="this pathlib has no case_sensitive")
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("sensitive", [True, False])
async def test_case(sensitive: bool, tree: Path) -> None:
    for pattern in patterns(SEED, COUNT):
        await compare(tree, "glob", pattern, case_sensitive=sensitive)


@pytest.mark.skipif(not RECURSE, reason="this pathlib has no recurse_symlinks")
@pytest.mark.loops("asyncio")
async def test_links_are_gone_through(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.txt").touch()
    (tmp_path / "a" / "b" / "x.txt").touch()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a" / "b" / "file").symlink_to("x.txt")
    (tmp_path / "dangling").symlink_to("nowhere")
    for pattern in patterns(SEED, COUNT):
        for sensitive in (None, False):
            options = {"recurse_symlinks": True, "case_sensitive": sensitive}
            await compare(tmp_path, "glob", pattern, **options)
    # Not without end.
    (tmp_path / "a" / "up").symlink_to(".")
    await compare(tmp_path, "glob", "**/x.txt", recurse_symlinks=True)


@pytest.mark.skipif(RECURSE, reason="this pathlib has it itself")
async def test_what_newer_pythons_have(tree: Path) -> None:
    assert await globbed(tree, "glob", "LINK", case_sensitive=False) == [str(tree / "link")]
    assert await globbed(tree, "glob", "LINK", case_sensitive=True) == []
    found = await globbed(tree, "glob", "link/**/x.TXT", recurse_symlinks=True)
    assert found == [str(tree / "link/b/x.TXT")]
    assert str(tree / "link/x.txt") in await globbed(tree, "rglob", "x.txt", recurse_symlinks=True)  # type: ignore[operator]
    assert await globbed(tree, "glob", PurePath("c/b")) == [str(tree / "c/b")]


@pytest.mark.parametrize(
    "pattern", ["", "/", "/a", "//a/b", "a**", "**a/b", "a/**b/", b"a", 3, "nul\0", "*\0", "\ud800*"]
)
async def test_arguments_that_pathlib_refuses(pattern: Any, tree: Path) -> None:
    for method in ("glob", "rglob"):
        theirs, ours = expected(tree, method, pattern), await globbed(tree, method, pattern)
        if pattern == "nul\0" and theirs is ValueError:
            continue  # Python 3.13 alone looks such a name up without expecting that
        if theirs is not TypeError or not isinstance(ours, list):
            assert ours == theirs, (method, pattern)


@pytest.mark.skipif(not MODERN, reason="an older pathlib looks at its arguments later")
def test_arguments_are_looked_at_when_they_are_given(tree: Path) -> None:
    for pattern in ("", "/a"):
        with pytest.raises((ValueError, NotImplementedError)):
            AsyncPath(tree).glob(pattern)


@pytest.mark.parametrize(
    "name", ["missing", "x.txt", "dangling", "link", "a/loop", "x.txt/y", "nul\0", "\ud800", "empty", "."]
)
@pytest.mark.loops("asyncio")
async def test_the_top(name: str, tree: Path) -> None:
    for pattern in ("*", "**", "**/*", "a", "a/*", "..", "../*", "a/../b", "**/", "a/**"):
        await compare(tree / name, "glob", pattern)
        await compare(tree / name, "rglob", pattern)


async def test_relative_tops(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    for top in (".", "a", "a/..", "..", "link"):
        for pattern in ("*", "**", "**/*.txt", "a/*", "..", "../*", "**/..", "*/../x.txt", "b/../x.txt"):
            await compare(Path(top), "glob", pattern)
    await compare(Path("/"), "glob", "*")
    await compare(Path("/"), "glob", "etc/host*")


class Marked(AsyncPath):
    def __init__(self, *segments: Any, mark: str = "none") -> None:
        super().__init__(*segments)
        self.mark = mark

    def with_segments(self, *segments: Any) -> "Marked":
        return type(self)(*segments, mark=self.mark)


async def test_paths_are_as_if_they_were_joined(tree: Path) -> None:
    for kind in (AsyncPath, Marked):
        async for path in kind(tree).rglob("*"):
            again = kind(str(path))
            assert type(path) is kind
            assert (path, hash(path), path.parts, path.name) == (again, hash(again), again.parts, again.name)
            assert path.parent / "x" == again.parent / "x"
            if not os.path.islink(path):
                assert bool(path.info.is_dir()) == os.path.isdir(path)
    async for marked in Marked(tree, mark="kept").glob("**/*"):
        assert marked.mark == "kept"


async def test_no_stat_where_the_directory_tells(tmp_path: Path) -> None:
    """One job for a batch, and nothing else."""
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.txt").touch()
    await idle()
    before = rapfiles.stats()
    assert len([path async for path in AsyncPath(tmp_path).rglob("*.txt")]) == 40
    after = rapfiles.stats()
    # More than one on a busy machine: a batch ends after some time, too. One for each directory would be 40.
    assert after.submitted - before.submitted < 20
    assert after.cached == before.cached


async def test_it_is_left_early(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(200):
            os.close(os.open(tmp_path / str(folder) / f"file {number:200}", os.O_CREAT))
    await idle()
    before = descriptors()
    for way in ("block", "close", "error", "cancel"):
        with contextlib.suppress(ZeroDivisionError):
            async with AsyncPath(tmp_path).rglob("*") as paths:
                await anext(paths)
                if way == "close":
                    await paths.aclose()
                    assert await anext(paths, None) is None
                if way == "error":
                    raise ZeroDivisionError
                if way == "cancel":
                    with anyio.CancelScope() as scope:
                        scope.cancel()
                        await anyio.sleep(0)
        await idle()
        await same_descriptors(before)


async def test_hostile_patterns_end(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(40):
        deep /= "a"
        deep.mkdir()
    (deep / ("a" * 200)).touch()
    assert await globbed(tmp_path, "glob", "**/a/" * 15 + "b") == []
    assert len(await globbed(tmp_path, "glob", "**/a/" * 15 + "**/" + "a" * 200)) == 1  # type: ignore[arg-type]
    assert await globbed(tmp_path, "glob", "**/" + "*a" * 120 + "b") == []
    assert await globbed(tmp_path, "glob", "**/" + "*[a]" * 120 + "b") == []
    assert await globbed(tmp_path, "glob", "**/*/" * 500 + "b") == []
    # Each `..` makes other paths of all of them.
    for hostile in ("*/../", "**/*/../", "**/a/../"):
        assert await globbed(tmp_path, "glob", hostile * 40 + "b") == []
    # These lead up to the first directory.
    lowest = deep.parent
    for hostile in ("**/../", "**/a/../../"):
        assert await globbed(lowest, "glob", hostile * 38 + "b") == []
    async with AsyncPath(lowest).glob("**/../" * 38 + "a") as paths:
        assert str(await anext(paths)).endswith("/../a")


COUNTED = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    pattern = "**/../" * int(sys.argv[2]) + "missing"
    print([path async for path in AsyncPath(sys.argv[1]).glob(pattern)])

asyncio.run(main())
"""


@strace.needs_strace
@pytest.mark.slow
def test_parents_cost_as_much_as_the_pattern_is_long(tmp_path: Path) -> None:
    top = tmp_path.joinpath("top", *"abcdefghijklmnopqrst")
    (top / "/".join("abcdefgh")).mkdir(parents=True)
    (top / "a" / "link").symlink_to("b")
    for repetitions in (5, 10, 20):
        log = tmp_path / f"log-{repetitions}"
        options = ["-e", "trace=openat,open,newfstatat,statx,stat"]
        done = strace.run(COUNTED, top, str(repetitions), options=options, log=log)
        assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
        calls = sum(str(top) in line for line in log.read_text().splitlines())
        # As many directories are looked at as are below or that many above, once from each position.
        directories, positions = 9 + repetitions, 2 * repetitions + 1
        assert calls <= 3 * directories * positions


async def test_patterns_with_many_parents(tmp_path: Path) -> None:
    """Directories in which one path finds nothing are passed over by the next one, and only those."""
    # So deep that no pattern leads out of what is this test's: other tests create and remove files beside it.
    top = tmp_path.joinpath(*"123456", "top")
    (top / "a" / "b" / "a").mkdir(parents=True)
    (top / "c").mkdir()
    (top / "link").symlink_to("a/b")
    (top / "c" / "loop").symlink_to("loop")
    (top / "a" / "x").touch()
    (top / "a" / "b" / "x").touch()
    generator = random.Random(SEED)
    components = ["**", "*", "..", "..", "..", "a", "b", "link", "loop", "x", "[ab]", "?"]
    for _ in range(2 * COUNT):
        pattern = "/".join(generator.choices(components, k=generator.randint(3, 6)))
        await compare(top, "glob", pattern)


async def test_what_a_long_path_hides_a_short_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rules of Python 3.12: before, a path that is too long is an error.
    monkeypatch.setattr("rapfiles._glob._FINDS_DANGLING", True)
    # By the first paths to it, what is searched for is beyond PATH_MAX.
    top = tmp_path / "top"
    for number in (0, 1, 2):
        (top / f"l{number}{'l' * 240}").mkdir(parents=True)
    (top / "a").mkdir()
    for number in (3, 4, 5):
        (top / f"l{number}{'l' * 240}").mkdir()
    (top / "a" / "x").touch()
    async with AsyncPath(top).glob("[al]*/../" * 17 + "a/x") as paths:
        assert os.path.samefile(await anext(paths), top / "a" / "x")


async def test_a_directory_that_is_removed_meanwhile(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / str(number)).mkdir()
    seen = 0
    async for path in AsyncPath(tmp_path).rglob("*"):
        seen += 1
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)
    assert seen == 2_000


AS_NOBODY = """
import asyncio, json, os, sys
from pathlib import Path
from rapfiles import AsyncPath

async def main(root):
    differences = []
    for pattern in PATTERNS:
        for method in ("glob", "rglob"):
            if method == "rglob" and pattern.endswith("/..") and sys.version_info >= (3, 13):
                # Since then pathlib drops the parent of a directory that may not be searched; ours has it.
                continue
            try:
                expected = sorted({str(path) for path in getattr(root, method)(pattern)})
            except OSError as error:
                expected = repr(error)
            try:
                found = sorted([str(path) async for path in getattr(AsyncPath(root), method)(pattern)])
            except OSError as error:
                found = repr(error)
            if found != expected:
                differences.append((method, pattern, expected, found))
    return differences

PATTERNS = [
    "*", "**", "**/*", "*/*", "*/a.txt", "**/a.txt", "*/sub/*", "secret/*", "secret/a.txt", "listed/*",
    "listed/a.txt", "listed/*/", "entered/*", "entered/a.txt", "entered/sub/*", "**/sub", "*/..", "secret/..",
    "listed/sub/..", "*/", "**/*.txt", "link/*", "link/", "link2/*", "*/sub/",
]
root = Path(sys.argv[1])
asyncio.run(asyncio.sleep(0))
# Started as root, which may have installed the package where nobody else can read: all is imported by now.
asyncio.run(main(Path("/proc/self/no-such-directory")))
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
for name, mode in (("secret", 0o000), ("listed", 0o444), ("entered", 0o111), ("open", 0o755)):
    (root / name / "sub").mkdir(parents=True)
    (root / name / "a.txt").touch()
    (root / name / "sub" / "b.txt").touch()
    (root / name).chmod(mode)
if sys.version_info >= (3, 13):
    # Before, one link that cannot be followed makes pathlib pass over everything behind it.
    (root / "link").symlink_to("secret/sub")
(root / "link2").symlink_to("open")
print("ready", flush=True)
json.dump(asyncio.run(main(root)), sys.stdout)
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_what_nobody_may_read() -> None:
    """Directories that may not be listed, or not be entered, are passed over as by pathlib."""
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory(prefix="rapfiles-") as folder:
        os.chown(folder, 65534, 65534)
        ended = process.run(AS_NOBODY, folder, timeout=60)
        assert (ended.code, ended.errors) == (0, "")
        assert json.loads(ended.output) == []
