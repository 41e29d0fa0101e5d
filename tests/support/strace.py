"""Programs whose system calls strace(1) records, or lets fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import rapfiles

needs_strace = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace"
)


def run(
    program: str, *arguments: str | Path, options: Sequence[str | Path], log: str | Path = "/dev/null"
) -> "subprocess.CompletedProcess[str]":
    """Run the text of a program, which prints something before it ends, under strace with its `options`.

    What strace records is in `log`.
    """
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", log, *options, sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])},
        check=False,
    )
    if not done.stdout and "PTRACE" in done.stderr:
        pytest.skip("strace may not trace")
    return done
