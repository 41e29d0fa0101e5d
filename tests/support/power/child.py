"""Runs a workload in a process of its own, with a fault or without: `python -m support.power.child`."""

import os
import sys
from pathlib import Path

import anyio

from support.power.workloads import WORKLOADS


def main() -> None:
    """Arguments: the workload, the folder, and where to leave a mark whenever an operation has completed."""
    name, root, marks = sys.argv[1:]
    descriptor = os.open(marks, os.O_WRONLY)
    anyio.run(WORKLOADS[name].run, Path(root), lambda: os.write(descriptor, b"."))
    os.close(descriptor)


if __name__ == "__main__":
    main()
