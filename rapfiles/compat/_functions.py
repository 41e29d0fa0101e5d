"""Coroutine functions for functions of `os` and `os.path`, on the engine where it has the operation."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from . import _executor

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor


def native(func: Callable[..., Any], plan: Callable[..., Awaitable[Any] | None]) -> Any:
    """Make a coroutine function that does what `func` does.

    Args:
        func: The function of the standard library.
        plan: Takes the arguments that `func` takes, and returns the operation of the engine that does the
            same. It returns `None`, or raises TypeError, ValueError or OverflowError, where the engine has
            none for such arguments: `func` itself is asked then, in an executor, and so complains in its own
            words of what is wrong.
    """

    @wraps(func)
    async def run(
        *args: Any, loop: AbstractEventLoop | None = None, executor: Executor | None = None, **kwargs: Any
    ) -> Any:
        if loop is None and executor is None:
            try:
                operation = plan(*args, **kwargs)
            except (TypeError, ValueError, OverflowError):
                operation = None
            if operation is not None:
                return await operation
        return await _executor.run(loop, executor, partial(func, *args, **kwargs))

    return run
