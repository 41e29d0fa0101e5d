"""`AsyncPath.info`: what is known, what is found out, and that nothing is found out twice."""

import os
import pickle
import stat
import sys
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to file").symlink_to("file")
    (tmp_path / "to folder").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


NAMES = ["file", "folder", "to file", "to folder", "dangling", "loop", "fifo", "missing", "file/x", "nul\0"]
QUESTIONS = [
    ("exists", {}),
    ("exists", {"follow_symlinks": False}),
    ("is_dir", {}),
    ("is_dir", {"follow_symlinks": False}),
    ("is_file", {}),
    ("is_file", {"follow_symlinks": False}),
    ("is_symlink", {}),
]


def expected(path: Path, method: str, follow: bool) -> bool:
    """What pathlib says: with its own `info` where it has one."""
    if sys.version_info >= (3, 14):
        options = {} if method == "is_symlink" else {"follow_symlinks": follow}
        return bool(getattr(path.info, method)(**options))
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except (OSError, ValueError):
        return False
    tests = {"exists": bool, "is_dir": stat.S_ISDIR, "is_file": stat.S_ISREG, "is_symlink": stat.S_ISLNK}
    return tests[method](mode)


@pytest.mark.parametrize("name", NAMES)
async def test_it_answers_as_pathlib_does(name: str, tree: Path) -> None:
    for method, options in QUESTIONS:
        follow = options.get("follow_symlinks", method != "is_symlink")
        answer = getattr(AsyncPath(tree, name).info, method)(**options)
        assert await answer is expected(tree / name, method, follow), (method, options)


async def test_one_object_answers_everything(tree: Path) -> None:
    for name in NAMES:
        for order in (QUESTIONS, QUESTIONS[::-1]):
            info = AsyncPath(tree, name).info
            for method, options in order:
                follow = options.get("follow_symlinks", method != "is_symlink")
                assert await getattr(info, method)(**options) is expected(tree / name, method, follow)


async def test_paths_of_a_listing_know_it(tree: Path) -> None:
    children = [child async for child in AsyncPath(tree).iterdir()]
    assert len(children) == 7
    before = rapfiles.stats()
    for child in children:
        own = Path(child).lstat().st_mode
        assert bool(child.info.exists(follow_symlinks=False))
        assert bool(child.info.is_symlink()) == os.path.islink(child)
        assert await child.info.is_dir(follow_symlinks=False) == (own & 0o170_000 == 0o040_000)
        if not os.path.islink(child):
            assert bool(child.info.exists())
            assert bool(child.info.is_dir()) == os.path.isdir(child)
            assert await child.info.is_file() == os.path.isfile(child)
    after = rapfiles.stats()
    assert (after.cached, after.submitted) == (before.cached, before.submitted)


def known(path: AsyncPath, method: str, **options: bool) -> bool | None:
    """The answer, if it is known without being awaited."""
    try:
        return bool(getattr(path.info, method)(**options))
    except RuntimeError:
        return None


@pytest.fixture
def nested(tree: Path) -> Path:
    """Another directory, with links to it: one of the tree, one behind the other."""
    (tree / "folder" / "inner").mkdir()
    (tree / "folder" / "inner" / "leaf").touch()
    (tree / "folder" / "to inner").symlink_to("inner")
    return tree


async def test_entries_know_all_types(nested: Path) -> None:
    entries = [entry async for entry in AsyncPath(nested).scandir()]
    entries += [entry async for entry in AsyncPath(nested).find()]
    assert len(entries) == 7 + 10
    for entry in entries:
        for method, options in QUESTIONS:
            follow = options.get("follow_symlinks", method != "is_symlink")
            assert known(entry.path, method, **options) is expected(Path(entry), method, follow)


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("follow", [True, False])
async def test_walked_directories_are_known_to_be_some(top_down: bool, follow: bool, nested: Path) -> None:
    (nested / "loop").unlink()
    paths = [path async for path, _, _ in AsyncPath(nested).walk(top_down=top_down, follow_symlinks=follow)]
    assert len(paths) == (7 if follow else 3)
    for path in paths:
        if path == nested:
            continue  # it was given
        assert known(path, "is_dir") is True
        assert known(path, "exists") is True
        assert known(path, "is_file") is False
        # Where a link was followed, only what it leads to is known.
        is_link = os.path.islink(path)
        assert known(path, "is_symlink") is (None if is_link else False)
        assert await path.info.is_symlink() == is_link


async def test_what_was_added_to_a_walk_is_not_taken_for_a_directory_itself(nested: Path) -> None:
    async for path, directories, _ in AsyncPath(nested).walk():
        if path == nested:
            directories[:] = ["to folder"]
        elif path.name == "to folder":
            assert known(path, "is_dir") is True
            assert known(path, "is_symlink") is None
            assert await path.info.is_symlink()


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "**/*", "**", "file", "folder", "to file", "to folder", "dangling", "folder/inner", "*/inner"),
        *("to folder/inner/leaf", "*/inner/leaf", "to folder/*", "folder/", "to folder/", "*/", "**/"),
    ],
)
async def test_what_a_pattern_finds_is_known(pattern: str, nested: Path) -> None:
    found = [path async for path in AsyncPath(nested).glob(pattern)]
    assert found or pattern == "dangling"
    is_listed = "*" in pattern.rstrip("/").rpartition("/")[2]
    for path in found:
        follows = [known(path, "is_dir"), known(path, "is_dir", follow_symlinks=False)]
        assert follows[0] in (None, os.path.isdir(path))
        assert follows[1] in (None, os.path.isdir(path) and not os.path.islink(path))
        assert follows != [None, None]
        if pattern.endswith("/") and path != nested:
            assert follows[0] is True
        if is_listed and path != nested:
            # The directory has told.
            assert follows[1] is not None
        for method, options in QUESTIONS:
            follow = options.get("follow_symlinks", method != "is_symlink")
            assert await getattr(path.info, method)(**options) is expected(Path(path), method, follow)


async def test_what_is_not_known_is_not_guessed(tree: Path) -> None:
    info = AsyncPath(tree, "folder").info
    answer = info.is_dir()
    with pytest.raises(RuntimeError, match="await"):
        bool(answer)
    assert repr(answer) == "<Answer: to be awaited>"
    assert await answer
    # Now it is.
    assert answer
    assert repr(answer) == repr(info.is_dir()) == "<Answer: True>"
    assert not info.is_file()
    # What a link leads to, no directory tells.
    links = [child async for child in AsyncPath(tree).iterdir() if child.info.is_symlink()]
    assert len(links) == 4
    for link in links:
        with pytest.raises(RuntimeError, match="await"):
            bool(link.info.is_dir())
        assert await link.info.is_dir() == os.path.isdir(link)


async def test_the_first_answer_is_kept(tree: Path) -> None:
    path = AsyncPath(tree, "missing")
    assert path.info is path.info
    assert not await path.info.exists()
    (tree / "missing").touch()
    assert not await path.info.exists()
    assert await path.exists()
    assert await AsyncPath(path).info.exists()
    assert await path.joinpath().info.exists()


async def test_nothing_is_looked_up_twice(tree: Path) -> None:
    info = AsyncPath(tree, "file").info
    before = rapfiles.stats()
    for _ in range(3):
        for method, options in QUESTIONS:
            await getattr(info, method)(**options)
    after = rapfiles.stats()
    assert after.cached + after.submitted - before.cached - before.submitted <= 2


async def test_tasks_ask_at_once(tree: Path) -> None:
    info = AsyncPath(tree, "to folder").info
    answers = []

    async def ask() -> None:
        answers.append(await info.is_dir())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert answers == [True] * 20


async def test_it_is_not_part_of_the_path(tree: Path) -> None:
    async for child in AsyncPath(tree).iterdir():
        assert child.info is not None
        copy = pickle.loads(pickle.dumps(child))
        assert (copy, hash(copy)) == (child, hash(child))
        assert copy.info is not child.info
        assert repr(child.info) == f"<PathInfo of {str(child)!r}>"


async def test_a_subclass_that_makes_its_own_paths(tree: Path) -> None:
    class Other(AsyncPath):
        def with_segments(self, *segments: object) -> "Other":
            return Other(*map(str, segments))

    async for child in Other(tree).iterdir():
        assert isinstance(child, Other)
        assert bool(child.info.is_symlink()) == os.path.islink(child)


async def test_paths_may_be_made_as_something_else(tree: Path) -> None:
    class Text(AsyncPath):
        def with_segments(self, *segments: object) -> str:  # type: ignore[override]
            return "/".join(map(str, segments))

    names = [child async for child in Text(tree).iterdir()]
    assert sorted(map(str, names)) == sorted(map(str, tree.iterdir()))
