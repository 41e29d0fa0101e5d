"""Runs aiofiles' own test suite against `rapfiles.compat`: `python compat/run_aiofiles_tests.py`.

Downloads the source distribution from PyPI, unpacks it into a temporary folder, writes `rapfiles.compat`
where the tests say `aiofiles`, changes nothing else, and runs all of them. Fails unless each of them passes
or is skipped by aiofiles itself.

The rapfiles that this interpreter imports is tested. pytest and pytest-asyncio come from PyPI into the
temporary folder, so the environment stays as it is. Started as root, the suite runs as an unprivileged user,
since one of its tests expects permissions to be denied. Needs pip, the network, and port 30001, which a test
listens on.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

VERSION = "25.1.0"
SHA256 = "a8d728f0a29de45dc521f18f07297428d56992a742f0cd2701ba86e44d23d5b2"
TESTS = 219
PORT = 30001
TOOLS = ["pytest>=8.3.5,<10", "pytest-asyncio>=1.0,<2", "typing-extensions>=4.12"]
NOBODY = 65534
# Parts of the standard library that no test needs.
UNNEEDED = ("test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "site-packages", "config-*")


class CannotRunError(Exception):
    """Why the suite cannot be run here."""


@dataclass
class Python:
    """How to start an interpreter that imports the tools and rapfiles."""

    executable: str
    environment: dict[str, str]
    # What `subprocess` needs to know to start it as somebody else.
    identity: dict[str, Any] = field(default_factory=dict)


def pip(*arguments: str) -> None:
    """Run pip, quietly unless it fails."""
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True
    )


def download(folder: Path) -> Path:
    """Fetch the source distribution from PyPI."""
    pip("download", "--no-deps", "--no-binary", "aiofiles", "--dest", str(folder), f"aiofiles=={VERSION}")
    return folder / f"aiofiles-{VERSION}.tar.gz"


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack the suite and make it import `rapfiles.compat`.

    Returns:
        The folder in which it is to be run.
    """
    if hashlib.sha256(sdist.read_bytes()).hexdigest() != SHA256:
        raise CannotRunError(f"{sdist} is not the aiofiles {VERSION} that this was written for")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    root = folder / f"aiofiles-{VERSION}"
    for test in root.rglob("tests/**/*.py"):
        source = test.read_bytes()
        test.write_bytes(re.sub(rb"\baiofiles\b", b"rapfiles.compat", source))
    # What is in here cannot be tested by mistake.
    shutil.rmtree(root / "src")
    return root


def same_user(path: list[Path]) -> Python:
    """This interpreter."""
    return Python(sys.executable, {"PYTHONPATH": os.pathsep.join(map(str, path))})


def nobody(path: list[Path], folder: Path) -> Python:
    """An interpreter run by a user without privileges: this one, or a copy if it is out of their reach."""
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    python = same_user(path)
    python.identity = identity
    if works(python, folder):
        return python
    home = folder / "python"
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(
        library,
        home / library.relative_to(sys.base_prefix),
        ignore=shutil.ignore_patterns(*UNNEEDED),
    )
    executable = home / "bin" / "python"
    executable.parent.mkdir()
    shutil.copy2(getattr(sys, "_base_executable", sys.executable), executable)
    for shared in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*"):
        shutil.copy2(shared, home / "lib")
    packages = [shutil.copytree(entry, home / "packages" / str(n)) for n, entry in enumerate(path[:-1])]
    shutil.copytree(path[-1] / "rapfiles", home / "rapfiles" / "rapfiles")
    copied = os.pathsep.join(map(str, [*packages, home / "rapfiles"]))
    environment = {"PYTHONPATH": copied, "PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}
    python = Python(str(executable), environment, identity)
    if not works(python, folder):
        raise CannotRunError("an unprivileged user cannot run this interpreter, nor a copy of it")
    return python


def works(python: Python, folder: Path) -> bool:
    """Whether the interpreter starts and imports what it must."""
    try:
        done = run(python, ["-c", "import pytest_asyncio, rapfiles.compat"], folder, capture_output=True)
    except PermissionError:
        return False
    return done.returncode == 0


def run(
    python: Python, arguments: list[str], folder: Path, **how: Any
) -> "subprocess.CompletedProcess[bytes]":
    """Run an interpreter in a folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment = {**inherited, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **python.environment}
    return subprocess.run(
        [python.executable, *arguments], cwd=folder, env=environment, check=False, **python.identity, **how
    )


def give_away(folder: Path) -> None:
    """Let the unprivileged user have the suite, whose tests write beside themselves."""
    for place in (folder, *folder.rglob("*")):
        os.chown(place, NOBODY, NOBODY, follow_symlinks=False)


def outcomes(report: Path) -> Iterator[tuple[str, str, str]]:
    """The name of each test, what became of it, and why."""
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        failed = [child for child in case if child.tag in {"failure", "error"}]
        skipped = [child for child in case if child.tag == "skipped"]
        if failed:
            yield name, "failed", failed[0].get("message", "")
        elif skipped:
            yield name, "skipped", skipped[0].get("message", "")
        else:
            yield name, "passed", ""


def judge(report: Path, root: Path) -> int:
    """Say how many passed, and return 0 if all did that are not skipped by aiofiles itself."""
    if not report.exists():
        print("the suite did not run to its end")
        return 1
    found = list(outcomes(report))
    sources = "".join(test.read_text(encoding="utf-8") for test in root.rglob("tests/**/*.py"))
    counts = {
        what: sum(outcome == what for _, outcome, _ in found) for what in ("passed", "failed", "skipped")
    }
    foreign = [(name, why) for name, outcome, why in found if outcome == "skipped" and why not in sources]
    print(
        f"aiofiles {VERSION} against rapfiles.compat on {platform.python_implementation()} "
        f"{platform.python_version()}: {counts['passed']} passed, {counts['failed']} failed, "
        f"{counts['skipped']} skipped"
    )
    for name, why in foreign:
        print(f"skipped, but not by aiofiles: {name}: {why}")
    if len(found) != TESTS:
        print(f"there are {TESTS} tests, and {len(found)} were run")
    return int(bool(counts["failed"] or foreign or len(found) != TESTS))


def check_port() -> None:
    """See to it that a test can listen where it wants to."""
    with socket.socket() as probe:
        # As asyncio does, so that what a former run has left behind does not count.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError as error:
            raise CannotRunError(
                f"port {PORT}, on which a test of aiofiles listens, is taken: {error}"
            ) from None


def main() -> int:
    """Run the suite and return the exit code: 0 passed, 1 failed, 2 could not be run."""
    parser = argparse.ArgumentParser(description="Run aiofiles' own test suite against rapfiles.compat.")
    parser.add_argument("--sdist", type=Path, help="aiofiles' source distribution, instead of downloading it")
    parser.add_argument("pytest", nargs="*", help="more arguments for pytest")
    arguments = parser.parse_args()

    import rapfiles

    package = Path(rapfiles.__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="aiofiles-suite-") as name:
        folder = Path(name).resolve()
        try:
            check_port()
            root = unpack(arguments.sdist or download(folder), folder)
            tools = folder / "tools"
            pip("install", "--target", str(tools), *TOOLS)
            folder.chmod(0o755)
            path = [tools, package]
            if getattr(os, "geteuid", lambda: None)() == 0:
                give_away(root)
                python = nobody(path, root)
            else:
                python = same_user(path)
        except CannotRunError as refusal:
            print(refusal, file=sys.stderr)
            return 2
        report = root / "report.xml"
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments.pytest]
        run(python, [*command, "tests"], root)
        return judge(report, root)


if __name__ == "__main__":
    sys.exit(main())
