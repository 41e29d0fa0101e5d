"""Giving a temporary file a permanent name: with another link to it, or by renaming it.

Nothing is copied, so both names are on one file system. All of it is one call in a thread, which ends with
the file under its new name or with nothing changed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, Final

from ._create import FILE_MODE
from ._names import random_name

__all__ = ["give_name"]

_WINDOWS: Final = sys.platform == "win32"
_NOT_FOLLOWING: Final[Any] = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
# The errors of file systems without hard links, or with a limit on their number (link(2)).
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES}


def give_name(
    descriptor: int | None, name: str | None, target: str, overwrite: bool, mode: int | None
) -> None:
    """Give the file the name `target`, in this thread.

    Args:
        descriptor: An open descriptor of the file, if there is one.
        name: Its current name; None if it has none, but can be given one. The name is removed, except on
            Windows.
        target: The new name.
        overwrite: Whether to replace an existing file.
        mode: Its permissions; None for those that a new file would get.
    """
    try:
        if mode is None and not _WINDOWS:
            mode = _mode_of_new_file(os.path.dirname(target) or os.curdir)
        if name is None:
            assert descriptor is not None, "a file without a name is open"
            _link_nameless(descriptor, target, overwrite, mode)
        elif _WINDOWS:
            _link_open(name, target, overwrite)
        elif overwrite:
            os.replace(name, target)
            _allow(target if descriptor is None else descriptor, mode)
        else:
            _move(descriptor, name, target, mode)
    except OSError as error:
        # Report the paths of the operation, not those of the attempt.
        names = (target,) if name is None else (name, None, target)
        if error.errno == errno.EXDEV:
            explained = "A temporary file cannot move to another file system; make it there, with dir="
            raise OSError(errno.EXDEV, explained, *names) from None
        error.filename, error.filename2 = names[0], names[-1] if len(names) > 1 else None
        raise


def _allow(file: int | str, mode: int | None) -> None:
    if mode is not None:
        os.chmod(file, mode)


def _link_nameless(descriptor: int, target: str, overwrite: bool, mode: int | None) -> None:
    # Nobody else can open it yet, so set the permissions first: it has them when it appears.
    _allow(descriptor, mode)
    try:
        if overwrite:
            _replace_by_link(descriptor, target)
        else:
            _link_descriptor(descriptor, target)
    except BaseException:
        os.chmod(descriptor, FILE_MODE)
        raise


def _link_descriptor(descriptor: int, target: str) -> None:
    # With a directory descriptor, even an unused one, os.link calls linkat(2), which can follow the link in
    # /proc (open(2), O_TMPFILE).
    os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor, follow_symlinks=True)


def _replace_by_link(descriptor: int, target: str) -> None:
    """Replace `target` atomically by a file that can only be given an unused name."""
    between = os.path.join(os.path.dirname(target), f".{os.path.basename(target)[:50]}.{random_name()}")
    _link_descriptor(descriptor, between)
    try:
        os.replace(between, target)
    except BaseException:
        os.unlink(between)
        raise


def _move(descriptor: int | None, name: str, target: str, mode: int | None) -> None:
    """Rename, but never over another file."""
    try:
        os.link(name, target, **_NOT_FOLLOWING)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without hard links, reserve the new name with an empty file first.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        try:
            os.replace(name, target)
        except BaseException:
            os.unlink(target)
            raise
        _allow(target if descriptor is None else descriptor, mode)
        return
    try:
        # While it has its old name: some file systems look up open files by name.
        _allow(name if descriptor is None else descriptor, mode)
    except BaseException:
        os.unlink(target)
        raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


def _link_open(name: str, target: str, overwrite: bool) -> None:
    """Link an open file on Windows: its other name is removed when it is closed."""
    if overwrite:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
    os.link(name, target)


def _mode_of_new_file(directory: str) -> int:
    """The permissions that a new file gets there. umask(2) reads the umask only by changing it for all
    threads."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return 0o666 & ~int(line.split()[1], 8)
    return _probe(directory)


def _probe(directory: str) -> int:
    probe = os.path.join(directory, f".{random_name()}")
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)
        os.unlink(probe)
