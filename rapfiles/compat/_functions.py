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
        plan: Takes the arguments of `func`, and returns the engine's operation that does the same. If there
            is none for these arguments, it returns `None`, or raises TypeError, ValueError or OverflowError:
            then `func` itself is called, in an executor, and raises its own errors.
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
