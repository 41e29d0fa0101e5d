"""The entries of a directory, and the asynchronous iterator over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib, text_before_names
from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    import os

__all__ = ["AsyncDirEntry", "DirectoryScan"]

P = TypeVar("P", bound=SegmentsPath)
P_co = TypeVar("P_co", bound=SegmentsPath, covariant=True)


class AsyncDirEntry(_native.DirEntry, Generic[P_co]):
    """An entry of a directory: `os.DirEntry`, with an awaitable `stat()`.

    The questions about its type are answered at once, from what the directory told with the name. What it did
    not tell (what a symbolic link leads to, and everything on a file system that keeps types to itself), a
    worker has looked up when the entry was read. Nothing here touches the disk but `stat()`.

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
            """The path: that of the directory, joined with the name. Its `info` knows what this knows."""
            ...

        def is_dir(self, *, follow_symlinks: bool = True) -> bool:
            """Whether it is a directory.

            Args:
                follow_symlinks: Whether a symbolic link stands for what it leads to.

            Returns:
                `False` also for what was gone when the worker looked, and for a link that leads nowhere.

            Raises:
                OSError: It could not be found out, for another reason.
            """
            ...

        def is_file(self, *, follow_symlinks: bool = True) -> bool:
            """Whether it is a regular file; what is said of `is_dir()` holds here as well.

            Args:
                follow_symlinks: Whether a symbolic link stands for what it leads to.
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
        """What `os.stat` tells about it.

        The first answer is kept, as by `os.DirEntry`; await `entry.path.stat()` for a new one. With
        `scandir(with_stat=True)` it is there already.

        Args:
            follow_symlinks: Whether a symbolic link stands for what it leads to.

        Returns:
            The same object that `os.stat` returns.

        Raises:
            OSError: It is gone, or cannot be reached.
        """
        known = self._known_stat(follow_symlinks)
        if known is None:
            known = self._keep_stat(follow_symlinks, await _native.stat(self, follow_symlinks))
        return known


class DirectoryScan(Stream[AsyncDirEntry[P]]):
    """The entries of a directory, in arbitrary order, as they are read."""

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_with_stat")

    # The native half takes anything: what comes of it is decided here.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, with_stat: bool, /
    ) -> None:
        self._directory = directory
        self._with_stat = with_stat

    def _open(self) -> _native.Source:
        directory = self._directory
        prefix, plain = text_before_names(directory), leaves_it_to_pathlib(directory)
        return _native.scan(directory, prefix, plain, AsyncDirEntry, self._with_stat)


_native.set_next_slot(DirectoryScan)
