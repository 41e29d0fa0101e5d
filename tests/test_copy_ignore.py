"""What a copy leaves out."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath
from support.generated import description, generate
from support.leaks import nothing_leaks


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.one_loop
async def test_what_shutil_leaves_out(seed: int, tmp_path: Path) -> None:
    """Every directory is asked about once, and what is left out is not there."""
    source = tmp_path / "source"
    generate(source, seed, directories=40, files=200)
    for path in [*source.rglob("*")]:
        if not path.is_symlink() and not path.is_dir() and not path.is_file():
            path.unlink()  # shutil refuses those
    asked: dict[str, list[tuple[str, list[str]]]] = {"shutil": [], "rapfiles": []}

    def ignoring(who: str, directory: str, names: list[str]) -> set[str]:
        asked[who].append((directory, sorted(names)))
        return {name for name in names if sum(map(ord, name)) % 3 == 0} | {"no such name"}

    def theirs(directory: Any, names: list[str]) -> set[str]:
        return ignoring("shutil", directory, names)

    def ours(directory: str, names: list[str]) -> set[str]:
        left_out = ignoring("rapfiles", directory, names)
        names.clear()  # it is the callable's own
        return left_out

    shutil.copytree(source, tmp_path / "theirs", symlinks=True, ignore=theirs)
    with nothing_leaks():
        await AsyncPath(source).copy(tmp_path / "ours", follow_symlinks=False, ignore=ours)
    assert sorted(asked["rapfiles"]) == sorted(asked["shutil"])
    assert description(tmp_path / "ours").keys() == description(tmp_path / "theirs").keys()


async def test_its_patterns(tmp_path: Path) -> None:
    (tmp_path / "source" / "__pycache__" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "__pycache__" / "deep" / "kept.py").touch()
    (tmp_path / "source" / "in").mkdir()
    for name in ("a.py", "a.pyc", "in/b.py", "in/b.pyc", "in/\udcff\n.pyc", "in/\udcff\n"):
        (tmp_path / "source" / name).touch()
    (tmp_path / "into").mkdir()
    patterns = shutil.ignore_patterns("*.pyc", "__pycache__")
    copied = await AsyncPath(tmp_path, "source").copy_into(tmp_path / "into", ignore=patterns)
    left = {str(path.relative_to(copied)) for path in Path(copied).rglob("*")}
    assert left == {"a.py", "in", "in/b.py", "in/\udcff\n"}
    # Of a file there is nothing to select.
    await AsyncPath(tmp_path, "source", "a.pyc").copy(tmp_path / "a.pyc", ignore=patterns)
    assert (tmp_path / "a.pyc").exists()


@pytest.mark.one_loop
async def test_large_directories_and_all_options(tmp_path: Path) -> None:
    """More names than one read brings, several directories at once, each of them merged and named twice."""
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in range(3):
        (source / f"{folder}").mkdir(parents=True)
        for number in range(1200):
            (source / f"{folder}" / f"{'x' * 40}-{number}").touch()
    os.link(source / "0" / f"{'x' * 40}-1", source / "named-twice")
    told: list[int] = []

    async def every_second(directory: str, names: list[str]) -> Iterable[str]:
        await anyio.sleep(0)
        return [name for name in names if name[-1] in "02468" and "-" in name]

    for hardlinks in ("copy", "preserve"):
        await AsyncPath(source).copy(
            target,
            ignore=every_second,
            hardlinks=hardlinks,  # type: ignore[arg-type]
            merge=True,
            preserve_metadata=True,
            progress=lambda progress: told.append(progress.files),
        )
        assert len(list(target.rglob("*"))) == 3 + 3 * 600 + 1
        assert (target / "named-twice").stat().st_nlink == (2 if hardlinks == "preserve" else 1)
        shutil.rmtree(target)
    assert told[-1] == 3 * 600 + 1


async def test_what_it_may_not_do(tmp_path: Path) -> None:
    (tmp_path / "source" / "in").mkdir(parents=True)
    (tmp_path / "source" / "in" / "file").touch()

    def fail(directory: str, names: list[str]) -> set[str]:
        if directory.endswith("in"):
            raise RuntimeError("enough")
        return set()

    held: list[object] = []

    async def cancel(directory: str, names: list[str]) -> set[str]:
        scope.cancel()
        held.append(names)
        await anyio.sleep_forever()
        return set()

    with nothing_leaks():
        with pytest.raises(RuntimeError, match="enough"):
            await AsyncPath(tmp_path, "source").copy(tmp_path / "copy", ignore=fail)
        for result in (None, "file", 3):
            with pytest.raises(
                TypeError, match=f"ignore must return the names that are left out, not {result!r}"
            ):
                await AsyncPath(tmp_path, "source").copy(
                    tmp_path / "copy",
                    ignore=lambda _, __, result=result: result,  # type: ignore[misc]
                )
        with anyio.CancelScope() as scope:
            await AsyncPath(tmp_path, "source").copy(tmp_path / "copy", ignore=cancel)
        assert scope.cancelled_caught
    # What was begun goes in the background.
    while os.listdir(tmp_path) != ["source"]:
        await anyio.sleep(0.005)


async def test_a_failing_directory_beside_it(tmp_path: Path) -> None:
    """Errors of entries are told between the questions."""
    for number in range(10):
        (tmp_path / "source" / f"{number}").mkdir(parents=True)
        (tmp_path / "source" / f"{number}" / "dangling").symlink_to("nowhere")
        (tmp_path / "source" / f"{number}" / "file").touch()
    errors: list[OSError] = []
    asked: list[str] = []

    def none(directory: str, names: list[str]) -> list[str]:
        asked.append(directory)
        return []

    await AsyncPath(tmp_path, "source").copy(tmp_path / "copy", ignore=none, on_error=errors.append)
    assert (len(errors), len(asked)) == (10, 11)
    assert len(list((tmp_path / "copy").glob("*/file"))) == 10
