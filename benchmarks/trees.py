"""The command `python -m benchmarks.trees`: a large tree, how soon its walk begins, and what memory it takes.

1,000,000 names in 4,096 directories, which are two levels deep. Each way of going through them runs in a
process of its own, in interleaved rounds: the time until its first item, the time of the whole, and by how
much the peak of the resident memory has grown meanwhile. What is yielded is counted and let go of.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rapfiles import AsyncPath

from .processes import ROOT
from .report import table
from .worker import peak_memory, reset_peak_memory
from .workplace import workplace

FILES, DIRECTORIES = 1_000_000, 4_096
_SECOND_LEVEL = 64
"""How many directories there are in each of the first level, which are themselves among the directories."""

WALKS: dict[str, Callable[[str], Iterator[Any] | AsyncIterator[Any]]] = {
    "os.walk": os.walk,
    "AsyncPath.walk": lambda top: AsyncPath(top).walk(),
    "AsyncPath.find": lambda top: AsyncPath(top).find(),
    "AsyncPath.rglob": lambda top: AsyncPath(top).rglob("*"),
    "AsyncPath.find(with_stat=True)": lambda top: AsyncPath(top).find(with_stat=True),
}


def build(top: str, files: int, directories: int) -> None:
    """Make the tree. The files of a directory are names of one file, so that it takes seconds."""
    for number in range(directories):
        first, second = divmod(number, _SECOND_LEVEL)
        # The first of each lot is the directory in which the others are.
        path = Path(top, f"{first:03}", f"{second:03}" if second else "")
        path.mkdir()
        names = range(number, files, directories)
        for name in names:
            if name == names[0]:
                (path / f"file-{name:07}").touch()
            else:
                os.link(path / f"file-{names[0]:07}", path / f"file-{name:07}")


def names_in(item: object) -> int:
    """How many names an item of a walk brings."""
    return len(item[1]) + len(item[2]) if isinstance(item, tuple) else 1


async def go_through(way: str, top: str) -> dict[str, float]:
    """Walk once; seconds until the first item and in all, the growth of the peak in bytes, and the names."""
    # What is imported and started once is no part of it.
    async for _ in AsyncPath(ROOT, "benchmarks").walk():
        pass
    before = reset_peak_memory()
    names, first = 0, 0.0
    began = time.perf_counter()
    items = WALKS[way](top)
    if isinstance(items, AsyncIterator):
        async for item in items:
            first = first or time.perf_counter() - began
            names += names_in(item)
    else:
        for item in items:
            first = first or time.perf_counter() - began
            names += names_in(item)
    return {
        "first": first,
        "all": time.perf_counter() - began,
        "memory": peak_memory() - before,
        "names": names,
    }


def measure(top: str, rounds: int) -> list[tuple[str, ...]]:
    """One row for each way: medians, and the ratio of its time to that of the first way in the same round."""
    took: dict[str, list[dict[str, float]]] = {way: [] for way in WALKS}
    for number in range(rounds):
        for way in list(WALKS) if number % 2 else list(WALKS)[::-1]:
            command = [sys.executable, "-m", "benchmarks.trees", "--go-through", way, top]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
            took[way].append(json.loads(done.stdout))
    base = next(iter(took.values()))
    return [
        (
            way,
            f"{median(run['first'] for run in runs) * 1e3:.2f}",
            f"{median(run['all'] for run in runs) * 1e3:,.0f}",
            f"{median(run['all'] / its['all'] for run, its in zip(runs, base, strict=True)):.2f}",
            f"{max(run['memory'] for run in runs) / (1 << 20):.1f}",
            f"{runs[0]['names']:,.0f}",
        )
        for way, runs in took.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trees", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds")
    parser.add_argument("--files", type=int, default=FILES, metavar="N", help="how many names of files")
    parser.add_argument("--directories", type=int, default=DIRECTORIES, metavar="N")
    parser.add_argument("--directory", metavar="PATH", help="where the tree is made")
    parser.add_argument("--go-through", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.go_through:
        print(json.dumps(asyncio.run(go_through(*options.go_through))))
        return 0
    with workplace(options.directory) as folder:
        top = os.path.join(folder, "top")
        os.mkdir(top)
        build(top, options.files, options.directories)
        header = ("", "first item, ms", "all, ms", "ratio", "growth of memory, MiB", "names")
        print(table(header, measure(top, max(1, options.rounds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
