"""A collection in the middle of an operation on a handle may run code that uses the same handle.

Under no lock of the engine is a Python object made or released: a finalizer finds the turn taken, and waits.
"""

import pytest

from support.process import run

pytestmark = pytest.mark.interpreter

_PROGRAM = """
import asyncio, faulthandler, gc, sys, threading, time, warnings
from pathlib import Path
import rapfiles

faulthandler.dump_traceback_later(50, exit=True)
warnings.simplefilter("ignore", RuntimeWarning)  # an operation that is begun and dropped complains
kind, path = sys.argv[1], Path(sys.argv[2])
KINDS = {
    "bytes": {"mode": "r+b"}, "raw": {"mode": "r+b", "buffering": 0},
    "text": {"mode": "r+", "encoding": "utf-8"},
    "codec": {"mode": "r", "encoding": "utf-8-sig"}, "written": {"mode": "w+", "encoding": "utf-16"},
}
print("ready", flush=True)


class Nosy:
    "Is in a cycle, so that only a collection finds it, and then looks at the file."
    file = None
    seen = 0

    def __init__(self):
        self.itself = self

    def __del__(self):
        file = Nosy.file
        if file is None:
            return
        Nosy.seen += 1
        file.closed, file.name
        if not file.closed:
            file.fileno()
        # The collection may come in the other thread, which has no loop.
        in_task = asyncio._get_running_loop() is not None
        for begin in (file.tell, file.stat) if in_task and Nosy.seen % 2 else ():
            operation = begin()
            try:
                operation.send(None)
            except (StopIteration, ValueError):
                pass
            operation.close()
        file.tell  # noqa: B018
        if Nosy.seen % 8 == 0:
            time.sleep(0)  # the other thread has the interpreter meanwhile


def look():
    while not over:
        if (file := Nosy.file) is not None:
            file.closed, getattr(file, "newlines", None)
        time.sleep(0)


async def done(work):
    for _ in range(4):
        Nosy()
    return await work()


async def use(file):
    text = kind in ("text", "codec", "written")
    data = "caf\\u00e9\\r\\n" if text else b"bytes\\r\\n"
    if kind != "codec":
        for times in (1, 1_000, 60_000, 200_000):
            await done(lambda: file.write(data * times))
        await done(lambda: file.write(data * 100 if text else bytearray(data * 300_000)))
        for work in (file.flush, file.tell, file.sync, file.truncate):
            await done(work)
    for _ in range(2):
        await done(lambda: file.seek(0))
        for size in (0, 10, 9_000, 70_000, 500_000):
            await done(lambda: file.read(size))
        await done(file.readline)
        await done(lambda: file.readlines(3_000))
        await done(file.tell)
    await done(lambda: file.seek(0))
    lines = 0
    async for _line in file:
        Nosy()
        lines += 1
        if lines == 200:
            break
    await done(file.read)
    await done(lambda: file.seek(0))
    await done(file.readlines)


async def main():
    path.write_bytes("caf\\u00e9 line\\r\\n".encode() * 100_000)
    file = Nosy.file = await rapfiles.open(path, **KINDS[kind])
    gc.set_threshold(1)
    await use(file)
    await done(file.close)
    gc.set_threshold(700)
    Nosy.file = None


over = False
thread = threading.Thread(target=look)
thread.start()
try:
    asyncio.run(main())
finally:
    over = True
    thread.join()
assert Nosy.seen > 50, Nosy.seen
"""


@pytest.mark.parametrize("kind", ["bytes", "raw", "text", "codec", "written"])
def test_finalizers_that_use_the_file(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """They look at it, begin operations and drop them, and let others do so, inside of each operation."""
    path = tmp_path_factory.mktemp("garbage") / "file"
    ended = run(_PROGRAM, kind, str(path), timeout=100)
    assert ended.code == 0, ended.errors
    assert ended.errors == "", ended.errors
