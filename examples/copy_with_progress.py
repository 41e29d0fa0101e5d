"""Copy a file and show how far it is: `python copy_with_progress.py SOURCE TARGET`.

The copy is made beside the target and takes its name when it is complete and on the device, so that nobody
ever sees a part of it. If the program is interrupted, the target is as it was before.
"""

import asyncio
import sys
import time

from rapfiles import AsyncPath, stderr

CHUNK = 1 << 20


async def copy(source: AsyncPath, target: AsyncPath) -> int:
    """Copy, and return how many bytes that were."""
    beside = target.with_name(f".{target.name}.part")
    try:
        async with source.open("rb") as reader, beside.open("wb") as writer:
            size = (await reader.stat()).st_size
            done, shown = 0, time.monotonic()
            async for chunk in reader.chunks(CHUNK):
                done += await writer.write(chunk)
                if (now := time.monotonic()) - shown > 0.2:
                    await stderr.write(f"\r{done / max(size, done):4.0%}")
                    shown = now
            await writer.sync()
        await beside.replace(target)
    except BaseException:
        await beside.unlink(missing_ok=True)
        raise
    return done


async def main(source: str, target: str) -> None:
    done = await copy(AsyncPath(source), AsyncPath(target))
    await stderr.write(f"\r{done} bytes\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
