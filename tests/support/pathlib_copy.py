"""`copy` and `move` as pathlib has them since Python 3.14: its own where it has them, else the same steps."""

import errno
import os
import shutil
import stat
from pathlib import Path

IGNORED = {errno.EPERM, errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EACCES}


def copy(
    source: Path, target: Path, *, follow_symlinks: bool = True, preserve_metadata: bool = False
) -> Path:
    if hasattr(source, "copy"):
        return source.copy(target, follow_symlinks=follow_symlinks, preserve_metadata=preserve_metadata)
    _ensure_distinct(source, target)
    _copy_from(target, source, follow_symlinks, preserve_metadata)
    return target


def move(source: Path, target: Path) -> Path:
    if hasattr(source, "move"):
        return source.move(target)
    _ensure_different(source, target)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return target
    copy(source, target, follow_symlinks=False, preserve_metadata=True)
    if source.is_symlink() or source.is_file():
        source.unlink()
    else:
        shutil.rmtree(source)
    return target


def _refuse(message: str, source: Path, target: Path) -> OSError:
    return OSError(errno.EINVAL, message, str(source), None, str(target))


def _ensure_distinct(source: Path, target: Path) -> None:
    if source == target:
        raise _refuse("Source and target are the same path", source, target)
    if source in target.parents:
        raise _refuse("Source path is a parent of target path", source, target)


def _ensure_different(source: Path, target: Path) -> None:
    try:
        same = os.path.samestat(os.stat(source), os.stat(target))
    except (OSError, ValueError):
        return
    if same:
        raise _refuse("Source and target are the same file", source, target)


def _copy_info(source: Path, target: Path, follow_symlinks: bool = True) -> None:
    status = os.stat(source, follow_symlinks=follow_symlinks)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=follow_symlinks)
    for name in os.listxattr(source, follow_symlinks=follow_symlinks):
        try:
            value = os.getxattr(source, name, follow_symlinks=follow_symlinks)
            os.setxattr(target, name, value, follow_symlinks=follow_symlinks)
        except OSError as error:
            if error.errno not in IGNORED:
                raise
    if follow_symlinks:
        os.chmod(target, stat.S_IMODE(status.st_mode))


def _copy_from(target: Path, source: Path, follow_symlinks: bool, preserve_metadata: bool) -> None:
    if not follow_symlinks and source.is_symlink():
        os.symlink(os.readlink(source), target)
        if preserve_metadata:
            _copy_info(source, target, follow_symlinks=False)
    elif source.is_dir():
        children = os.listdir(source)
        os.mkdir(target)
        for child in children:
            _copy_from(target / child, source / child, follow_symlinks, preserve_metadata)
        if preserve_metadata:
            _copy_info(source, target)
    else:
        _ensure_different(source, target)
        with open(source, "rb") as source_file, open(target, "wb") as target_file:
            shutil.copyfileobj(source_file, target_file)
        if preserve_metadata:
            _copy_info(source, target)
