"""`python -m rapfiles doctor`, run as its user runs it: on real folders, in a process of its own."""

import asyncio
import contextlib
import ctypes
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles.doctor.clock import ThreadClock
from rapfiles.doctor.findings import Findings, Measurement
from rapfiles.doctor.report import as_text
from rapfiles.doctor.sample import Sample
from rapfiles.doctor.stall import confirm, suspicious
from rapfiles.doctor.ticker import Ticker
from support import fuse, process
from support.fuse import SlowDisk

_PACKAGE = str(Path(rapfiles.__file__).parent.parent)
# The seconds that are documented.
IN_TIME = 20
_WAYS = ["synchronous", "asyncio.to_thread", "aiofiles", "anyio.Path", "AsyncPath"]


@dataclass(frozen=True)
class Ended:
    """How the command ended; `seconds` is how long it took, without those in which it had no processor."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


def _doctor(*arguments: str | bytes, first: Path | None = None, **options: Any) -> Ended:
    """Run the command; modules in the folder `first` are found before all others."""
    environment = {**os.environ, **options.pop("env", {})}
    environment["PYTHONPATH"] = os.pathsep.join([*([str(first)] if first else []), _PACKAGE])
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, ThreadClock() as clock:
        before = clock.read()
        started = subprocess.Popen(
            [sys.executable, "-m", "rapfiles", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment,
            **options,
        )
        with process.limited(started) as child:
            queued = 0.0
            if sys.platform == "linux":
                # Until it is waited for, a process that has ended still has its figures.
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
                with contextlib.suppress(OSError):
                    queued = int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[1]) / 1e9
            child.wait()
            seconds = clock.read() - before - queued
        for file in (output, errors):
            file.seek(0)
        texts = [file.read().decode("utf-8", "surrogateescape") for file in (output, errors)]
    return Ended(child.returncode, *texts, seconds)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small tree of files of several sizes, with what the doctor has to leave alone."""
    root = tmp_path / "tree"
    (root / "inner" / "deeper").mkdir(parents=True)
    for number in range(20):
        (root / f"{number}.txt").write_bytes(b"x" * (number * 400 + 1))
        (root / "inner" / "deeper" / f"{number}.bin").write_bytes(os.urandom(300_000 if number == 7 else 50))
    (root / "empty").touch()
    (root / "link").symlink_to("0.txt")
    (root / "dangling").symlink_to("missing")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "fifo")
    return root


def _installed(way: str) -> bool:
    library = {"aiofiles": "aiofiles", "anyio.Path": "anyio"}.get(way)
    with contextlib.suppress(ImportError):
        return library is None or bool(__import__(library))
    return False


def test_the_table(folder: Path) -> None:
    ended = _doctor("doctor", str(folder))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert str(folder) in ended.stdout
    for operation in ("read_bytes", "stat"):
        rows = [line.split() for line in ended.stdout.splitlines() if line.startswith(operation)]
        assert [row[1] for row in rows] == [way for way in _WAYS if _installed(way)]
        for row in rows:
            assert len(row) == 9
            assert all(float(figure.replace(",", "")) > 0 for figure in row[2:8]), row
            assert float(row[8]) >= 0
        assert rows[0][3] == rows[0][7] == "1.00"
    # Piped, it is plain text without any control character.
    assert re.search(r"[^\n -~µ]", ended.stdout) is None


def _examined(lag: float, lag_of_loop: float) -> Findings:
    """Findings of a single operation, beside which the loop lagged for this long."""
    findings = Findings(Sample("/"), {}, {"stat": {way: Measurement(times=[1e-6]) for way in _WAYS}})
    findings.files = 1
    findings.measurements["stat"]["AsyncPath"].note_lag(lag, lag_of_loop)
    return findings


def test_the_table_and_the_verdict_tell_of_the_same_lag() -> None:
    """37 ms in which others had the processors are no lag of the loop's, in the one as in the other."""
    text = as_text(_examined(0.037, 0.0021), "ascii")
    row = next(line.split() for line in text.splitlines() if line.startswith("stat") and "AsyncPath" in line)
    assert row[-1] == "2.10"
    assert "it lagged by 2.10 ms at worst" in text
    assert "37" not in text


def test_json(folder: Path) -> None:
    ended = _doctor("doctor", "--json", str(folder))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert found["directory"] == str(folder)
    assert found["loop"].startswith("asyncio")
    assert found["engine"]["max_workers"] == rapfiles.configuration().max_workers
    assert found["engine"]["usable_cpus"] == rapfiles.configuration().usable_cpus
    assert found["engine"]["cached"] == (found["engine"]["reason"] is None)
    # 40 regular files with content, of which a quarter is set aside.
    assert (found["sample"]["found"], found["sample"]["files"]) == (40, 30)
    assert found["sample"]["unreadable"] == 0
    assert found["sample"]["complete"]
    assert (found["stalled"], found["stalls"], found["broken"]) == (False, [], False)
    assert found["cached_operations"] + found["worker_operations"] > 100
    assert 0 < found["seconds"] < 20
    measured = {(row["operation"], row["way"]): row for row in found["measurements"]}
    assert len(measured) == 2 * sum(map(_installed, _WAYS))
    for row in measured.values():
        assert row["failure"] is None
        assert row["rounds"] >= 1
        for figure in (
            "sequential_us",
            "sequential_ratio",
            "p50_us",
            "p99_us",
            "concurrent_us",
            "concurrent_ratio",
        ):
            assert row[figure] > 0, row
        assert row["p50_us"] <= row["p99_us"]
        assert row["worst_lag_ms"] >= 0
    assert measured["stat", "synchronous"]["sequential_ratio"] == 1
    assert measured["stat", "synchronous"]["concurrent_ratio"] == 1


def test_without_the_libraries(folder: Path, tmp_path: Path) -> None:
    """The one is missing, the other is broken: both are told, and the rest is measured."""
    first = tmp_path / "first"
    first.mkdir()
    (first / "aiofiles.py").write_text("raise ImportError('blocked')")
    (first / "anyio.py").write_text("raise RuntimeError('broken')")
    ended = _doctor("doctor", str(folder), first=first)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"^not installed +aiofiles, anyio$", ended.stdout, re.MULTILINE)
    rows = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("stat")]
    assert rows == ["synchronous", "asyncio.to_thread", "AsyncPath"]


@pytest.mark.parametrize("arguments", [[], ["doctor", "a", "b"], ["doctor", "--no-such-option"], ["cure"]])
def test_bad_usage(arguments: list[str]) -> None:
    ended = _doctor(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "usage: python -m rapfiles" in ended.stderr


def test_version_and_help() -> None:
    assert _doctor("--version").stdout == f"rapfiles {rapfiles.__version__}\n"
    assert "exit codes: 0" in _doctor("doctor", "--help").stdout


def test_a_directory_that_is_none(folder: Path) -> None:
    for path, reason in (
        (folder / "missing", "No such file or directory"),
        (folder / "0.txt", "Not a directory"),
        (folder / "dangling", "No such file or directory"),
    ):
        ended = _doctor("doctor", str(path))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"python -m rapfiles doctor: {path}: {reason}\n"


def _without_privileges() -> None:
    """Take from root, before it becomes the command, the right to ignore permissions."""
    if os.geteuid() == 0:
        drop_from_bounding_set, may_override, may_search = 24, 1, 2
        library = ctypes.CDLL(None, use_errno=True)
        for capability in (may_override, may_search):
            if library.prctl(drop_from_bounding_set, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="privileges are dropped with a system call of Linux")
def test_what_may_not_be_read(folder: Path) -> None:
    closed = folder / "inner"
    closed.chmod(0)
    ended = _doctor("doctor", str(closed), preexec_fn=_without_privileges)
    closed.chmod(0o755)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"python -m rapfiles doctor: {closed}: Permission denied\n"

    for file in folder.glob("*.txt"):
        file.chmod(0)
    ended = _doctor("doctor", "--json", str(folder), preexec_fn=_without_privileges)
    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (found["sample"]["files"], found["sample"]["unreadable"]) == (15, 15)

    for file in folder.rglob("*.bin"):
        file.chmod(0)
    ended = _doctor("doctor", str(folder), preexec_fn=_without_privileges)
    assert ended.returncode == 2
    assert ended.stderr == f"python -m rapfiles doctor: {folder}: none of the files there could be read\n"


def test_nothing_to_read(tmp_path: Path) -> None:
    ended = _doctor("doctor", str(tmp_path))
    assert ended.returncode == 2
    assert (
        ended.stderr
        == f"python -m rapfiles doctor: {tmp_path}: the directory is empty: there are no files to read\n"
    )
    assert "Nothing was measured" in ended.stdout

    (tmp_path / "empty").touch()
    ended = _doctor("doctor", "--json", str(tmp_path))
    assert ended.returncode == 2
    assert "no files to read there: none that is regular, not empty and at most" in ended.stderr
    assert json.loads(ended.stdout)["sample"]["files"] == 0


@pytest.mark.slow
def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\x1b[31m\xc3\xa9\n"
    os.mkdir(odd)
    with open(odd + b"/file \xfe\r", "wb") as file:
        file.write(b"content")
    # ASCII is all that this terminal has.
    ended = _doctor("doctor", odd, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0] == f"rapfiles doctor: {tmp_path}/\\udcff\\x1b[31m\\xe9\\n"
    assert re.search(r"[^\n -~]", ended.stdout) is None

    found = json.loads(_doctor("doctor", "--json", odd).stdout)
    assert os.fsencode(found["directory"]) == odd
    assert found["sample"]["files"] == 1

    ended = _doctor("doctor", odd + b"missing")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.search(r"[^\n -~\xe9]", ended.stderr) is None


@pytest.mark.slow
def test_a_slow_disk(slow_disk: SlowDisk, tmp_path: Path) -> None:
    """It ends in time, AsyncPath is measured and held to have stalled nothing."""
    backing = slow_disk.backing / tmp_path.name
    backing.mkdir()
    for number in range(5):
        (backing / str(number)).write_bytes(b"content")
    ended = _doctor("doctor", "--json", str(slow_disk.root / tmp_path.name))
    assert ended.seconds < IN_TIME
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert found["engine"]["file_system"] == "fuse"
    assert not found["engine"]["cached"]
    assert found["cached_operations"] == 0
    measured = {(row["operation"], row["way"]): row for row in found["measurements"]}
    for way in ("synchronous", "AsyncPath"):
        assert measured["stat", way]["sequential_us"] > fuse.DELAY_MS * 1000
    assert measured["stat", "synchronous"]["worst_lag_ms"] > fuse.DELAY_MS


@pytest.mark.slow
def test_a_dead_disk(slow_disk: SlowDisk) -> None:
    """Requests that are never answered hold up neither the end of the command nor Ctrl-C."""
    held = slow_disk.backing / "held-tree"
    held.mkdir()
    (held / "file").write_bytes(b"content")
    slow_disk.close_gate()
    try:
        ended = _doctor("doctor", str(slow_disk.root / "held-tree"))
        assert ended.seconds < IN_TIME
    finally:
        slow_disk.open_gate()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "held-tree: no answer within" in ended.stderr


# Put into the interpreter of the examination, so that AsyncPath there does what it must never do.
_SABOTAGE = """
import sys
if sys.argv[0] == "-m" and "rapfiles.doctor.child" in sys.orig_argv:
    import time
    from rapfiles import AsyncPath
    read_bytes, calls = AsyncPath.read_bytes, 0

    async def sabotaged(self):
        global calls
        calls += 1
        {sabotage}
        return await read_bytes(self)

    AsyncPath.read_bytes = sabotaged
"""


def _sabotaged(tmp_path: Path, sabotage: str) -> Path:
    """A folder that has to be found first for this to happen."""
    first = tmp_path / "sabotage"
    first.mkdir()
    (first / "sitecustomize.py").write_text(_SABOTAGE.format(sabotage=sabotage))
    return first


@pytest.mark.slow
def test_a_stall_is_found(folder: Path, tmp_path: Path) -> None:
    first = _sabotaged(tmp_path, "time.sleep(0.12)")
    ended = _doctor("doctor", "--json", str(folder), first=first)
    assert (ended.returncode, ended.stderr) == (1, "")
    found = json.loads(ended.stdout)
    assert found["stalled"]
    assert {stall["operation"] for stall in found["stalls"]} == {"read_bytes"}
    assert all(stall["lag_ms"] >= 50 for stall in found["stalls"])

    ended = _doctor("doctor", str(folder), first=first)
    assert ended.returncode == 1
    assert "AsyncPath STALLED the loop: read_bytes" in ended.stdout
    assert "did not stall" not in ended.stdout


@pytest.mark.slow
def test_a_hiccup_is_no_stall(folder: Path, tmp_path: Path) -> None:
    """A lag that does not recur is reported, but AsyncPath is not blamed for it."""
    first = _sabotaged(tmp_path, "calls == 100 and time.sleep(0.2)")
    ended = _doctor("doctor", "--json", str(folder), first=first)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert not found["stalled"]
    # Of the 0.2 s, the clock leaves out what the host of a virtual machine took from all processors.
    assert max(found["passing_lags_ms"]) >= 100


@pytest.mark.slow
def test_a_loop_that_never_turns_again(folder: Path, tmp_path: Path) -> None:
    first = _sabotaged(tmp_path, "calls == 100 and time.sleep(60)")
    ended = _doctor("doctor", str(folder), first=first)
    assert ended.seconds < IN_TIME
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "AsyncPath STALLED the loop" in ended.stdout


@pytest.mark.slow
def test_a_failure_is_found(folder: Path, tmp_path: Path) -> None:
    first = _sabotaged(tmp_path, "if calls > 100: raise RuntimeError('sabotage')")
    ended = _doctor("doctor", str(folder), first=first)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "read_bytes, AsyncPath: RuntimeError: sabotage" in ended.stdout


def _read_until(terminal: int, wanted: bytes) -> bytes:
    """What the terminal shows until it has shown `wanted` or its other end is closed."""
    shown = b""
    while wanted not in shown:
        assert select.select([terminal], [], [], 30)[0], f"nothing but {shown!r} in 30 seconds"
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # how Linux tells that the other end is closed
            break
    return shown


def test_ctrl_c_and_progress(folder: Path) -> None:
    terminal, other_end = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "rapfiles", "doctor", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=other_end,
        env={**os.environ, "PYTHONPATH": _PACKAGE},
        # What a shell runs in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process.limited(started) as child:
        os.close(other_end)
        shown = _read_until(terminal, b"round 1 of")
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=30)
        shown += _read_until(terminal, b"never shown")
    os.close(terminal)
    assert (child.returncode, output) == (130, b"")
    assert b"looking for files" in shown
    # Nothing but lines of progress, each over the last one, and in the end an empty line; no escape codes.
    assert re.fullmatch(rb"(\r[ -~]*)+\r +\r", shown), shown


def test_a_ticker_sees_the_last_call() -> None:
    async def main() -> Ticker:
        async with Ticker() as ticker:
            await asyncio.sleep(0.005)
            time.sleep(0.05)
        assert ticker.worst > 0.045
        assert ticker.worst_of_loop <= ticker.worst
        assert ticker.ticks >= 2
        return ticker

    # What the host steals meanwhile, from any processor, is taken out, in ticks of 10 ms.
    assert max(asyncio.run(main()).worst_of_loop for _ in range(5)) > 0.045


_BUSY = "while True: pass"


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/schedstat"), reason="the kernel does not tell")
def test_the_clock_of_a_thread_stands_still_while_others_have_the_processor() -> None:
    """Four busy processes on one processor: the thread gets a fifth of it; a wait still counts in full."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(4)]
    try:
        with ThreadClock() as clock:
            before, started, used = clock.read(), time.perf_counter(), time.thread_time()
            while time.perf_counter() - started < 0.5 or time.thread_time() - used < 0.01:
                pass
            used, elapsed = time.thread_time() - used, time.perf_counter() - started
            assert clock.read() - before < used + (elapsed - used) / 4

            def slept() -> float:
                before = clock.read()
                time.sleep(0.05)
                return clock.read() - before

            # What the host steals meanwhile is taken out, in ticks of 10 ms.
            assert max(slept() for _ in range(5)) > 0.045
    finally:
        os.sched_setaffinity(0, allowed)
        for child in busy:
            child.kill()
            child.wait()


@pytest.mark.slow
def test_a_stall_has_to_come_back_each_time() -> None:
    async def main(*lags: float) -> float | None:
        async def again(attempt: int) -> float:
            return lags[attempt]

        return await confirm(20.0, again)

    assert asyncio.run(main(15.0, 12.0, 15.0)) == 12.0
    assert asyncio.run(main(15.0, 15.0, 0.0)) is None


def test_suspicion() -> None:
    assert suspicious(0.030, 0.001)
    assert not suspicious(0.015, 0.001)
    # The idle loop lagged just as much: the machine is busy.
    assert not suspicious(0.050, 0.040)
