"""The Python files of a source tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = {".py", ".pyi", ".pyw"}
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def find(paths: Iterable[Path]) -> Iterator[Path]:
    """The files to look at: those that are named, whatever they are called, and those of Python in folders.

    Below a folder, hidden folders, virtual environments and installed packages are left out, and what is no
    file: FIFOs, and links that lead nowhere, which editors make for locks.

    Raises:
        OSError: There is no such path, or a folder cannot be read.
    """
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        else:
            path.stat()
            yield path


def _in_folder(top: Path) -> Iterator[Path]:
    def complain(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(top, onerror=complain):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            path = here / name
            if path.suffix in _SUFFIXES and path.is_file():
                yield path
