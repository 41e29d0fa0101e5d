"""`stdin`, `stdout` and `stderr` in pipes, terminals and files, redirected, closed, when a process ends."""

import io
import os
import subprocess
import sys
import tty
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from support import process
from support.loops import LOOPS, Loop

_TESTS = str(Path(__file__).parent)
_PREAMBLE = f"""
import sys
sys.path.append({_TESTS!r})
import anyio, asyncio, os
import rapfiles
from support.loops import LOOPS
loop = {{loop.name: loop for loop in LOOPS}}[sys.argv[1]]
"""


def run(program: str, loop: Loop, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a program that may use `loop`, with every warning an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _PREAMBLE + program, loop.name],
        timeout=60,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


_ECHO = """
async def main():
    async for line in rapfiles.stdin:
        await rapfiles.stdout.write(line.upper())
    await rapfiles.stderr.write("done\\n")
    await rapfiles.stdout.flush()
    await rapfiles.stderr.flush()

loop.run(main)
"""


def test_pipes(loop: Loop) -> None:
    done = run(_ECHO, loop, input=b"one\ntwo\nthree")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ONE\nTWO\nTHREE", b"done\n")


def test_files(tmp_path: Path, loop: Loop) -> None:
    (tmp_path / "in").write_bytes(b"line\n" * 10_000)
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        done = run(_ECHO, loop, stdin=source, stdout=target)
    assert (done.returncode, done.stderr) == (0, b"done\n")
    assert (tmp_path / "out").read_bytes() == b"LINE\n" * 10_000


def test_a_conversation(loop: Loop) -> None:
    """Each line is answered before the next one comes."""
    program = _PREAMBLE + _ECHO.replace(
        "await rapfiles.stdout.write(line.upper())",
        "await rapfiles.stdout.write(line.upper()); await rapfiles.stdout.flush()",
    )
    started = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, loop.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    with process.limited(started) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for number in range(20):
            child.stdin.write(b"line %d\n" % number)
            assert child.stdout.readline() == b"LINE %d\n" % number
        child.stdin.close()
    assert child.returncode == 0


def test_a_terminal(loop: Loop) -> None:
    keyboard, end = os.openpty()
    tty.setraw(keyboard)
    program = """
async def main():
    assert rapfiles.stdin.isatty() and rapfiles.stdout.isatty()
    await rapfiles.stdout.write("name? ")
    await rapfiles.stdout.flush()
    name = await rapfiles.stdin.readline()
    await rapfiles.stdout.write(f"hello {name}")
    await rapfiles.stdout.flush()

loop.run(main)
"""
    command = [sys.executable, "-W", "error", "-c", _PREAMBLE + program, loop.name]
    with process.limited(subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.PIPE)) as child:
        os.close(end)
        found = b""
        with suppress(OSError):  # the end of a terminal whose other end is closed
            while part := os.read(keyboard, 1000):
                found += part
                if found.endswith(b"name? "):
                    os.write(keyboard, b"you\n")
        assert child.stderr is not None
        assert child.stderr.read() == b""
    os.close(keyboard)
    assert child.returncode == 0
    assert found.replace(b"\r", b"").startswith(b"name? ")
    assert found.replace(b"\r", b"").endswith(b"hello you\n")


def test_bytes_and_print_keep_their_order(loop: Loop) -> None:
    program = """
async def main():
    for number in range(100):
        print(number, "printed")
        await rapfiles.stdout.write(f"{number} written\\n")

loop.run(main)
"""
    done = run(program, loop)
    assert (done.returncode, done.stderr) == (0, b"")
    expected = b"".join(b"%d printed\n%d written\n" % (number, number) for number in range(100))
    assert done.stdout == expected


def test_closed_from_the_start(loop: Loop) -> None:
    """A process without standard streams: an error, not a crash."""
    if loop.name == "uvloop":
        pytest.skip("libuv ends the process when it is given one of the standard descriptors")
    program = """
async def main():
    said = []
    for call in (lambda: rapfiles.stdin.readline(), lambda: rapfiles.stdout.write("x")):
        try:
            await call()
        except (RuntimeError, ValueError, OSError) as error:
            said.append(type(error).__name__)
    return said

found = loop.run(main)
with open(sys.argv[2], "w") as log:
    log.write(repr(len(found)))
"""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", _PREAMBLE + program, loop.name, f"/dev/fd/{writer}"]
    child = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command], pass_fds=[writer], stderr=subprocess.PIPE
    )
    os.close(writer)
    with process.limited(child), os.fdopen(reader, "rb") as log:
        assert child.stderr is not None
        errors = child.stderr.read()
        assert log.read() == b"2", errors
    assert child.returncode == 0, errors


def test_closed_by_the_reader(loop: Loop) -> None:
    """`| head`: the writer is told."""
    program = """
async def main():
    try:
        for number in range(100_000):
            await rapfiles.stdout.write("line\\n")
        await rapfiles.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(3)

loop.run(main)
"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(program, loop, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (3, b"")


def test_waiting_for_input_does_not_delay_exit(loop: Loop) -> None:
    """Cancelled, and the process ends, though nobody ever types anything."""
    program = """
async def main():
    with anyio.move_on_after(0.05) as scope:
        await rapfiles.stdin.readline()
    assert scope.cancelled_caught
    print("gave up")

loop.run(main)
"""
    reader, writer = os.pipe()
    try:
        done = run(program, loop, stdin=reader)
    finally:
        os.close(reader)
        os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"gave up\n", b"")


def test_input_after_giving_up(loop: Loop) -> None:
    """A line that comes after a read was cancelled goes to the next read."""
    program = """
async def main():
    with anyio.move_on_after(0.05):
        await rapfiles.stdin.readline()
    print("gave up", flush=True)
    print(await rapfiles.stdin.readline(), end="")
    print(repr(await rapfiles.stdin.read()))

loop.run(main)
"""
    command = [sys.executable, "-W", "error", "-c", _PREAMBLE + program, loop.name]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    with process.limited(started) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"gave up\n"
        child.stdin.write(b"line\nrest")
        child.stdin.close()
        assert child.stdout.read() == b"line\n'rest'\n"
    assert child.returncode == 0


async def test_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in sys at the moment is written to."""
    await rapfiles.stdout.write("out")
    await rapfiles.stderr.write("err")
    assert capsys.readouterr() == ("out", "err")


async def test_replaced_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
    assert await rapfiles.stdin.readline() == "one\n"
    assert [line async for line in rapfiles.stdin] == ["two\n"]


def test_on_one_loop_after_the_other() -> None:
    program = """
async def one():
    await rapfiles.stdout.write(await rapfiles.stdin.readline())
    await rapfiles.stdout.flush()

for _ in range(3):
    asyncio.run(one())
"""
    done = run(program, LOOPS[0], input=b"1\n2\n3\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")


def test_importing_touches_nothing() -> None:
    """Not even a process whose standard streams are closed minds the import."""
    ended = process.run("import rapfiles; rapfiles.stdin, rapfiles.stdout; print('ready')")
    assert (ended.code, ended.errors) == (0, "")


_WRITING = """
import asyncio, atexit, os, rapfiles, sys, warnings

async def begin_writing():
    writing = asyncio.ensure_future(rapfiles.stdout.write("x" * (1 << 20)))
    # The other end has seen the first of it, and the pipe is full.
    await asyncio.to_thread(os.read, 0, 1)
    return writing
"""


def _writing(program: str) -> subprocess.Popen[bytes]:
    """Start a program that writes more than a pipe holds, and wait until it is in the middle of that."""
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITING + program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    os.read(child.stdout.fileno(), 1)
    os.write(child.stdin.fileno(), b"x")
    return child


def test_leaving_while_something_is_written() -> None:
    """What has been begun is written, as `print` does; the interpreter does not exit in the middle."""
    program = """
async def main():
    (await begin_writing()).cancel()

asyncio.run(main())
atexit.register(os.write, 2, b"leaving")
"""
    with process.limited(_writing(program)) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert os.read(child.stderr.fileno(), 7) == b"leaving"
        written, errors = child.communicate()
    assert (child.returncode, errors) == (0, b"")
    assert len(written) == (1 << 20) - 1


def test_a_child_forked_while_something_is_written(tmp_path: Path) -> None:
    """It has its own turn: its parent's thread is not there."""
    program = f"""
async def write():
    with open({str(tmp_path / "written")!r}, "w") as sys.stdout:
        await rapfiles.stdout.write("by the child")

async def main():
    writing = await begin_writing()
    warnings.simplefilter("ignore", DeprecationWarning)  # since 3.12 about forking with threads
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        asyncio.run(write())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.write(2, b"over")
    await writing

asyncio.run(main())
"""
    with process.limited(_writing(program)) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert os.read(child.stderr.fileno(), 4) == b"over"
        written, errors = child.communicate()
    assert (child.returncode, errors, len(written)) == (0, b"", (1 << 20) - 1)
    assert (tmp_path / "written").read_text() == "by the child"
