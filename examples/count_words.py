"""Count the words of many files, some at a time: `python count_words.py FILE…`.

A directory stands for the files in it. The most frequent words of all files are printed.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable

from rapfiles import AsyncPath

AT_ONCE = 20
"""How many files are open at the same time."""


async def files_of(paths: Iterable[AsyncPath]) -> list[AsyncPath]:
    """The given files, and those in the given directories."""
    found: list[AsyncPath] = []
    for path in paths:
        if await path.is_dir():
            found += [child async for child in path.iterdir() if await child.is_file()]
        else:
            found.append(path)
    return found


async def count(path: AsyncPath, limit: asyncio.Semaphore) -> Counter[str]:
    """The words of one file; only a window of it is in memory."""
    words: Counter[str] = Counter()
    async with limit, path.open(encoding="utf-8", errors="replace") as file:
        async for line in file:
            words.update(line.lower().split())
    return words


async def main(names: list[str]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)
    total: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(count(path, limit)) for path in await files_of(map(AsyncPath, names))]
    for task in tasks:
        total.update(task.result())
    for word, times in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{times:6d}  {word}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
