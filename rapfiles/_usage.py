"""How much room a tree takes."""

from typing import NamedTuple

__all__ = ["DiskUsage"]


class DiskUsage(NamedTuple):
    """How much room a file or a tree takes, as `AsyncPath.du()` tells it.

    ```python
    await (directory / "data").write_bytes(b"abc")
    usage = await (directory / "data").du()
    assert (usage.apparent, usage.files, usage.directories) == (3, 1, 0)
    ```
    """

    apparent: int
    """The sum of the sizes, in bytes: what `du --apparent-size` tells."""
    allocated: int
    """What the file system has set aside for it, in bytes: what `du` tells."""
    files: int
    """How many regular files there are. One with several names counts once, here and everywhere."""
    directories: int
    """How many directories, the first one included."""
    symlinks: int
    """How many symbolic links."""
    others: int
    """How many FIFOs, sockets and devices."""
