"""Removing a directory with everything in it, without ever following a link out of it.

The standard library's cleanup of a temporary directory removes by descriptors, which no exchange of a
directory for a link can mislead, but when it lacks a permission it goes back to paths. Here that is done by
descriptors too, and only one of them is open at a time, however deep the tree.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["remove_tree"]

_BY_DESCRIPTOR: Final = shutil.rmtree.avoids_symlink_attacks and hasattr(os, "O_DIRECTORY")
_PERMISSIONS: Final = 0o700


def remove_tree(path: str, ignore_errors: bool = False) -> None:
    """Remove a directory with everything in it, in this thread.

    What lacks permissions, or is kept by flags of its owner's, is given them. Whatever vanishes meanwhile is
    as good as removed.

    Args:
        path: The directory. If there is none, nothing happens.
        ignore_errors: Remove as much as can be removed, and say nothing of the rest.

    Raises:
        OSError: Something cannot be removed, or `path` is not a directory but, for example, a link to one.
    """
    if _BY_DESCRIPTOR:
        _Removal(path, ignore_errors).run()
    else:
        _remove_by_path(path, ignore_errors)


@dataclass
class _Level:
    """A directory on the way from the top to the one being emptied; `waiting` are directories in it."""

    name: str
    identity: tuple[int, int]
    waiting: list[str] = field(default_factory=list[str])


class _Removal:
    """One removal. `_here` is the descriptor of the last of `_levels`, the directory being emptied."""

    def __init__(self, top: str, ignore_errors: bool) -> None:
        self._top = top
        self._ignore_errors = ignore_errors
        self._levels: list[_Level] = []
        self._here = -1

    def run(self) -> None:
        try:
            self._enter(self._top)
            while self._levels:
                if waiting := self._levels[-1].waiting:
                    self._enter(waiting.pop())
                else:
                    self._leave()
        finally:
            if self._here >= 0:
                os.close(self._here)

    def _path(self, *names: str) -> str:
        """Where an entry of the directory that is being emptied is: put together only when it is needed."""
        return os.path.join(*(level.name for level in self._levels), *names)

    def _enter(self, name: str) -> None:
        """Open a directory and remove what is in it, except for directories, which wait in its level."""
        inside = self._here if self._levels else None
        try:
            try:
                descriptor = _open(name, inside)
            except PermissionError:
                self._allow(name, inside)
                descriptor = _open(name, inside)
        except FileNotFoundError:
            return
        except OSError as error:
            if inside is not None and error.errno in (errno.ENOTDIR, errno.ELOOP):
                self._unlink(name)  # something took its place
            else:
                self._failed(error, name)
            return
        if self._here >= 0:
            os.close(self._here)
        self._here = descriptor
        status = os.fstat(descriptor)
        level = _Level(name, (status.st_dev, status.st_ino))
        self._levels.append(level)
        try:
            with os.scandir(descriptor) as entries:
                found = [(entry.name, _is_directory(entry)) for entry in entries]
        except OSError as error:
            self._failed(error)
            return
        for entry, is_directory in found:
            if is_directory:
                level.waiting.append(entry)
            else:
                self._unlink(entry)

    def _leave(self) -> None:
        """Go up, and remove the directory that is empty now."""
        if len(self._levels) > 1:
            try:
                above = self._above()
            except OSError as error:
                self._failed(error)
                self._levels.clear()  # there is no way back
                return
            os.close(self._here)
            self._here = above
            name = self._levels.pop().name
            self._attempt(lambda: os.rmdir(name, dir_fd=above), name)
        else:
            self._levels.clear()
            self._attempt(lambda: os.rmdir(self._top), self._top)

    def _above(self) -> int:
        """The descriptor of the directory above the one that was emptied."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            descriptor = os.open("..", flags, dir_fd=self._here)
        except PermissionError:
            os.chmod(self._here, _PERMISSIONS)
            descriptor = os.open("..", flags, dir_fd=self._here)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == self._levels[-2].identity:
            return descriptor
        # Somebody moved it elsewhere, where nothing is to be removed.
        os.close(descriptor)
        raise OSError(errno.EBUSY, "Cannot remove a directory that is being moved")

    def _unlink(self, name: str) -> None:
        self._attempt(lambda: os.unlink(name, dir_fd=self._here), name)

    def _attempt(self, remove: Callable[[], None], name: str) -> None:
        """Remove an entry, if need be after giving its directory and itself what permits it."""
        try:
            try:
                remove()
            except PermissionError:
                if self._levels:
                    os.chmod(self._here, _PERMISSIONS)
                    self._clear_flags()
                self._clear_flags(name)
                remove()
        except FileNotFoundError:
            pass
        except OSError as error:
            self._failed(error, name)

    def _allow(self, name: str, inside: int | None) -> None:
        """Give the owner every permission on a directory, but never on what a link leads to."""
        self._clear_flags(name)
        if hasattr(os, "O_PATH"):
            # chmod follows links on Linux, but the descriptor of a directory is none.
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=inside)
            try:
                os.chmod(f"/proc/self/fd/{descriptor}", _PERMISSIONS)
            finally:
                os.close(descriptor)
        else:
            os.chmod(name, _PERMISSIONS, dir_fd=inside, follow_symlinks=False)

    def _clear_flags(self, *names: str) -> None:
        """Take away what keeps even the owner from removing it, on the systems that have such flags.

        There is no way to do it by descriptor. All that a link in place of a directory could gain is that
        another file of the same owner loses such a flag.
        """
        chflags: Any = getattr(os, "chflags", None)
        if chflags is not None and chflags in os.supports_follow_symlinks:
            path = self._path(*names)
            status: Any = os.lstat(path)
            if status.st_flags & (stat.UF_IMMUTABLE | stat.UF_APPEND | stat.UF_NOUNLINK):
                chflags(path, 0, follow_symlinks=False)

    def _failed(self, error: OSError, *names: str) -> None:
        if not self._ignore_errors:
            error.filename = self._path(*names)
            raise error


def _open(name: str, inside: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(name, flags, dir_fd=inside)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _remove_by_path(path: str, ignore_errors: bool, again: bool = False) -> None:
    """What the standard library does, for systems that cannot remove by descriptor, such as Windows."""

    def failed(_function: object, where: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError) or (again and where == path):
            if not ignore_errors:
                raise error
            return
        try:
            if where != path:
                _allow_by_path(os.path.dirname(where))
            _allow_by_path(where)
            try:
                os.unlink(where)
            except IsADirectoryError:
                _remove_by_path(where, ignore_errors)
            except PermissionError:
                if not _is_real_directory(where):
                    raise
                _remove_by_path(where, ignore_errors, again=where == path)
        except FileNotFoundError:
            pass
        except OSError:
            if not ignore_errors:
                raise

    rmtree = cast("Any", shutil.rmtree)
    if sys.version_info >= (3, 12):
        rmtree(path, onexc=failed)
    else:

        def failed_as_before(
            function: object, where: str, info: tuple[object, BaseException, object]
        ) -> None:
            failed(function, where, info[1])

        rmtree(path, onerror=failed_as_before)


def _allow_by_path(path: str) -> None:
    if not os.path.islink(path):
        os.chmod(path, _PERMISSIONS)


def _is_real_directory(path: str) -> bool:
    status = os.lstat(path)
    # A junction is a directory too, but what it leads to is none of ours.
    is_junction = getattr(status, "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", 1)
    return stat.S_ISDIR(status.st_mode) and not is_junction
