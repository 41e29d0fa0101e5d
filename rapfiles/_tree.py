"""Conditions on the entries of a tree: the arguments that `walk`, `find` and `du` have in common."""

from __future__ import annotations

import operator
import os
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import TYPE_CHECKING, Final, Literal, SupportsIndex, TypeAlias, TypeVar

from ._arguments import StrPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]

__all__ = ["Globs", "Kind", "Kinds", "Moment", "OnError", "callback", "most_entries", "permissions", "wanted"]

Globs: TypeAlias = "StrPath | Iterable[StrPath] | None"
Kind: TypeAlias = Literal["file", "directory", "symlink", "fifo", "socket", "block_device", "char_device"]
Kinds: TypeAlias = "Kind | Iterable[Kind] | None"
Moment: TypeAlias = "datetime | float | None"
OnError: TypeAlias = "Callable[[OSError], object] | None"

_TYPES: Final[dict[str, int]] = {
    "file": S_IFREG,
    "directory": S_IFDIR,
    "symlink": S_IFLNK,
    "fifo": S_IFIFO,
    "socket": S_IFSOCK,
    "block_device": S_IFBLK,
    "char_device": S_IFCHR,
}
# More than the depth of any path, and more than any number of workers.
_MOST: Final = 1 << 30
_LARGEST: Final = (1 << 64) - 1
_MOST_ID: Final = (1 << 32) - 1
_ALL_PERMISSIONS: Final = 0o7777
_NANOSECONDS: Final = 1_000_000_000
# Seconds before and after 1970: more than any file system stores.
_FURTHEST: Final = 1 << 63

T = TypeVar("T")


def wanted(
    *,
    top_down: bool = True,
    follow_symlinks: bool = False,
    min_depth: SupportsIndex = 0,
    max_depth: SupportsIndex | None = None,
    same_file_system: bool = False,
    detect_loops: bool = False,
    sort: bool = False,
    gitignore: bool = False,
    workers: SupportsIndex | None = None,
    include: Globs = None,
    exclude: Globs = None,
    prune: Globs = None,
    kind: Kinds = None,
    size: tuple[SupportsIndex | None, SupportsIndex | None] | None = None,
    modified: tuple[Moment, Moment] | None = None,
    changed: tuple[Moment, Moment] | None = None,
    owner: SupportsIndex | str | None = None,
    perm: SupportsIndex | str | None = None,
    empty: bool | None = None,
    hidden: bool | None = None,
    all_directories: bool = False,
) -> Wanted:
    """What the native half takes."""
    return {
        "top_down": bool(top_down),
        "follow_symlinks": bool(follow_symlinks),
        "min_depth": _number("min_depth", min_depth),
        "max_depth": None if max_depth is None else _number("max_depth", max_depth),
        "same_file_system": bool(same_file_system),
        "detect_loops": bool(detect_loops),
        "sort": bool(sort),
        "gitignore": bool(gitignore),
        "workers": 0 if workers is None else _number("workers", workers, least=1),
        "include": _globs("include", include),
        "exclude": _globs("exclude", exclude),
        "prune": _globs("prune", prune),
        "kinds": _kinds(kind),
        "size": _sizes(size),
        "modified": _times("modified", modified),
        "changed": _times("changed", changed),
        "owner": owner if owner is None or isinstance(owner, str) else _number("owner", owner, most=_MOST_ID),
        "permissions": None if perm is None else permissions(perm),
        "empty": None if empty is None else bool(empty),
        "hidden": None if hidden is None else bool(hidden),
        "all_directories": all_directories,
    }


def most_entries(limit: SupportsIndex | None) -> int | None:
    """How many entries are wanted at most."""
    if limit is None:
        return None
    number = operator.index(limit)
    if number < 0:
        raise ValueError("limit must be at least 0")
    return min(number, _LARGEST)


def callback(on_error: OnError) -> OnError:
    """Check the callback for errors, which is called in the loop's thread."""
    if on_error is not None and _is_coroutine_function(on_error):
        raise TypeError("on_error must be a plain function: a coroutine that it returned would never run")
    return on_error


def _is_coroutine_function(function: Callable[[OSError], object]) -> bool:
    # What this imports takes as long as the whole of rapfiles.
    from inspect import iscoroutinefunction

    return iscoroutinefunction(function)


def _number(name: str, value: SupportsIndex, *, least: int = 0, most: int | None = None) -> int:
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name} must be at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}")
    return number if most is not None else min(number, _MOST)


def _globs(name: str, globs: Globs) -> list[str]:
    if globs is None:
        return []
    try:
        given = [globs] if isinstance(globs, str | os.PathLike) else list(globs)
        texts = [os.fspath(glob) for glob in given]
    except TypeError:
        raise TypeError(f"{name} must be a glob or several, not {globs!r}") from None
    for text in texts:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be str, not {type(text).__name__}")
        if not text.strip("/"):
            raise ValueError(f"Unacceptable pattern: {text!r}")
    return texts


def _kinds(kinds: Kinds) -> list[int]:
    if kinds is None:
        return []
    try:
        names = [kinds] if isinstance(kinds, str) else list(kinds)
    except TypeError:
        raise TypeError(f"kind must be a kind or several, not {kinds!r}") from None
    for name in names:
        if name not in _TYPES:
            raise ValueError(f"unknown kind {name!r}; there are {', '.join(_TYPES)}")
    return [_TYPES[name] for name in names]


def _sizes(size: tuple[SupportsIndex | None, SupportsIndex | None] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    least, most = _bounds("size", size)
    return (
        0 if least is None else _number("size", least, most=_LARGEST),
        _LARGEST if most is None else _number("size", most, most=_LARGEST),
    )


def permissions(perm: SupportsIndex | str) -> tuple[str, int]:
    """The form of the rule, and the bits."""
    if not isinstance(perm, str):
        return "=", _number("perm", perm, most=_ALL_PERMISSIONS)
    form, digits = (perm[0], perm[1:]) if perm.startswith(("-", "/")) else ("=", perm)
    if not digits or digits.strip("01234567"):
        raise ValueError(f"perm must be octal digits, which may follow '-' or '/', not {perm!r}")
    return form, _number("perm", int(digits, 8), most=_ALL_PERMISSIONS)


def _bounds(name: str, bounds: tuple[T, T]) -> tuple[T, T]:
    try:
        least, most = bounds
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be a pair of bounds, not {bounds!r}") from None
    return least, most


def _times(name: str, times: tuple[Moment, Moment] | None) -> tuple[int | None, int | None] | None:
    if times is None:
        return None
    after, before = _bounds(name, times)
    return _nanoseconds(name, after), _nanoseconds(name, before)


def _nanoseconds(name: str, moment: Moment) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, int | float):
        # Importing it takes a tenth of the time of rapfiles.
        from datetime import datetime

        if not isinstance(moment, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be of datetimes or seconds, not {type(moment).__name__}")
        moment = moment.timestamp()
    if not -_FURTHEST < moment < _FURTHEST:
        raise ValueError(f"{name} must be a time, not {moment!r} seconds")
    return int(moment * _NANOSECONDS)
