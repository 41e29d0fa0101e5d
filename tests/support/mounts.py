"""Real file systems for tests: a small tmpfs, and ext4, XFS and btrfs in an image behind a loop device."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

# The smallest images that mkfs accepts; the files are sparse.
_IMAGE_SIZES = {"ext4": 16 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}


def can_mount() -> str | None:
    """Why this process cannot mount anything, or None when it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    # CAP_SYS_ADMIN is bit 21 of the effective capabilities: root of a container often lacks it.
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return None if capabilities >> 21 & 1 else "mounting needs CAP_SYS_ADMIN"


def missing(kind: str) -> str | None:
    """Why a file system of this kind cannot be mounted here, or None when it can."""
    if (reason := can_mount()) is not None:
        return reason
    kinds = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    if kind not in kinds:
        return f"the kernel has no {kind}"
    if kind in _IMAGE_SIZES:
        if shutil.which(f"mkfs.{kind}") is None:
            return f"mkfs.{kind} is not installed"
        if not os.path.exists("/dev/loop-control"):
            return "there are no loop devices"
    return None


@contextlib.contextmanager
def mounted(kind: str, folder: Path, size: int | None = None, options: str = "rw") -> Iterator[Path]:
    """Mount a new file system of `kind` for as long as the block lasts; `size` in bytes is for tmpfs."""
    root = folder / "mount"
    root.mkdir(parents=True)
    if kind in _IMAGE_SIZES:
        image = folder / "image"
        image.touch()
        os.truncate(image, _IMAGE_SIZES[kind])
        subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True, timeout=60)
        command = ["mount", "-o", f"loop,{options}", str(image), str(root)]
    else:
        command = ["mount", "-t", kind, "-o", f"size={size},{options}", kind, str(root)]
    subprocess.run(command, check=True, timeout=60)
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True, timeout=60)


@contextlib.contextmanager
def mounted_on_file(outside: Path, inside: Path) -> Iterator[None]:
    """Mount the file `outside` on the new file `inside` for as long as the block lasts, as containers do."""
    inside.touch()
    subprocess.run(["mount", "--bind", outside, inside], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run(["umount", inside], check=True, timeout=60)


def settle(path: Path) -> None:
    """Make a file one whose reading changes nothing: it has been read since it was last changed."""
    status = path.stat()
    os.utime(path, ns=(status.st_ctime_ns + 3600 * 10**9, status.st_mtime_ns))
