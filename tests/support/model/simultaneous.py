"""Runs tasks at the same time, on asyncio and on trio, and cancels some of them."""

import asyncio
import io
import sys
import traceback
from collections.abc import Awaitable, Callable

import anyio
import trio

import rapfiles

from .program import Cancel

# What a round may take; the slowest takes a tenth of it on a busy machine.
SECONDS = 45


class HangError(AssertionError):
    """Tasks do not end."""


class Job:
    """A task of a program: it tells when each of its operations begins."""

    def __init__(
        self, run: Callable[["Job"], Awaitable[None]], operations: int, cancel: Cancel | None
    ) -> None:
        self._run = run
        self._begun = [anyio.Event() for _ in range(operations)]
        self.cancel = cancel

    async def run(self) -> None:
        await self._run(self)

    def begins(self, number: int) -> None:
        self._begun[number].set()

    async def wait_to_cancel(self) -> None:
        assert self.cancel is not None
        await self._begun[self.cancel.operation].wait()
        if self.cancel.seconds:
            await anyio.sleep(self.cancel.seconds)
        for _ in range(self.cancel.turns):
            await anyio.sleep(0)


async def run(library: str, jobs: list[Job]) -> None:
    """Run them to their ends; the error of one is raised."""
    await (_on_trio if library == "trio" else _on_asyncio)(jobs)


async def _on_asyncio(jobs: list[Job]) -> None:
    async def cancel(job: Job, task: "asyncio.Future[None]") -> None:
        await job.wait_to_cancel()
        task.cancel()

    tasks = [asyncio.ensure_future(job.run()) for job in jobs]
    pairs = zip(jobs, tasks, strict=True)
    cancelling = [asyncio.ensure_future(cancel(*pair)) for pair in pairs if pair[0].cancel is not None]
    _, late = await asyncio.wait(tasks, timeout=SECONDS)
    for each in [*cancelling, *late]:
        each.cancel()
    await asyncio.gather(*cancelling, return_exceptions=True)
    if late:
        text = io.StringIO()
        for task in late:
            task.print_stack(file=text)
        raise HangError(_explained(text.getvalue()))
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _on_trio(jobs: list[Job]) -> None:
    async def work(job: Job, scope: trio.CancelScope) -> None:
        with scope:
            await job.run()
        ended.discard(job)

    async def cancel(job: Job, scope: trio.CancelScope) -> None:
        await job.wait_to_cancel()
        scope.cancel()

    ended = set(jobs)
    with trio.move_on_after(SECONDS) as limit:
        async with trio.open_nursery() as cancelling:
            async with trio.open_nursery() as nursery:
                for job in jobs:
                    scope = trio.CancelScope()
                    nursery.start_soon(work, job, scope)
                    if job.cancel is not None:
                        cancelling.start_soon(cancel, job, scope)
            cancelling.cancel_scope.cancel()
    if limit.cancelled_caught:
        raise HangError(_explained(f"{len(ended)} tasks"))


def _explained(tasks: str) -> str:
    """Where everything is: the tasks that do not end, the threads, the engine."""
    frames = sys._current_frames().items()
    threads = "".join(f"thread {name}:\n{''.join(traceback.format_stack(frame))}" for name, frame in frames)
    return f"a hang: after {SECONDS} s there run still:\n{tasks}\n{rapfiles.stats()}\n{threads}"
