"""A process that exchanges directories of a tree for links out of it, over and over, and what is outside."""

import contextlib
import ctypes
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SOAK = float(os.environ.get("RAPFILES_SOAK", "0"))
"""For how many seconds an attack goes on."""

OUTSIDE = b"precious"
"""What is in every file outside of the tree, and in none in it."""

_INSIDE = ("a/b/c", "a/b/d", "a/e")

_EXCHANGE = 2
"""`RENAME_EXCHANGE` of renameat2(2)."""

# Directories of the tree, links to the canary and directories of the same shape change places, over and over.
_ATTACKER = """
import ctypes, os, random, sys
root, chosen = os.fsencode(sys.argv[1]), random.Random(int(sys.argv[2]))
exchange = ctypes.CDLL(None).renameat2
way = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
print("ready", flush=True)
while True:
    # By descriptor, so that this itself never goes through one of the links.
    number, opened = b"%d" % chosen.randrange(4), []
    *above, name = [b"tree", number, b"a", b"b"][: chosen.randrange(2, 5)]
    aside = chosen.choice([b"link", b"look-alike", b"link-inside", b"aside"]) + number
    try:
        opened.append(os.open(root, way))
        for directory in above:
            opened.append(os.open(directory, way, dir_fd=opened[-1]))
        exchange(opened[-1], name, opened[0], aside, 0 if aside.startswith(b"aside") else 2)
    except OSError:
        pass
    for descriptor in opened:
        os.close(descriptor)
"""

_EXCHANGER = """
import ctypes, os, sys
exchange, names = ctypes.CDLL(None).renameat2, [os.fsencode(name) for name in sys.argv[1:]]
print("ready", flush=True)
while True:
    exchange(-100, names[0], -100, names[1], 2)
"""

_PLANTER = """
import contextlib, os, sys
target, victim = sys.argv[1:]
print("ready", flush=True)
while True:
    with contextlib.suppress(OSError):
        os.unlink(target)
    with contextlib.suppress(OSError):
        os.symlink(victim, target)
"""


def rounds(least: int) -> Iterator[int]:
    """At least so many rounds, for as long as an attack goes on."""
    until = time.monotonic() + SOAK
    for number in itertools.count():
        if number >= least and time.monotonic() >= until:
            return
        yield number


@contextlib.contextmanager
def exchanging(folder: Path, first: str, second: str) -> Iterator[None]:
    """Exchange two entries of a folder, over and over, in another process, which shares no lock with us."""
    _skip_unless_possible()
    with _running(_EXCHANGER, folder / first, folder / second):
        yield


@contextlib.contextmanager
def planting(target: Path, victim: Path) -> Iterator[None]:
    """Remove an entry, and make it again as a link to something else, over and over, in another process."""
    with _running(_PLANTER, target, victim):
        yield


@contextlib.contextmanager
def _running(program: str, *arguments: Path | str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the text of a program, which says when it is ready."""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


class Attack:
    """The attacker, and the tree that it attacks, which is `tree` in its root."""

    def __init__(self, root: Path, seed: int, process: "subprocess.Popen[bytes]") -> None:
        self.seed = seed
        self._root = root
        self._process = process

    def rounds(self, least: int) -> Iterator[None]:
        """At least so many rounds, for as long as the attack goes on. Each begins with a new tree."""
        for _ in rounds(least):
            self._begin_anew()
            yield

    def _begin_anew(self) -> None:
        """Make the tree again, while nothing is exchanged, and go on."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        _build(self._root)
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def attack(root: Path) -> Iterator[Attack]:
    """Attack `tree` in a directory, which leads to its `canary`."""
    _skip_unless_possible()
    _make_canary(root)
    seed = random.randrange(1 << 32)
    with _running(_ATTACKER, root, str(seed)) as process:
        yield Attack(root, seed, process)


class StillTree:
    """The same tree, in which one directory at a time is exchanged, by whoever has it."""

    def __init__(self, root: Path) -> None:
        _skip_unless_possible()
        _make_canary(root)
        _build(root)
        self._root = root

    def exchange(self, place: str, aside: str) -> None:
        """Exchange something in the tree for something beside it; called again, exchange it back."""
        here, there = (os.fsencode(self._root / name) for name in (f"tree/{place}", aside))
        at = -100  # AT_FDCWD
        if ctypes.CDLL(None, use_errno=True).renameat2(at, here, at, there, _EXCHANGE):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), place, None, aside)


def _skip_unless_possible() -> None:
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("two names cannot be exchanged at one stroke")


def _make_canary(root: Path) -> None:
    for inside in _INSIDE:
        (root / "canary" / inside).mkdir(parents=True)
        (root / "canary" / inside / "file").write_bytes(OUTSIDE)
        (root / "canary" / inside / "only outside").write_bytes(OUTSIDE)


def _build(root: Path) -> None:
    for entry in os.scandir(root):
        if entry.name != "canary":
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)
    for number in range(4):
        for place in (f"tree/{number}", f"look-alike{number}"):
            for inside in _INSIDE:
                (root / place / inside).mkdir(parents=True, exist_ok=True)
                (root / place / inside / "file").write_bytes(b"not precious")
        (root / f"link{number}").symlink_to(root / "canary")
        (root / f"link-inside{number}").symlink_to(root / "canary" / "a")
