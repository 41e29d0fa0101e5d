"""Finds the other CPythons of this machine that rapfiles supports, for `.ci/run` to test on.

Prints a line for each interpreter it meets, three fields separated by tabs:

    test    3.14t   /path/to/python
    skip    3.10    /path/to/python: older than 3.11

The interpreter running this script is left out: it has been tested already. Of several interpreters with
the same ABI (3.12.1 and 3.12.4, say) the newest is tested, because they share one native module.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

OLDEST = (3, 11)
OLDEST_FREE_THREADED = (3, 14)  # PyO3 builds for none before; CPython calls that of 3.13 an experiment
NAME = re.compile(r"python3(\.\d+t?)?")

PROBE = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "ensurepip": importlib.util.find_spec("ensurepip") is not None,
    "home": sys.base_prefix,
}))
"""


class Interpreter(TypedDict):
    """What an interpreter says about itself."""

    implementation: str
    version: list[int]
    release: bool
    free_threaded: bool
    ensurepip: bool
    home: str


def candidates() -> list[Path]:
    """Return every executable that looks like a Python 3: pyenv's versions first, then those on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(pyenv.glob("versions/*/bin/python3"))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        # A shim of pyenv stands for one of the versions above, or for none.
        if folder and Path(folder) != pyenv / "shims":
            found += sorted(p for p in Path(folder).glob("python3*") if NAME.fullmatch(p.name))
    return found


def probe(python: Path) -> Interpreter | str:
    """Ask an interpreter what it is; return a string where it cannot say."""
    try:
        answer = subprocess.run(
            [python, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
        )
        interpreter: Interpreter = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"does not run ({type(error).__name__})"
    return interpreter


def abi(interpreter: Interpreter) -> str:
    """Return the short name of an interpreter's ABI: `3.13`, `3.13t`, `pypy3.11`."""
    major, minor, _ = interpreter["version"]
    prefix = "" if interpreter["implementation"] == "cpython" else interpreter["implementation"]
    return f"{prefix}{major}.{minor}{'t' if interpreter['free_threaded'] else ''}"


def reason_to_skip(interpreter: Interpreter) -> str | None:
    """Return why an interpreter cannot be tested, or None if it can."""
    if interpreter["implementation"] != "cpython":
        return "not CPython"
    if tuple(interpreter["version"]) < OLDEST:
        return "older than 3.11"
    if interpreter["free_threaded"] and tuple(interpreter["version"]) < OLDEST_FREE_THREADED:
        return "free-threaded, and older than 3.14"
    if not interpreter["ensurepip"]:
        return "has no ensurepip, so no virtual environment with pip"
    return None


def main() -> None:
    """Print the table."""
    this = probe(Path(sys.executable))
    assert not isinstance(this, str), "the running interpreter runs"
    seen = {(this["home"], abi(this))}
    testable: dict[str, list[tuple[list[int], Path]]] = {}
    for python in candidates():
        interpreter = probe(python)
        if isinstance(interpreter, str):
            print("skip", "?", f"{python}: {interpreter}", sep="\t")
            continue
        # An installation is met under several names: python3, python3.13, a symbolic link in another folder.
        if (interpreter["home"], abi(interpreter)) in seen:
            continue
        seen.add((interpreter["home"], abi(interpreter)))
        if reason := reason_to_skip(interpreter):
            print("skip", abi(interpreter), f"{python}: {reason}", sep="\t")
        elif abi(interpreter) == abi(this):
            print("skip", abi(this), f"{python}: same ABI as {sys.executable}, which was tested", sep="\t")
        else:
            testable.setdefault(abi(interpreter), []).append((interpreter["version"], python))

    for name, versions in sorted(testable.items()):
        *older, (_, newest) = sorted(versions)
        for _, python in older:
            print("skip", name, f"{python}: same ABI as {newest}, which is newer", sep="\t")
        print("test", name, newest, sep="\t")


if __name__ == "__main__":
    main()
