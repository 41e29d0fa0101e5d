"""The event loops on which the library must work, each with one way to run an async function.

What only one of them needs is imported when it runs: hundreds of processes are started that run one of them,
and importing trio and anyio takes longer than what most of these have to do.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any


def _selector() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop()


def _eager() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]  # Python 3.12
    return loop


def _run_asyncio(
    factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[..., Awaitable[Any]], *args: Any
) -> Any:
    """Run on a new loop of asyncio's kind; what its exception handler hears of is a failure.

    Nobody awaits what reaches that handler ("exception was never retrieved", "task was destroyed"), so a
    test would pass without it.
    """
    heard: list[dict[str, Any]] = []

    async def body() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        return await main(*args)

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(body())
    assert not heard, f"the loop's exception handler heard: {heard}"
    return result


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _run_trio(main: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    import trio

    return trio.run(main, *args)


@dataclass(frozen=True)
class Loop:
    """One kind of event loop. `library` is the name that sniffio gives to it: asyncio or trio."""

    name: str
    library: str
    factory: Callable[[], asyncio.AbstractEventLoop] | None

    def run(self, main: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run `main(*args)` on a new loop of this kind until it ends, and return its result."""
        if self.factory is None:
            return _run_trio(main, *args)
        return _run_asyncio(self.factory, main, *args)

    def tasks(self) -> AbstractAsyncContextManager[Any]:
        """A group of tasks, with `start_soon` and `cancel_scope`, that Ctrl-C may end anywhere.

        On trio it is trio's own. anyio's does not protect `__aenter__` and `__aexit__` from Ctrl-C: raised at
        their first line it leaves the nursery open, and trio ends the run with "nursery stack corrupted".
        Raised at the end of the block, before `__aexit__` has begun, it does so with trio's own as well (in
        one of 550 programs with trio alone): who waits for it has to wait within the block.
        """
        if self.factory is None:
            import trio

            return trio.open_nursery()
        import anyio

        return anyio.create_task_group()

    def __str__(self) -> str:
        return self.name


SELECTOR = Loop("asyncio", "asyncio", _selector)
TRIO = Loop("trio", "trio", None)

LOOPS = [SELECTOR, TRIO]
# Eager tasks came with Python 3.12.
if sys.version_info >= (3, 12):
    LOOPS.append(Loop("asyncio-eager", "asyncio", _eager))
if sys.platform == "win32":
    LOOPS.append(Loop("asyncio-proactor", "asyncio", asyncio.ProactorEventLoop))
else:
    LOOPS.append(Loop("uvloop", "asyncio", _uvloop))
ASYNCIO_LOOPS = [loop for loop in LOOPS if loop.library == "asyncio"]


def settle_garbage() -> None:
    """Collect until nothing is left: finalizers that complain do it now, inside the test that made them."""
    while gc.collect():
        pass
