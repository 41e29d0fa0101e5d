"""Builds the slow disk of `fuse/slow.c` and mounts it: a real file system that takes its time."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import compiled

SOURCE = Path(__file__).parent.parent / "fuse" / "slow.c"
DELAY_MS = 100
"""Five times what a loop may lag: a wait on the loop is told from everything else."""


def missing() -> str | None:
    """Why FUSE cannot be used here, or None when it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed"
    return compiled.missing("fuse3")


def _library_options() -> list[str]:
    """libfuse 3.12 brought a limit of ten threads, but a test wants all of its requests side by side."""
    version = subprocess.check_output(["pkg-config", "--modversion", "fuse3"], text=True, timeout=60)
    major, minor = (int(part) for part in version.split(".")[:2])
    return ["max_threads=1000", "max_idle_threads=1000"] if (major, minor) >= (3, 12) else []


@dataclass(frozen=True)
class SlowDisk:
    """A mounted slow disk.

    `root` is where it is mounted; `backing` is the folder behind it, to build and inspect trees at full
    speed; while the file `gate` exists, opening names that start with "held", or all names, waits.
    """

    root: Path
    backing: Path
    gate: Path

    def close_gate(self) -> None:
        """From now on opening names that start with "held" waits."""
        self.gate.touch()

    def open_gate(self) -> None:
        """Let them go on."""
        self.gate.unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(
    folder: Path, delay_ms: int = DELAY_MS, hide: bool = False, hold_all: bool = False
) -> Iterator[SlowDisk]:
    """Mount a slow disk in `folder` for as long as the block lasts.

    With `hide`, files that are removed while they are open can be used until they are closed. With `hold_all`
    all names wait for the gate, also that of `root`.
    """
    disk = SlowDisk(folder / "mount", folder / "backing", folder / "gate")
    disk.root.mkdir(parents=True)
    disk.backing.mkdir()
    options = [f"delay={delay_ms}", f"gate={disk.gate}", "auto_unmount", *_library_options()]
    options += [name for name, wanted in (("hide", hide), ("all", hold_all)) if wanted]
    if os.geteuid() == 0:
        options.append("allow_other")
    program = compiled.program(SOURCE, package="fuse3")
    command = [str(program), str(disk.backing), str(disk.root), "-f", "-o", ",".join(options)]
    log = folder / "log"
    with log.open("w") as output:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        while not os.path.ismount(disk.root):
            if daemon.poll() is not None:
                raise RuntimeError(f"{command} ended with {daemon.returncode}: {log.read_text()}")
        yield disk
    finally:
        # Nothing may be left waiting for this disk: the gate opens, the mount goes at once (lazily, should it
        # be in use), and the end of the program fails what is still under way.
        disk.open_gate()
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(disk.root)], check=False, timeout=60)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
