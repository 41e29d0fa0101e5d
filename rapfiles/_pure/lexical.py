"""The lexical surface of the newest pathlib, on every Python: what the running one lacks is added here."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Self

from .segments import SegmentsPath

if TYPE_CHECKING:
    from types import ModuleType
    from typing import ClassVar

    from .._arguments import StrPath

__all__ = ["LexicalPath"]


class LexicalPath(SegmentsPath):
    """A pure path with every lexical member of the newest pathlib."""

    __slots__ = ()

    if sys.version_info < (3, 13):
        parser: ClassVar[ModuleType] = os.path
        """The `os.path` module that knows this platform's syntax."""

        def full_match(self, pattern: StrPath, *, case_sensitive: bool | None = None) -> bool:
            """Whether the whole path matches a shell-style pattern.

            Args:
                pattern: `*`, `?` and `[…]` match within one component, a component `**` any number of
                    components. Names that begin with a dot are not special.
                case_sensitive: Whether case matters; by default as is usual on the platform.

            ```python
            assert AsyncPath("src/a/b.py").full_match("src/**/*.py")
            assert not AsyncPath("src/a/b.py").full_match("*.py")
            ```
            """
            from .matching import matches

            other = _as_path(self, pattern)
            return matches(
                str(self) if self.parts else "",
                str(other) if other.parts else "",
                separator=os.sep,
                case_sensitive=_is_case_sensitive(case_sensitive),
                recursive=True,
            )

    if sys.version_info < (3, 12):

        def match(self, path_pattern: StrPath, *, case_sensitive: bool | None = None) -> bool:
            """Whether the path matches a shell-style pattern, compared from the right where that is relative.

            Args:
                path_pattern: `*`, `?` and `[…]` match within one component; `**` is no more than `*`.
                case_sensitive: Whether case matters; by default as is usual on the platform.

            Raises:
                ValueError: The pattern is empty.

            ```python
            assert AsyncPath("src/a/b.py").match("a/*.py")
            assert AsyncPath("B.PY").match("*.py", case_sensitive=False)
            ```
            """
            if case_sensitive is None and isinstance(path_pattern, str):
                return super().match(path_pattern)
            from .matching import matches

            pattern = _as_path(self, path_pattern)
            if not pattern.parts:
                raise ValueError("empty pattern")
            if len(self.parts) < len(pattern.parts) or (
                len(self.parts) > len(pattern.parts) and pattern.anchor
            ):
                return False
            sensitive = _is_case_sensitive(case_sensitive)
            return all(
                matches(name, part, separator=os.sep, case_sensitive=sensitive, recursive=False)
                for name, part in zip(reversed(self.parts), reversed(pattern.parts), strict=False)
            )

        def relative_to(self, *other: StrPath, walk_up: bool = False) -> Self:
            """This path as seen from another one.

            Args:
                *other: The path to start from; several are joined.
                walk_up: Whether the result may begin with `..` components.

            Raises:
                ValueError: There is no such path: without `walk_up`, this path does not lie below the other
                    one; with it, only one of them is absolute, or the other one has a `..` that would have to
                    be undone.

            ```python
            assert AsyncPath("/a/b").relative_to("/a") == AsyncPath("b")
            assert AsyncPath("/a/b").relative_to("/a/c", walk_up=True) == AsyncPath("../b")
            ```
            """
            if not walk_up or not other:
                return super().relative_to(*other)
            start = _as_path(self, *other)
            ancestors = {self, *self.parents}
            for ups, common in enumerate((start, *start.parents)):
                if common in ancestors:
                    return self.with_segments(*[".."] * ups, *self.parts[len(common.parts) :])
                if common.name == "..":
                    raise ValueError(f"'..' segment in {str(start)!r} cannot be walked")
            raise ValueError(f"{str(self)!r} and {str(start)!r} have different anchors")

    def as_uri(self) -> str:
        """The path as a `file:` URI.

        Raises:
            ValueError: The path is relative.

        ```python
        assert AsyncPath("/a b").as_uri() == "file:///a%20b"
        ```
        """
        # PurePath's own method is deprecated in favour of Path's, from which it differs since Python 3.14.
        return Path(self).as_uri()

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """Make a path from a `file:` URI.

        Args:
            uri: Such as `"file:///etc/hosts"`; percent escapes are decoded.

        Raises:
            ValueError: It is not a `file:` URI, it names another host, or its path is not absolute.

        ```python
        assert AsyncPath.from_uri("file:///a%20b") == AsyncPath("/a b")
        ```
        """
        if sys.version_info >= (3, 13):
            return cls(Path.from_uri(uri))
        from .uri import path_from_uri

        path = cls(path_from_uri(uri))
        if not path.is_absolute():
            raise ValueError(f"URI is not absolute: {uri!r}")
        return path


def _as_path(path: SegmentsPath, *segments: StrPath) -> PurePath:
    first, *rest = segments
    return first if isinstance(first, PurePath) and not rest else path.with_segments(*segments)


def _is_case_sensitive(wanted: bool | None) -> bool:
    return os.name != "nt" if wanted is None else wanted
