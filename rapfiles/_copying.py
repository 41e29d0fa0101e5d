"""Copying and moving: what pathlib decides by the paths alone, before anything is touched."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import rapfiles._native as _native

from ._arguments import path_text
from ._lock import warn_of_lock
from ._mounted import NAMES, explained
from ._progress import attend
from ._pure.lexical import LexicalPath

if TYPE_CHECKING:
    from ._arguments import StrPath
    from ._progress import ErrorCallback, Ignore, ProgressCallback

P = TypeVar("P", bound=LexicalPath)


def target_in(path: LexicalPath, directory: StrPath) -> LexicalPath:
    """Where a path goes that is copied or moved into a directory."""
    if not path.name:
        raise ValueError(f"{path!r} has an empty name")
    if isinstance(directory, LexicalPath):
        return directory / path.name
    return path.with_segments(path_text("target_dir", directory), path.name)


async def copy_path(
    source: LexicalPath,
    target: P,
    moves: bool,
    progress: ProgressCallback | None,
    totals: bool,
    on_error: ErrorCallback | None,
    ignore: Ignore | None = None,
    **options: bool,
) -> P:
    """Copy or move."""
    if not moves:
        _ensure_distinct(source, target)
    replaces = moves or options["atomic"]
    if replaces:
        await warn_of_lock(target)
    if progress is None and on_error is None and ignore is None:
        copying = _native.copy(source, target, moves, **options)
    else:
        reports = progress is not None
        options |= {
            "progress": reports,
            "totals": reports and totals,
            "report_errors": on_error is not None,
            "selects": ignore is not None,
        }
        begin = partial(_native.copy_reports, source, target, moves, **options)
        copying = attend(begin, progress, on_error, ignore)
    await (explained(copying, NAMES) if replaces else copying)
    return target.joinpath()


def _ensure_distinct(source: LexicalPath, target: LexicalPath) -> None:
    """Refuse what the paths alone show to lead into itself. Workers look at the inodes too."""
    if source == target:
        message = "Source and target are the same path"
    elif source in target.parents:
        message = "Source path is a parent of target path"
    else:
        return
    raise OSError(errno.EINVAL, message, str(source), None, str(target))
