"""`wrap_file` makes a synchronous file object awaitable: the same results, in a thread, one by one."""

import bz2
import gzip
import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support import lag, process
from support.handles import Step, by_builtin, by_rapfiles
from support.leftovers import becomes
from support.names import shown

MAKERS: dict[str, Callable[[Path], Any]] = {
    "StringIO": lambda folder: io.StringIO("one\ntwo\nthree"),
    "BytesIO": lambda folder: io.BytesIO(b"one\ntwo\nthree"),
    "text": lambda folder: (folder / "plain").open("r+"),
    "binary": lambda folder: (folder / "plain").open("rb+"),
    "raw": lambda folder: (folder / "plain").open("rb+", buffering=0),
    "gzip": lambda folder: gzip.open(folder / "gzip", "rb"),  # noqa: SIM115
    "gzip text": lambda folder: gzip.open(folder / "gzip", "rt"),  # noqa: SIM115
    "bz2": lambda folder: bz2.open(folder / "bz2", "rb"),  # noqa: SIM115
    "temporary": lambda folder: tempfile.TemporaryFile(),  # noqa: SIM115
    "spooled": lambda folder: tempfile.SpooledTemporaryFile(),  # noqa: SIM115
    "named": lambda folder: tempfile.NamedTemporaryFile(dir=folder),  # noqa: SIM115
}
STEPS = [
    *(Step("readline"), Step("read", (2,)), Step("tell"), Step("seek", (0,)), Step("readlines")),
    *(Step("seek", (4,)), Step("read"), Step("read"), Step("seek", (0,)), Step("read1", (2,))),
    *(Step("peek", (1,)), Step("readinto", (3,)), Step("seek", (0, 2)), Step("write", (b"four\n",))),
    *(Step("write", ("four\n",)), Step("flush"), Step("tell"), Step("writelines", ([b"a", b"b"],))),
    *(Step("seek", (0,)), Step("truncate", (5,)), Step("read"), Step("readall")),
    *(Step("close"), Step("read"), Step("close")),
]


def _fill(folder: Path) -> None:
    (folder / "plain").write_bytes(b"one\ntwo\nthree")
    for module in (gzip, bz2):
        with module.open(folder / module.__name__, "wb") as file:
            file.write(b"one\ntwo\nthree")


@pytest.mark.one_loop
@pytest.mark.parametrize("name", MAKERS)
async def test_each_method_as_the_object_has_it(name: str, tmp_path: Path) -> None:
    outcomes = []
    for side in ("plain", "wrapped"):
        folder = tmp_path / side
        folder.mkdir()
        _fill(folder)
        file = MAKERS[name](folder)
        if side == "plain":
            found = [by_builtin(file, step) for step in STEPS]
        else:
            handle = rapfiles.wrap_file(file)
            found = [await by_rapfiles(handle, step) for step in STEPS]
        outcomes.append((found, (folder / "plain").read_bytes()))
    (expected, plain), (actual, ours) = outcomes
    assert list(zip(STEPS, actual, strict=True)) == list(zip(STEPS, expected, strict=True))
    assert ours == plain


async def test_iterating(tmp_path: Path) -> None:
    _fill(tmp_path)
    for name in ("StringIO", "BytesIO", "text", "binary", "gzip", "gzip text"):
        file = MAKERS[name](tmp_path)
        expected = list(file)
        file.seek(0)
        async with rapfiles.wrap_file(file) as wrapped:
            assert [line async for line in wrapped] == expected
            await wrapped.seek(0)
            assert [line async for batch in wrapped.lines() for line in batch] == expected
            if isinstance(expected[0], bytes):
                await wrapped.seek(0)
                chunks = [chunk async for chunk in wrapped.chunks(5)]
                assert b"".join(chunks) == b"".join(expected)
        assert file.closed


async def test_attributes() -> None:
    file = rapfiles.wrap_file(io.TextIOWrapper(io.BytesIO(), encoding="latin-1", newline="\r\n"))
    assert (file.encoding, file.errors, file.closed) == ("latin-1", "strict", False)
    assert (file.readable(), file.writable(), file.seekable(), file.isatty()) == (True, True, True, False)
    assert isinstance(file.buffer, io.BytesIO)
    with pytest.raises(AttributeError):
        _ = file.no_such_attribute
    await file.write("a\n")
    await file.flush()
    assert file.buffer.getvalue() == b"a\r\n"
    await file.close()
    assert file.closed
    string = rapfiles.wrap_file(io.StringIO("text"))
    assert string.getvalue() == "text"
    assert "StringIO" in repr(string)


@pytest.mark.parametrize("wrong", [None, 1, "name", b"name", object(), io.StringIO], ids=shown)
def test_not_a_file(wrong: Any) -> None:
    with pytest.raises(TypeError):
        rapfiles.wrap_file(wrong)


class Observed(io.StringIO):
    """Notes in which thread it is read, and that no two calls are made at once."""

    def __init__(self) -> None:
        super().__init__("line\n" * 100)
        self.threads: set[int] = set()
        self.inside = 0
        self.at_once = 0

    def readline(self, size: int | None = -1, /) -> str:
        self.threads.add(threading.get_ident())
        self.inside += 1
        self.at_once = max(self.at_once, self.inside)
        try:
            return super().readline(size)
        finally:
            self.inside -= 1


async def test_one_call_at_a_time_and_not_on_the_loop() -> None:
    observed = Observed()
    file = rapfiles.wrap_file(observed)
    found: list[str] = []

    async def read() -> None:
        found.extend([await file.readline() for _ in range(10)])

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(read)
    assert found == ["line\n"] * 100
    assert observed.at_once == 1
    assert threading.get_ident() not in observed.threads


class Waiting(io.FileIO):
    """Counts the calls of `read` that have begun, and those that have ended."""

    begun = ended = 0

    def read(self, size: int | None = -1, /) -> Any:
        self.begun += 1
        found = super().read(size)
        self.ended += 1
        return found


async def test_waiting_is_no_stall_and_can_be_cancelled() -> None:
    reader, writer = os.pipe()
    below = Waiting(reader)
    file = rapfiles.wrap_file(below)

    async def work() -> None:
        begun = below.begun
        async with anyio.create_task_group() as group:
            group.start_soon(file.read, 100)
            await becomes(lambda: below.begun > begun, "a read that waits in its thread")
            group.cancel_scope.cancel()
        # What was waiting ends in its thread, and takes this with it: the object cannot be interrupted.
        os.write(writer, b"for the one that was cancelled")
        await becomes(lambda: below.ended == below.begun, "the end of that read")

    assert await lag.worst_beside(work) < lag.ALLOWED
    os.write(writer, b"next")
    with anyio.fail_after(30):
        assert await file.read(100) == b"next"
        os.close(writer)
        await file.close()


async def test_a_pipe_of_a_process() -> None:
    reverse = subprocess.Popen(
        [sys.executable, "-c", "print(input()[::-1])"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.limited(reverse) as child:
        stdin, stdout = rapfiles.wrap_file(child.stdin), rapfiles.wrap_file(child.stdout)
        await stdin.write("abc\n")
        await stdin.close()
        assert await stdout.readline() == "cba\n"
        await stdout.close()


REFUSED = """
import asyncio, io, threading
import rapfiles

async def main():
    file = rapfiles.wrap_file(io.BytesIO())
    print("ready", flush=True)
    threading.stack_size(1 << 47)  # more than there are addresses
    answers = await asyncio.gather(file.write(b"one"), file.write(b"two"), return_exceptions=True)
    print([type(answer).__name__ for answer in answers])
    threading.stack_size(0)
    await file.write(b"three")
    print(await file.seek(0), await file.read())

asyncio.run(main())
"""


def test_the_system_refuses_threads() -> None:
    """What can be given no thread fails, and does so once: what comes later is done."""
    ended = process.run(REFUSED)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output == "['RuntimeError', 'RuntimeError']\n0 b'three'\n"
