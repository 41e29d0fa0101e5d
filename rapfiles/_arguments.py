"""Checks of arguments, so that a bad one is refused by name before anything touches the disk."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import os
from operator import index
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

StrPath: TypeAlias = str | os.PathLike[str]

_PERMISSIONS = 0o7777


def path_text(name: str, value: StrPath) -> str:
    """The text of a path, exactly as it was given."""
    try:
        text = os.fspath(value)
    except TypeError:
        raise TypeError(f"{name} should be str or os.PathLike[str], not {type(value).__name__}") from None
    if not isinstance(text, str):
        raise TypeError(f"{name} should be str or os.PathLike[str], not {type(text).__name__}")
    return text


def integer(name: str, value: SupportsIndex) -> int:
    """An integer of any size."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None


def c_integer(name: str, value: SupportsIndex, bits: int = 32) -> int:
    """An integer that fits in a signed C type of this many bits."""
    number = integer(name, value)
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise OverflowError(f"{name} is too large or too small: {number}")
    return number


def permissions(name: str, value: SupportsIndex) -> int:
    """The permission bits of a mode; as in `os.chmod` and `os.mkdir`, others have no effect."""
    return c_integer(name, value) & _PERMISSIONS


def account(name: str, value: SupportsIndex | str) -> int | str:
    """A user or a group: its name, or its number, which is -1 where nothing is to be changed."""
    if isinstance(value, str):
        return value
    number = integer(name, value)
    if number < -1:
        raise OverflowError(f"{name} is less than minimum: {number}")
    if number > 0xFFFF_FFFF:
        raise OverflowError(f"{name} is greater than maximum: {number}")
    return number


def attribute_name(value: StrPath | bytes) -> str | bytes:
    """The name of an extended attribute."""
    try:
        return os.fspath(value)
    except TypeError:
        raise TypeError(
            f"attribute should be str, bytes or os.PathLike, not {type(value).__name__}"
        ) from None


def in_one_piece(data: Buffer) -> None:
    """Refuses what is not bytes-like or not in one piece of memory, with memoryview's own errors."""
    if not memoryview(data).c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")


def one_of(name: str, value: str, first: str, second: str) -> bool:
    """Whether a choice between two words is the second."""
    if value not in {first, second}:
        raise ValueError(f"{name} must be {first!r} or {second!r}, not {value!r}")
    return value == second
