"""`python -m rapfiles COMMAND`, run as its user runs it and compared with the Unix programs."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles._commands import sizes
from support import du, process

_PACKAGE = str(Path(rapfiles.__file__).parent.parent)


def _start(*arguments: str | bytes | Path, **options: Any) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": _PACKAGE}
    keywords: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    keywords |= {"stdin": subprocess.DEVNULL, "env": environment, **options}
    return subprocess.Popen([sys.executable, "-W", "error", "-m", "rapfiles", *arguments], **keywords)


def _run(*arguments: str | bytes | Path, **options: Any) -> tuple[int, bytes, str]:
    """The exit code, what was written, and the complaints."""
    with process.limited(_start(*arguments, **options)) as child:
        output, errors = child.communicate()
    return child.returncode, output, errors.decode()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with names that are hard to print."""
    folder = tmp_path / "tree"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "a" / "one.txt").write_text("1")
    (folder / "a" / "b" / "two.txt").write_bytes(b"2" * 5000)
    (folder / ".hidden" / "three.txt").write_text("333")
    (folder / "link").symlink_to("a")
    (folder / "new\nline").touch()
    os.mkdir(os.fsencode(folder) + b"/not-\xff-utf-8")
    return folder


def test_find_prints_what_find_prints(tree: Path) -> None:
    """Byte for byte, in any order, ended by NUL."""
    code, output, errors = _run("find", "--null", tree)
    assert (code, errors) == (0, "")
    expected = subprocess.run(["find", tree, "-mindepth", "1", "-print0"], capture_output=True, check=True)
    assert sorted(output.split(b"\0")) == sorted(expected.stdout.split(b"\0"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["--kind", "file"], ["-type", "f"]),
        (["--kind", "directory", "--kind", "symlink"], ["-type", "d,l"]),
        (["--include", "*.txt", "--min-size", "1K"], ["-name", "*.txt", "-size", "+1023c"]),
        (["--max-depth", "1"], ["-maxdepth", "1"]),
        (["--exclude", "a"], ["-name", "a", "-prune", "-o", "-print"]),
        (["--empty"], ["-empty"]),
        (["--no-empty"], ["-not", "-empty"]),
        (["--hidden"], ["-name", ".*"]),
        (["--changed-after", "2020-01-01", "--workers=1"], ["-newerct", "2020-01-01"]),
        (["--changed-before", "2020-01-01"], ["-not", "-newerct", "2020-01-01"]),
        (["--modified-after", "2000-01-01", "--kind", "file"], ["-newermt", "2000-01-01", "-type", "f"]),
        (["--modified-before", "2000-01-01"], ["-not", "-newermt", "2000-01-01"]),
    ],
    ids=str,
)
def test_options_of_find(ours: list[str], theirs: list[str], tree: Path) -> None:
    options = theirs if "-print" in theirs else [*theirs, "-print"]
    expected = subprocess.run(["find", tree, "-mindepth", "1", *options], capture_output=True, check=True)
    assert sorted(_run("find", tree, *ours)[1].splitlines()) == sorted(expected.stdout.splitlines())


def test_find_prints_json(tree: Path) -> None:
    code, output, errors = _run("find", "--json", "--stat", "--sort", tree)
    assert (code, errors) == (0, "")
    found = {record["path"]: record for record in map(json.loads, output.splitlines())}
    for path, record in found.items():
        status = os.lstat(path)
        assert (record["size"], record["inode"]) == (status.st_size, status.st_ino)
    kinds = {Path(path).name: record["kind"] for path, record in found.items()}
    assert (kinds["a"], kinds["one.txt"], kinds["link"]) == ("directory", "file", "symlink")


def test_find_prints_what_links_lead_to(tree: Path) -> None:
    (tree / "circle").symlink_to("circle")
    (tree / "dangling").symlink_to("missing")
    (tree / "to-file").symlink_to("a/one.txt")
    code, output, errors = _run("find", "--follow", "--json", "--stat", "--max-depth=1", tree)
    assert (code, errors) == (0, "")
    found = {Path(record["path"]).name: record for record in map(json.loads, output.splitlines())}
    kinds = [found[name]["kind"] for name in ("circle", "dangling", "to-file", "link")]
    assert kinds == ["symlink", "symlink", "file", "directory"]
    assert found["to-file"]["size"] == 1
    assert found["circle"]["inode"] == (tree / "circle").lstat().st_ino


def test_tree_draws(tree: Path) -> None:
    code, output, errors = _run("tree", "--no-hidden", tree / "a")
    assert (code, errors) == (0, "")
    assert output.decode().splitlines()[1:] == ["├── b/", "│   └── two.txt", "└── one.txt"]


def test_nodes_of_a_tree(tree: Path) -> None:
    """Those that are drawn, a directory before what is in it."""
    code, output, errors = _run("tree", "--json", tree)
    assert (code, errors) == (0, "")
    nodes = [json.loads(line) for line in output.splitlines()]
    assert nodes[0] == {"depth": 0, "path": str(tree), "name": "tree", "kind": "directory"}
    found = {node["path"]: (node["depth"], node["name"], node["kind"]) for node in nodes}
    assert found == {
        path: (
            len(Path(path).relative_to(tree).parts),
            os.path.basename(path),
            "symlink" if os.path.islink(path) else "directory" if os.path.isdir(path) else "file",
        )
        for path in [str(tree), *map(str, tree.rglob("*"))]
    }
    order = list(found)
    assert all(order.index(os.path.dirname(path)) < order.index(path) for path in order[1:])
    code, output, errors = _run("tree", "--null", tree)
    assert (code, errors) == (0, "")
    assert output == b"".join(os.fsencode(path) + b"\0" for path in order)
    code, output, errors = _run("tree", "--json", "--follow", "--include=*.txt", "--max-depth=2", tree)
    assert (code, errors) == (0, "")
    kinds = {node["path"]: node["kind"] for node in map(json.loads, output.splitlines())}
    assert kinds[str(tree / "link")] == "directory"
    assert kinds[str(tree / "link" / "one.txt")] == "file"
    assert str(tree / "a" / "b" / "two.txt") not in kinds
    assert str(tree / "new\nline") not in kinds
    assert _run("tree", "--json", tree / "missing")[:2] == (1, b"")


@pytest.mark.parametrize("arguments", [["find", "--limit=-1"], ["tree", "--max-depth", "0"]])
def test_arguments_without_meaning(arguments: list[str]) -> None:
    code, output, errors = _run(*arguments)
    assert (code, output) == (2, b"")
    assert re.fullmatch(f"python -m rapfiles {arguments[0]}: [a-z_]+ must be at least [01]\n", errors)


def test_a_user_that_there_is_not(tree: Path) -> None:
    code, output, errors = _run("find", "--owner", "no-such-user", tree)
    assert (code, output, errors) == (2, b"", "python -m rapfiles find: no such user: 'no-such-user'\n")


@pytest.mark.parametrize("command", ["find", "du", "rm", "copy", "move"])
def test_what_is_not_there(command: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    target = [tmp_path / "target"] if command in ("copy", "move") else []
    code, output, errors = _run(command, missing, *target)
    assert (code, output) == (1, b"")
    assert re.fullmatch(
        f"python -m rapfiles {command}: {re.escape(str(missing))}( -> .*)?: No such file or directory\n",
        errors,
    )
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["find", "--kind", "x"],
        ["find", "--min-size", "1X"],
        ["copy", "a"],
        ["rm"],
        ["du", "--bytes=1"],
        *([command, ""] for command in ("find", "du", "tree")),
        *([command, *paths] for command in ("copy", "move") for paths in (("", "a"), ("a", ""))),
        ["rm", "--force", ""],
    ],
)
def test_wrong_usage(arguments: list[str], tree: Path) -> None:
    code, output, errors = _run(*arguments, cwd=tree)
    assert (code, output) == (2, b"")
    assert (tree / "a" / "one.txt").exists()
    assert errors.startswith(f"usage: python -m rapfiles {arguments[0]} ")


@pytest.mark.parametrize("command", ["find", "du"])
def test_a_link_that_leads_nowhere(command: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("missing")
    complaint = f"python -m rapfiles {command}: link: No such file or directory\n"
    assert _run(command, "link", cwd=tmp_path) == (1, b"", complaint)


def test_du_tells_what_du_tells(tree: Path) -> None:
    for options, expected in ((["--apparent-size"], du.apparent(tree)), ([], du.allocated(tree))):
        assert _run("du", "--bytes", *options, tree) == (0, b"%d\t%s\n" % (expected, bytes(tree)), "")
    code, output, errors = _run("du", "--json", tree)
    assert (code, errors) == (0, "")
    assert json.loads(output)["files"] == 4


def test_copy_and_move(tree: Path, tmp_path: Path) -> None:
    assert _run("copy", "-P", tree, tmp_path / "copy") == (0, b"", "")
    subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / "copy"], check=True)
    (tmp_path / "into").mkdir()
    code, output, errors = _run(
        "move", "--json", tmp_path / "copy", tree / "a" / "one.txt", tmp_path / "into"
    )
    assert (code, errors) == (0, "")
    assert [json.loads(line)["target"] for line in output.splitlines()] == [
        str(tmp_path / "into" / name) for name in ("copy", "one.txt")
    ]
    assert not (tmp_path / "copy").exists()
    assert (tmp_path / "into" / "one.txt").read_text() == "1"


@pytest.mark.parametrize(("option", "end"), [("--verbose", b"\n"), ("--null", b"\0")])
def test_what_was_done_is_listed(option: str, end: bytes, tree: Path, tmp_path: Path) -> None:
    """What was not done is not."""
    for name in ("into", "again"):
        (tmp_path / name).mkdir()
    into, again = bytes(tmp_path / "into"), bytes(tmp_path / "again")
    sources = [tree / "a", tree / "missing", tree / "new\nline"]
    listed = [b"/a" + end, b"/new\nline" + end]
    code, output, errors = _run("copy", option, *sources, tmp_path / "into")
    assert (code, output) == (1, into + listed[0] + into + listed[1])
    assert "missing" in errors
    expected = (0, again + listed[0] + again + listed[1], "")
    sources = [tmp_path / "into" / "a", tmp_path / "into" / "new\nline"]
    assert _run("move", option, *sources, tmp_path / "again") == expected
    gone = [tmp_path / "again" / name for name in ("a", "missing", "new\nline")]
    assert _run("rm", "--force", option, *gone) == expected


def test_copy_leaves_out_what_matches(tree: Path, tmp_path: Path) -> None:
    assert _run("copy", "-P", "--ignore=*.txt", "--ignore", ".*", tree, tmp_path / "copy") == (0, b"", "")
    names = {path.name for path in (tmp_path / "copy").rglob("*")}
    assert names == {path.name for path in tree.rglob("*")} - {".hidden", "one.txt", "two.txt", "three.txt"}


def test_several_sources_need_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    code, output, errors = _run("copy", tmp_path / "a", tmp_path / "a", tmp_path / "b")
    assert (code, output) == (1, b"")
    assert errors == f"python -m rapfiles copy: {tmp_path / 'b'}: Not a directory\n"


def test_rm_wants_force_for_more_than_a_file(tree: Path) -> None:
    code, output, errors = _run("rm", tree)
    assert (code, output) == (1, b"")
    assert errors == f"python -m rapfiles rm: removing {tree} and everything in it wants --force\n"
    assert _run("rm", tree / "a" / "one.txt", tree / "new\nline")[0] == 1
    assert (tree / "a" / "one.txt").exists()
    assert _run("rm", tree / "a" / "one.txt") == (0, b"", "")
    assert not (tree / "a" / "one.txt").exists()
    assert _run("rm", "--force", tree, tree / "missing") == (0, b"", "")
    assert not tree.exists()


@pytest.mark.parametrize(("answer", "stays"), [(b"n\n", True), (b"\n", True), (b"y\n", False)])
def test_rm_asks(answer: bytes, stays: bool, tree: Path) -> None:
    """Where somebody is there to answer."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as terminal, os.fdopen(theirs, "rb", buffering=0) as stdin:
        terminal.write(answer)
        code, _, errors = _run("rm", tree, stdin=stdin)
    assert errors.startswith(f"python -m rapfiles rm: remove {tree} and everything in it? [y/N] ")
    assert (code, tree.exists()) == (int(stays), stays)


def test_rm_leaves_what_a_link_leads_to(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    assert _run("rm", tmp_path / "link") == (0, b"", "")
    assert (tree / "a").exists()
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", [".", "./", "..", "a/..", "../"])
def test_rm_wants_a_name(name: str, tree: Path) -> None:
    """The root is what it refuses by the same condition: that is not tried."""
    code, output, errors = _run("rm", "--force", "link", name, cwd=tree)
    assert (code, output) == (1, b"")
    assert errors.endswith(" is not removed: it is the root, or has no name of its own\n")
    assert (tree / "a" / "one.txt").exists()
    assert (tree / "link").is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this platform")
@pytest.mark.parametrize("command", ["find", "du", "tree", "doctor"])
def test_a_full_device(command: str, tree: Path) -> None:
    """What cannot be written is said, once."""
    with open("/dev/full", "wb") as full:
        code, _, errors = _run(command, tree, stdout=full)
    assert (code, errors) == (
        1,
        f"python -m rapfiles {command}: standard output: No space left on device\n",
    )


def _run_closed(closed: str, *arguments: str | Path) -> tuple[int, bytes, str]:
    """Without the streams that a shell closes by this."""
    line = [sys.executable, "-W", "error", "-m", "rapfiles", *map(str, arguments)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *line],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": _PACKAGE},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("command", ["find", "du", "tree", "doctor"])
def test_closed_output(command: str, tree: Path) -> None:
    complaint = f"python -m rapfiles {command}: standard output: Bad file descriptor\n"
    assert _run_closed(">&-", command, tree) == (1, b"", complaint)


def test_closed_streams_that_are_not_needed(tree: Path, tmp_path: Path) -> None:
    closed = "<&- >&- 2>&-"
    assert _run_closed(closed, "copy", tree, tmp_path / "copy") == (0, b"", "")
    assert (tmp_path / "copy" / "a" / "one.txt").read_text() == "1"
    assert _run_closed(closed, "rm", tree) == (1, b"", "")
    assert _run_closed(closed, "rm", "--force", tree) == (0, b"", "")
    assert not tree.exists()

    # Complaints are no output.
    assert _run_closed("2>&-", "find", tree) == (1, b"", "")


def test_whoever_reads_may_have_enough(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"a rather long name, so that they do not fit into a pipe {number}").touch()
    with process.limited(_start("find", tmp_path)) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.wait() == 128 + signal.SIGPIPE


def test_progress_is_for_terminals(tree: Path, tmp_path: Path) -> None:
    """It is one line, with totals and a bar, which is gone at the end."""
    output, shown = _in_terminal("copy", "-P", tree, tmp_path / "copy")
    assert output == b""
    assert f"copied 100% [{'#' * 20}] 5/5 files, 4.9K/4.9K" in shown
    assert shown.endswith(" \r")
    assert "\n" not in shown
    output, shown = _in_terminal("rm", "--force", tmp_path / "copy")
    assert f"removed 100% [{'#' * 20}] 5/5 files" in shown


def test_progress_disturbs_no_reader(tree: Path, tmp_path: Path) -> None:
    """What is at the other end of a pipe may show its own on the terminal; a file shows nothing."""
    assert _in_terminal("du", "--apparent-size", tree)[1] == ""
    assert _in_terminal("find", tree)[1] == ""
    with (tmp_path / "output").open("wb") as file:
        _, shown = _in_terminal("du", "--apparent-size", tree, stdout=file)
        assert f"counted 100% [{'#' * 20}] 5/5 files" in shown
        assert shown.endswith(" \r")
        assert f"looked at 100% [{'#' * 20}] 5/5 files" in _in_terminal("find", tree, stdout=file)[1]
        # What has enough early does not count everything before.
        _, shown = _in_terminal("find", "--limit", "1", tree, stdout=file)
        assert re.search(r"looked at \d files", shown)
        for form in ((), ("--null",)):
            assert f"read 100% [{'#' * 20}] 5/5 files" in _in_terminal("tree", *form, tree, stdout=file)[1]


def _in_terminal(*arguments: str | Path, **options: Any) -> tuple[bytes | None, str]:
    """The output of a command whose standard error is a terminal, and what that shows."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "wb", buffering=0) as stderr,
        process.limited(_start(*arguments, stderr=stderr, **options)) as child,
    ):
        output, _ = child.communicate()
    assert child.returncode == 0
    os.set_blocking(ours, False)
    try:
        shown = os.read(ours, 1 << 16).decode()
    except OSError:
        # Nothing was written, and the other end is closed.
        shown = ""
    os.close(ours)
    return output, shown


def _entries(folder: Path) -> int:
    return sum(len(directories) + len(files) for _, directories, files in os.walk(folder))


@pytest.mark.parametrize("copied", [0, 500, 1500])
def test_an_interrupted_copy_leaves_nothing(copied: int, tmp_path: Path) -> None:
    """Ctrl-C: the target appears complete or not at all, and the exit code is a shell's for SIGINT."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3000):
        (source / str(number)).write_bytes(b"content")
    target = tmp_path / "targets" / "target"
    target.parent.mkdir()
    with process.limited(_start("copy", source, target)) as child:
        # Something of the copy has been made, under whatever name.
        while child.poll() is None and _entries(target.parent) <= copied:
            pass
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate()
    assert errors == b""
    if target.exists():
        # A signal after the work is done ends the process as it ends any other.
        assert child.returncode in (0, 130, -signal.SIGINT)
        assert len(os.listdir(target)) == 3000
    else:
        assert child.returncode == 130
    shutil.rmtree(source)
    assert os.listdir(target.parent) in ([], ["target"])


def test_an_interruption_after_the_work_ends_the_process_quietly(tmp_path: Path) -> None:
    """It falls into the interpreter's finalization, where Python's own handler would print a traceback."""
    program = (
        "import atexit, runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "runpy.run_module('rapfiles', run_name='__main__')\n"
    )
    (tmp_path / "name").touch()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "find", tmp_path], capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")
    assert ended.stdout.decode().strip() == str(tmp_path / "name")


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("4096", 4096), ("4K", 4096), ("1.5M", 3 << 19), ("2g", 2 << 30)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert sizes.parsed(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1.0K"), (10 << 10, "10K"), (1 << 20, "1.0M"), (1023 << 20, "1023M")],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert sizes.human(size) == text
