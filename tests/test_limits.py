"""At the limits of the system: few descriptors, full and failing disks, files that change while read."""

import asyncio
import errno
import os
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath
from support import mounts, process
from support.engine import under_way
from support.fifo import Fifo
from support.fuse import SlowDisk
from support.loops import Loop

_FEW_DESCRIPTORS = """
import asyncio, resource, sys
from pathlib import Path
from rapfiles import AsyncPath

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
folder = Path(sys.argv[1])
for number in range(500):
    (folder / str(number)).write_bytes(b"%d" % number)

async def read():
    results = await asyncio.gather(*(AsyncPath(folder, str(n % 500)).read_bytes() for n in range(40_000)))
    assert all(result == b"%d" % (n % 500) for n, result in enumerate(results))

async def read_large():
    large = AsyncPath(folder, "large")
    await large.write_bytes(b"x" * 300_000)
    results = await asyncio.gather(*(large.read_bytes() for _ in range(800)))
    assert all(len(result) == 300_000 for result in results)
    await large.unlink()

async def write():
    await asyncio.gather(*(AsyncPath(folder, str(n % 500)).write_bytes(b"%d" % n) for n in range(10_000)))

async def list_all():
    async def names():
        return [entry.name async for entry in AsyncPath(folder).iterdir()]
    results = await asyncio.gather(*(names() for _ in range(500)))
    assert all(len(result) == 500 for result in results)

print("ready")
asyncio.run(read())
asyncio.run(read_large())
asyncio.run(write())
asyncio.run(list_all())
"""


def test_few_file_descriptors(tmp_path: Path) -> None:
    ended = process.run(_FEW_DESCRIPTORS, str(tmp_path), timeout=120)
    assert (ended.code, ended.errors) == (0, "")


@pytest.mark.loops("asyncio")
async def test_slow_operations_do_not_delay_to_thread(tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        slow = [asyncio.ensure_future(AsyncPath(fifo.path).read_bytes()) for _ in range(1000)]
        await under_way(1000)
        for number in range(100):
            assert await asyncio.to_thread(int, str(number)) == number
        assert not any(task.done() for task in slow)
        fifo.release()
        assert await asyncio.gather(*slow) == [b""] * 1000


@pytest.mark.loops("asyncio")
async def test_a_full_to_thread_does_not_delay_operations(tmp_path: Path) -> None:
    gate = threading.Event()
    try:
        slow = [asyncio.ensure_future(asyncio.to_thread(gate.wait)) for _ in range(1000)]
        await asyncio.sleep(0)
        for number in range(100):
            path = AsyncPath(tmp_path, str(number))
            await path.write_bytes(b"content")
            assert await path.read_bytes() == b"content"
        assert not any(task.done() for task in slow)
    finally:
        gate.set()
    await asyncio.gather(*slow)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    if (reason := mounts.can_mount()) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "tiny", size=512 << 10) as root:
        yield root


LARGE = b"x" * (1 << 20)
WRITING: dict[str, Callable[[AsyncPath], Awaitable[object]]] = {
    "write_bytes": lambda path: path.write_bytes(LARGE),
    "write_text": lambda path: path.write_text(LARGE.decode(), "utf-8"),
    "write_text_in_python": lambda path: path.write_text(LARGE.decode(), "cp1252"),
    "append_bytes": lambda path: path.append_bytes(LARGE),
    "append_text": lambda path: path.append_text(LARGE.decode(), "utf-8"),
}


@pytest.mark.parametrize("name", WRITING)
async def test_full_disk(name: str, tiny_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as expected:
        (tiny_disk / "by-pathlib").write_bytes(LARGE)
    (tiny_disk / "by-pathlib").unlink()
    with pytest.raises(OSError, match="No space left on device") as caught:
        await WRITING[name](AsyncPath(tiny_disk, "file"))
    assert caught.value.errno == errno.ENOSPC
    assert (type(caught.value), caught.value.filename) == (type(expected.value), expected.value.filename)


async def test_many_writers_on_a_full_disk(tiny_disk: Path) -> None:
    """Each write that succeeds finds all of its bytes."""
    errors: dict[int, int | None] = {}

    async def write(number: int) -> None:
        try:
            assert await AsyncPath(tiny_disk, str(number)).write_bytes(b"x" * 50_000) == 50_000
            errors[number] = None
        except OSError as error:
            errors[number] = error.errno

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(write, number)
    assert len(errors) == 40
    assert set(errors.values()) == {None, errno.ENOSPC}
    for number, error in errors.items():
        if error is None:
            assert (tiny_disk / str(number)).stat().st_size == 50_000


_FILE_TOO_LARGE = """
import errno, resource, sys
from pathlib import Path
from rapfiles import AsyncPath
from support.loops import LOOPS

resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
folder = Path(sys.argv[1])
print("ready")

async def main():
    path = AsyncPath(folder, "file")
    text = "x" * 100_000
    for operation in (
        lambda: path.write_bytes(text.encode()),
        lambda: path.write_text(text, "utf-8"),
        lambda: path.write_text(text, "cp1252"),
        lambda: path.append_bytes(text.encode()),
        lambda: path.append_text(text, "utf-8"),
        lambda: path.truncate(100_000),
    ):
        try:
            await operation()
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        else:
            raise AssertionError("nobody said that the file is too large")
    assert await path.write_bytes(b"x" * 65536) == 65536

for loop in LOOPS:
    loop.run(main)
"""


def test_file_too_large(tmp_path: Path) -> None:
    # Python ignores SIGXFSZ, so that write() returns the error instead.
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    ended = process.run(_FILE_TOO_LARGE, str(tmp_path))
    assert (ended.code, ended.errors) == (0, "")


FAILING: dict[str, tuple[str, Callable[[AsyncPath], Awaitable[object]]]] = {
    "stat": ("eio-getattr", lambda path: path.stat()),
    "read_bytes: open": ("eio-open", lambda path: path.read_bytes()),
    "read_bytes: read": ("eio-read", lambda path: path.read_bytes()),
    "read_text: read": ("eio-read", lambda path: path.read_text("utf-8")),
    "read_text in Python: read": ("eio-read", lambda path: path.read_text("cp1252")),
    "write_bytes: open": ("eio-open", lambda path: path.write_bytes(b"x")),
    "write_bytes: write": ("eio-write", lambda path: path.write_bytes(b"x")),
    "write_bytes: close": ("eio-flush", lambda path: path.write_bytes(b"x")),
    "write_text: write": ("eio-write", lambda path: path.write_text("x", "utf-8")),
    "write_text: close": ("eio-flush", lambda path: path.write_text("x", "utf-8")),
    "write_text in Python: write": ("eio-write", lambda path: path.write_text("x", "cp1252")),
    "write_text in Python: close": ("eio-flush", lambda path: path.write_text("x", "cp1252")),
    "append_bytes: write": ("eio-write", lambda path: path.append_bytes(b"x")),
    "append_bytes: close": ("eio-flush", lambda path: path.append_bytes(b"x")),
    "append_text: write": ("eio-write", lambda path: path.append_text("x", "utf-8")),
    "append_text: close": ("eio-flush", lambda path: path.append_text("x", "utf-8")),
    "truncate": ("eio-truncate", lambda path: path.truncate(0)),
    "chmod": ("eio-chmod", lambda path: path.chmod(0o600)),
    "utime": ("eio-utimens", lambda path: path.utime()),
    "unlink": ("eio-unlink", lambda path: path.unlink()),
    "rename": ("eio-rename", lambda path: path.rename(path.with_name("renamed"))),
    "mkdir": ("eio-mkdir", lambda path: path.mkdir()),
    "mkdir parents": ("eio-mkdir", lambda path: (path / "deeper").mkdir(parents=True)),
    "iterdir: open": ("eio-opendir", lambda path: anext(path.iterdir())),
    "iterdir: read": ("eio-readdir", lambda path: anext(path.iterdir())),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", FAILING)
async def test_failing_disk(name: str, prompt_disk: SlowDisk, tmp_path: Path) -> None:
    victim, operation = FAILING[name]
    folder = prompt_disk.backing / tmp_path.name
    folder.mkdir(exist_ok=True)
    if "dir" not in victim:
        (folder / victim).write_bytes(b"content")
    elif victim != "eio-mkdir":
        (folder / victim).mkdir()
    with pytest.raises(OSError, match="Input/output error") as caught:
        await operation(AsyncPath(prompt_disk.root, tmp_path.name, victim))
    assert caught.value.errno == errno.EIO


KERNEL_FILES = [
    "/proc/version",
    "/proc/filesystems",
    "/proc/self/cmdline",
    "/proc/self/environ",
    "/proc/kallsyms",
    "/proc/sys/kernel/ostype",
    "/sys/devices/system/cpu/possible",
    "/sys/kernel/mm/transparent_hugepage/enabled",
]


@pytest.mark.one_loop
@pytest.mark.parametrize("name", KERNEL_FILES)
async def test_kernel_files_are_read_whole(name: str) -> None:
    """Their size is 0, or a page, whatever they contain."""
    if not os.access(name, os.R_OK):
        pytest.skip(f"this kernel has no {name}")
    path = AsyncPath(name)
    assert await path.read_bytes() == Path(name).read_bytes()
    assert await path.read_text("utf-8") == Path(name).read_text("utf-8")
    assert await path.read_text("cp1252") == Path(name).read_text("cp1252")


@pytest.mark.parametrize("size", [0, 1, 1 << 12, (1 << 16) + 1, 1 << 20, (1 << 20) + 1, 5 << 20])
async def test_sparse_files(size: int, directory: Path) -> None:
    (directory / "sparse").touch()
    os.truncate(directory / "sparse", size)
    path = AsyncPath(directory, "sparse")
    assert await path.read_bytes() == bytes(size)
    assert await path.read_text("utf-8") == "\0" * size


def _changing(change: Callable[[], None], loop: Loop, read: Callable[[], Awaitable[None]]) -> None:
    """Read again and again while a thread of synchronous code makes changes, until it has made them all."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            change()
        except BaseException as error:
            failed.append(error)

    changer = threading.Thread(target=body)

    async def main() -> None:
        changer.start()
        await read()
        while changer.is_alive():
            await read()

    try:
        loop.run(main)
    finally:
        changer.join()
    assert not failed


PAGE = os.sysconf("SC_PAGESIZE")
SIZES = pytest.mark.parametrize("size", [4 << 10, 200 << 10, 6 << 20])


def _pattern(size: int) -> bytes:
    """Bytes that are different at each page, so that a mixed-up read shows."""
    return b"".join(b"%015d\n" % number for number in range(size // 16))


@SIZES
def test_files_that_grow(size: int, tmp_path: Path, loop: Loop) -> None:
    whole = _pattern(size)
    file = tmp_path / "file"
    file.touch()

    def grow() -> None:
        with file.open("ab", buffering=0) as handle:
            for start in range(0, size, size // 64):
                handle.write(whole[start : start + size // 64])

    async def read() -> None:
        before = file.stat().st_size
        data = await AsyncPath(file).read_bytes()
        assert len(data) >= before
        assert whole.startswith(data)
        assert whole.decode().startswith(await AsyncPath(file).read_text("utf-8"))

    _changing(grow, loop, read)
    assert loop.run(AsyncPath(file).read_bytes) == whole


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a tmpfs.

    Files that shrink do it there, and by whole pages: while the kernel cuts off a part of a page, it shows
    zeros behind the end of the file, also to `open().read()`.
    """
    if not os.path.ismount("/dev/shm"):
        pytest.skip("there is no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(prefix="rapfiles-", dir="/dev/shm") as folder:
        yield Path(folder)


@SIZES
def test_files_that_shrink(size: int, memory: Path, loop: Loop) -> None:
    whole = _pattern(size)
    file = memory / "file"
    file.write_bytes(whole)

    def shrink() -> None:
        for left in range(63, -1, -1):
            os.truncate(file, left * size // 64 // PAGE * PAGE)

    async def read() -> None:
        data = await AsyncPath(file).read_bytes()
        assert len(data) >= file.stat().st_size
        assert whole.startswith(data)
        assert whole.decode().startswith(await AsyncPath(file).read_text("utf-8"))

    _changing(shrink, loop, read)
    assert loop.run(AsyncPath(file).read_bytes) == b""


@SIZES
def test_files_that_shrink_and_grow(size: int, memory: Path, loop: Loop) -> None:
    """Whatever is returned was written: memory that the disk did not fill is never shown."""
    file = memory / "file"
    file.write_bytes(b"x" * size)

    def breathe() -> None:
        with file.open("ab", buffering=0) as handle:
            for number in range(60):
                left = size * (number % 7) // 8 // PAGE * PAGE
                os.truncate(file, left)
                handle.write(b"x" * (size - left))

    async def read() -> None:
        data = await AsyncPath(file).read_bytes()
        assert data == b"x" * len(data)
        assert len(data) <= size
        text = await AsyncPath(file).read_text("utf-8")
        assert text == "x" * len(text)

    _changing(breathe, loop, read)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
def test_without_a_thread_to_give() -> None:
    """The operation fails as a thread would; when there are threads again, everything works."""
    program = """
import asyncio
from rapfiles import AsyncPath
from support.few_threads import own_user, permit, refuse

async def main():
    path = AsyncPath(folder, "made")
    try:
        await path.mkdir()
    except BlockingIOError as error:
        print(error.errno == 11)
    permit()
    await path.mkdir()
    print(await path.is_dir())

with own_user() as folder, asyncio.Runner() as runner:
    runner.get_loop()
    refuse()
    print("ready", flush=True)
    runner.run(main())
"""
    ended = process.run(program)
    assert (ended.code, ended.output) == (0, "True\nTrue\n"), ended.errors


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
@pytest.mark.parametrize("again", [True, False])
def test_without_a_thread_to_remove_what_is_temporary(again: bool) -> None:
    """It is still there, for another attempt or for the end of the process."""
    program = f"""
import asyncio, atexit, os
# What is registered first is called last.
atexit.register(lambda: print(os.path.exists(temporary.name)))
from rapfiles.tempfile import TemporaryDirectory
from support.few_threads import own_user, permit, refuse

async def main():
    temporary = await TemporaryDirectory()
    print("ready", flush=True)
    refuse()
    try:
        await temporary.cleanup()
    except BlockingIOError:
        print(os.path.exists(temporary.name))
    permit()
    if {again}:
        await temporary.cleanup()
        print(os.path.exists(temporary.name))
    return temporary

with own_user():
    temporary = asyncio.run(main())
"""
    ended = process.run(program)
    assert (ended.code, ended.output) == (0, "True\nFalse\n" + "False\n" * again), ended.errors


_UNDER_A_LIMIT = """
import asyncio, os, sys, warnings
from pathlib import Path
import rapfiles
from rapfiles import AsyncPath
from support.few_threads import own_user, permit, refuse
from support.fifo import Fifo

async def under_way(count):
    # Waits until this many jobs run and none is queued: what has been awaited may still count for a moment.
    while True:
        now = rapfiles.stats()
        if (now.queued, now.in_flight) == (0, count):
            return
        await asyncio.sleep(0.001)

async def run(main):
    with own_user() as folder:
        # Far below the time after which an idle thread ends.
        async with asyncio.timeout(30):
            await main(AsyncPath(folder))
    print(rapfiles.stats().queued, flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
def test_threads_are_refused_for_a_while() -> None:
    """One thread does everything meanwhile; then there are others, also for those who have waited since."""
    program = (
        _UNDER_A_LIMIT
        + """
async def main(folder):
    fifo = Fifo(Path(folder, "fifo"))
    await (folder / "first").mkdir()
    refuse()
    writing = [asyncio.ensure_future((folder / str(n)).write_bytes(b"x" * n)) for n in range(200)]
    assert await asyncio.gather(*writing) == [*range(200)]
    assert rapfiles.stats().workers == 1
    permit()
    # Each of them needs a thread, and the last one lets all the others go.
    reading = [asyncio.ensure_future((folder / "fifo").read_bytes()) for n in range(5)]
    await asyncio.sleep(0)
    assert await (folder / "other").write_bytes(b"x") == 1
    await under_way(5)
    refuse()
    writing = [asyncio.ensure_future((folder / str(n)).write_bytes(b"x" * n)) for n in range(200)]
    reading += [asyncio.ensure_future((folder / "fifo").read_bytes()) for n in range(5)]
    assert await asyncio.gather(*writing) == [*range(200)]
    assert not any(task.done() for task in reading)
    # Nothing is submitted from here on: what is queued has somebody who asks for a thread again.
    permit()
    await under_way(10)
    fifo.release()
    assert await asyncio.gather(*reading) == [b""] * 10

print("ready", flush=True)
asyncio.run(run(main))
"""
    )
    ended = process.run(program)
    assert (ended.code, ended.output, ended.errors) == (0, "0\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
@pytest.mark.parametrize("order", ["behind", "together", "reversed"])
def test_nobody_waits_behind_a_single_thread_that_waits_itself(order: str) -> None:
    """It waits for another process. Who else is queued is served before, or told that there is no thread."""
    program = (
        _UNDER_A_LIMIT
        + """
async def told(work):
    try:
        async with asyncio.timeout(20):
            await work
    except BlockingIOError as error:
        assert error.errno == 11
        return False
    return True

async def main(folder):
    fifo = Fifo(Path(folder, "fifo"))
    await (folder / "first").mkdir()
    await under_way(0)
    refuse()
    reading = asyncio.ensure_future((folder / "fifo").read_bytes())
    if sys.argv[1] == "behind":
        await under_way(1)
        assert not await told((folder / "second").mkdir())
    else:
        works = [lambda: (folder / "second").mkdir(), lambda: (folder / "fifo").read_bytes()]
        works = works if sys.argv[1] == "together" else works[::-1]
        answers = await asyncio.gather(*(told(work()) for work in works))
        assert False in answers, answers
    assert not reading.done()
    permit()
    fifo.release()
    assert await reading == b""

print("ready", flush=True)
asyncio.run(run(main))
"""
    )
    ended = process.run(program, order)
    assert (ended.code, ended.output, ended.errors) == (0, "0\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may have no more threads")
@pytest.mark.parametrize("later", ["an operation", "the end"])
def test_what_is_closed_in_the_background_waits_for_a_thread(later: str) -> None:
    """Closing may wait, so it is not done on the loop's thread, even where there is no other."""
    program = (
        _UNDER_A_LIMIT
        + """
async def main(folder):
    open(folder / "file", "wb").close()
    await (folder / "file").stat()  # in a chroot, this user may not see what is mounted where
    refuse()
    file = await rapfiles.open(folder / "file", "rb")
    descriptor = file.fileno()
    del file
    assert rapfiles.stats().queued == 1
    for _ in range(3):
        try:
            await (folder / "made").mkdir()
        except BlockingIOError as error:
            assert error.errno == 11
        else:
            raise AssertionError("there was a thread")
    os.fstat(descriptor)
    if sys.argv[1] == "the end":
        # At the end of the process there is nobody else who could wait.
        _native.finish_closing(30)
    else:
        permit()
        await (folder / "made").mkdir()
        await under_way(0)
    try:
        os.fstat(descriptor)
    except OSError:
        pass
    else:
        raise AssertionError("it was not closed")

from rapfiles import _native
warnings.simplefilter("ignore", ResourceWarning)
print("ready", flush=True)
asyncio.run(run(main))
"""
    )
    ended = process.run(program, later)
    assert (ended.code, ended.output, ended.errors) == (0, "0\n", "")
