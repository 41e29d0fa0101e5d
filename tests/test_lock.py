"""Locks exclude tasks, threads and processes, in order, and leave nothing behind, however the wait ends."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import filelock
import pytest

import rapfiles
from rapfiles import AsyncPath, FileLock, LockReentryError, LockTimeout
from support import fuse, leaks, lock_torture, mounts, process, strace
from support.loops import LOOPS, Loop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock(2)")


@contextlib.contextmanager
def locked_by_another_process(path: Path, *options: str) -> Iterator[int]:
    """Has flock(1) hold the lock; gives its process number."""
    # `cat` ends with its standard input, also if this process is killed.
    command = ["flock", *options, "--no-fork", str(path), "sh", "-c", "echo held; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid


def is_locked(path: Path, *options: str) -> bool:
    """Whether flock(1) has to wait for the lock."""
    return subprocess.run(["flock", "--nonblock", *options, str(path), "true"]).returncode == 1


def is_taken(path: Path) -> bool:
    """Whether another open file has to wait for the lock."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def _turns(count: int) -> None:
    """Let the other tasks run so often."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_a_block_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = AsyncPath(path).lock()
    assert not lock.locked
    async with lock as entered:
        assert entered is lock
        assert lock.locked
        assert is_locked(path)
        assert is_locked(path, "--shared")
    assert not lock.locked
    assert not is_locked(path)
    assert await lock.acquire() is lock
    assert is_taken(path)
    await lock.release()
    assert not is_taken(path)


async def test_a_lock_is_released_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with AsyncPath(tmp_path / "lock").lock():
            raise ZeroDivisionError
    assert not is_taken(tmp_path / "lock")


async def test_a_lock_may_be_released_within_its_block(tmp_path: Path) -> None:
    async with AsyncPath(tmp_path / "lock").lock() as lock:
        await lock.release()
        assert not is_taken(tmp_path / "lock")
        with pytest.raises(RuntimeError, match="not held"):
            await lock.release()


async def test_shared_locks_are_held_together(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")

    async def share(held: anyio.Event, done: anyio.Event) -> None:
        async with path.lock(shared=True):
            held.set()
            await done.wait()

    done = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            held = anyio.Event()
            group.start_soon(share, held, done)
            await held.wait()
        assert not is_locked(tmp_path / "lock", "--shared")
        assert is_locked(tmp_path / "lock")
        with pytest.raises(LockTimeout):
            await path.lock(blocking=False).acquire()
        done.set()
    assert not is_locked(tmp_path / "lock")


@pytest.mark.one_loop
async def test_the_file_is_created_and_never_changed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        async with AsyncPath(tmp_path / "new").lock():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "old").write_bytes(b"content")
    status = (tmp_path / "old").stat()
    async with AsyncPath(tmp_path / "old").lock():
        pass
    after = (tmp_path / "old").stat()
    assert (tmp_path / "old").read_bytes() == b"content"
    assert (after.st_mtime_ns, after.st_ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)


@pytest.mark.parametrize("seconds", [0, 1e-9])
async def test_a_lock_that_nobody_has_does_not_time_out(seconds: float, tmp_path: Path) -> None:
    """Also if a worker has to open, or to make, the file."""
    for number in range(20):
        path = AsyncPath(tmp_path / f"{number // 2}")
        async with path.lock(timeout=seconds), path.lock(timeout=seconds, range=(0, 1)):
            pass


@pytest.mark.one_loop
async def test_who_waits_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"content")
    before = path.stat()
    with locked_by_another_process(path):
        for arguments in ({"blocking": False}, {"timeout": 0.01}, {"timeout": 0.25}):
            with pytest.raises(LockTimeout):
                await AsyncPath(path).lock(**arguments).acquire()
    after = path.stat()
    assert path.read_bytes() == b"content"
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_ino,
    )


@pytest.mark.one_loop
async def test_errors_are_those_of_opening_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        await AsyncPath(tmp_path / "missing" / "lock").lock().acquire()
    assert raised.value.filename == str(tmp_path / "missing" / "lock")
    with pytest.raises(IsADirectoryError):
        await AsyncPath(tmp_path).lock().acquire()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        await AsyncPath(tmp_path / "fifo").lock().acquire()


@pytest.mark.one_loop
async def test_a_planted_link_is_refused(tmp_path: Path) -> None:
    """CVE-2025-68146: filelock truncated what a link in the place of the lock file led to."""
    (tmp_path / "victim").write_bytes(b"content")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    (tmp_path / "dangling").symlink_to(tmp_path / "created")
    for name in ("lock", "dangling"):
        with pytest.raises(OSError, match="symbolic link") as raised:
            await AsyncPath(tmp_path / name).lock().acquire()
        assert raised.value.filename == str(tmp_path / name)
    assert (tmp_path / "victim").read_bytes() == b"content"
    assert not (tmp_path / "created").exists()


@pytest.mark.one_loop
async def test_a_link_that_comes_and_goes_is_never_followed(tmp_path: Path) -> None:
    """CVE-2026-22701: a link that comes between looking and opening."""
    path, victim = tmp_path / "lock", tmp_path / "victim"
    refused: set[int | None] = set()

    def plant() -> None:
        for _ in range(60):
            path.unlink(missing_ok=True)
            # The lock may have made its file just before.
            with contextlib.suppress(FileExistsError):
                path.symlink_to(victim)
            path.unlink(missing_ok=True)

    thread = threading.Thread(target=plant)
    thread.start()
    while thread.is_alive():
        try:
            async with AsyncPath(path).lock():
                pass
        except OSError as error:
            refused.add(error.errno)
    thread.join()
    assert refused <= {errno.ELOOP}
    assert not victim.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": -(10**400)},
        {"timeout": 1, "blocking": False},
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="timeout"):
        AsyncPath(tmp_path / "lock").lock(**arguments)


@pytest.mark.one_loop
async def test_a_timeout_may_be_longer_than_anybody_waits(tmp_path: Path) -> None:
    for seconds in (float("inf"), 1e300, 10**400):
        async with AsyncPath(tmp_path / "lock").lock(timeout=seconds):
            pass


@pytest.mark.one_loop
@pytest.mark.parametrize("arguments", [{"blocking": False}, {"timeout": 0.2}], ids=str)
async def test_a_timeout_names_the_path_and_the_holder(arguments: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked_by_another_process(path) as holder:
        with pytest.raises(LockTimeout) as raised:
            await AsyncPath(path).lock(**arguments).acquire()
        assert isinstance(raised.value, TimeoutError)
        assert (raised.value.path, raised.value.filename) == (str(path), str(path))
        if sys.platform == "linux":
            assert raised.value.holder == holder
            assert str(holder) in str(raised.value)
        again = pickle.loads(pickle.dumps(raised.value))
        assert (again.path, again.holder, str(again)) == (str(path), raised.value.holder, str(raised.value))
    async with AsyncPath(path).lock():
        # Of this process, by another task.
        errors = []

        async def other() -> None:
            try:
                await AsyncPath(path).lock(**arguments).acquire()
            except LockTimeout as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(other)
        assert [error.holder for error in errors] == [os.getpid()]


@pytest.mark.one_loop
async def test_a_lock_is_handed_over_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with anyio.create_task_group() as group:
        with locked_by_another_process(path):
            held = anyio.Event()

            async def wait() -> None:
                async with AsyncPath(path).lock():
                    held.set()

            group.start_soon(wait)
            # Long enough for a thread to wait in the kernel.
            with anyio.move_on_after(0.3):
                await held.wait()
            assert not held.is_set()
        await held.wait()


async def test_tasks_get_the_lock_in_order(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")
    order: list[int] = []
    inside = 0

    async def take(number: int) -> None:
        nonlocal inside
        async with path.lock():
            inside += 1
            assert inside == 1
            order.append(number)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as group, path.lock():
        for number in range(100):
            group.start_soon(take, number)
            # trio starts tasks in a random order.
            await _turns(3)
    assert order == list(range(100))


async def test_who_wants_the_lock_alone_is_not_overtaken(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")
    order: list[str] = []

    async def take(name: str, shared: bool) -> None:
        async with path.lock(shared=shared):
            order.append(name)

    async with anyio.create_task_group() as group, path.lock(shared=True):
        for name in ("writer", "reader"):
            group.start_soon(take, name, name == "reader")
            await _turns(3)
        assert order == []
    assert order == ["writer", "reader"]


@pytest.mark.one_loop
async def test_two_spellings_are_one_lock(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    spellings = [tmp_path / "directory" / "lock", tmp_path / "link" / "lock", tmp_path / "directory" / "hard"]
    spellings[0].touch()
    os.link(spellings[0], spellings[2])
    async with AsyncPath(spellings[0]).lock():
        for spelling in spellings:
            with pytest.raises(LockReentryError, match="holds"):
                await AsyncPath(spelling).lock().acquire()

            async def other(spelling: Path = spelling) -> None:
                with pytest.raises(LockTimeout):
                    await AsyncPath(spelling).lock(blocking=False).acquire()

            async with anyio.create_task_group() as group:
                group.start_soon(other)


async def test_one_object_is_for_several_tasks(tmp_path: Path) -> None:
    for shared in (False, True):
        lock = AsyncPath(tmp_path / "lock").lock(shared=shared)
        inside = most = 0

        async def take(lock: FileLock = lock) -> None:
            nonlocal inside, most
            async with lock:
                inside += 1
                most = max(most, inside)
                await _turns(3)
                inside -= 1

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(take)
        assert most > 1 if shared else most == 1
        assert not lock.locked
        assert not is_taken(tmp_path / "lock")


@pytest.mark.one_loop
async def test_a_replaced_file_is_locked_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with anyio.create_task_group() as group:
        with locked_by_another_process(path):
            held = anyio.Event()
            leave = anyio.Event()

            async def wait() -> None:
                async with AsyncPath(path).lock():
                    held.set()
                    await leave.wait()

            group.start_soon(wait)
            await anyio.sleep(0.25)
            path.rename(tmp_path / "old")
            path.touch()
        await held.wait()
        assert is_taken(path)
        assert not is_taken(tmp_path / "old")
        leave.set()


@pytest.mark.one_loop
async def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with AsyncPath(path).lock():
        path.unlink()
        # Nobody can know of the lock of a file that has no name, not even its holder.
        async with AsyncPath(path).lock():
            assert is_taken(path)
    assert not is_taken(path)


@pytest.mark.parametrize("held_by", ["task", "process"])
async def test_whoever_is_cancelled_loses_nobodys_turn(held_by: str, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[int] = []

    async def take(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            async with AsyncPath(path).lock():
                order.append(number)

    scopes = [anyio.CancelScope() for _ in range(9)]
    async with anyio.create_task_group() as group, contextlib.AsyncExitStack() as stack:
        if held_by == "task":
            await stack.enter_async_context(AsyncPath(path).lock())
        else:
            stack.enter_context(locked_by_another_process(path))
        for number, scope in enumerate(scopes):
            group.start_soon(take, number, scope)
            await _turns(3)
        if held_by == "process":
            # The first one's thread waits in the kernel.
            await anyio.sleep(0.25)
        for number in (0, 4, 8):
            scopes[number].cancel()
        await _turns(5)
    assert order == [1, 2, 3, 5, 6, 7]
    assert not is_taken(path)


async def test_cancelled_at_every_moment(tmp_path: Path) -> None:
    """After any number of turns of the loop: the lock is either held or not, and then free."""
    path = AsyncPath(tmp_path / "lock")
    for turns in range(12):
        for holder in (False, True):
            async with contextlib.AsyncExitStack() as stack:
                if holder:
                    await stack.enter_async_context(path.lock())
                scope = anyio.CancelScope()

                async def take(scope: anyio.CancelScope = scope) -> None:
                    with scope:
                        async with path.lock():
                            await _turns(2)

                async with anyio.create_task_group() as group:
                    group.start_soon(take)
                    await _turns(turns)
                    scope.cancel()
            # A worker that has begun for the cancelled one finishes first.
            async with path.lock():
                pass
            assert not is_taken(tmp_path / "lock")


@pytest.mark.loops("asyncio")
async def test_cancelled_when_the_lock_has_come(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")
    first = await path.lock().acquire()
    task = asyncio.ensure_future(path.lock().__aenter__())
    await asyncio.sleep(0)
    await first.release()
    # The lock has been passed on, and the task has not been told.
    assert is_taken(tmp_path / "lock")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
        await task.result().release()
    assert not is_taken(tmp_path / "lock")


async def test_a_cancelled_block_releases_the_lock(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with AsyncPath(tmp_path / "lock").lock():
            scope.cancel()
            await anyio.sleep_forever()
    assert not is_taken(tmp_path / "lock")


async def test_a_task_whose_wait_was_cancelled_may_ask_again(tmp_path: Path) -> None:
    """No false deadlock: what was given up does not count as held."""
    path = AsyncPath(tmp_path / "lock")
    with locked_by_another_process(tmp_path / "lock"):
        for _ in range(20):
            with anyio.move_on_after(0.001):
                await path.lock().acquire()
            with pytest.raises(LockTimeout):
                await path.lock(timeout=0.001).acquire()
    async with path.lock():
        pass


def test_a_task_may_have_the_address_of_another(tmp_path: Path) -> None:
    """No false deadlock (filelock #675): who took the lock for another may have its address reused."""

    async def main() -> None:
        path = AsyncPath(tmp_path / "lock")
        for _ in range(20):
            lock = await asyncio.ensure_future(path.lock().acquire())

            async def ask() -> None:
                with pytest.raises(LockTimeout):
                    await path.lock(blocking=False).acquire()

            await asyncio.gather(*(ask() for _ in range(5)))
            await lock.release()

    asyncio.run(main())


def test_a_forgotten_lock_is_released_with_a_warning(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        lock = await AsyncPath(tmp_path / "lock").lock().acquire()
        held = [lock]
        del lock
        with pytest.warns(ResourceWarning, match="unreleased lock <rapfiles.FileLock path="):
            held.clear()
        assert not is_taken(tmp_path / "lock")

    loop.run(main)


@pytest.mark.filterwarnings("error")
def test_closing_a_file_releases_its_lock_without_a_warning(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        async with rapfiles.open(tmp_path / "data", "wb") as file:
            held = [await file.lock().acquire()]
        assert not held[0].locked
        held.clear()
        assert not is_taken(tmp_path / "data")

    loop.run(main)


@pytest.mark.loops("asyncio")
async def test_a_file_that_is_closed_while_its_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "data"
    async with AsyncPath(path).lock():
        file = await rapfiles.open(path, "wb")
        waiting = asyncio.ensure_future(file.lock().acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        await file.close()
        with pytest.raises(ValueError, match="closed file"):
            await waiting


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_lock_file_that_may_not_be_created(tmp_path: Path) -> None:
    """It is not that there is none."""
    tmp_path.chmod(0o755)
    program = (
        "import asyncio, os\n"
        "from rapfiles import AsyncPath\n"
        "async def main():\n"
        "    for options in ({}, {'shared': True}, {'range': (0, 1)}, {'shared': True, 'range': (0, 1)}):\n"
        "        try:\n"
        "            await AsyncPath('lock').lock(**options).acquire()\n"
        "        except OSError as error:\n"
        "            print(type(error).__name__, error.filename)\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("PermissionError lock\n" * 4, "")


@pytest.mark.loops("asyncio")
async def test_a_lock_is_collected_with_the_task_that_holds_it(tmp_path: Path) -> None:
    """The task has the lock as its result, and the lock knows its task."""
    task = asyncio.ensure_future(AsyncPath(tmp_path / "lock").lock().acquire())
    assert (await task).locked
    del task
    # The loop lets go of it.
    await asyncio.sleep(0)
    assert is_taken(tmp_path / "lock")
    with pytest.warns(ResourceWarning, match="unreleased lock"):
        gc.collect()
    assert not is_taken(tmp_path / "lock")


@pytest.mark.loops("asyncio")
async def test_what_is_not_awaited_does_nothing(tmp_path: Path) -> None:
    lock = AsyncPath(tmp_path / "lock").lock()
    with pytest.warns(RuntimeWarning, match="coroutine 'acquire' was never awaited"):
        lock.acquire()
    assert not (tmp_path / "lock").exists()


def test_without_a_loop_nothing_is_locked(tmp_path: Path) -> None:
    lock = AsyncPath(tmp_path / "lock").lock()
    with pytest.raises(RuntimeError, match="no running event loop: rapfiles"):
        lock.acquire()
    with pytest.raises(RuntimeError, match="no running event loop: rapfiles"):
        lock.__aenter__().send(None)
    assert not lock.locked
    assert not (tmp_path / "lock").exists()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    value = 0

    def run(loop: Loop) -> None:
        async def main() -> None:
            nonlocal value
            for _ in range(50):
                async with AsyncPath(tmp_path / "lock").lock():
                    before = value
                    await _turns(1)
                    value = before + 1

        loop.run(main)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in LOOPS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value == 50 * len(LOOPS)


@pytest.mark.one_loop
async def test_another_thread_may_release_it(tmp_path: Path) -> None:
    """Not silently nothing, as with a lock that belongs to a thread."""
    lock = await AsyncPath(tmp_path / "lock").lock().acquire()

    def release() -> None:
        async def main() -> None:
            await lock.release()

        asyncio.run(main())

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    assert not is_taken(tmp_path / "lock")
    assert not lock.locked


@pytest.mark.one_loop
async def test_many_wait_without_descriptors_or_threads(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")
    done = 0

    async def take() -> None:
        nonlocal done
        async with path.lock():
            done += 1

    async with anyio.create_task_group() as group, path.lock():
        before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        for _ in range(1000):
            group.start_soon(take)
        await _turns(5)
        if sys.platform == "linux":
            assert len(os.listdir("/proc/self/fd")) - before < 70
            assert len(os.listdir("/proc/self/task")) < 100
    assert done == 1000


def _descriptors(path: Path) -> int:
    """How many descriptors of this process are of the file."""
    here = path.stat()
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found = os.fstat(int(number))
            count += (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino)
    return count


@pytest.mark.one_loop
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/fd")
@pytest.mark.parametrize("waiting", [False, True], ids=["at once", "after another process"])
async def test_those_who_share_a_lock_share_a_descriptor(waiting: bool, tmp_path: Path) -> None:
    path, count = tmp_path / "lock", 500
    path.touch()
    held, leave, inside = anyio.Event(), anyio.Event(), 0

    async def share(first: bool) -> None:
        nonlocal inside
        async with AsyncPath(path).lock(shared=True):
            inside += 1
            if inside == count:
                held.set()
            if not first:
                await leave.wait()

    async with anyio.create_task_group() as group:
        with locked_by_another_process(path) if waiting else contextlib.nullcontext():
            for number in range(count):
                group.start_soon(share, number == 0)
            # Long enough for a thread to wait in the kernel.
            with anyio.move_on_after(0.3 if waiting else 60):
                await held.wait()
            assert _descriptors(path) < 10
        await held.wait()
        assert _descriptors(path) < 10
        assert is_taken(path)
        # The lock of a removed file does not become that of the new one.
        path.unlink()
        async with AsyncPath(path).lock(shared=True):
            assert not is_locked(path, "--shared")
        path.rename(tmp_path / "new")
        leave.set()
    assert _descriptors(tmp_path / "new") == 0


_FORK = """
import asyncio, fcntl, os, sys
from rapfiles import AsyncPath, LockTimeout

path = sys.argv[1]

def is_taken():
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

def child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0

async def refused():
    try:
        await AsyncPath(path).lock(blocking=False).acquire()
    except LockTimeout:
        return
    raise AssertionError("the child has its parent's lock")

async def main():
    lock = await AsyncPath(path).lock().acquire()
    waiting = asyncio.ensure_future(AsyncPath(path).lock().acquire())
    await asyncio.sleep(0)
    print("ready", flush=True)

    def use():
        # No descriptor of the file is left.
        here = os.stat(path)
        for number in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else ():
            try:
                found = os.fstat(int(number))
            except OSError:
                continue
            assert (found.st_dev, found.st_ino) != (here.st_dev, here.st_ino)
        assert not lock.locked
        asyncio.run(refused())
        try:
            asyncio.run(release())
        except RuntimeError as error:
            assert "not held" in str(error)
        else:
            raise AssertionError("the child has released its parent's lock")
        assert is_taken()

    async def release():
        await lock.release()

    await asyncio.to_thread(child, use)
    assert is_taken() and lock.locked

    # A child outlives the release: it does not hold the lock.
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0)
    await lock.release()
    second = await waiting
    assert is_taken()
    await second.release()
    assert not is_taken()
    os.close(theirs)
    os.waitpid(pid, 0)

asyncio.run(main())
"""


def test_a_forked_child_neither_holds_nor_releases(tmp_path: Path) -> None:
    ended = process.run(
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + _FORK,
        str(tmp_path / "lock"),
    )
    assert (ended.code, ended.errors) == (0, "")


_ORPHAN = """
import asyncio, os, signal, sys
from rapfiles import AsyncPath

async def main():
    await AsyncPath(sys.argv[1]).lock().acquire()
    if os.fork() == 0:
        # It lives until its standard input ends.
        os.close(1)
        os.close(2)
        os.read(0, 1)
        os._exit(0)
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_the_lock_of_a_killed_process_is_not_its_childs(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", process.PREAMBLE + _ORPHAN, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read() == b"ready\n"
        assert child.wait() == -signal.SIGKILL
        assert not is_taken(path)


_EXIT = """
import sys, time
from rapfiles import AsyncPath
from support.loops import LOOPS

loop = {loop.name: loop for loop in LOOPS}[sys.argv[2]]

async def wait():
    async with AsyncPath(sys.argv[1]).lock():
        raise AssertionError

async def main():
    async with loop.tasks() as group:
        for _ in range(20):
            group.start_soon(wait)
        import anyio
        await anyio.sleep(0.3)
        print("ready", flush=True)
        group.cancel_scope.cancel()

loop.run(main)
"""


@pytest.mark.one_loop
def test_the_exit_waits_for_nobody(loop: Loop, tmp_path: Path) -> None:
    with locked_by_another_process(tmp_path / "lock"):
        ended = process.run(_EXIT, str(tmp_path / "lock"), loop.name)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.seconds < process.AT_ONCE


@pytest.mark.one_loop
async def test_filelock_sees_our_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    theirs = filelock.FileLock(path, blocking=False)
    async with AsyncPath(path).lock():
        with pytest.raises(filelock.Timeout):
            theirs.acquire()
    with theirs, pytest.raises(LockTimeout):
        await AsyncPath(path).lock(blocking=False).acquire()
    async with AsyncPath(path).lock():
        pass


@pytest.mark.one_loop
async def test_flock_1_sees_our_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with AsyncPath(path).lock(shared=True):
        assert not is_locked(path, "--shared")
        assert is_locked(path)
    with locked_by_another_process(path, "--shared"):
        async with AsyncPath(path).lock(shared=True):
            pass
        with pytest.raises(LockTimeout):
            await AsyncPath(path).lock(blocking=False).acquire()


@pytest.mark.one_loop
async def test_on_every_file_system(directory: Path) -> None:
    path = AsyncPath(directory / "lock")
    for _ in range(3):
        async with path.lock() as lock:
            assert is_taken(directory / "lock")
        assert not lock.locked
        assert not is_taken(directory / "lock")
    with locked_by_another_process(directory / "lock") as holder:
        for arguments in ({"blocking": False}, {"timeout": 0.02}):
            with pytest.raises(LockTimeout) as raised:
                await path.lock(**arguments).acquire()
            if sys.platform == "linux":
                # Before the time is over, a busy machine may not even have opened the file.
                if "blocking" in arguments or raised.value.holder is not None:
                    assert raised.value.holder == holder
        if sys.platform == "linux":
            assert await path.lock().holder() == holder


@pytest.mark.one_loop
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/locks")
async def test_the_holder_is_found_in_a_subvolume_and_on_an_overlay(tmp_path: Path) -> None:
    """The device of stat(2) is not that of /proc/locks there, and subvolumes have the same inode numbers."""
    if (reason := mounts.missing("btrfs") or mounts.missing("overlay")) is not None:
        pytest.skip(reason)
    with mounts.mounted("btrfs", tmp_path / "btrfs") as disk:
        for name in ("one", "other"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", disk / name], check=True)
            (disk / name / "lock").touch()
        one, other = disk / "one/lock", disk / "other/lock"
        assert one.stat().st_ino == other.stat().st_ino
        with locked_by_another_process(one) as holder:
            assert await AsyncPath(one).lock().holder() == holder
            assert await AsyncPath(other).lock().holder() is None
        for folder in (layers := [tmp_path / name for name in ("lower", "upper", "work", "overlay")]):
            folder.mkdir()
        options = f"lowerdir={layers[0]}:{disk / 'one'},upperdir={layers[1]},workdir={layers[2]}"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", layers[3]], check=True)
        try:
            with locked_by_another_process(layers[3] / "lock") as holder:
                assert await AsyncPath(layers[3] / "lock").lock().holder() == holder
                assert await AsyncPath(one).lock().holder() is None
        finally:
            subprocess.run(["umount", "-l", layers[3]], check=True, timeout=60)


def test_nothing_is_left(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        for number in range(30):
            lock = AsyncPath(tmp_path / f"{number % 3}").lock(shared=number % 2 == 0, timeout=60)
            async with lock:
                pass

    loop.run(main)
    with leaks.nothing_leaks():
        loop.run(main)


# Ranges.


@contextlib.contextmanager
def range_locked_by_another_process(
    path: Path, start: int, length: int, shared: bool = False
) -> Iterator[int]:
    """Has another process hold a POSIX lock, which `fcntl.lockf` and sqlite use."""
    program = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "mode = fcntl.LOCK_SH if sys.argv[4] else fcntl.LOCK_EX\n"
        "fcntl.lockf(file, mode, int(sys.argv[3]), int(sys.argv[2]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path.touch()
    command = [sys.executable, "-c", program, str(path), str(start), str(length), "shared" if shared else ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid


def range_is_taken(path: Path, start: int, length: int) -> bool:
    """Whether another process has to wait for a POSIX lock."""
    program = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "try:\n"
        "    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[3]), int(sys.argv[2]))\n"
        "except OSError:\n"
        "    sys.exit(7)\n"
    )
    command = [sys.executable, "-S", "-c", program, str(path), str(start), str(length)]
    return subprocess.run(command).returncode == 7


@pytest.mark.one_loop
async def test_ranges_exclude_those_that_overlap(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "data")
    async with path.lock(range=(10, 10)):
        for span in [(0, 10), (20, 5), (20, 0)]:
            async with path.lock(range=span, blocking=False):
                pass
        for span in [(0, 11), (15, 1), (19, 0), (0, 0)]:
            with pytest.raises(LockReentryError):
                await path.lock(range=span).acquire()
        assert range_is_taken(tmp_path / "data", 15, 1)
        assert not range_is_taken(tmp_path / "data", 20, 1)
        # A lock of the whole file is of another kind.
        async with path.lock(blocking=False):
            assert is_taken(tmp_path / "data")
    assert not range_is_taken(tmp_path / "data", 0, 0)


@pytest.mark.one_loop
async def test_ranges_are_those_of_lockf(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with range_locked_by_another_process(path, 0, 10) as holder:
        with pytest.raises(LockTimeout) as raised:
            await AsyncPath(path).lock(range=(5, 1), blocking=False).acquire()
        assert raised.value.holder == holder
        assert await AsyncPath(path).lock(range=(5, 1)).holder() == holder
        assert await AsyncPath(path).lock(range=(10, 1)).holder() is None
        async with AsyncPath(path).lock(range=(10, 1)):
            pass
    with range_locked_by_another_process(path, 0, 10, shared=True):
        async with AsyncPath(path).lock(range=(0, 1), shared=True):
            pass
        with pytest.raises(LockTimeout):
            await AsyncPath(path).lock(range=(0, 1), timeout=0.01).acquire()
    async with AsyncPath(path).lock(range=(0, 1), timeout=60):
        pass


@pytest.mark.one_loop
@pytest.mark.parametrize("arguments", [{"blocking": False}, {"timeout": 0.02}, {"timeout": 0.5}], ids=str)
async def test_who_has_the_whole_file_is_no_holder_of_a_range(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "data"
    with range_locked_by_another_process(path, 0, 1) as holder, locked_by_another_process(path):
        with pytest.raises(LockTimeout) as raised:
            await AsyncPath(path).lock(range=(0, 1), **arguments).acquire()
        # While a thread waits in the kernel, nobody asks for whom.
        assert raised.value.holder == holder or ("timeout" in arguments and raised.value.holder is None)


@pytest.mark.one_loop
async def test_sqlite_respects_a_lock_of_its_bytes(tmp_path: Path) -> None:
    """Its PENDING byte and what follows (os.h of sqlite: `PENDING_BYTE`), from another process."""
    path = tmp_path / "data.db"
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try:\n"
        "    connection.execute('create table if not exists numbers (number)')\n"
        "    connection.execute('insert into numbers values (1)')\n"
        "    connection.commit()\n"
        "except sqlite3.OperationalError as error:\n"
        "    sys.exit(str(error))\n"
    )

    def insert() -> bytes:
        return subprocess.run([sys.executable, "-c", program, str(path)], stderr=subprocess.PIPE).stderr

    assert insert() == b""
    async with AsyncPath(path).lock(range=(0x40000000, 512)):
        assert insert() == b"database is locked\n"
    assert insert() == b""


@pytest.mark.one_loop
async def test_a_lock_of_sqlites_bytes_waits_for_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    # It holds what it has locked until its standard input ends.
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('create table numbers (number)')\n"
        "connection.execute('begin exclusive')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
        "connection.execute('commit')\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        for arguments in ({"blocking": False}, {"timeout": 0.3}):
            lock = AsyncPath(path).lock(range=(0x40000000, 512), **arguments)
            with pytest.raises(LockTimeout) as raised:
                await lock.acquire()
            # While a thread waits in the kernel, nobody asks for whom.
            assert raised.value.holder == child.pid or "timeout" in arguments
        child.communicate()
        async with AsyncPath(path).lock(range=(0x40000000, 512), timeout=60):
            pass
    assert child.returncode == 0


@pytest.mark.parametrize("span", [(-1, 1), (0, -1), (1, 2**63), (2**63, 0)])
def test_ranges_are_checked(span: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="range"):
        AsyncPath(tmp_path / "data").lock(range=span)


def test_what_is_no_range_and_no_time_is_named(tmp_path: Path) -> None:
    path: Any = AsyncPath(tmp_path / "data")
    for nonsense in (5, "ab", (None, 1), range(10, 12)):
        with pytest.raises(TypeError, match="range must be a first byte and a number of bytes, not "):
            path.lock(range=nonsense)
    for nonsense in ((1,), (1, 2, 3)):
        with pytest.raises(ValueError, match="range must be a first byte and a number of bytes, not "):
            path.lock(range=nonsense)
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None, not str"):
        path.lock(timeout="1")


@pytest.mark.one_loop
async def test_a_range_needs_a_file_that_is_open_for_it(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.touch()
    for mode, shared, needed in (("rb", False, "writing"), ("ab", True, "reading")):
        async with rapfiles.open(path, mode) as file:
            with pytest.raises(OSError, match=f"The file is not open for {needed}") as caught:
                await file.lock(shared=shared, range=(0, 1)).acquire()
        assert (caught.value.errno, caught.value.filename) == (errno.EBADF, str(path))


async def test_tasks_share_a_file_by_ranges(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "data")
    inside: set[int] = set()
    most = 0

    async def take(start: int) -> None:
        nonlocal most
        async with path.lock(range=(start, 10)):
            assert start not in inside
            inside.add(start)
            most = max(most, len(inside))
            await _turns(3)
            inside.discard(start)

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(take, number % 4 * 10)
    assert most > 1


# Open files.


@pytest.mark.parametrize("mode", ["r", "r+", "rb", "wb", "r+b", "raw"])
async def test_an_open_file_is_locked(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.touch()
    buffering = {"buffering": 0} if mode == "raw" else {}
    async with rapfiles.open(path, "r+b" if mode == "raw" else mode, **buffering) as file:
        lock = file.lock()
        for _ in range(2):
            async with lock:
                assert lock.locked
                assert is_taken(path)
                with pytest.raises(LockReentryError):
                    await AsyncPath(path).lock().acquire()
            assert not is_taken(path)
        async with file.lock(shared=not file.writable(), range=(0, 5)):
            assert range_is_taken(path, 0, 1)
        assert lock.path == file.name


async def test_tasks_exclude_each_other_through_one_open_file(tmp_path: Path) -> None:
    """Also those who share it: the first to release would release it for all."""
    path = tmp_path / "data"
    async with rapfiles.open(path, "w+b") as file:
        inside = 0

        async def take(shared: bool) -> None:
            nonlocal inside
            async with file.lock(shared=shared):
                inside += 1
                assert inside == 1
                await _turns(2)
                assert is_taken(path)
                inside -= 1

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(take, number % 2 == 0)
    assert not is_taken(path)


async def test_closing_a_file_releases_its_locks(tmp_path: Path) -> None:
    path = tmp_path / "data"
    file = await rapfiles.open(path, "wb")
    lock = await file.lock().acquire()
    done = anyio.Event()

    async def wait() -> None:
        async with AsyncPath(path).lock():
            done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await _turns(3)
        await file.close()
        assert not lock.locked
        await done.wait()
    await lock.__aexit__(None, None, None)
    with pytest.raises(ValueError, match="closed file"):
        file.lock()
    with pytest.raises(ValueError, match="closed file"):
        await lock.acquire()


@pytest.mark.one_loop
async def test_closing_a_file_releases_its_locks_while_others_are_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with locked_by_another_process(path):
        file = await rapfiles.open(path, "r+b")
        lock = await file.lock(range=(0, 1)).acquire()

        async def wait() -> None:
            with pytest.raises(ValueError, match="closed file"):
                await file.lock().acquire()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            # Long enough for a thread to wait in the kernel for other locks.
            await anyio.sleep(0.25)
            await file.close()
            assert not lock.locked
            assert not range_is_taken(path, 0, 1)


@pytest.mark.one_loop
async def test_an_open_file_waits_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "data"
    async with rapfiles.open(path, "wb") as file, anyio.create_task_group() as group:
        lock = file.lock()
        held = anyio.Event()

        async def wait() -> None:
            await lock.acquire()
            held.set()

        with locked_by_another_process(path) as holder:
            with pytest.raises(LockTimeout) as raised:
                await file.lock(blocking=False).acquire()
            assert raised.value.holder == holder
            group.start_soon(wait)
            await _turns(3)
        await held.wait()
        assert is_taken(path)
        await lock.release()
        assert not is_taken(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
def test_without_a_thread_to_wait_with() -> None:
    """The error says that it is not about the lock, and the next request works."""
    program = """
import asyncio
from rapfiles import AsyncPath
from support.few_threads import own_user, permit, refuse

async def main():
    path = AsyncPath(folder, "lock")
    async with path.lock():
        refuse()
        try:
            await asyncio.create_task(path.lock(timeout=60).acquire())
        except BlockingIOError as error:
            print(error.errno, error)
        permit()
    async with path.lock(timeout=60):
        print("got it")

with own_user() as folder:
    print("ready", flush=True)
    asyncio.run(main())
"""
    ended = process.run(program)
    assert ended.code == 0, ended.errors
    assert "refuses the thread" in ended.output
    assert ended.output.endswith("got it\n")


# Conversions.


async def test_a_whole_lock_is_upgraded_and_downgraded(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with AsyncPath(path).lock(shared=True) as lock:
        assert not is_locked(path, "--shared")
        assert await lock.upgrade() is lock
        assert is_locked(path, "--shared")
        assert await lock.downgrade() is lock
        assert not is_locked(path, "--shared")
        assert is_locked(path)
    with pytest.raises(RuntimeError, match="not held"):
        await lock.upgrade()
    assert not is_taken(path)


@pytest.mark.one_loop
async def test_a_lock_that_a_worker_releases_is_upgraded(prompt_disk: fuse.SlowDisk) -> None:
    lock = AsyncPath(prompt_disk.root / "upgraded").lock(shared=True, blocking=False)
    for _ in range(50):
        async with lock:
            await lock.upgrade()


@pytest.mark.one_loop
async def test_a_task_that_gives_up_a_conversion_or_a_release_may_ask_again(
    prompt_disk: fuse.SlowDisk,
) -> None:
    path = AsyncPath(prompt_disk.root / "given up")
    lock = path.lock()
    for _ in range(50):
        await lock.acquire()
        for end in (lock.downgrade, lock.release):
            with anyio.CancelScope() as scope:
                scope.cancel()
                # A worker may have the lock, and then it is gone.
                if lock.locked:
                    await end()
        async with path.lock():
            pass


async def test_who_waits_gets_a_downgraded_lock(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "lock")
    held = anyio.Event()

    async def share() -> None:
        async with path.lock(shared=True):
            held.set()

    async with anyio.create_task_group() as group, path.lock() as lock:
        group.start_soon(share)
        await _turns(3)
        assert not held.is_set()
        await lock.downgrade()
        await held.wait()


async def test_an_upgrade_of_a_whole_lock_that_times_out_has_lost_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked_by_another_process(path, "--shared"):
        async with AsyncPath(path).lock(shared=True, blocking=False) as lock:
            with pytest.raises(LockTimeout):
                await lock.upgrade()
            assert not lock.locked
    async with AsyncPath(path).lock():
        pass


async def test_an_upgrade_of_a_range_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with range_locked_by_another_process(path, 0, 1, shared=True):
        async with AsyncPath(path).lock(range=(0, 1), shared=True, blocking=False) as lock:
            with pytest.raises(LockTimeout):
                await lock.upgrade()
            assert lock.locked
            assert range_is_taken(path, 0, 1)
        async with AsyncPath(path).lock(range=(0, 1), shared=True) as lock:
            with anyio.move_on_after(0.01):
                await lock.upgrade()
            assert lock.locked
            assert range_is_taken(path, 0, 1)
    async with AsyncPath(path).lock(range=(0, 1), shared=True) as lock:
        await lock.upgrade()
        with pytest.raises(LockReentryError):
            await AsyncPath(path).lock(range=(0, 1), shared=True).acquire()
        await lock.downgrade()
        assert lock.locked
    assert not range_is_taken(path, 0, 1)


# What else there is.


async def test_the_holder_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = AsyncPath(path).lock()
    assert await lock.holder() is None
    assert not path.exists()
    async with lock:
        assert await lock.holder() == os.getpid()
    assert await lock.holder() is None
    if sys.platform == "linux":
        with locked_by_another_process(path) as holder:
            assert await lock.holder() == holder


_LOCKS_AND_UNLOCKS = """
import fcntl, os, random, sys
files = [open(f"{sys.argv[1]}/{number}", "w") for number in range(150)]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
parent = os.getppid()
while os.getppid() == parent:
    file = random.choice(files)
    fcntl.flock(file, fcntl.LOCK_UN)
    fcntl.flock(file, fcntl.LOCK_EX)
"""


@pytest.mark.one_loop
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/locks")
async def test_the_holder_is_found_in_a_long_table(tmp_path: Path) -> None:
    """Of a table that is longer than a page a line may be missing when other locks come and go."""
    path = tmp_path / "lock"
    lock = AsyncPath(path).lock()
    command = [sys.executable, "-c", _LOCKS_AND_UNLOCKS, str(tmp_path)]
    with locked_by_another_process(path) as holder:
        others = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert others.stdout is not None
            assert others.stdout.readline() == b"ready\n"
            assert {await lock.holder() for _ in range(300)} == {holder}
        finally:
            others.kill()
            others.communicate()


async def test_replacing_a_locked_file_is_warned_of(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path / "data")
    await path.write_bytes(b"old")
    async with path.lock():
        with pytest.warns(RuntimeWarning, match="stays with the old file") as caught:
            await path.write_bytes(b"new", atomic=True)
        assert caught[0].filename == __file__
    async with path.lock():
        with pytest.warns(RuntimeWarning, match="stays with the old file") as caught:
            await path.write_text("new", atomic=True)
        assert caught[0].filename == __file__
    async with path.lock():
        with pytest.warns(RuntimeWarning, match="stays with the old file") as caught:
            file = await path.open_atomic("wb").__aenter__()
        assert caught[0].filename == __file__
        await file.close()
    async with AsyncPath(tmp_path / "data.lock").lock():
        await path.write_bytes(b"new", atomic=True)
    await path.write_bytes(b"new", atomic=True)


# Errors of the system.


_LOCKS = """
import asyncio, fcntl, sys
from rapfiles import AsyncPath

path = sys.argv[1]
options = eval(sys.argv[2])

def is_free():
    # Under this name its calls do not fail.
    with open(path + ".other", "r+b") as file:
        try:
            (fcntl.lockf if "range" in options else fcntl.flock)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

async def main():
    lock = AsyncPath(path).lock(**options)
    try:
        async with lock:
            assert lock.locked
            print("locked", end=" ")
    except OSError as error:
        print(type(error).__name__, error.errno, error.filename == path, end=" ")
    print("free" if not lock.locked and is_free() else "left locked", flush=True)

asyncio.run(main())
"""


def _locks_with(injection: str, path: Path, log: Path | str = "/dev/null", **options: object) -> str:
    """What becomes of a lock whose system calls fail as `injection` of strace(1) says."""
    path.touch()
    if not os.path.exists(f"{path}.other"):
        os.link(path, f"{path}.other")
    done = strace.run(_LOCKS, path, repr(options), options=["-P", path, "-e", f"inject={injection}"], log=log)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@strace.needs_strace
@pytest.mark.parametrize("call", ["openat,openat2", "flock", "openat2,newfstatat"])
def test_a_stale_file_is_opened_again(call: str, tmp_path: Path) -> None:
    """What network and FUSE file systems say of a file that somebody else has removed (filelock #669)."""
    path, log = tmp_path / "lock", tmp_path / "log"
    # Calls are counted in each thread.
    assert _locks_with(f"{call}:error=ESTALE:when=1", path, log) == "locked free"
    assert "ESTALE" in log.read_text()
    # Not for ever.
    stale = f"OSError {errno.ESTALE} True "
    assert _locks_with(f"{call}:error=ESTALE", path, shared=True).startswith(stale)


@strace.needs_strace
def test_the_file_of_a_range_is_opened_again(tmp_path: Path) -> None:
    path, log = tmp_path / "lock", tmp_path / "log"
    for call in ("openat", "fcntl"):
        assert _locks_with(f"{call}:error=ESTALE:when=1", path, log, range=(0, 1)) == "locked free"
        assert "ESTALE" in log.read_text()


@strace.needs_strace
@pytest.mark.parametrize("options", [{}, {"shared": True}, {"range": (0, 1)}], ids=str)
def test_an_error_of_closing_leaves_nothing_locked(options: dict[str, Any], tmp_path: Path) -> None:
    """The file stays open, because strace does not make the call at all: its lock is gone all the same."""
    path, log = tmp_path / "lock", tmp_path / "log"
    assert _locks_with("close:error=EIO", path, log, **options) == "locked free"
    assert "EIO" in log.read_text()


@strace.needs_strace
def test_a_release_that_fails_leaves_nothing_locked(tmp_path: Path) -> None:
    """The file is closed, and with it goes the lock; nothing is tried again."""
    path, log = tmp_path / "lock", tmp_path / "log"
    # The second call is the one that unlocks; the one that asks whether it is free comes later.
    assert _locks_with("flock:error=EIO:when=2", path, log) == "locked free"
    calls = [line for line in log.read_text().splitlines() if "flock(" in line]
    assert len([line for line in calls if "LOCK_UN" in line and "EIO" in line]) == 1
    assert len([line for line in calls if "LOCK_UN" in line]) == 1


# What filelock's users have met in 2025 and 2026, and the tests that show that it cannot happen here.
TROUBLES: dict[str, Callable[..., object]] = {
    "#513: an error of close(2) in a container leaves the lock counted": (
        test_an_error_of_closing_leaves_nothing_locked
    ),
    "#594: the file is changed before the lock is held": test_who_waits_changes_nothing,
    "#615: a release fails, and is tried again for ever": test_a_release_that_fails_leaves_nothing_locked,
    "#621: two spellings of a path are two locks": test_two_spellings_are_one_lock,
    "#634, #635: a forked child holds or releases its parent's lock": (
        test_a_forked_child_neither_holds_nor_releases
    ),
    "#640: cancelled while waiting, and the lock is held": test_cancelled_when_the_lock_has_come,
    "#669: the file was removed, and its lock fails": test_a_stale_file_is_opened_again,
    "#675: a deadlock is seen where there is none": test_a_task_may_have_the_address_of_another,
    "#701: the interpreter's exit hangs": test_the_exit_waits_for_nobody,
    "CVE-2025-68146: a planted link is followed, and its target emptied": test_a_planted_link_is_refused,
    "CVE-2026-22701: a link comes between looking and opening": (
        test_a_link_that_comes_and_goes_is_never_followed
    ),
    "a release in another thread does nothing": test_another_thread_may_release_it,
}


def test_every_trouble_has_a_test() -> None:
    assert [test for test in TROUBLES.values() if not test.__name__.startswith("test_")] == []


# Everything at once.


def check_torture(folder: Path, seconds: float, seed: int, rest: float) -> lock_torture.Result:
    result = lock_torture.torture(folder, seconds, seed, rest)
    assert result.failures == []
    # A process that was killed may have incremented a counter without noting it.
    assert result.done <= result.counter <= result.done + result.killed
    most = result.killed * lock_torture.CELLS
    assert result.cells_done <= result.cells <= result.cells_done + most
    assert result.done > 0
    assert result.cells_done > 0
    assert not (folder / "lock").exists() or not is_taken(folder / "lock")
    assert not (folder / "table").exists() or not range_is_taken(folder / "table", 0, 0)
    return result


@pytest.mark.slow
@pytest.mark.watchdog(300)
def test_torture(tmp_path: Path) -> None:
    # It rests, because other tests run beside it.
    check_torture(tmp_path, 60, seed=1, rest=0.1)


@pytest.mark.skipif("RAPFILES_SOAK" not in os.environ, reason="RAPFILES_SOAK says for how many seconds")
@pytest.mark.watchdog(10**6)
def test_torture_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = check_torture(tmp_path, float(os.environ["RAPFILES_SOAK"]), seed=int(time.time()), rest=0)
    with capsys.disabled():
        print(f"\n{result.counter + result.cells} increments, {result.killed} processes killed")
