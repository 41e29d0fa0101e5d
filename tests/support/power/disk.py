"""File systems on a disk that records what is written to it."""

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from support import compiled, fuse, mounts

KINDS = ("ext4", "xfs", "btrfs")
_RECORDER = Path(__file__).parent.parent.parent / "power" / "recorder.c"
# XFS refuses less than 300 MB; the files are sparse.
_SIZES = {"ext4": 32 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}
_MAKE = {
    "ext4": ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4"],
    "xfs": ["-q", "-f"],
    "btrfs": ["-q", "-f"],
}
# What is not synchronised is committed after a second at the latest, so that a run sees it.
# Several states of one XFS, which all have its UUID, are mounted at a time.
_OPTIONS = {"ext4": "commit=1", "xfs": "nouuid", "btrfs": "commit=1"}


nothing_inherited = threading.Lock()
"""Held while files on a mount are open, and while a child is made, which has them until it starts its
program: no file system can be unmounted of which a file is open."""


def missing(kind: str) -> str | None:
    """Why power cuts of this file system cannot be tested here, or None when they can."""
    return fuse.missing() or mounts.missing(kind)


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    with nothing_inherited:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with child:
        _, errors = child.communicate(timeout=120)
    if child.returncode != 0:
        raise RuntimeError(
            f"{[str(part) for part in command]} ended with {child.returncode}: {errors.strip()}"
        )


def side_by_side(kind: str) -> int:
    """How many states of one file system may be mounted at a time: mounting is mostly waiting."""
    version = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    # Since Linux 6.7 a btrfs that has the identity of one that is mounted gets a temporary one.
    return 1 if kind == "btrfs" and version < (6, 7) else 6


def make(kind: str, image: Path) -> None:
    """A new file system in an image."""
    with image.open("wb") as file:
        file.truncate(_SIZES[kind])
    run(f"mkfs.{kind}", *_MAKE[kind], image)


@contextlib.contextmanager
def mounted(kind: str, image: Path, root: Path) -> Iterator[Path]:
    """Mount an image for as long as the block lasts."""
    root.mkdir(exist_ok=True)
    run("mount", "-t", kind, "-o", f"loop,{_OPTIONS[kind]}", image, root)
    try:
        yield root
    except BaseException:
        subprocess.run(["umount", "-l", str(root)], check=False, timeout=120)
        raise
    # Only when nothing has it open: what follows looks at the image.
    run("umount", root)


@contextlib.contextmanager
def recording(image: Path, log: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Record what is written to the first of the two files, in front of the image; the second takes marks."""
    folder.mkdir(exist_ok=True)
    command = [compiled.program(_RECORDER, package="fuse3"), image, log, "-f", folder]
    with (
        folder.with_suffix(".log").open("w") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as daemon,
    ):
        try:
            while not (folder / "disk").exists():
                if daemon.poll() is not None:
                    raise RuntimeError(f"{command} ended with {daemon.returncode}")
            yield folder / "disk", folder / "marks"
        finally:
            subprocess.run(["fusermount3", "-u", "-z", "-q", str(folder)], check=False, timeout=60)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
