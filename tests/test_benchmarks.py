"""The benchmarks run from beginning to end and report everything they promise. Nothing judges a speed."""

import json
import math
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import rapfiles

_ROOT = Path(__file__).parent.parent
_WORKS = {
    "read_bytes",
    "read_bytes_kept",
    "read_text",
    "stat",
    "exists",
    "read_bytes_gather",
    "write_bytes",
    "write_bytes_gather",
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "read_bytes_large",
    "iterdir",
    "scandir_stat",
    "rglob",
    "walk",
    "find",
    "copy_large",
    "copy_tree",
    "rmtree",
}
# No other library does these, but a thread may.
_TREES = {"walk", "find"}
_COPIES = {"copy_large", "copy_tree"}
_COMMANDS = {"cp -a": _COPIES, "rm -rf": {"rmtree"}}
_GLOB = {"glob.glob": {"rglob"}}
_LINUX_COMMANDS = {"find": {"rglob"}, "bfs": {"rglob"}, "du": {"find"}}
_LISTINGS = {"iterdir", "scandir_stat", "rglob", "rmtree"} | _TREES | _COPIES
_SIZED = {f"read_bytes_{size}" for size in ("32k", "256k", "1m", "4m")}
_SIZED_TEXTS = {f"read_text_{size}" for size in ("32k", "256k", "1m")}
_OPEN_ALL = {f"open_all_{size}" for size in ("32k", "128k", "256k", "1m")}
_OPEN_TEXT = {f"open_text_{size}" for size in ("32k", "128k", "256k", "1m")}
_STREAMS = {"read_64k", "read_4k", "lines", "write_4k"}
_TEXTS = {"lines", "readlines", "read_all"} | _OPEN_TEXT
_HANDLES = _STREAMS | _TEXTS | {"open_read"} | _OPEN_ALL
_HAVE_FLOOR = _WORKS - _LISTINGS
_WORKS |= _SIZED | _SIZED_TEXTS
_OURS = {"rapfiles", "rapfiles.compat"}
_ENTRIES = {"stat", "exists", "mkdir", "rmdir", "unlink", "rename"} | _LISTINGS
# Peer, and the module that it needs; then the works that it has no operation for.
_PEERS = {
    "to_thread": ("asyncio", set()),
    **{
        name: ("subprocess", (_WORKS | _HANDLES) - works)
        for name, works in (_COMMANDS | _GLOB | _LINUX_COMMANDS).items()
    },
    "rapfiles.compat": ("rapfiles", _WORKS),
    "aiofiles": ("aiofiles", _LISTINGS),
    "anyio": ("anyio", {"scandir_stat"}),
    "aiofile": ("aiofile", {"readlines"} | _ENTRIES),
    "aerofs": ("aerofs", _LISTINGS),
    "ayafileio": ("ayafileio", _ENTRIES),
    "ayafileio.aopen": ("ayafileio", _ENTRIES),
    "obstore": ("obstore", {"read_text", "exists", "mkdir", "rmdir"} | _LISTINGS | _TEXTS | _SIZED_TEXTS),
    "opendal": ("opendal", {"read_text"} | _LISTINGS | _TEXTS | _SIZED_TEXTS),
}

pytestmark = pytest.mark.skipif(
    not (_ROOT / "benchmarks").is_dir(), reason="the benchmarks are part of the checkout, not of the package"
)


def _benchmarks(
    *arguments: str, first: Path | None = None, command: str = "benchmarks"
) -> subprocess.CompletedProcess[str]:
    """Run the command; modules in the folder `first` are found before all others."""
    return subprocess.run(
        [sys.executable, "-m", command, *arguments],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(first) if first else ""},
        timeout=300,
        check=False,
    )


def _positive(figure: Any) -> bool:
    return isinstance(figure, float) and math.isfinite(figure) and figure > 0


@pytest.mark.watchdog(330)
@pytest.mark.slow
def test_everything_once(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = _benchmarks("--quick", "--directory", str(tmp_path), "--json", str(report))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(report.read_text())
    assert list(tmp_path.iterdir()) == [report], "files are left over"

    installed = {peer for peer, (module, _) in _PEERS.items() if find_spec(module) is not None}
    installed -= {
        command for command in _LINUX_COMMANDS if sys.platform != "linux" or shutil.which(command) is None
    }
    assert set(found["missing"]) - {"floor"} == set(_PEERS) - installed
    assert found["failures"] == {}
    assert set(found["versions"]) == installed | {"pathlib", "rapfiles"}
    assert set(found["works"]) == _WORKS | _HANDLES
    for name, work in found["works"].items():
        able = {peer for peer in installed if name not in _PEERS[peer][1]}
        if name in _TREES | _COPIES | {"rmtree"}:
            able &= {"to_thread", *_COMMANDS, *_LINUX_COMMANDS}
        assert set(work["peers"]) - {"floor"} == able | {"pathlib", "rapfiles"}
        assert ("floor" in work["peers"]) == ("floor" not in found["missing"] and name in _HAVE_FLOOR)
        for peer, figures in work["peers"].items():
            assert _positive(figures["microseconds"]), (name, peer)
            assert _positive(figures["ratio"]), (name, peer)
            assert len(figures["seconds_by_round"]) == found["rounds"]
            if peer not in ("floor", "pathlib"):
                assert figures["lag_milliseconds"] >= 0
            if peer != "floor":
                assert all(map(_positive, figures["processor_seconds_by_round"]))
        assert work["peers"]["pathlib"]["ratio"] == 1
        assert work["fastest_peer"] in able - _OURS
        assert (work["wakeups"] is not None) == (name == "lines")

    # Each bound of the table, and each comparison with a peer, has a figure.
    def bounds(**figures: str) -> set[str]:
        return {bound["work"] for bound in found["bounds"] if figures.items() <= bound.items()}

    assert bounds(against="pathlib", figure="wall time") == _WORKS
    assert bounds(against="open", figure="wall time") == _HANDLES
    assert bounds(figure="processor time, all threads") == {"read_bytes_gather"}
    assert bounds(figure="peak memory") == {"read_bytes_large"}
    assert bounds(figure="worst lag of the loop, ms") == {"readlines", "read_all"}
    assert bounds(figure="wake-ups") == {"lines"}
    if "aiofiles" in installed:
        assert bounds(figure="wall time of rapfiles.compat", against="aiofiles") == _STREAMS
    for work in _WORKS | _HANDLES:
        assert bounds(work=work, figure="wall time", against=found["works"][work]["fastest_peer"])
    for bound in found["bounds"]:
        assert _positive(bound["ratio"]) or bound["figure"] == "wake-ups", bound
        kept = bound["ratio"] < bound["bound"] if bound["below"] else bound["ratio"] <= bound["bound"]
        assert bound["passed"] is kept

    libraries = installed - set(_COMMANDS | _GLOB | _LINUX_COMMANDS)
    assert set(found["peak_memory_bytes"]) == (libraries | {"pathlib", "rapfiles"}) - {"rapfiles.compat"}
    assert set(found["stalls"]) == libraries | {"rapfiles"}
    # The FIFO tells a library that opens files on the loop from one that does not.
    assert not found["stalls"]["to_thread"]["stalls"]
    assert not found["stalls"]["rapfiles"]["stalls"]
    if "ayafileio" in installed:
        assert found["stalls"]["ayafileio"]["stalls"]

    for title in (
        "rapfiles against its bounds",
        "Microseconds per operation",
        "Open files: microseconds per item",
        "Worst lag of the event loop",
        "Whether a call that waits holds up the event loop",
        "Peak memory",
    ):
        assert f"\n## {title}" in ended.stdout
    assert "figures mean nothing" in ended.stdout


@pytest.mark.watchdog(330)
def test_a_choice_on_uvloop_beside_a_missing_library(tmp_path: Path) -> None:
    """A library that cannot be imported is reported, and the rest is measured."""
    pytest.importorskip("uvloop", reason="uvloop does not exist for this platform")
    (tmp_path / "aiofiles.py").write_text("raise ImportError('blocked')")
    files, slow = tmp_path / "files", tmp_path / "slow"
    files.mkdir()
    slow.mkdir()
    ended = _benchmarks(
        "--quick",
        *("--rounds", "2", "--only", "stat,mkdir", "--peers", "aiofiles,to_thread", "--loop", "uvloop"),
        *("--directory", str(files), "--slow-dir", str(slow), "--json"),
        first=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert (found["loop"], found["rounds"]) == ("uvloop", 2)
    assert found["missing"].get("aiofiles") == "blocked"
    assert list(found["works"]) == ["stat", "mkdir"]
    for work in found["works"].values():
        assert set(work["peers"]) - {"floor"} == {"pathlib", "rapfiles", "to_thread"}
    for peer in ("rapfiles", "to_thread"):
        assert set(found["stalls"][peer]["slow_lag_milliseconds"]) == {
            "read_bytes",
            "stat",
            "exists",
            "write_bytes",
            "open_read",
        }
    assert list(files.iterdir()) == []
    assert list(slow.iterdir()) == []


@pytest.mark.watchdog(330)
def test_two_builds_side_by_side(tmp_path: Path) -> None:
    """The same one twice here, as it is installed, or found beside the checkout."""
    package = str(Path(rapfiles.__file__).parent.parent)
    ended = _benchmarks(
        *(sys.executable, sys.executable, "--quick", "--rounds", "2", "--only", "stat,iterdir"),
        *("--directory", str(tmp_path)),
        first=Path(package),
        command="benchmarks.compare",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "2 interleaved rounds" in ended.stdout
    rows = [line for line in ended.stdout.splitlines() if line.startswith(("| stat ", "| iterdir,"))]
    assert len(rows) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.watchdog(330)
def test_loops_side_by_side(tmp_path: Path) -> None:
    ended = _benchmarks(
        *("--loop", "asyncio", "--loop", "trio", "--quick", "--rounds", "2", "--only", "stat,lines"),
        *("--directory", str(tmp_path)),
        command="benchmarks.sides",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [line for line in ended.stdout.splitlines() if line.startswith(("| stat ", "| async for"))]
    assert len(rows) == 2
    assert list(tmp_path.iterdir()) == []


def test_files_through_a_server() -> None:
    for module in ("starlette", "uvicorn"):
        pytest.importorskip(module)
    ended = _benchmarks(
        *("--rounds", "1", "--requests", "4", "--libraries", "rapfiles,anyio"), command="benchmarks.http"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for response in ("whole", "chunks"):
        assert f"| {response:<8} | rapfiles |" in ended.stdout


def test_atomic(tmp_path: Path) -> None:
    ended = _benchmarks(
        "--rounds", "1", "--count", "1", "--directory", str(tmp_path), command="benchmarks.atomic"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for row in ("an existing file", "open_atomic(), write()", "append_bytes(durable=True)"):
        assert f"\n| {row}" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_large_tree(tmp_path: Path) -> None:
    ended = _benchmarks(
        *("--rounds", "1", "--files", "1000", "--directories", "70", "--directory", str(tmp_path)),
        command="benchmarks.trees",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for way in ("os.walk", "AsyncPath.walk", "AsyncPath.find", "AsyncPath.rglob"):
        [row] = [line for line in ended.stdout.splitlines() if line.startswith(f"| {way} ")]
        assert row.split("|")[-2].strip() == "1,070"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_locks() -> None:
    pytest.importorskip("fcntl")
    ended = _benchmarks("--rounds", "1", "--turns", "3", command="benchmarks.locks")
    assert (ended.returncode, ended.stderr) == (0, "")
    for row in ("rapfiles: one object kept", "rapfiles  ", "1,000 tasks"):
        assert f"\n| {row}" in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "flying"],
        ["--peers", "nobody"],
        ["--rounds", "0"],
        ["--directory", "/missing"],
        ["--loop", "x"],
    ],
)
def test_bad_usage(arguments: list[str]) -> None:
    ended = _benchmarks(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"argument {arguments[0]}: " in ended.stderr
