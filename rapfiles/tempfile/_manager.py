"""`TemporaryContextManager`: the awaitable context manager that the functions of this package return."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CoroutineType, TracebackType

__all__ = ["TemporaryContextManager"]

Entered_co = TypeVar("Entered_co", covariant=True)
Made_co = TypeVar("Made_co", covariant=True)


class _Enterable(Protocol[Entered_co]):
    async def __aenter__(self) -> Entered_co: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


class TemporaryContextManager(Coroutine[Any, Any, Made_co], Generic[Made_co, Entered_co]):
    """A temporary file or directory that is created by `await` or by `async with`.

    Nothing happens before that. If it is neither awaited nor entered, the interpreter warns, as for every
    coroutine that was never awaited.
    """

    __slots__ = ("_coroutine", "_made")

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, Made_co]) -> None:
        cast(
            "CoroutineType[Any, Any, Made_co]", coroutine
        ).__qualname__ = name  # for the warning, and for debuggers
        self._coroutine = coroutine
        self._made: _Enterable[Entered_co] | None = None

    def __await__(self) -> Generator[Any, Any, Made_co]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> Entered_co:
        made: Any = await self._coroutine
        self._made = made
        entered: Entered_co = await made.__aenter__()
        return entered

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        made, self._made = self._made, None
        assert made is not None, "left without having been entered"
        return await made.__aexit__(kind, error, traceback)

    # What makes it a coroutine, so that tasks can be made of it.

    def send(self, value: Any, /) -> Any:
        """Continue the work, as a coroutine's `send` does."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise in the work, as a coroutine's `throw` does."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Abandon the work, as a coroutine's `close` does."""
        self._coroutine.close()
