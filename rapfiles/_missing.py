"""The error if the compiled module of the package is missing: what to do about it."""

import sys
from pathlib import Path

__all__ = ["explained"]


def explained(folder: Path) -> ImportError:
    """The error to raise. `folder` is that of this package."""
    python = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
    if not folder.is_dir():
        reason = "a compiled module cannot be imported from an archive; unpack it"
    elif (folder.parent / "pyproject.toml").exists():
        reason = "build it there with `pip install -e .`, or use an installed rapfiles from another folder"
    elif any(folder.glob("_native.*.*")):
        reason = "it is there for another Python only; install rapfiles with the Python that uses it"
    else:
        reason = "install rapfiles again"
    # With this name `python -m rapfiles` prints the sentence and no traceback.
    return ImportError(
        f"the compiled part of rapfiles for {python} is not in {folder}: {reason}", name=__package__
    )
