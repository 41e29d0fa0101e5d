"""`DiskUsage`: how much space a tree takes."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import rapfiles._native as _native

from ._progress import Reports, snapshot

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._progress import Figures, ProgressCallback
    from ._pure.segments import SegmentsPath
    from ._tree import OnError

__all__ = ["DiskUsage", "disk_usage"]


class DiskUsage(NamedTuple):
    """How much space a file or a tree takes: the result of `AsyncPath.du()`.

    ```python
    await (directory / "data").write_bytes(b"abc")
    usage = await (directory / "data").du()
    assert (usage.apparent, usage.files, usage.directories) == (3, 1, 0)
    ```
    """

    apparent: int
    """The sum of the sizes in bytes, as of `du --apparent-size`."""
    allocated: int
    """The space allocated by the file system in bytes, as of `du`."""
    files: int
    """The number of regular files. A file with several names counts once, here and in the sums."""
    directories: int
    """The number of directories, including the first one."""
    symlinks: int
    """The number of symbolic links."""
    others: int
    """The number of FIFOs, sockets and devices."""


async def disk_usage(
    path: SegmentsPath, on_error: OnError, wanted: Wanted, progress: ProgressCallback | None, totals: bool
) -> DiskUsage:
    """Count everything."""
    if progress is None:
        return DiskUsage(*await _native.usage(path, on_error, wanted))
    numbers: list[int] = []
    counting: Reports[Figures | int] = Reports(partial(_native.usage_reports, path, on_error, wanted, totals))
    async with counting as reports:
        async for report in reports:
            if isinstance(report, int):
                numbers.append(report)
                continue
            answer = progress(snapshot(report))
            if isinstance(answer, Awaitable):
                await answer
    return DiskUsage(*numbers)
