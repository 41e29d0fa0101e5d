"""move and move_into: renaming, and between two file systems copying before anything is removed."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import mounts, pathlib_copy
from support.generated import description, generate
from test_copy import Project, error_of, pathlibs_error


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=64 << 20) as root:
        yield root


async def test_on_one_file_system_it_is_renamed(directory: Path) -> None:
    (directory / "file").write_bytes(b"content")
    inode = (directory / "file").stat().st_ino
    moved = await Project(directory, "file").move(str(directory / "moved"))
    assert (type(moved), moved) == (Project, AsyncPath(directory, "moved"))
    assert (directory / "moved").stat().st_ino == inode
    (directory / "into").mkdir()
    target = AsyncPath(directory, "into")
    moved = await moved.move_into(target)
    assert (type(moved), moved) == (AsyncPath, target / "moved")
    assert (directory / "into" / "moved").read_bytes() == b"content"
    (directory / "old").write_bytes(b"old")
    await moved.move(directory / "old")
    assert (directory / "old").read_bytes() == b"content"
    await AsyncPath(directory, "into").move(directory / "folder")
    assert (directory / "folder").is_dir()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("missing", "new"),
        ("file", "missing/new"),
        ("file", "folder"),
        ("file", "file"),
        ("file", "hard-link"),
        ("link", "file"),
        ("folder", "file"),
        ("folder", "folder/new"),
        ("folder", "other"),
    ],
)
@pytest.mark.one_loop
async def test_errors_are_pathlibs(source: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for folder in ("folder", "other"):
        (tmp_path / folder / "in").mkdir(parents=True)
    os.link(tmp_path / "file", tmp_path / "hard-link")
    before = description(tmp_path)
    theirs = pathlibs_error(lambda: pathlib_copy.move(tmp_path / source, tmp_path / target))
    assert theirs
    assert await error_of(AsyncPath(tmp_path, source).move(tmp_path / target)) == theirs
    assert description(tmp_path) == before


async def test_to_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "file").write_bytes(b"content" * 100_000)
    os.utime(tmp_path / "file", ns=(10**18, 2 * 10**18))
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "link", "fifo"):
        before = description(tmp_path / name, metadata=True)
        (elsewhere / name).touch()  # replaced
        assert await AsyncPath(tmp_path, name).move(elsewhere / name) == AsyncPath(elsewhere, name)
        assert description(elsewhere / name, metadata=True) == before
        assert not os.path.lexists(tmp_path / name)
    assert sorted(os.listdir(elsewhere)) == ["fifo", "file", "link"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.one_loop
async def test_trees_to_another_file_system(seed: int, tmp_path: Path, elsewhere: Path) -> None:
    generate(tmp_path / "tree", seed)
    before = description(tmp_path / "tree", metadata=True)
    await AsyncPath(tmp_path, "tree").move(elsewhere / "tree")
    assert description(elsewhere / "tree", metadata=True) == before
    assert not (tmp_path / "tree").exists()
    assert os.listdir(elsewhere) == ["tree"]


async def test_a_directory_elsewhere_is_not_replaced(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "tree" / "in").mkdir(parents=True)
    (elsewhere / "tree").mkdir()
    with pytest.raises(FileExistsError) as caught:
        await AsyncPath(tmp_path, "tree").move(elsewhere / "tree")
    assert caught.value.filename == str(elsewhere / "tree")
    assert (tmp_path / "tree" / "in").is_dir()
    assert os.listdir(elsewhere) == ["tree"]


@pytest.mark.one_loop
@pytest.mark.parametrize("name", ["tree", "file"])
async def test_what_may_not_be_removed_is_in_both_places(name: str, tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / "tree" / "in").mkdir(parents=True)
    (elsewhere / "tree" / "in" / "file").write_bytes(b"content")
    (elsewhere / "file").write_bytes(b"content")
    before = description(elsewhere / name, metadata=True)
    subprocess.run(["mount", "-o", "remount,ro", elsewhere], check=True, timeout=60)
    expected = pathlibs_error(lambda: pathlib_copy.move(elsewhere / name, tmp_path / "pathlib's"))
    raised = await error_of(AsyncPath(elsewhere, name).move(tmp_path / "ours"))
    assert raised[:3] == expected[:3] == (OSError, errno.EROFS, os.strerror(errno.EROFS))
    assert description(elsewhere / name, metadata=True) == before
    assert description(tmp_path / "ours", metadata=True) == before
    content = description(elsewhere / name, modes=False)
    assert description(tmp_path / "pathlib's", modes=False) == content


@pytest.mark.one_loop
async def test_what_comes_into_the_source_after_it_was_copied_stays(tmp_path: Path, elsewhere: Path) -> None:
    source, target = tmp_path / "source", elsewhere / "target"
    late: list[Path] = []

    def add() -> None:
        while not target.exists():
            pass
        # Everything has been copied. What is gone already cannot be added to.
        for number in range(100):
            path = source / f"{number}" / "late"
            try:
                path.write_bytes(b"precious")
            except OSError:
                continue
            late.append(path)

    for number in range(100):
        (source / f"{number}" / "in").mkdir(parents=True)
        for name in ("in/file", "a", "b"):
            (source / f"{number}" / name).write_bytes(b"content")
    thread = threading.Thread(target=add)
    thread.start()
    error = None
    try:
        await AsyncPath(source).move(target)
    except OSError as raised:
        error = raised
    thread.join()
    assert all(path.read_bytes() == b"precious" for path in late)
    assert len(list(target.rglob("*"))) == 500
    if late:
        assert error is not None
        assert Path(error.filename).name in ("late", "source") or error.errno == errno.ENOTEMPTY


@pytest.mark.one_loop
async def test_what_is_replaced_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    """A move that fails for want of space has not removed the target first (uutils/coreutils#10015)."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    (tmp_path / "large").write_bytes(b"x" * (3 << 20))
    with mounts.mounted("tmpfs", tmp_path / "small", size=2 << 20) as root:
        (root / "target").write_bytes(b"old")
        (root / "link").symlink_to("target")
        for target in ("target", "link"):
            with pytest.raises(OSError, match="No space left"):
                await AsyncPath(tmp_path, "large").move(root / target)
        assert (root / "target").read_bytes() == b"old"
        assert (root / "link").is_symlink()
        assert sorted(os.listdir(root)) == ["link", "target"]
    assert (tmp_path / "large").stat().st_size == 3 << 20


@pytest.mark.one_loop
async def test_nobody_else_can_read_it_before_it_has_its_permissions(tmp_path: Path) -> None:
    """A private file is never there with the permissions of the umask, in no directory of the way."""
    (tmp_path / "tree" / "private").mkdir(parents=True, mode=0o700)
    (tmp_path / "tree" / "private" / "file").write_bytes(b"x" * (8 << 20))
    (tmp_path / "tree" / "private" / "file").chmod(0o600)
    (tmp_path / "tree").chmod(0o755)
    seen: set[tuple[str, int]] = set()

    def look(_: object) -> None:
        for folder, folders, files in os.walk(tmp_path):
            for name in [*folders, *files]:
                if ".rapfiles-" in folder or ".rapfiles-" in name or "copy" in folder:
                    mode = os.lstat(os.path.join(folder, name)).st_mode
                    seen.add((os.path.relpath(folder, tmp_path), mode & 0o077))

    def ignore(folder: str, names: list[str]) -> list[str]:
        look(folder)
        return []

    await AsyncPath(tmp_path, "tree").copy(
        tmp_path / "copy", preserve_metadata=True, ignore=ignore, progress=look
    )
    unfinished = {mode for folder, mode in seen if not folder.startswith(("tree", "copy"))}
    assert unfinished == {0}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o755
