"""Many trees at once, with few descriptors: whoever finds none waits for the others, and nothing is lost."""

from pathlib import Path

import pytest

from support import process

# Each level has three directories of one file beside the next level.
_MANY = """
import asyncio, os, resource, sys
from collections import Counter
from pathlib import Path
from rapfiles import AsyncPath

LEVELS, AT_ONCE = int(sys.argv[3]), 30
top = Path(sys.argv[1], "top")
here = top
for level in range(LEVELS):
    here.mkdir()
    for name in "xyz":
        (here / name).mkdir()
        (here / name / "file").write_bytes(b"content")
    here /= str(level)
def entries(tree):
    # Not by rglob() and relative_to(), which take minutes in a deep tree on Python 3.12.
    skip = len(str(tree)) + 1
    return sorted(os.path.join(d, name)[skip:] for d, ds, fs in os.walk(tree) for name in ds + fs)

before = entries(top)
START = len(str(top)) + 1
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

async def walk(number):
    found = []
    async for directory, directories, files in AsyncPath(top).walk():
        found += [str(directory / name)[START:] for name in directories + files]
    assert sorted(found) == before, len(found)

async def rglob(number):
    assert sorted([str(path)[START:] async for path in AsyncPath(top).rglob("*")]) == before

async def find(number):
    assert sorted([str(entry.path)[START:] async for entry in AsyncPath(top).find()]) == before

async def du(number):
    usage = await AsyncPath(top).du()
    assert (usage.directories, usage.files) == (4 * LEVELS, 3 * LEVELS), usage

async def copy(number):
    await AsyncPath(top).copy(f"{top}-{number}")

async def rmtree(number):
    await AsyncPath(f"{top}-{number}").rmtree()

async def each(*operations):
    at_once = [operation(number) for number in range(AT_ONCE) for operation in operations]
    results = await asyncio.gather(*at_once, return_exceptions=True)
    return Counter(repr(result) for result in results if result is not None)

async def main():
    failed = await each(*[globals()[name] for name in sys.argv[2].split()])
    assert not failed, failed

def check(number):
    copied = Path(f"{top}-{number}")
    assert entries(copied) == before, number

print("ready")
if sys.argv[2] == "rmtree":
    asyncio.run(each(copy))
asyncio.run(main())
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
names = sorted(os.listdir(top.parent))
if "copy" in sys.argv[2]:
    assert len(names) == 1 + AT_ONCE, names
    for number in range(AT_ONCE):
        check(number)
else:
    assert names == ["top"], names
"""


@pytest.mark.parametrize(
    ("operations", "levels"),
    [
        ("walk", 120),
        ("rglob", 120),
        ("find", 120),
        ("du", 120),
        ("copy", 30),
        ("rmtree", 30),
        ("walk rglob find du copy", 30),
    ],
)
def test_many_at_once(operations: str, levels: int, tmp_path: Path) -> None:
    ended = process.run(_MANY, str(tmp_path), operations, str(levels), timeout=110)
    assert (ended.code, ended.errors) == (0, "")
