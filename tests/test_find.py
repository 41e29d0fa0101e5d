"""Finding entries of a tree: equal to what a walk and a stat tell, and errors that are not lost."""

import errno
import fnmatch
import math
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles import AsyncPath
from support import process, trees
from support.fuse import SlowDisk


async def find(top: "str | Path", **options: Any) -> list[str]:
    """The paths from the top on, sorted."""
    found = [str(entry.path) async for entry in AsyncPath(top).find(**options)]
    assert len(set(found)) == len(found)
    return sorted(os.path.relpath(path, top) for path in found)


def everything(top: Path, wanted: "Callable[[str, os.stat_result], bool]" = lambda *_: True) -> list[str]:
    """What is below a directory, links not followed."""
    found = []
    for path, directories, files in os.walk(top):
        for name in directories + files:
            whole = os.path.join(path, name)
            if wanted(whole, os.lstat(whole)):
                found.append(os.path.relpath(whole, top))
    return sorted(found)


@pytest.mark.one_loop
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("with_stat", [True, False])
async def test_everything_is_found(seed: int, with_stat: bool, tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", seed)
    assert await find(top, with_stat=with_stat) == everything(top)
    async for entry in AsyncPath(top).find(with_stat=with_stat):
        assert os.path.lexists(entry)
        assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(os.lstat(entry).st_mode)
        assert await entry.stat(follow_symlinks=False) == os.lstat(entry)
        assert os.fspath(entry) == str(entry.path)
        assert entry.path.name == entry.name


@pytest.mark.one_loop
@pytest.mark.parametrize("seed", range(2))
async def test_rules_about_what_stat_tells(seed: int, tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", seed)
    dice = random.Random(seed)
    for path in everything(top):
        if not os.path.islink(top / path):
            time = dice.randrange(10**9)
            os.utime(top / path, (time, time))
    middle = datetime.fromtimestamp(500_000_000, UTC)
    for options, wanted in [
        ({"kind": "file"}, lambda _, s: stat.S_ISREG(s.st_mode)),
        ({"kind": ["directory", "symlink"]}, lambda _, s: stat.S_ISDIR(s.st_mode) or stat.S_ISLNK(s.st_mode)),
        ({"size": (1000, 3000)}, lambda _, s: 1000 <= s.st_size <= 3000),
        ({"size": (None, 0)}, lambda _, s: s.st_size == 0),
        ({"modified": (middle, None)}, lambda _, s: s.st_mtime >= 500_000_000),
        ({"modified": (None, 500_000_000.5)}, lambda _, s: s.st_mtime <= 500_000_000.5),
        ({"changed": (datetime.now(UTC).timestamp() + 100, None)}, lambda *_: False),
        ({"owner": os.getuid()}, lambda _, s: s.st_uid == os.getuid()),
        ({"owner": os.getuid() + 1}, lambda *_: False),
        ({"perm": 0o755}, lambda _, s: stat.S_IMODE(s.st_mode) == 0o755),
        ({"perm": "644"}, lambda _, s: stat.S_IMODE(s.st_mode) == 0o644),
        ({"perm": "-111"}, lambda _, s: s.st_mode & 0o111 == 0o111),
        ({"perm": "/111"}, lambda _, s: s.st_mode & 0o111 != 0),
        ({"perm": "/000"}, lambda *_: True),
        ({"hidden": True}, lambda p, _: os.path.basename(p).startswith(".")),
        (
            {"empty": True},
            lambda p, s: (
                (stat.S_ISREG(s.st_mode) and s.st_size == 0)
                or (stat.S_ISDIR(s.st_mode) and not os.listdir(p))
            ),
        ),
        ({"include": "*.txt*"}, lambda p, _: fnmatch.fnmatchcase(os.path.basename(p), "*.txt*")),
        (
            {"include": ["[x]*", "*\n*"]},
            lambda p, _: os.path.basename(p)[0] == "x" or "\n" in os.path.basename(p),
        ),
    ]:
        assert await find(top, **options) == everything(top, wanted), options


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for path in ("a/b/c.py", "a/b/d.txt", "a/e.py", ".git/config", "build/x/y.py", "z.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("content")
    return tmp_path


async def test_globs_and_depths(small: Path) -> None:
    assert await find(small, include="*.py") == ["a/b/c.py", "a/e.py", "build/x/y.py", "z.py"]
    assert await find(small, include="a/**/*.py") == ["a/b/c.py", "a/e.py"]
    assert await find(small, include="a/*.py") == ["a/e.py"]
    assert await find(small, include="*/", exclude=["build/", ".*"]) == ["a", "a/b"]
    assert await find(small, prune="build", hidden=False, kind="directory") == ["a", "a/b", "build"]
    assert await find(small, max_depth=1, kind="file") == ["z.py"]
    assert await find(small, min_depth=3) == ["a/b/c.py", "a/b/d.txt", "build/x/y.py"]
    assert await find(small, min_depth=2, max_depth=2) == [".git/config", "a/b", "a/e.py", "build/x"]
    assert await find(small, max_depth=0) == []
    assert len(await find(small, limit=3)) == 3
    assert await find(small, limit=0) == []
    assert await find(small, hidden=False, exclude="a") == ["build", "build/x", "build/x/y.py", "z.py"]


async def test_walk_has_the_same_globs(small: Path) -> None:
    found = []
    async for path, directories, files in AsyncPath(small).walk(
        include="*.py", exclude=[".*", "build"], sort=True
    ):
        found.append((str(path.relative_to(small)), directories, files))
    assert found == [(".", ["a"], ["z.py"]), ("a", ["b"], ["e.py"]), ("a/b", [], ["c.py"])]


@pytest.mark.one_loop
async def test_sorted_entries_come_directory_after_directory(small: Path) -> None:
    found = [
        str(entry.path.relative_to(small)) async for entry in AsyncPath(small).find(sort=True, hidden=False)
    ]
    assert found == [
        "a",
        "build",
        "z.py",
        "a/b",
        "a/e.py",
        "a/b/c.py",
        "a/b/d.txt",
        "build/x",
        "build/x/y.py",
    ]


@pytest.mark.one_loop
@pytest.mark.parametrize("top", [".", "a", ".."])
async def test_paths_begin_with_the_top(top: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "here").mkdir()
    monkeypatch.chdir(small if top != ".." else small / "here")
    found = sorted([str(entry.path) async for entry in AsyncPath(top).find()])
    assert found == sorted(str(Path(top, path)) for path in everything(Path(top)))
    assert all([os.path.lexists(entry) async for entry in AsyncPath(top).find()])


async def test_links_are_followed_without_loops(small: Path) -> None:
    (small / "a" / "b" / "up").symlink_to("..", target_is_directory=True)
    (small / "link").symlink_to("a/b", target_is_directory=True)
    errors: list[OSError] = []
    found = await find(small, follow_symlinks=True, include="*.py", on_error=errors.append)
    assert found == ["a/b/c.py", "a/e.py", "build/x/y.py", "link/c.py", "link/up/e.py", "z.py"] or (
        "link/up/b/c.py" in found
    )
    assert {error.errno for error in errors} == {errno.ELOOP}
    assert str(small / "a/b/up") in {error.filename for error in errors}


async def collect_names(search: Any, names: list[str]) -> None:
    async for entry in search:
        names.append(entry.name)  # noqa: PERF401 - what came before an error is looked at


async def test_errors_are_raised_at_the_end(small: Path) -> None:
    (small / "a" / "loop").symlink_to(small, target_is_directory=True)
    found: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        await collect_names(AsyncPath(small).find(follow_symlinks=True), found)
    assert "z.py" in found
    [error] = caught.value.exceptions
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ELOOP, str(small / "a" / "loop"))
    with pytest.raises(ExceptionGroup):
        await find(small / "missing")


async def test_an_exception_of_the_callback_ends_the_search(small: Path) -> None:
    def fail(error: OSError) -> None:
        raise error

    search = AsyncPath(small, "missing").find(on_error=fail)
    with pytest.raises(FileNotFoundError):
        await anext(search)
    with pytest.raises(StopAsyncIteration):
        await anext(search)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no owners")
async def test_an_owner_may_be_named(small: Path) -> None:
    import pwd

    name = pwd.getpwuid(os.getuid()).pw_name
    assert await find(small, owner=name) == everything(small)
    other = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.getuid())
    assert await find(small, owner=other.pw_name) == []
    # As shutil.chown has it.
    for name in ("no-such-user", "", "nul\0"):
        search = AsyncPath(small).find(owner=name)
        with pytest.raises(LookupError, match="no such user"):
            await anext(search)
        with pytest.raises(StopAsyncIteration):
            await anext(search)


def test_arguments_are_checked_at_once() -> None:
    path = AsyncPath()

    async def callback(_error: OSError) -> None: ...

    for options in (
        {"kind": "door"},
        {"include": ""},
        {"exclude": "/"},
        {"limit": -1},
        {"size": (-1, None)},
        {"size": (1,)},
        {"modified": (math.nan, None)},
        {"changed": (None, math.inf)},
        {"changed": (1 << 80, None)},
        {"perm": 0o10000},
        {"perm": "10000"},
        {"perm": "-"},
        {"perm": "+644"},
        {"perm": "u+w"},
        {"workers": 0},
        {"max_depth": -1},
    ):
        with pytest.raises(ValueError, match=f"Unacceptable pattern|{next(iter(options))}"):
            path.find(**options)  # type: ignore[arg-type]
    for options in (
        {"include": b"x"},
        {"exclude": 5},
        {"kind": 5},
        {"size": 5},
        {"modified": 5},
        {"modified": ("yesterday", None)},
        {"on_error": callback},
        {"limit": "1"},
        {"max_depth": 1.5},
    ):
        with pytest.raises(TypeError, match=f"{next(iter(options))} must be|as an integer"):
            path.find(**options)  # type: ignore[arg-type]


@pytest.mark.one_loop
@pytest.mark.one_loop
@pytest.mark.parametrize("method", ["find", "walk"])
async def test_an_error_of_the_callback_is_not_the_end(method: str, tmp_path: Path) -> None:
    def refuse(_error: OSError) -> None:
        raise StopAsyncIteration

    search: rapfiles.Stream[Any] = getattr(AsyncPath(tmp_path / "missing"), method)(on_error=refuse)
    with pytest.raises(RuntimeError, match="on_error raised StopAsyncIteration"):
        _ = [entry async for entry in search]


async def test_no_tree_has_so_many_entries(small: Path) -> None:
    assert await find(small, limit=1 << 80) == everything(small)


@pytest.mark.one_loop
async def test_what_vanishes_is_not_found(slow_disk: SlowDisk) -> None:
    top = slow_disk.backing / "searched"
    for name in ("a", "eio-opendir", "eio-readdir", "z"):
        (top / name / "inside").mkdir(parents=True)
    errors: list[OSError] = []
    found = await find(slow_disk.root / "searched", on_error=errors.append, max_depth=2)
    assert {"a/inside", "z/inside"} <= set(found)
    oracle: list[OSError] = []
    list(os.walk(slow_disk.root / "searched", onerror=oracle.append))
    assert sorted(error.filename for error in errors) == sorted(error.filename for error in oracle)


@pytest.mark.one_loop
@pytest.mark.parametrize("fault", ["eio-opendir", "eio-readdir", "eio-getattr"])
async def test_an_error_anywhere_costs_nothing_else(fault: str, prompt_disk: SlowDisk) -> None:
    """Each call in turn fails with EIO: it is told with the path, and everything else is found."""
    tree = ["a", "a/b", "a/b/c", "d", "d/e", "f"]
    for number, at in enumerate(tree):
        top = prompt_disk.backing / f"at-{fault}" / str(number)
        broken = os.path.join(os.path.dirname(at), fault)
        names = {path.replace(at, broken, 1) if f"{path}/".startswith(f"{at}/") else path for path in tree}
        for name in names:
            (top / name).mkdir(parents=True, exist_ok=True)
            (top / name / "file").touch()
        seen = prompt_disk.root / top.relative_to(prompt_disk.backing)
        lost = {name for name in names if name.startswith(f"{broken}/")}
        files = {f"{name}/file" for name in names - lost - {broken}}
        errors: list[OSError] = []
        found = {
            os.path.relpath(entry, seen)
            async for entry in AsyncPath(seen).find(on_error=errors.append, with_stat=True)
        }
        assert [(error.errno, error.filename) for error in errors] == [(errno.EIO, str(seen / broken))]
        assert found - {broken} == (names - lost - {broken}) | files
        errors.clear()
        walked = [path async for path, _, _ in AsyncPath(seen).walk(on_error=errors.append)]
        assert [error.filename for error in errors] == [str(seen / broken)]
        assert {str(path) for path in walked} == {
            str(seen),
            *(str(seen / it) for it in names - lost - {broken}),
        }
        errors.clear()
        usage = await AsyncPath(seen).du(on_error=errors.append)
        assert {error.filename for error in errors} == {str(seen / broken)}
        assert usage.files == len(files)


def git(top: Path, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    return subprocess.run(
        ["git", *arguments], cwd=top, capture_output=True, check=False, env=environment, timeout=60, **options
    )


RULES = [
    "*.txt", "!a.txt*", "/a*", "b*/", "**/c", "a/**", "a/**/b", "[x]*", "\\*", "*1*", "!*11*", "# comment",
    "", "foo\\ ", "/*/B*", "!/a0", "B[0-9]", "-*", ".hidden*", "with space*", "?.py*", "!b.py*", "  ",
    "a[!0-9]", "*/", "!*/", "**", "!**/a*", "ünï*", "[[:alpha:]][[:digit:]]*", "[^a-m]*", "a***", "***/b*",
    "a[/]b", "[]x-]*", "[a", "a\\", "b//", "//a", "/**", "**/*1", "[[:odd:]]", "[a-]*", "*[", "???", "x\r",
    "a**/?", " **/?", "b**/*1", "a/b**/**/*", "!a**",
]  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.one_loop
@pytest.mark.parametrize("seed", range(12))
async def test_ignored_is_what_git_ignores(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    top = trees.build(tmp_path / "top", seed)
    directories = [Path(path) for path, _, _ in os.walk(top)]
    for directory in [top, *dice.sample(directories, min(6, len(directories)))]:
        rules = dice.sample(RULES, dice.randrange(1, 5))
        (directory / ".gitignore").write_text("\n".join(rules), encoding="utf-8")
    assert git(top, "init", "-q").returncode == 0
    (top / ".git" / "info").mkdir(exist_ok=True)
    (top / ".git" / "info" / "exclude").write_text("\n".join(dice.sample(RULES, 2)), encoding="utf-8")

    async def found_in(start: Path) -> set[str]:
        # git itself says nothing of its own directory.
        search = AsyncPath(start).find(gitignore=True, exclude=".git")
        return {os.path.relpath(entry, top) async for entry in search}

    paths = [path for path in everything(top) if path.split("/")[0] != ".git"]
    asked = b"\0".join(os.fsencode(path) for path in paths) + b"\0"
    answer = git(top, "check-ignore", "--no-index", "-z", "--stdin", input=asked)
    ignored = {os.fsdecode(path) for path in answer.stdout.split(b"\0") if path}
    assert await found_in(top) == set(paths) - ignored
    # From a directory in the middle on, the rules above it hold as well.
    for directory in dict.fromkeys(
        [*sorted(directories)[1:6], *(top / path for path in sorted(ignored)[:6])]
    ):
        if not directory.is_dir() or directory.is_symlink():
            continue
        inside = str(directory.relative_to(top))
        wanted = {path for path in set(paths) - ignored if path.startswith(inside + "/")}
        assert await found_in(directory) == wanted


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
async def test_worktrees_and_submodules(tmp_path: Path) -> None:
    """Where `.git` is a file, the rules for all worktrees are those of the directory that it leads to."""
    author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]

    def repository(name: str) -> Path:
        top = tmp_path / name
        top.mkdir()
        (top / "x").touch()
        for command in (["init", "-q"], ["add", "x"], [*author, "commit", "-qm", "x"]):
            assert git(top, *command).returncode == 0
        return top

    main, other = repository("main"), repository("other")
    assert git(main, "worktree", "add", "-q", "../worktree").returncode == 0
    assert git(main, *author, "submodule", "add", "-q", str(other), "module").returncode == 0
    (main / ".git" / "modules" / "module" / "info").mkdir(exist_ok=True)
    (main / ".git" / "info").mkdir(exist_ok=True)
    (main / ".git" / "modules" / "module" / "info" / "exclude").write_text("b*\n")
    # git follows this link, but none that is a .gitignore.
    (main / ".git" / "info" / "exclude").unlink(missing_ok=True)
    (main / ".git" / "info" / "exclude").symlink_to("rules")
    (main / ".git" / "info" / "rules").write_text("a*\nignored/\n")
    for top in (main, tmp_path / "worktree", main / "module"):
        (top / "ignored" / "deeper").mkdir(parents=True)
        for name in ("a1", "b1", "c1", "ignored/c2", "ignored/deeper/c3", "ignored/.gitignore"):
            (top / name).touch()
        (top / "ignored" / ".gitignore").write_text("!c2\n")
        names = sorted(path for path in everything(top) if not path.startswith((".git", "module")))
        answer = git(top, "check-ignore", "--no-index", "--stdin", input="\n".join(names).encode())
        wanted = set(names) - set(answer.stdout.decode().splitlines())
        assert 0 < len(wanted) < len(names)
        for start in (top, top / "ignored", top / "ignored" / "deeper"):
            search = AsyncPath(start).find(gitignore=True, exclude=[".git", ".gitmodules", "module"])
            found = {os.path.relpath(entry, top) async for entry in search}
            inside = os.path.relpath(start, top)
            assert found == {path for path in wanted if inside == "." or path.startswith(inside + "/")}


async def test_rules_hold_without_a_repository(small: Path) -> None:
    (small / ".git" / "config").unlink()
    (small / ".git").rmdir()
    (small / ".gitignore").write_text("build/\n*.txt\n")
    (small / "a" / ".gitignore").write_text("!d.txt\n")
    found = await find(small, gitignore=True, kind="file")
    assert found == [".gitignore", "a/.gitignore", "a/b/c.py", "a/b/d.txt", "a/e.py", "z.py"]


UNREADABLE_RULES = """
import asyncio, os, sys
from rapfiles import AsyncPath

async def main(top):
    errors = []
    search = top.find(gitignore=True, on_error=errors.append)
    found = sorted([entry.name async for entry in search])
    walked = [sorted(files) async for _, _, files in top.walk(gitignore=True, on_error=errors.append)]
    return f"{found} {walked} {[(error.errno, os.path.basename(error.filename)) for error in errors]}"

# All is imported by now.
asyncio.run(main(AsyncPath("/proc/self/no-such-directory")))
os.setresuid(65534, 65534, 65534)
print("ready", flush=True)
print(asyncio.run(main(AsyncPath(sys.argv[1]))))
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_rules_that_cannot_be_read_are_told_and_do_not_hold() -> None:
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory(prefix="rapfiles-") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "a.txt").touch()
        Path(folder, ".gitignore").write_text("*.txt")
        Path(folder, ".gitignore").chmod(0o600)
        ended = process.run(UNREADABLE_RULES, folder, timeout=60)
        assert (ended.code, ended.errors) == (0, "")
        names, error = [".gitignore", "a.txt"], (errno.EACCES, ".gitignore")
        assert ended.output.strip() == f"{names} {[names]} {[error, error]}"
