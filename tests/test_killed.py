"""What is killed (`kill -9`) at any of its system calls leaves a file as it was or as it was to become."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rapfiles import recover
from support import kill_points, mounts

_OLD = b"old content"
# So long that room is reserved for it.
_NEW = b"n" * 1_200_000
_PROGRAM = """
from rapfiles import AsyncPath

async def main(folder):
    file = AsyncPath(folder, "file")
    new = b"n" * 1_200_000
    await {call}
"""

Files = dict[str, bytes]


def _files(folder: Path) -> Files:
    """The content of all files, apart from temporary ones."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".rapfiles-")
    }


def _filled(folder: Path, files: Files) -> Callable[[], None]:
    """What makes the folder anew, with these files."""

    def fill() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)

    return fill


@pytest.mark.parametrize("old", [{}, {"file": _OLD}], ids=["new", "existing"])
@pytest.mark.parametrize(
    "call",
    [
        "file.write_bytes(new, atomic=True)",
        "file.write_bytes(new, atomic=True, durable=True)",
        "file.write_text(new.decode(), atomic=True, durable=True, follow_symlinks=False)",
    ],
)
def test_an_atomic_write(call: str, old: Files, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    seen, removed = [], 0
    for point in kill_points.each(_PROGRAM.format(call=call), folder, _filled(folder, old)):
        seen.append(_files(folder))
        assert seen[-1] in (old, {"file": _NEW}), point
        if point.call is not None:
            removed += len(asyncio.run(recover(folder)).removed)
        assert os.listdir(folder) == list(seen[-1]), point
    assert len(seen) > 5
    assert seen[0] == old
    assert seen[-1] == {"file": _NEW}
    # A new file gets its name at once.
    assert (removed > 0) == bool(old)


_IN_PIECES = """
from rapfiles import AsyncPath

async def main(folder):
    async with AsyncPath(folder, "file").open_atomic("wb", durable={durable}) as file:
        for _ in range(3):
            await file.write(b"n" * 400_000)
"""


@pytest.mark.parametrize("old", [{}, {"file": _OLD}], ids=["new", "existing"])
@pytest.mark.parametrize("durable", [False, True])
def test_an_atomic_write_in_pieces(durable: bool, old: Files, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    seen = []
    for point in kill_points.each(_IN_PIECES.format(durable=durable), folder, _filled(folder, old)):
        seen.append(_files(folder))
        assert seen[-1] in (old, {"file": _NEW}), point
        if point.call is not None:
            asyncio.run(recover(folder))
        assert os.listdir(folder) == list(seen[-1]), point
    assert (seen[0], seen[-1]) == (old, {"file": _NEW})


@pytest.mark.parametrize(
    ("call", "before", "after"),
    [
        ("file.rename(file.with_name('b'), durable=True)", {"file": _OLD}, {"b": _OLD}),
        (
            "file.replace(file.parent / 'd' / 'b', durable=True)",
            {"file": _OLD, "d/b": b"other"},
            {"d/b": _OLD},
        ),
        (
            "file.exchange(file.parent / 'd' / 'b', durable=True)",
            {"file": _OLD, "d/b": b"other"},
            {"file": b"other", "d/b": _OLD},
        ),
        ("file.append_bytes(new, durable=True)", {"file": _OLD}, {"file": _OLD + _NEW}),
        ("file.append_bytes(new, durable=True)", {}, {"file": _NEW}),
    ],
)
def test_a_durable_change(call: str, before: Files, after: Files, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    seen = []
    for point in kill_points.each(_PROGRAM.format(call=call), folder, _filled(folder, before)):
        seen.append(_files(folder))
        # A file to which something is appended exists before it has any of it.
        assert seen[-1] in (before, after, {"file": b""}), point
    assert (seen[0], seen[-1]) == (before, after)


def test_one_that_does_not_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    program = _PROGRAM.format(call="file.write_bytes(new, atomic=True, overwrite=False)")
    seen = [_files(folder) for _ in kill_points.each(program, folder, _filled(folder, {}))]
    assert all(files in ({}, {"file": _NEW}) for files in seen)
    assert (seen[0], seen[-1]) == ({}, {"file": _NEW})


@pytest.fixture
def mounted_file(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file that is a mount point."""
    if (reason := mounts.can_mount()) is not None:
        pytest.skip(reason)
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.touch()
    inside.mkdir()
    with mounts.mounted_on_file(outside, inside / "file"):
        yield inside


def test_overwriting_in_place(mounted_file: Path) -> None:
    """The target may be incomplete, but then a backup beside it is complete."""
    old = b"o" * 1_500_000

    def prepare() -> None:
        (mounted_file / "file").write_bytes(old)
        for left in mounted_file.glob(".rapfiles-*"):
            left.unlink()

    program = _PROGRAM.format(call='file.write_bytes(new, atomic=True, fallback="inplace")')
    content = b""
    incomplete = 0
    for point in kill_points.each(program, mounted_file, prepare):
        content = (mounted_file / "file").read_bytes()
        backups = [backup.read_bytes() for backup in mounted_file.glob(".rapfiles-*-file.backup")]
        assert backups in ([], [old]), point
        if content not in (old, _NEW):
            incomplete += 1
            assert backups, point
    assert content == _NEW
    assert os.listdir(mounted_file) == ["file"]
    assert incomplete > 0
