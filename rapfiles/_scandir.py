"""The entries of a directory, and the asynchronous iterator over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib, text_before_names
from ._progress import next_item
from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    import os

    from ._progress import ProgressCallback

__all__ = ["AsyncDirEntry", "DirectoryScan", "ReportedScan"]

P = TypeVar("P", bound=SegmentsPath)
P_co = TypeVar("P_co", bound=SegmentsPath, covariant=True)


class AsyncDirEntry(_native.DirEntry, Generic[P_co]):
    """An entry of a directory: `os.DirEntry`, with an awaitable `stat()`.

    The methods about its type return at once: the directory contains the types (`d_type`, `readdir(3)`), and
    a worker has looked up the others when it read the entry (the targets of symbolic links, and all types on
    file systems that do not store them). Only `stat()` may access the disk.

    Entries are made by `scandir()` and `find()`. They are path-like: `open()` and all of `os` accept them.

    ```python
    await (directory / "data").write_bytes(b"abc")
    async for entry in directory.scandir():
        assert entry.is_file()
        assert (entry.name, entry.path) == ("data", directory / "data")
        assert (await entry.stat()).st_size == 3
    ```
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """The name within the directory."""
            ...

        @property
        def path(self) -> P_co:
            """The path: that of the directory, joined with the name. Its `info` has the same types."""
            ...

        def is_dir(self, *, follow_symlinks: bool = True) -> bool:
            """Whether it is a directory.

            Args:
                follow_symlinks: Whether to follow a symbolic link.

            Returns:
                `False` also for an entry that was removed before the worker looked, and for a link to
                nothing.

            Raises:
                OSError: The look-up failed for another reason.
            """
            ...

        def is_file(self, *, follow_symlinks: bool = True) -> bool:
            """Whether it is a regular file; results and errors are as for `is_dir()`.

            Args:
                follow_symlinks: Whether to follow a symbolic link.
            """
            ...

        def is_symlink(self) -> bool:
            """Whether it is a symbolic link, wherever that leads."""
            ...

        def is_junction(self) -> bool:
            """Whether it is a Windows junction; elsewhere there are none."""
            ...

        def inode(self) -> int:
            """The number of its inode."""
            ...

        async def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
            """The `os.stat` result of the entry.

            It is cached, as in `os.DirEntry`; await `entry.path.stat()` for a new one. With
            `scandir(with_stat=True)` it is known already.

            Args:
                follow_symlinks: Whether to follow a symbolic link.

            Returns:
                The same object that `os.stat` returns.

            Raises:
                OSError: It is gone, or cannot be reached.
            """
            ...

    async def _look_up(self, follow_symlinks: bool, /) -> os.stat_result:
        """Ask the system: no worker has."""
        return self._keep_stat(follow_symlinks, await _native.stat(self, follow_symlinks))


class DirectoryScan(Stream[AsyncDirEntry[P]]):
    """The entries of a directory, in arbitrary order, as they are read."""

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_with_stat")

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, with_stat: bool, /
    ) -> None:
        self._directory = directory
        self._with_stat = with_stat

    def _open(self) -> _native.Source:
        directory = self._directory
        prefix, plain = text_before_names(directory), leaves_it_to_pathlib(directory)
        return _native.scan(directory, prefix, plain, AsyncDirEntry, self._with_stat, self._reports())

    def _reports(self) -> bool:
        """Whether there are snapshots between the entries."""
        return False


_native.set_next_slot(DirectoryScan)


class ReportedScan(DirectoryScan[P]):
    """The same, with somebody who is told how far it has come."""

    __module__ = "rapfiles"
    __slots__ = ("_callback",)

    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, with_stat: bool, progress: ProgressCallback, /
    ) -> None:
        super().__init__(directory, with_stat)
        self._callback = progress

    def _reports(self) -> bool:
        return True

    async def __anext__(self) -> AsyncDirEntry[P]:
        return await next_item(self, super().__anext__, self._callback)
