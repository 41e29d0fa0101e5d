"""Compiles the C programs of the tests, once for each change of their source."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path


def missing(package: str | None = None) -> str | None:
    """Why programs cannot be compiled here with a package of pkg-config, or None when they can."""
    for program in ("cc", "pkg-config") if package is not None else ("cc",):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if package is None:
        return None
    found = subprocess.run(["pkg-config", "--exists", package], check=False, timeout=60)
    return None if found.returncode == 0 else f"{package} of pkg-config is not installed"


@cache
def program(source: Path, *flags: str, package: str | None = None) -> Path:
    """The compiled program, or library (`-shared`), in the folder `build` beside the source.

    It is compiled anew when the source is newer.
    """
    result = source.parent / "build" / source.stem
    if result.exists() and result.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return result
    result.parent.mkdir(exist_ok=True)
    libraries: list[str] = []
    if package is not None:
        found = subprocess.check_output(["pkg-config", "--cflags", "--libs", package], text=True, timeout=60)
        libraries = found.split()
    # Several test runs may build at once: each makes its own file and moves it into place.
    fresh = result.with_suffix(f".{os.getpid()}")
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Wextra", "-Werror", *flags, str(source), "-o", str(fresh), *libraries],
        check=True,
        timeout=60,
    )
    fresh.replace(result)
    return result
