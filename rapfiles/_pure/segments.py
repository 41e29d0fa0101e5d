"""`with_segments` for Python 3.11: a subclass decides how the paths derived from its paths are made.

Since Python 3.12, pathlib itself makes every derived path with `with_segments`, and so calls the subclass's
`__init__`. Before, it made them behind the subclass's back, and could not be subclassed with an `__init__` at
all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .flavour import PureFlavour

__all__ = ["SegmentsPath"]

if sys.version_info >= (3, 12):

    class SegmentsPath(PureFlavour):
        """A pure path whose derived paths are made by `with_segments`: pathlib's own."""

        __slots__ = ()

else:
    from collections.abc import Sequence
    from pathlib import PurePath
    from typing import Any, ClassVar, Self, overload

    import rapfiles._native as _native

    if TYPE_CHECKING:
        from .._arguments import StrPath

    _text = PurePath.__str__
    _new = _native.new_path
    # `super()` would take longer than the check whether it is needed.
    _joinpath = PurePath.joinpath
    _truediv = PurePath.__truediv__
    _rtruediv = PurePath.__rtruediv__

    def _new_without_keywords(cls: type[PureFlavour], *args: StrPath, **_keywords: object) -> PureFlavour:
        """`__new__` of a class whose `__init__` may take keywords, which are none of the path's business."""
        return _new(cls, *args)

    class _Parents(Sequence["PureFlavour"]):
        """The logical ancestors of a path, each made by its `with_segments`."""

        __slots__ = ("_parents", "_path")

        def __init__(self, path: SegmentsPath) -> None:
            self._path = path
            self._parents = PureFlavour(path).parents

        def __len__(self) -> int:
            return len(self._parents)

        @overload
        def __getitem__(self, index: int) -> PureFlavour: ...
        @overload
        def __getitem__(self, index: slice) -> tuple[PureFlavour, ...]: ...
        def __getitem__(self, index: int | slice) -> PureFlavour | tuple[PureFlavour, ...]:
            if isinstance(index, slice):
                return tuple(self._path.with_segments(str(parent)) for parent in self._parents[index])
            return self._path.with_segments(str(self._parents[index]))

        def __repr__(self) -> str:
            return f"<{type(self._path).__name__}.parents>"

    class SegmentsPath(PureFlavour):
        """A pure path whose derived paths are made by `with_segments`.

        A class that overrides neither `with_segments` nor construction cannot tell how they are made, so for
        such a class pathlib's own quicker way is taken.
        """

        __slots__ = ()

        _made_by_pathlib: ClassVar[bool] = True

        def __init_subclass__(cls, **keywords: Any) -> None:
            super().__init_subclass__(**keywords)
            initialised = cls.__init__ is not SegmentsPath.__init__
            if initialised and cls.__new__ is _new:
                # Not by an assignment, which type checkers would take for a declaration.
                type.__setattr__(cls, "__new__", staticmethod(_new_without_keywords))
            cls._made_by_pathlib = (
                not initialised and cls.__new__ is _new and cls.with_segments is SegmentsPath.with_segments
            )

        if TYPE_CHECKING:

            def __init__(self, *args: StrPath) -> None: ...

        else:
            # What pathlib's own does, only faster.
            __new__ = _new
            # So that a subclass's `__init__` may call `super().__init__(*args)`, as it must since Python
            # 3.12. Being a builtin function, it is called without `self`.
            __init__ = _native.init_path

        def with_segments(self, *pathsegments: StrPath) -> Self:
            """Make a new path of the same class from any number of path-like objects.

            Every path derived from this one is made here, so a subclass may override it, for example to pass
            on what its `__init__` takes.

            Args:
                *pathsegments: Strings or path-like objects, to be joined.

            ```python
            assert AsyncPath("a").with_segments("b", "c") == AsyncPath("b/c")
            ```
            """
            return type(self)(*pathsegments)

        def joinpath(self, *other: StrPath) -> Self:
            if self._made_by_pathlib:
                return _joinpath(self, *other)  # pyright: ignore[reportReturnType]
            return self.with_segments(self, *other)

        def __truediv__(self, key: StrPath) -> Self:
            if self._made_by_pathlib:
                return _truediv(self, key)  # pyright: ignore[reportReturnType]
            try:
                return self.with_segments(self, key)
            except TypeError:
                return NotImplemented

        def __rtruediv__(self, key: StrPath) -> Self:
            if isinstance(key, PurePath):
                # Python asks a subclass's method first; the left operand's class is the one that counts.
                return NotImplemented
            if self._made_by_pathlib:
                return _rtruediv(self, key)  # pyright: ignore[reportReturnType]
            try:
                return self.with_segments(key, self)
            except TypeError:
                return NotImplemented

        @property
        def parent(self) -> Self:
            if self._made_by_pathlib:
                return super().parent
            pure = PureFlavour(self)
            parent = pure.parent
            return self if parent == pure else self.with_segments(str(parent))

        @property
        def parents(self) -> Sequence[Self]:
            return super().parents if self._made_by_pathlib else _Parents(self)  # type: ignore[return-value]
            # pyright: ignore[reportReturnType]

        def with_name(self, name: str) -> Self:
            return self._remade(super().with_name(name))

        def with_suffix(self, suffix: str) -> Self:
            return self._remade(super().with_suffix(suffix))

        def relative_to(self, *other: StrPath) -> Self:
            return self._remade(super().relative_to(*other))

        def _remade(self, path: Self) -> Self:
            return path if self._made_by_pathlib else self.with_segments(_text(path))
