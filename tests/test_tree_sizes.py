"""Large directories and deep trees, with 64 descriptors: each operation does the whole of them.

`RAPFILES_ENTRIES=200000 RAPFILES_LEVELS=50000` is what is promised.
"""

import sys
from pathlib import Path

import pytest

from support import process
from support.effort import times

ENTRIES = times(10_000, 200_000, "RAPFILES_ENTRIES")
# In the kernel, the time for some of it grows with the square of this.
LEVELS = times(1_000, 5_000, "RAPFILES_LEVELS")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.watchdog(3600),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit"),
]

_BEGINS = """
import asyncio, os, resource, sys, time
from rapfiles import AsyncPath
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
top, number = AsyncPath(sys.argv[1]), int(sys.argv[2])
copy = top.with_name("copy")
print("ready", flush=True)
began = time.monotonic()

def done(what):
    global began
    now = time.monotonic()
    print(f"{what} {now - began:.1f} s", flush=True)
    began = now

async def count(stream):
    async with stream:
        return sum([1 async for _ in stream])

"""

_FLAT = (
    _BEGINS
    + """
async def main():
    here = os.open(top, os.O_RDONLY)
    for name in range(number):
        os.mknod(str(name), dir_fd=here)
    os.close(here)
    done("made")
    for what in ("iterdir", "scandir", "find", "rglob"):
        arguments = ["*"] if what == "rglob" else []
        assert await count(getattr(top, what)(*arguments)) == number, what
        done(what)
    [(_, directories, files)] = [triple async for triple in top.walk()]
    assert (directories, len(files)) == ([], number)
    done("walk")
    assert (await top.du()).files == number
    done("du")
    assert len((await top.tree()).splitlines()) == number + 1
    done("tree")
    await top.copy(copy)
    assert len(os.listdir(copy)) == number
    done("copy")
    for tree in (top, copy):
        await tree.rmtree()
        assert not await tree.exists()
    done("rmtree of both")

asyncio.run(main())
"""
)

_DEEP = (
    _BEGINS
    + """
def deepest(path):
    here, level = os.open(path, os.O_RDONLY), 0
    while True:
        try:
            below = os.open("d", os.O_RDONLY, dir_fd=here)
        except FileNotFoundError:
            return level, os.listdir(here)
        finally:
            os.close(here)
        here, level = below, level + 1

async def main():
    here = os.open(top, os.O_RDONLY)
    for _ in range(number):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.mknod("file", dir_fd=here)
    os.close(here)
    done("made")
    usage = await top.du()
    assert (usage.directories, usage.files) == (number + 1, 1)
    done("du")
    errors = []
    levels = await count(top.walk(on_error=errors.append))
    # Beyond the longest path they end, with an error, as os.walk does.
    assert levels == number + 1 if not errors else 1000 < levels < number
    assert await count(top.find(on_error=errors.append)) >= levels - 1
    done("walk, find")
    await top.copy(copy)
    assert deepest(copy) == (number, ["file"])
    done("copy")
    for tree in (top, copy):
        await tree.rmtree()
        assert not await tree.exists()
    done("rmtree of both")

asyncio.run(main())
"""
)


@pytest.mark.parametrize(("program", "number"), [(_FLAT, ENTRIES), (_DEEP, LEVELS)], ids=["flat", "deep"])
def test_nothing_is_too_large(program: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    ended = process.run(program, str(tmp_path / "top"), str(number), timeout=3500)
    print(ended.output)
    assert (ended.code, ended.errors) == (0, "")
    assert list(tmp_path.iterdir()) == []
