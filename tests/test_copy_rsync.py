"""Copies of trees against `cp -a` and a checking rsync: of the copy, rsync would change nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import access_list, mounts, trees
from support.generated import description, generate

pytestmark = [
    pytest.mark.one_loop,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync"),
]


def different(source: Path, copy: Path) -> list[str]:
    """What rsync would do to make the copy what the source is: content, times, modes, links, attributes."""
    options = ["--dry-run", "--itemize-changes", "--checksum", "-aHAX", "--delete"]
    done = subprocess.run(
        ["rsync", *options, f"{source}/", f"{copy}/"], capture_output=True, text=True, check=False, timeout=60
    )
    if "not supported" in done.stderr or "not configured" in done.stderr:
        pytest.skip(f"this rsync does not compare attributes: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def generated(top: Path, seed: int) -> Path:
    """Odd names, links of both kinds, FIFOs, holes, permissions, attributes and an access control list."""
    top.mkdir()
    generate(top / "generated", seed, directories=20, files=80)
    trees.build(top / "built", seed, directories=20)
    (top / "listed").write_bytes(b"content")
    access_list.give(top / "listed")
    os.link(top / "listed", top / "built" / "listed, too")
    os.utime(top / "built", ns=(10**18, 10**18 + 123_456_789))
    return top


async def copied(source: Path, target: Path) -> Path:
    await AsyncPath(source).copy(
        target,
        follow_symlinks=False,
        preserve_metadata=True,
        hardlinks="preserve",
        special_files="recreate",
    )
    return target


@pytest.mark.parametrize("seed", range(3))
async def test_a_copy_is_the_source_for_rsync(seed: int, tmp_path: Path) -> None:
    source = generated(tmp_path / "source", seed)
    ours, theirs = await copied(source, tmp_path / "ours"), tmp_path / "theirs"
    subprocess.run(["cp", "-a", source, theirs], check=True, timeout=60)
    assert different(source, ours) == []
    assert different(theirs, ours) == []
    assert description(ours, metadata=True) == description(theirs, metadata=True)
    # What is compared is noticed.
    (ours / "listed").chmod(0o640)
    assert different(source, ours) != []


@pytest.mark.parametrize("seed", range(3, 5))
async def test_a_tree_moved_elsewhere_is_what_it_was_for_rsync(seed: int, tmp_path: Path) -> None:
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    source = generated(tmp_path / "source", seed)
    kept = await copied(source, tmp_path / "kept")
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=256 << 20) as elsewhere:
        try:
            os.setxattr(elsewhere, "user.rapfiles", b"")
        except OSError:
            pytest.skip("this kernel's tmpfs has no attributes of users")
        os.removexattr(elsewhere, "user.rapfiles")
        await AsyncPath(source).move(elsewhere / "moved")
        assert not source.exists()
        assert different(kept, elsewhere / "moved") == []
