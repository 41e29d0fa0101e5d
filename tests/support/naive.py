"""A walk by paths, as it is written without attackers in mind: what attacks on trees have to mislead."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk`, which looks once more whether a directory is a link before it enters it."""
    directories: list[str] = []
    files: list[str] = []
    with os.scandir(top) as entries:
        for entry in entries:
            (directories if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    yield top, directories, files
    for name in directories:
        # A link that has taken the directory's place meanwhile leads elsewhere.
        yield from walk(top / name)
