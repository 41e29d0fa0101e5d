"""The iterator over a directory: what it hands out, and who may take from it."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath

pytestmark = pytest.mark.interpreter


class Marked(AsyncPath):
    """What is made from a marked path is marked."""

    def __init__(self, *segments: Any, mark: str = "none") -> None:
        super().__init__(*segments)
        self.mark = mark

    def with_segments(self, *segments: Any) -> "Marked":
        return type(self)(*segments, mark=self.mark)


class Plain(AsyncPath):
    pass


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with more files than are handed out at once."""
    for number in range(2 * 128 + 10):
        (tmp_path / f"file {number}").touch()
    return tmp_path


@pytest.mark.parametrize("kind", [AsyncPath, Plain, Marked])
async def test_children_are_as_if_they_were_joined(kind: type[AsyncPath], files: Path) -> None:
    (files / "a\udcff\n.tar.gz").touch()
    (files / ".hidden").mkdir()
    children = [child async for child in kind(files).iterdir()]
    expected = {child.name: kind(files, child.name) for child in files.iterdir()}
    assert len(children) == len(expected)
    for child in children:
        joined = expected[child.name]
        assert type(child) is kind
        assert child == joined
        assert hash(child) == hash(joined)
        assert (str(child), child.parts, child.parent, child.suffixes) == (
            str(joined),
            joined.parts,
            joined.parent,
            joined.suffixes,
        )
        assert child / "x" == joined / "x"
        assert child < joined / "x"


async def test_a_subclass_makes_the_children(files: Path) -> None:
    async for child in Marked(files, mark="kept").iterdir():
        assert child.mark == "kept"


@pytest.mark.parametrize("kind", [AsyncPath, Marked])
async def test_children_of_the_root(kind: type[AsyncPath]) -> None:
    root = Path(Path.cwd().anchor)
    assert sorted([str(child) async for child in kind(root).iterdir()]) == sorted(map(str, root.iterdir()))


@pytest.mark.parametrize("kind", [AsyncPath, Marked])
async def test_children_of_the_current_directory(
    kind: type[AsyncPath], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    assert {str(child) async for child in kind().iterdir()} == {child.name for child in files.iterdir()}


async def test_it_ends_for_good(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    iterator = AsyncPath(tmp_path).iterdir()
    assert await anext(iterator) == AsyncPath(tmp_path, "file")
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_it_ends_with_an_error(tmp_path: Path) -> None:
    iterator = AsyncPath(tmp_path, "missing").iterdir()
    with pytest.raises(FileNotFoundError):
        await anext(iterator)
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "file").touch()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_it_may_be_closed(files: Path) -> None:
    iterator: Any = AsyncPath(files).iterdir()
    await anext(iterator)
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_nothing_happens_before_the_first_child(tmp_path: Path) -> None:
    iterator = AsyncPath(tmp_path, "later").iterdir()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "file").touch()
    assert [child.name async for child in iterator] == ["file"]


async def test_tasks_share_it_and_none_is_lost(files: Path) -> None:
    iterator = AsyncPath(files).iterdir()
    first = await anext(iterator)
    taken = [first]

    async def take() -> None:
        while True:
            try:
                child = await anext(iterator, None)
            except RuntimeError:
                await anyio.sleep(0)  # another task waits for the next names
                continue
            if child is None:
                return
            taken.append(child)
            await anyio.sleep(0)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(take)
    assert sorted(child.name for child in taken) == sorted(child.name for child in files.iterdir())
