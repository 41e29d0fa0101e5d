"""Class decorators that give a wrapper its members: each takes names of members of the wrapped object."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _executor

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T", bound=type)


def delegate_to_executor(*attrs: str) -> Callable[[_T], _T]:
    """Add coroutine methods that call the wrapped object's methods in the wrapper's executor.

    Args:
        *attrs: The methods' names.
    """
    return _adding(_make_delegate_method, attrs)


def proxy_method_directly(*attrs: str) -> Callable[[_T], _T]:
    """Add methods that call the wrapped object's methods at once, without `await`.

    Args:
        *attrs: The methods' names.
    """
    return _adding(_make_proxy_method, attrs)


def proxy_property_directly(*attrs: str) -> Callable[[_T], _T]:
    """Add read-only properties with the values of the wrapped object's attributes.

    Args:
        *attrs: The attributes' names.
    """
    return _adding(_make_proxy_property, attrs)


def cond_delegate_to_executor(*attrs: str) -> Callable[[_T], _T]:
    """Add coroutine methods for a spooled temporary file: in the executor only when it is on the disk.

    Args:
        *attrs: The methods' names.
    """
    return _adding(_make_cond_delegate_method, attrs)


def _adding(make: Callable[[str], object], attrs: tuple[str, ...]) -> Callable[[_T], _T]:
    def cls_builder(cls: _T) -> _T:
        for name in attrs:
            setattr(cls, name, make(name))
        return cls

    return cls_builder


def _make_delegate_method(attr_name: str) -> Callable[..., Any]:
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = functools.partial(getattr(self._file, attr_name), *args, **kwargs)
        return await _executor.run_for(self, call)

    return method


def _make_proxy_method(attr_name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._file, attr_name)(*args, **kwargs)

    return method


def _make_proxy_property(attr_name: str) -> property:
    def proxy_property(self: Any) -> Any:
        return getattr(self._file, attr_name)

    return property(proxy_property)


def _make_cond_delegate_method(attr_name: str) -> Callable[..., Any]:
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._file._rolled:
            call = functools.partial(getattr(self._file, attr_name), *args, **kwargs)
            return await _executor.run_for(self, call)
        return getattr(self._file, attr_name)(*args, **kwargs)

    return method
