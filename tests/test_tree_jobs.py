"""Work on trees costs few jobs, and asks the kernel for nothing that the directories have told."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import rapfiles
from rapfiles import AsyncPath, Stream
from support import strace
from support.engine import idle

STEP = 0.005
"""How long a step of a stream may go on: `STREAM_STEP` of `limits.rs`."""
STEPS = 8
"""How many there may be at once: `STREAM_STEPS`."""


async def _all(stream: Stream[object]) -> None:
    async with stream:
        async for _ in stream:
            pass


OPERATIONS: dict[str, Callable[[AsyncPath], Awaitable[object]]] = {
    "iterdir": lambda top: _all(top.iterdir()),
    "scandir": lambda top: _all(top.scandir()),
    "scandir_with_stat": lambda top: _all(top.scandir(with_stat=True)),
    "walk": lambda top: _all(top.walk()),
    "walk_bottom_up": lambda top: _all(top.walk(top_down=False)),
    "find": lambda top: _all(top.find()),
    "find_with_stat": lambda top: _all(top.find(with_stat=True)),
    "glob": lambda top: _all(top.glob("**/*")),
    "rglob": lambda top: _all(top.rglob("*0")),
    "du": lambda top: top.du(),
    "tree": lambda top: top.tree(),
    "copy": lambda top: top.copy(top.with_name("copy")),
    "rmtree": lambda top: top.rmtree(),
}


@pytest.mark.slow
@pytest.mark.one_loop
@pytest.mark.parametrize(("directories", "files"), [(1, 3000), (150, 20)], ids=["flat", "branched"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_jobs_are_few(name: str, directories: int, files: int, tmp_path: Path) -> None:
    top = tmp_path / "top"
    for directory in range(directories):
        (top / f"{directory}").mkdir(parents=True)
        for file in range(files):
            (top / f"{directory}" / f"{file}").touch()
    listed = AsyncPath(top / "0" if name in {"iterdir", "scandir", "scandir_with_stat"} else top)
    await idle()
    before, began = rapfiles.stats(), time.monotonic()
    await OPERATIONS[name](listed)
    took = time.monotonic() - began
    await idle()
    jobs = rapfiles.stats().submitted - before.submitted
    # A step that makes room for others, after its time, is followed by another one.
    made_room = STEPS * took / STEP
    assert jobs <= directories * files / 256 + directories + 1 + made_room


# Each is marked with a path that names it.
_TRACED = """
import asyncio, os, sys
from rapfiles import AsyncPath

def mark(name):
    try:
        os.stat(f"/mark/{name}")
    except OSError:
        pass

async def everything(stream):
    async with stream:
        async for _ in stream:
            pass

async def main():
    top = AsyncPath(sys.argv[1])
    works = {
        "iterdir": lambda: everything((top / "folder-0").iterdir()),
        "scandir": lambda: everything((top / "folder-0").scandir()),
        "walk": lambda: everything(top.walk()),
        "find": lambda: everything(top.find(kind="file")),
        "glob": lambda: everything(top.glob("**/*")),
        "glob_in_directories": lambda: everything(top.glob("folder-*/entry-*")),
        "rglob": lambda: everything(top.rglob("*-1")),
        "tree": lambda: top.tree(),
        "find_with_stat": lambda: everything(top.find(with_stat=True)),
        "rmtree": lambda: top.rmtree(),
    }
    for name, work in works.items():
        mark(name)
        await work()
        mark("pause")
    print("done")

asyncio.run(main())
"""


@strace.needs_strace
@pytest.mark.slow
def test_nothing_is_asked_where_the_directory_told_the_type(tmp_path: Path) -> None:
    for directory in range(3):
        for file in range(4):
            path = tmp_path / "top" / f"folder-{directory}" / f"deeper-{directory}" / f"entry-{file}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / "top" / f"folder-{directory}" / f"entry-{directory}").touch()
    log = tmp_path / "log"
    options = ["-e", "trace=newfstatat,statx,lstat,stat"]
    done = strace.run(_TRACED, tmp_path / "top", options=options, log=log)
    assert (done.returncode, done.stderr) == (0, "")
    asked: dict[str, list[str]] = {}
    work = "before"
    for line in log.read_text().splitlines():
        if "/mark/" in line:
            work = line.partition("/mark/")[2].partition('"')[0]
        elif "folder-" in line or "deeper-" in line or "entry-" in line:
            asked.setdefault(work, []).append(line)
    assert asked.keys() == {"find_with_stat"}
    assert sum("entry-" in line for line in asked["find_with_stat"]) >= 15
