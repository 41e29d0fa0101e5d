"""Class decorators that give a wrapper its members, over a native handle or over a synchronous file object.

Like those of `threadpool.utils`, to which they leave every wrapper without a native handle.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from . import _sync_object
from .threadpool import utils

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T", bound=type)

# Methods that are not awaited on a handle, but are with aiofiles.
_AT_ONCE = {"isatty", "readable", "seekable", "writable"}


def awaited(*names: str) -> Callable[[_T], _T]:
    """Add coroutine methods."""
    return _adding(lambda name: _answered(name) if name in _AT_ONCE else _awaited(name), names)


def direct(*names: str) -> Callable[[_T], _T]:
    """Add methods that are not awaited."""
    return _adding(_direct, names)


def properties(*names: str) -> Callable[[_T], _T]:
    """Add read-only properties."""
    return _adding(_property, names)


def sync_object_properties(*names: str) -> Callable[[_T], _T]:
    """Add read-only properties for parts of the synchronous object, which is made for that."""
    return _adding(_sync_object_property, names)


def _adding(make: Callable[[str], Any], names: tuple[str, ...]) -> Callable[[_T], _T]:
    def decorate(cls: _T) -> _T:
        for name in names:
            member = make(name)
            function: Any = member.fget if isinstance(member, property) else member
            function.__name__ = name
            function.__qualname__ = f"{cls.__name__}.{name}"
            function.__module__ = cls.__module__
            setattr(cls, name, member)
        return cls

    return decorate


def _awaited(name: str) -> Callable[..., Any]:
    of_handle = attrgetter(name)
    in_executor = utils._make_delegate_method(name)  # pyright: ignore[reportPrivateUsage]

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self._handle
        if handle is None:
            return await in_executor(self, *args, **kwargs)
        return await of_handle(handle)(*args, **kwargs)

    return method


def _answered(name: str) -> Callable[..., Any]:
    in_executor = utils._make_delegate_method(name)  # pyright: ignore[reportPrivateUsage]

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self._handle
        if handle is None:
            return await in_executor(self, *args, **kwargs)
        return getattr(handle, name)(*args, **kwargs)

    return method


def _direct(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self._handle
        return getattr(self._file if handle is None else handle, name)(*args, **kwargs)

    return method


def detach(cls: _T) -> _T:
    """Add `detach`, which gives away what is below the synchronous object."""

    def detach(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _sync_object.synchronous(self).detach(*args, **kwargs)

    detach.__qualname__ = f"{cls.__name__}.detach"
    detach.__module__ = cls.__module__
    cls.detach = detach  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return cls


def _property(name: str) -> property:
    def read(self: Any) -> Any:
        handle = self._handle
        return getattr(self._file if handle is None else handle, name)

    return property(read)


def _sync_object_property(name: str) -> property:
    def read(self: Any) -> Any:
        return getattr(_sync_object.synchronous(self), name)

    return property(read)


def all_of(decorators: tuple[Callable[[Any], Any], ...]) -> Callable[[_T], _T]:
    """Apply several class decorators."""

    def decorate(cls: _T) -> _T:
        for decorator in decorators:
            decorator(cls)
        return cls

    return decorate
