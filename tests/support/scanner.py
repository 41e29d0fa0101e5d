"""A virus scanner: a process that the kernel asks before files are opened, and that takes its time.

Started with a folder and the seconds it takes, it prints a line when it is ready, and then, for each open,
the number of the thread that asked.
"""

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from . import mounts

# From linux/fanotify.h.
_CLASS_CONTENT, _REPORT_TID = 0x04, 0x100
_MARK_ADD, _OPEN_PERM, _ON_CHILD, _ALLOW = 0x01, 0x10000, 0x08000000, 0x01
_EVENT = struct.Struct("IBBHQii")


def missing() -> str | None:
    """Why there can be none here, or None when there can."""
    if (reason := mounts.missing("ext4")) is not None:
        return reason
    try:
        os.close(_open())
    except OSError as error:
        return f"fanotify: {error}"
    return None


def _open() -> int:
    library = ctypes.CDLL(None, use_errno=True)
    number: int = library.fanotify_init(_CLASS_CONTENT | _REPORT_TID, os.O_RDONLY)
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return number


class Scanner:
    """Asked before anything in a folder is opened."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Take over a process that is ready."""
        self._process = process

    def asked_by(self) -> list[int]:
        """End it; the thread that opened a file, for each time it was asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        return [int(line) for line in self._process.stdout]


@contextlib.contextmanager
def scanning(folder: Path, seconds: float) -> Iterator[Scanner]:
    """Have one look at what is opened in `folder`, for so long each time."""
    arguments = [sys.executable, "-m", "support.scanner", str(folder), str(seconds)]
    directory = Path(__file__).parent.parent
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=directory
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Scanner(process)
        finally:
            process.kill()


def _run(folder: str, seconds: float) -> NoReturn:
    library = ctypes.CDLL(None, use_errno=True)
    number = _open()
    mask = ctypes.c_uint64(_OPEN_PERM | _ON_CHILD)
    if library.fanotify_mark(number, _MARK_ADD, mask, -100, folder.encode()) != 0:
        raise OSError(ctypes.get_errno(), "fanotify_mark")
    os.set_blocking(0, False)
    print("ready", flush=True)
    os.set_blocking(number, False)
    while True:
        with contextlib.suppress(BlockingIOError):
            events = os.read(number, 4096)
            for start in range(0, len(events), _EVENT.size):
                *_, opened, thread = _EVENT.unpack_from(events, start)
                time.sleep(seconds)
                os.write(number, struct.pack("iI", opened, _ALLOW))
                os.close(opened)
                print(thread, flush=True)
            continue
        with contextlib.suppress(BlockingIOError):
            if os.read(0, 1) == b"":
                os._exit(0)
        time.sleep(0.001)


if __name__ == "__main__":
    _run(sys.argv[1], float(sys.argv[2]))
