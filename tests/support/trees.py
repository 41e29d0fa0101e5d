"""Trees with everything that a walk may meet, and what the newest `pathlib.Path.walk` makes of them."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Triple = tuple[str, list[str], list[str]]

NAMES = ["a", "B", ".hidden", "with space", "new\nline", "ünï", "[x]", "*", "{a,b}", "-", "a.txt", "b.py"]
if sys.platform == "linux":
    NAMES += ["not utf-8 \udcff\udcfe", "tab\t", "back\\slash"]


def build(root: Path, seed: int, directories: int = 40) -> Path:
    """Make a tree of files, links to everything, FIFOs and directories, the same for the same seed."""
    dice = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    made = [root]
    for number in range(directories):
        parent = dice.choice(made[-8:])
        path = parent / f"{dice.choice(NAMES)}{number}"
        path.mkdir()
        made.append(path)
    for number in range(directories * 3):
        parent = dice.choice(made)
        path = parent / f"{dice.choice(NAMES)}-{number}"
        kind = dice.randrange(8)
        if kind == 0:
            path.symlink_to(dice.choice(made), target_is_directory=True)
        elif kind == 1:
            path.symlink_to("nowhere")
        elif kind == 2:
            path.symlink_to(path.name)
        elif kind == 3 and hasattr(os, "mkfifo"):
            os.mkfifo(path)
        else:
            path.write_bytes(b"x" * dice.randrange(5000))
    return root


def walk(
    top: "str | os.PathLike[str]",
    top_down: bool = True,
    on_error: "Callable[[OSError], object] | None" = None,
    follow_symlinks: bool = False,
) -> Iterator[Triple]:
    """What the newest pathlib's walk gives: `os.walk` with links to directories among the files."""
    for path, directories, files in os.walk(top, top_down, on_error, follow_symlinks):
        if follow_symlinks:
            yield path, directories, files
            continue
        links = [name for name in directories if os.path.islink(os.path.join(path, name))]
        if top_down:
            directories[:] = [name for name in directories if name not in links]
        kept = [name for name in directories if name not in links]
        yield path, directories if top_down else kept, files + links


def sorted_triples(triples: "Iterator[Triple] | list[Triple]") -> list[Triple]:
    """Without the order of the file system."""
    return sorted((path, sorted(directories), sorted(files)) for path, directories, files in triples)
