"""An ext4 file system whose journal can be held in the middle of a commit, as a slow disk holds it."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import fuse, mounts

# Seconds after which a journal is let go of by itself, so that whoever waits for it is found, not stuck.
_PATIENCE = 5.0


def missing() -> str | None:
    """Why there can be none here, or None when there can."""
    return fuse.missing() or mounts.missing("ext4") or _nothing_seen_of_the_kernel()


def _nothing_seen_of_the_kernel() -> str | None:
    """Where the processes are a namespace's own, nobody sees what the journal's thread does."""
    kernel = Path("/proc/2/comm")
    seen = kernel.exists() and kernel.read_text().strip() == "kthreadd"
    return None if seen else "the kernel's threads are not in this PID namespace"


def _journal_threads(device: str) -> Iterator[Path]:
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and (process / "comm").read_text().startswith(f"jbd2/{device}"):
                yield process


@dataclass(frozen=True)
class Journal:
    """A file system on a disk that stops answering when it is told to.

    Files are made by `make`, in one and the same block of inodes: what changes one of them while another is
    being committed has to wait.
    """

    root: Path
    disk: fuse.SlowDisk

    def make(self, name: str, content: bytes = b"content\n") -> Path:
        """A file, in the page cache, that has been changed since it was last read."""
        path = self.root / name
        path.write_bytes(content)
        os.utime(path, ns=(0, path.stat().st_mtime_ns))
        path.open().close()
        return path

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[], bool]]:
        """Have somebody's fsync going on in the block; the result tells whether it lasted too long."""
        device = os.path.basename(
            subprocess.check_output(["findmnt", "-no", "SOURCE", str(self.root)], text=True).strip()
        )
        (journal,) = _journal_threads(device)
        os.sync()
        with open(self.root / "victim", "ab") as victim:
            self.disk.close_gate()
            os.fchmod(victim.fileno(), 0o600 ^ (os.fstat(victim.fileno()).st_mode & 0o777))
            committing = threading.Thread(target=os.fsync, args=[victim.fileno()])
            # Another process: a thread of this one would need the GIL, with which the loop may be waiting.
            patience = subprocess.Popen(
                ["sh", "-c", 'sleep "$0" && rm -f "$1"', str(_PATIENCE), str(self.disk.gate)]
            )

            def is_late() -> bool:
                return patience.poll() == 0  # and not killed

            committing.start()
            try:
                while (journal / "stat").read_text().split()[2] != "D":
                    assert not is_late(), "the journal does not commit"
                yield is_late
            finally:
                patience.kill()
                patience.wait()
                self.disk.open_gate()
                committing.join()


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Journal]:
    """Make and mount one in `folder` for as long as the block lasts."""
    with fuse.mounted(folder / "disk", delay_ms=0) as disk:
        image, root = disk.backing / "held-image", folder / "root"
        image.touch()
        os.truncate(image, 16 << 20)
        # In blocks of 4 KiB there are 16 inodes.
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-I", "256", str(image)], check=True)
        root.mkdir()
        subprocess.run(["mount", "-o", "loop", str(disk.root / image.name), str(root)], check=True)
        shutil.rmtree(root / "lost+found")
        try:
            (root / "victim").touch()
            yield Journal(root, disk)
        finally:
            disk.open_gate()
            subprocess.run(["umount", "-l", str(root)], check=True)
