"""A cache that never shows half an entry: `python cache.py DIRECTORY NUMBER...` factorises numbers.

Each is factorised once, however many tasks and processes ask for it at the same time. What is known is read
without a lock.
"""

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable

from rapfiles import AsyncPath


async def cached(directory: AsyncPath, key: str, make: Callable[[], Awaitable[str]]) -> str:
    """The entry of this key; `make` is called if there is none."""
    # Any text may be a key, so it is not used as a name.
    entry = directory / hashlib.sha256(key.encode()).hexdigest()
    try:
        return await entry.read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    async with entry.with_suffix(".lock").lock():
        try:
            # Another one may have made it while this one waited.
            return await entry.read_text(encoding="utf-8")
        except FileNotFoundError:
            made = await make()
            # Atomic, so that who reads without the lock sees all of it. Not durable: it can be made again.
            await entry.write_text(made, encoding="utf-8", atomic=True)
            return made


async def factors(number: int) -> str:
    print(f"factorising {number}")
    found, divisor, rest = [], 2, number
    while divisor * divisor <= rest:
        while rest % divisor == 0:
            found.append(divisor)
            rest //= divisor
        divisor += 1
        if divisor % 1000 == 0:
            await asyncio.sleep(0)
    return " ".join(map(str, [*found, rest] if rest > 1 else found))


async def main(directory: str, *numbers: str) -> None:
    folder = AsyncPath(directory)
    await folder.mkdir(parents=True, exist_ok=True)

    async def factorised(number: str) -> str:
        return await cached(folder, number, lambda: factors(int(number)))

    for number, found in zip(numbers, await asyncio.gather(*map(factorised, numbers)), strict=True):
        print(f"{number} = {found}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
