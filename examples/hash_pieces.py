"""Hash the pieces of a large file side by side: `python hash_pieces.py FILE [PIECE IN BYTES]`.

Peer-to-peer and backup programs know a file by the hashes of its pieces. Positional reads need no turn: the
tasks share one handle and do not disturb each other.
"""

import asyncio
import hashlib
import sys

from rapfiles import AsyncBufferedReader, AsyncPath

AT_ONCE = 8


async def hash_piece(file: AsyncBufferedReader, place: int, size: int, limit: asyncio.Semaphore) -> str:
    async with limit:
        data = await file.pread(size, place)
        # The hash itself is work for a thread; hashlib lets the loop go on meanwhile.
        return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


async def hash_pieces(path: AsyncPath, size: int) -> list[str]:
    """The SHA-256 of each piece of `size` bytes, in order."""
    limit = asyncio.Semaphore(AT_ONCE)
    async with path.open("rb") as file:
        length = (await file.stat()).st_size
        return await asyncio.gather(
            *[hash_piece(file, place, size, limit) for place in range(0, length, size)]
        )


async def main(name: str, size: str = str(1 << 20)) -> None:
    for number, digest in enumerate(await hash_pieces(AsyncPath(name), int(size))):
        print(f"{number:6d}  {digest}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
