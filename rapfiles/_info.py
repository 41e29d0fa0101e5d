"""`AsyncPath.info`: a path's type, known from a listing or looked up."""

# pyright: reportPrivateUsage=false
# An answer and what it is about know each other.

from __future__ import annotations

from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from typing import TYPE_CHECKING, Final

import rapfiles._native as _native

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator
    from typing import Any

    TypeTest = Callable[[int], bool]

__all__ = ["Answer", "PathInfo"]

# Types are those of S_IFMT; this is the type of what does not exist or cannot be reached.
_ABSENT: Final = 0o170_000
_BITS: Final = 12


class Answer:
    """The answer to a question about a path: awaiting it gives a bool.

    If it is known, awaiting it needs neither a system call nor a turn of the event loop, and it may be used
    as a bool without `await`. If it is not known, `bool()` of it raises RuntimeError: it can neither wait nor
    return a wrong answer.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bool, /) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, bool]:
        return self._value
        yield

    def __bool__(self) -> bool:
        return self._value

    def __repr__(self) -> str:
        return f"<Answer: {self._value}>"


class _Question(Answer):
    """An answer that has to be looked up."""

    __slots__ = ("_follow", "_info", "_test")

    def __init__(self, info: PathInfo, test: TypeTest, follow: bool, /) -> None:
        self._info = info
        self._test = test
        self._follow = follow

    def __await__(self) -> Generator[Any, Any, bool]:
        # Another task may have looked it up meanwhile.
        known = self._info._known(self._follow)
        if not known:
            known = yield from self._info._look(self._follow).__await__()
        return self._test(known)

    def __bool__(self) -> bool:
        known = self._info._known(self._follow)
        if not known:
            raise RuntimeError("this is not known yet: await it")
        return self._test(known)

    def __repr__(self) -> str:
        known = self._info._known(self._follow)
        return f"<Answer: {self._test(known) if known else 'to be awaited'}>"


_YES: Final = Answer(True)
_NO: Final = Answer(False)


class PathInfo:
    """A path's type: pathlib's `PathInfo`, with awaitable answers.

    Answers are cached, as in pathlib, even if the file changes meanwhile. For a path that comes from a
    listing (`iterdir()`, `scandir()`, `find()`, `glob()`, `rglob()`) the type is known if the directory
    contained it, and the paths of `walk()` are known to lead to directories. The target of a symbolic link is
    known where it has been looked up: always by `scandir()` and `find()`, where the pattern needed it by
    `glob()`. For all these methods, a path that cannot be reached, for whatever reason, does not exist.

    ```python
    await (directory / "data").write_bytes(b"abc")
    async for path in directory.iterdir():
        assert await path.info.is_file()
        if path.info.is_file():  # known, so it need not be awaited
            print(path.name)
    ```
    """

    __slots__ = ("_own", "_path", "_target")

    def __init__(self, path: str, known: int = 0, /) -> None:
        self._path = path
        # As `known_types` of the native module puts it.
        self._own = (known & 15) << _BITS
        self._target = (known >> 4) << _BITS

    def exists(self, *, follow_symlinks: bool = True) -> Answer:
        """Whether the path exists.

        Args:
            follow_symlinks: Whether to follow a symbolic link.
        """
        return self._answer(_exists, follow_symlinks)

    def is_dir(self, *, follow_symlinks: bool = True) -> Answer:
        """Whether the path is a directory.

        Args:
            follow_symlinks: Whether to follow a symbolic link.
        """
        return self._answer(_is_dir, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> Answer:
        """Whether the path is a regular file.

        Args:
            follow_symlinks: Whether to follow a symbolic link.
        """
        return self._answer(_is_file, follow_symlinks)

    def is_symlink(self) -> Answer:
        """Whether the path is a symbolic link, wherever it leads."""
        return self._answer(_is_symlink, False)

    def __repr__(self) -> str:
        return f"<PathInfo of {self._path!r}>"

    def _answer(self, test: TypeTest, follow: bool) -> Answer:
        known = self._known(follow)
        if known:
            return _YES if test(known) else _NO
        return _Question(self, test, follow)

    def _known(self, follow: bool) -> int:
        return self._target if follow else self._own

    async def _look(self, follow: bool) -> int:
        found = await self._type(follow)
        if follow:
            self._target = self._target or found
            return self._target
        self._own = self._own or found
        if self._own != S_IFLNK:
            # It leads to nothing but itself.
            self._target = self._target or self._own
        return self._own

    async def _type(self, follow: bool) -> int:
        try:
            found: os.stat_result = await _native.stat(self._path, follow)
        except (OSError, ValueError):
            return _ABSENT
        return S_IFMT(found.st_mode) or S_IFREG


def _exists(known: int) -> bool:
    return known != _ABSENT


def _is_dir(known: int) -> bool:
    return known == S_IFDIR


def _is_file(known: int) -> bool:
    return known == S_IFREG


def _is_symlink(known: int) -> bool:
    return known == S_IFLNK
