"""Races between processes, made certain: strace(1) delays the calls of one of them."""

from pathlib import Path

import pytest

from support import strace

_LOCKS = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    async with AsyncPath(sys.argv[1]).lock():
        print("locked")

asyncio.run(main())
"""


@strace.needs_strace
def test_a_lock_file_that_is_removed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The size of the workers' stacks, for which a thousand attempts within each other are too many.
    monkeypatch.setenv("RUST_MIN_STACK", str(256 << 10))
    path, log = tmp_path / "lock", tmp_path / "log"
    # Each time that the file is locked, its path does not lead to it any more.
    options = ["-P", path, "-e", "inject=newfstatat,statx:error=ENOENT:when=1..1000"]
    locked = strace.run(_LOCKS, path, options=options, log=log)
    assert (locked.returncode, locked.stdout, locked.stderr) == (0, "locked\n", "")
    assert log.read_text().count("INJECTED") >= 1000
