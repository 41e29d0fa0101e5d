"""`DiskUsage`: how much space a tree takes."""

from typing import NamedTuple

__all__ = ["DiskUsage"]


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
