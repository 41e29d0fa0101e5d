"""A queue of jobs in a directory, for any number of workers on one machine.

`python job_queue.py put QUEUE TEXT` adds a job and prints its number, `python job_queue.py work QUEUE` does
jobs until none is left. A job here is a text whose words are counted; the result stands in `done/NUMBER`.
What a worker was doing when it was killed is done again by another one, so doing it twice must do no harm.
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rapfiles import AsyncPath, LockTimeout


async def put(queue: AsyncPath, text: str) -> str:
    """Add a job: its number, which no other job has, so that no renaming below replaces one."""
    number = uuid.uuid4().hex
    await (queue / "new").mkdir(parents=True, exist_ok=True)
    # Workers see the complete job or none. What it is called until it is complete does not end with `.job`.
    await (queue / "new" / f"{number}.job").write_text(text, encoding="utf-8", atomic=True, durable=True)
    return number


@asynccontextmanager
async def registered(queue: AsyncPath) -> AsyncIterator[AsyncPath]:
    """The directory of a new worker's jobs. Its lock is held until the worker ends, in whatever way."""
    worker = uuid.uuid4().hex
    lock = queue / "locks" / worker
    async with lock.lock():
        await (queue / "running" / worker).mkdir()
        yield queue / "running" / worker
        await (queue / "running" / worker).rmdir()
        await lock.unlink()


async def take_back(queue: AsyncPath) -> None:
    """Put the jobs of workers that are no more into the queue again."""
    async for folder in (queue / "running").iterdir():
        lock = queue / "locks" / folder.name
        try:
            async with lock.lock(blocking=False):
                if await folder.exists():  # it may have ended since it was listed
                    async for job in folder.iterdir():
                        await job.rename(queue / "new" / job.name)
                    await folder.rmdir()
                await lock.unlink()
        except LockTimeout:
            continue  # it lives


async def take(queue: AsyncPath, mine: AsyncPath) -> AsyncPath | None:
    """A job that is now nobody else's, or `None` if there is none."""
    async for job in (queue / "new").glob("*.job"):
        try:
            # Only one of those who rename a file succeeds.
            return await job.rename(mine / job.name)
        except FileNotFoundError:
            continue
    return None


async def work(queue: AsyncPath) -> int:
    """Do all jobs, and say how many there were."""
    for folder in ("new", "running", "locks", "done"):
        await (queue / folder).mkdir(parents=True, exist_ok=True)
    await take_back(queue)
    done = 0
    async with registered(queue) as mine:
        while job := await take(queue, mine):
            words = len((await job.read_text(encoding="utf-8")).split())
            await (queue / "done" / job.stem).write_text(f"{words} words", atomic=True, durable=True)
            await job.unlink()
            done += 1
    return done


async def main(command: str, directory: str, *arguments: str) -> None:
    queue = AsyncPath(directory)
    if command == "put":
        print(await put(queue, *arguments))
    else:
        print(f"{await work(queue)} jobs")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
