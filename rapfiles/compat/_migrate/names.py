"""The names of aiofiles' modules in rapfiles, and the names that they contain."""

from __future__ import annotations

import importlib
import importlib.util

THEIRS = "aiofiles"
OURS = "rapfiles.compat"


def is_theirs(dotted: str) -> bool:
    """Whether a dotted name is that of aiofiles or of something in it."""
    return f"{dotted}.".startswith(f"{THEIRS}.")


def ours(dotted: str) -> str:
    """The name in rapfiles of what has such a name in aiofiles."""
    return OURS + dotted.removeprefix(THEIRS)


def is_module(dotted: str) -> bool:
    """Whether there is a module of this name in `rapfiles.compat`."""
    try:
        return importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError:  # what is in front of the last dot is no package
        return False


def has(module: str, name: str) -> bool:
    """Whether a module of `rapfiles.compat` has a name, or a submodule of that name."""
    return hasattr(importlib.import_module(module), name) or is_module(f"{module}.{name}")
