"""rmtree beside a process that exchanges directories for links: nothing outside of the tree is touched.

`RAPFILES_SOAK=60` has it go on for so many seconds; CVE-2022-21658 is one of its moves.
"""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support.generated import description

SOAK = float(os.environ.get("RAPFILES_SOAK", "0"))

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


def build(root: Path) -> None:
    for entry in os.scandir(root):
        if entry.name != "canary":
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)
    for number in range(4):
        for place in (f"tree/{number}", f"look-alike{number}"):
            for inside in ("a/b/c", "a/b/d", "a/e"):
                (root / place / inside).mkdir(parents=True, exist_ok=True)
                (root / place / inside / "file").write_bytes(b"not precious")
        (root / f"link{number}").symlink_to(root / "canary")
        (root / f"link-inside{number}").symlink_to(root / "canary" / "a")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Have a process do nothing from now on."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


@pytest.mark.skipif(sys.platform != "linux", reason="two names are exchanged at one stroke")
@pytest.mark.one_loop
async def test_nothing_outside_is_touched(tmp_path: Path) -> None:
    if not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("this C library cannot exchange two names")
    canary = tmp_path / "canary"
    for inside in ("a/b/c", "a/b/d", "a/e"):
        (canary / inside).mkdir(parents=True)
        (canary / inside / "file").write_bytes(b"precious")
    before = description(canary, metadata=True)
    seed = random.randrange(1 << 32)
    command = [sys.executable, "-c", _ATTACKER, str(tmp_path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as attacker:
        try:
            assert attacker.stdout is not None
            attacker.stdout.readline()
            until = time.monotonic() + SOAK
            rounds = 0
            while rounds < 8 or time.monotonic() < until:
                stop(attacker)
                build(tmp_path)
                attacker.send_signal(signal.SIGCONT)
                await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)
                assert description(canary, metadata=True) == before, seed
                rounds += 1
        finally:
            attacker.kill()
