"""One operation is one job and at most one wake-up; the counters, the settings, and the threads."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, configuration, configure, stats
from support import process
from support.engine import idle, under_way
from support.fifo import Fifo
from support.loops import SELECTOR, Loop
from support.operations import CHANGING, OPERATIONS, Operation, build


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_one_operation_is_one_job(operation: Operation, tmp_path: Path) -> None:
    build(tmp_path)
    await idle()
    before = stats()
    await operation.start(tmp_path)
    await idle()
    after = stats()
    answered = after.cached - before.cached
    submitted = after.submitted - before.submitted
    if operation.name in {"copy", "copy_into", "move", "move_into", "rmtree"}:
        # Streams, whose jobs have 5 ms of the clock each: a busy machine may need another one.
        assert 1 <= submitted <= 10
    else:
        assert answered + submitted == 1
    if operation in CHANGING:
        assert answered == 0
    assert after.wakeups - before.wakeups <= submitted
    assert after.completed - before.completed == submitted
    assert (after.panics, after.cancelled) == (before.panics, before.cancelled)


async def test_a_mkdir_of_many_parents_is_one_job(tmp_path: Path) -> None:
    await idle()
    before = stats()
    await AsyncPath(tmp_path, *"abcdefghij").mkdir(parents=True)
    after = stats()
    assert after.submitted - before.submitted == 1
    assert after.wakeups - before.wakeups <= 1


async def test_a_listing_of_many_entries_is_a_few_jobs(tmp_path: Path) -> None:
    """It is read in blocks of some hundred entries, several in each job, which has 5 ms of the clock."""
    for number in range(5000):
        (tmp_path / str(number)).symlink_to("nowhere")
    await idle()
    before = stats()
    assert len([entry async for entry in AsyncPath(tmp_path).iterdir()]) == 5000
    after = stats()
    # Two or three; more on a busy machine.
    assert after.submitted - before.submitted <= 50
    assert after.wakeups - before.wakeups <= 50


async def test_a_burst_wakes_the_loop_once(tmp_path: Path) -> None:
    """Whatever completes while the loop is busy with something else is collected by one wake-up."""
    await idle()
    before = stats()
    async with anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(AsyncPath(tmp_path, str(number)).mkdir)
        while stats().submitted - before.submitted < 300:
            await anyio.sleep(0)
        woken = stats().wakeups
        # The loop is kept busy, on purpose, until the workers have done everything.
        while stats().completed - before.completed < 300:
            time.sleep(0.001)
    assert stats().wakeups - woken <= 1


_CACHED = """
import sys
from support.loops import LOOPS
from rapfiles import AsyncPath, _native, stats

print("ready", flush=True)
folder, name = sys.argv[1:]
path = AsyncPath(folder, "file")

async def main():
    if (reason := (await _native.inspect(path))["reason"]) is not None:
        print("cannot be used:", reason)
        return
    await path.read_bytes()
    before = stats()
    for _ in range(1000):
        await path.read_bytes()
        await path.stat()
    # A mount that was slow once is left to the workers for a while, so not necessarily all of them.
    print(stats().cached - before.cached >= 1000)

{loop.name: loop for loop in LOOPS}[name].run(main)
"""


@pytest.mark.loops("asyncio")
def test_cached_reads_need_no_worker_and_no_wake_up(tmp_path: Path, loop: Loop) -> None:
    """On a disk of whose file system the kernel can promise that it does not block.

    In a process of its own: here the disk may have made a loop wait, and rest for minutes.
    """
    (tmp_path / "file").write_bytes(b"content")
    ended = process.run(_CACHED, str(tmp_path), loop.name)
    assert (ended.code, ended.errors) == (0, "")
    if "cannot be used" in ended.output:
        pytest.skip(f"tier 0 {ended.output}")
    assert "True" in ended.output


def test_import_starts_nothing() -> None:
    program = """
import os, sys, threading
before = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
import rapfiles
assert (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))) == before
assert rapfiles.stats().workers == 0
assert rapfiles.configuration().max_workers >= 1
assert (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))) == before
assert "asyncio" not in sys.modules and "trio" not in sys.modules and "tempfile" not in sys.modules
print("ready")
"""
    ended = process.run(program)
    assert (ended.code, ended.errors) == (0, "")


def test_idle_workers_leave(tmp_path: Path) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(AsyncPath(tmp_path, str(number)).mkdir)
        assert stats().workers >= 1
        with anyio.fail_after(60):
            while stats().workers:
                await anyio.sleep(0.05)
        # And come back.
        await AsyncPath(tmp_path, "again").mkdir()

    SELECTOR.run(main)
    assert not [thread for thread in threading.enumerate() if "rapfiles" in thread.name]


async def test_workers_are_as_many_as_configured(tmp_path: Path) -> None:
    configured = configuration().max_workers
    await idle()
    try:
        configure(max_workers=3)
        assert configuration().max_workers == 3
        with Fifo(tmp_path / "fifo") as fifo:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(AsyncPath(fifo.path).read_bytes)
                await under_way(20)
                now = stats()
                assert now.in_flight <= 3
                assert now.queued == 20 - now.in_flight
                fifo.release()
    finally:
        configure(max_workers=configured)


def test_workers_are_as_many_as_the_environment_says() -> None:
    program = "import rapfiles; print('ready'); print(rapfiles.configuration().max_workers)"
    assert process.run(program, RAPFILES_MAX_WORKERS="5").output == "5\n"
    told = f"import warnings; warnings.simplefilter('default'); {program}"
    for nonsense in ("", "0", "-1", "many"):
        ended = process.run(told, RAPFILES_MAX_WORKERS=nonsense)
        assert ended.output == "64\n"
        assert f"RAPFILES_MAX_WORKERS must be a whole number of at least 1, not {nonsense!r}" in ended.errors


def test_the_import_is_quick() -> None:
    """The package imports nothing slow beside asyncio; what is counted is others' modules, not time."""
    command = [sys.executable, "-I", "-c", "import sys, pathlib, typing, asyncio; print(len(sys.modules))"]
    base = int(subprocess.check_output(command, timeout=60))
    others = "sum(not name.startswith('rapfiles') for name in sys.modules)"
    program = f"import pathlib, typing, asyncio, rapfiles; print('ready'); print({others})"
    assert int(process.run(program).output) - base < 10


def test_stats_are_what_they_say() -> None:
    now = rapfiles.stats()
    assert all(type(value) is int and value >= 0 for value in now)
    assert now.idle_workers <= now.workers
    assert now.completed + now.cancelled + now.queued + now.in_flight <= now.submitted
