"""Where the commands that compare builds, interpreters and loops make their files, and what they measure."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import ROOT
from .works import WORKS


def chosen_works(only: str | None, default: Iterable[str]) -> list[str]:
    """Return the works that the user has named, divided by commas, or else the default."""
    works = only.split(",") if only else list(default)
    if unknown := set(works) - set(WORKS):
        raise SystemExit(f"unknown works: {', '.join(sorted(unknown))}")
    return works


@contextmanager
def workplace(parent: str | None) -> Iterator[str]:
    """Make a directory for the files, in `parent` or in the checkout's `build`, and remove it in the end."""
    parent = parent or os.path.join(ROOT, "build")
    os.makedirs(parent, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="benchmarks-", dir=parent)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def benchmarks_alone(directory: str) -> Path:
    """Copy the benchmarks, and return where they are found without the checkout's rapfiles.

    So each interpreter has to have a rapfiles of its own.
    """
    root = Path(directory, "root")
    shutil.copytree(ROOT / "benchmarks", root / "benchmarks")
    return root
