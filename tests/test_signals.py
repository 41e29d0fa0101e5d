"""Signals are left to the program's own threads."""

import signal
from pathlib import Path

from support import process
from support.fifo import Fifo
from support.loops import Loop

# Says which signals the threads have blocked that the program did not start (Python's have its name).
_PROGRAM = """
import os, signal, sys
from pathlib import Path
from rapfiles import AsyncPath
from support.engine import under_way
from support.loops import LOOPS

loop = {loop.name: loop for loop in LOOPS}[sys.argv[1]]

def masks():
    for thread in Path("/proc/self/task").iterdir():
        try:
            text = (thread / "status").read_text()
        except OSError:  # it has ended
            continue
        lines = dict(line.split(":\\t", 1) for line in text.splitlines())
        yield lines["Name"], int(lines["SigBlk"], 16)

async def main():
    async with loop.tasks() as group:
        for number in range(20):
            group.start_soon(AsyncPath(sys.argv[2]).read_bytes)
        await under_way(20)
        print("ready", flush=True)
        for name, mask in masks():
            if name == "rapfiles":
                print(mask)
        group.cancel_scope.cancel()

loop.run(main)
"""


def test_workers_block_signals(loop: Loop, tmp_path: Path) -> None:
    """A worker that took a signal would not wake the main thread, which alone may run Python's handler."""
    with Fifo(tmp_path / "fifo") as fifo:
        ended = process.run(_PROGRAM, loop.name, str(fifo.path))
    assert ended.code == 0, ended
    masks = [int(line) for line in ended.output.split()]
    assert masks, "workers are known by their name"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1):
        assert all(mask >> (number - 1) & 1 for mask in masks), (number, masks)
