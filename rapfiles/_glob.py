"""The asynchronous iterator over what matches a pattern."""

from __future__ import annotations

import os
import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib, text_before_names
from ._progress import next_item
from ._pure.flavour import PureFlavour
from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    from ._arguments import StrPath
    from ._progress import ProgressCallback

__all__ = ["GlobIterator", "ReportedGlob"]

P = TypeVar("P", bound=SegmentsPath)

# What depends on the version of pathlib.
_EAGER: Final = sys.version_info >= (3, 13)  # arguments are looked at when they are given
_MODERN: Final = sys.version_info >= (3, 13)
_TOLERANT: Final = sys.version_info >= (3, 14)  # what no path can be is not there
_SCANS_LITERALS: Final = sys.version_info[:2] == (3, 12)
_FINDS_DANGLING: Final = sys.version_info >= (3, 12)


class _Pattern(NamedTuple):
    """A pattern that pathlib would accept."""

    components: list[str]
    directories_only: bool


class GlobIterator(Stream[P]):
    """The paths below a directory that match a pattern, in arbitrary order, each once.

    A directory comes before what is in it. Workers read directories, several at a time, and compare names;
    only the paths that match are created on the event loop's thread.
    """

    __module__ = "rapfiles"
    __slots__ = ("_case_sensitive", "_directory", "_pattern", "_recurse_symlinks", "_recursive")

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self,
        directory: P,
        pattern: StrPath,
        case_sensitive: bool | None,
        recurse_symlinks: bool,
        recursive: bool,
        /,
    ) -> None:
        self._directory = directory
        self._pattern: StrPath | _Pattern = pattern
        self._case_sensitive = case_sensitive
        self._recurse_symlinks = recurse_symlinks
        self._recursive = recursive
        if _EAGER:
            self._pattern = _parsed(pattern, recursive)

    def _open(self) -> _native.Source:
        pattern = self._pattern
        if not isinstance(pattern, _Pattern):
            pattern = _parsed(pattern, self._recursive)
        sensitive = self._case_sensitive
        rules = (
            os.name != "nt" if sensitive is None else bool(sensitive),
            sensitive is not None or _SCANS_LITERALS,
            bool(self._recurse_symlinks),
            _MODERN,
            pattern.directories_only,
            not _MODERN,
            _FINDS_DANGLING,
            not _FINDS_DANGLING,
        )
        directory = self._directory
        prefix, plain = text_before_names(directory), leaves_it_to_pathlib(directory)
        components = [_utf32(component) for component in pattern.components]
        try:
            return _native.glob(directory, prefix, plain, components, rules, self._reports())
        except ValueError:
            # No file system has such a path. pathlib complains where it would read it, and 3.13 always.
            if _MODERN and (
                not _TOLERANT or any(it in component for component in pattern.components for it in "*?[")
            ):
                raise
            return _native.glob(os.curdir, "", False, [_utf32("\0")], rules, self._reports())

    def _reports(self) -> bool:
        """Whether there are snapshots between the paths."""
        return False


_native.set_next_slot(GlobIterator)


class ReportedGlob(GlobIterator[P]):
    """The same, with somebody who is told how far it has come."""

    __module__ = "rapfiles"
    __slots__ = ("_callback",)

    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self,
        directory: P,
        pattern: StrPath,
        case_sensitive: bool | None,
        recurse_symlinks: bool,
        recursive: bool,
        progress: ProgressCallback,
        /,
    ) -> None:
        super().__init__(directory, pattern, case_sensitive, recurse_symlinks, recursive)
        self._callback = progress

    def _reports(self) -> bool:
        return True

    async def __anext__(self) -> P:
        return await next_item(self, super().__anext__, self._callback)


def _parsed(pattern: StrPath, recursive: bool) -> _Pattern:
    text = os.fspath(pattern)
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a pattern must be a str or a path, not {type(pattern).__name__}")
    path = PureFlavour(text)
    if path.anchor:
        raise NotImplementedError("Non-relative patterns are unsupported")
    components = list(path.parts)
    if recursive:
        components.insert(0, "**")
    elif not components:
        raise ValueError(f"Unacceptable pattern: {text!r}")
    if not _MODERN and any("**" in component and component != "**" for component in components):
        raise ValueError("Invalid pattern: '**' can only be an entire path component")
    ends_with_separator = text.endswith((os.sep, os.altsep or os.sep))
    return _Pattern(components, ends_with_separator or (recursive and not text))


def _utf32(component: str) -> bytes:
    # Python's codecs are imported when they are first used, which looks at the disk.
    return array("I", map(ord, component)).tobytes()
