"""Removing a directory with everything in it, and calling the handler of errors."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import rapfiles._native as _native

from ._progress import Figures, Reports, snapshot

if TYPE_CHECKING:
    from ._progress import ProgressCallback
    from ._pure.lexical import LexicalPath

__all__ = ["OnExc", "remove"]

# The function of `os` that failed, the path, the error: what `shutil.rmtree` hands to its `onexc`.
OnExc: TypeAlias = Callable[[Callable[..., Any], str, Exception], object]

_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "islink": os.path.islink,
    "lstat": os.lstat,
    "open": os.open,
    "rmdir": os.rmdir,
    "scandir": os.scandir,
    "unlink": os.unlink,
}


async def remove(
    path: LexicalPath,
    ignore_errors: bool,
    onexc: OnExc | None,
    progress: ProgressCallback | None,
    totals: bool,
) -> None:
    """Remove a directory with everything in it."""
    if progress is None and (onexc is None or ignore_errors):
        await _native.remove(path, ignore_errors)
        return
    reports = progress is not None
    begin = partial(
        _native.remove_reports, path, ignore_errors, onexc is not None, reports, reports and totals
    )
    stream: Reports[tuple[str, Exception] | Figures] = Reports(begin)
    # The removal pauses while an error is being handled.
    async with stream as removal:
        async for report in removal:
            answer: object = None
            if len(report) == 2:
                function, error = report
                if onexc is None:
                    raise error
                where = getattr(error, "filename", None)
                answer = onexc(_FUNCTIONS[function], str(path) if where is None else where, error)
            elif progress is not None:
                answer = progress(snapshot(report))
            if isinstance(answer, Awaitable):
                await answer
