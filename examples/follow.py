"""Print what is added to a log, as `tail -F` does: `python follow.py LOG [SECONDS BETWEEN LOOKS]`.

It survives the log being truncated, and being renamed and made anew. Ctrl-C ends it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from rapfiles import AsyncPath, AsyncTextIOWrapper, stdout


async def was_replaced(path: AsyncPath, file: AsyncTextIOWrapper) -> bool:
    """Whether another file has the name of the one that is open."""
    try:
        now = await path.stat()
    except FileNotFoundError:
        return False  # not yet
    return not os.path.samestat(now, await file.stat())


async def follow(path: AsyncPath, pause: float) -> AsyncIterator[str]:
    """Every line from now on. A line is given when it is complete."""
    at_end = True
    while True:
        async with path.open(encoding="utf-8", errors="replace") as file:
            if at_end:
                await file.seek(0, os.SEEK_END)
            started = ""
            while True:
                async for line in file:
                    started += line
                    if started.endswith("\n"):
                        yield started
                        started = ""
                if await was_replaced(path, file):
                    # From here on it is the new file, from its beginning.
                    at_end = False
                    break
                if (await file.stat()).st_size < await file.tell():
                    await file.seek(0)  # it was truncated
                await asyncio.sleep(pause)


async def main(name: str, pause: float = 0.5) -> None:
    async for line in follow(AsyncPath(name), pause):
        await stdout.write(line)
        await stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:])))
    except KeyboardInterrupt:
        sys.exit(130)
