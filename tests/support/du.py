"""What GNU du says of a tree, in bytes."""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

MISSING = sys.platform != "linux" or shutil.which("du") is None


def _du(path: Path | str, *options: str) -> dict[bytes, int]:
    """What is said of each directory of a tree; the last one is `path`."""
    command = ["du", "-B1", "--null", *options, "--", path]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    lines = (line.partition(b"\t") for line in output.split(b"\0")[:-1])
    return {name: int(size) for size, _, name in lines}


@cache
def _counts_directories() -> bool:
    """Newer versions, such as 9.10, leave the sizes of directories out of what is apparent."""
    with tempfile.TemporaryDirectory() as empty:
        # One that is empty itself may have the size 0, as on tmpfs.
        Path(empty, "file").touch()
        return [*_du(empty, "--apparent-size").values()] == [os.lstat(empty).st_size]


def allocated(path: Path, *options: str) -> int:
    """The room that a tree takes."""
    return [*_du(path, *options).values()][-1]


def apparent(path: Path, *options: str) -> int:
    """The sizes of all that is in a tree, with the directories'."""
    told = _du(path, "--apparent-size", *options)
    directories = 0 if _counts_directories() else sum(os.lstat(name).st_size for name in told)
    return [*told.values()][-1] + directories
