"""copy, copy_into, move and move_into beside pathlib's: every kind of source with every kind of target."""

import errno
import os
import shutil
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath
from support import mounts, pathlib_copy
from support.generated import description

SOURCES = [
    "file",
    "empty",
    "folder",
    "empty-folder",
    "link-to-file",
    "link-to-folder",
    "dangling",
    "missing",
    "file/below",
    "folder/with-dangling",
    "loop",
]
# The first stands for the source itself; nothing is at those of the second list.
TARGETS = [
    "",
    "other",
    "hard-link",
    "other-folder",
    "empty-target",
    "link-to-other",
    "link-to-other-folder",
    "dangling-target",
    ".",
]
NEW = [
    "new",
    "missing/new",
    "other/below",
    "folder/new",
    "folder/in/new",
    "link-to-folder/new",
    "x" * 300,
]
INTO = [
    "other-folder",
    "other",
    "empty-target",
    "link-to-other-folder",
    "dangling-target",
    "missing",
    "folder",
    ".",
]
FOLDERS = ["folder", "empty-folder", "folder/with-dangling"]
# Whether a directory goes into itself, pathlib sees by the spelling alone. We look at the inodes, and refuse.
INTO_ITSELF = {
    ("folder", "link-to-folder/new"),
    ("link-to-folder", "folder/new"),
    ("link-to-folder", "folder/in/new"),
    ("link-to-folder", "folder"),
}
OPTIONS = [
    {"follow_symlinks": True, "preserve_metadata": False},
    {"follow_symlinks": False, "preserve_metadata": True},
]


def furnish(root: Path) -> None:
    for folder in ("folder/in", "folder/with-dangling", "empty-folder", "other-folder/file", "empty-target"):
        (root / folder).mkdir(parents=True)
    for name in ("file", "folder/in/nested", "other"):
        (root / name).write_bytes(name.encode())
    (root / "empty").touch()
    os.link(root / "file", root / "hard-link")
    for name, target in (
        ("folder/in/link", "nested"),
        ("folder/with-dangling/dangling", "nowhere"),
        ("link-to-file", "file"),
        ("link-to-folder", "folder"),
        ("link-to-other", "other"),
        ("link-to-other-folder", "other-folder"),
        ("dangling", "nowhere"),
        ("dangling-target", "made-by-this"),
        ("loop", "loop"),
    ):
        (root / name).symlink_to(target)
    for name, mode in (("file", 0o640), ("folder/in", 0o750), ("other", 0o604)):
        (root / name).chmod(mode)
    for folder, folders, files in os.walk(root, topdown=False):
        for name in [*folders, *files, "."]:
            os.utime(os.path.join(folder, name), ns=(10**18, 2 * 10**18), follow_symlinks=False)


def told(error: OSError | None, root: Path) -> tuple[Any, ...]:
    if error is None:
        return ()
    names = [str(name).replace(str(root), "ROOT") for name in (error.filename, error.filename2)]
    return (type(error), error.errno, error.strerror, *names)


class Sides:
    """The same place for pathlib and for us; `elsewhere`: a folder on another file system, for targets."""

    def __init__(self, here: Path, elsewhere: Path | None = None) -> None:
        self.here = here / "side"
        self.there = self.here if elsewhere is None else elsewhere / "side"
        self.root = here
        self.changed = True

    async def differences(
        self,
        act: str,
        sources: Iterable[str],
        targets: Iterable[str],
        options: Iterable[dict[str, bool]] = ({},),
    ) -> list[str]:
        found: list[str] = []
        for source, target, chosen in product(sources, targets, options):
            theirs = await self.result("theirs", act, source, target, chosen)
            ours = await self.result("ours", act, source, target, chosen)
            refused = isinstance(ours, tuple) and ours[1:3] == (
                errno.EINVAL,
                "Source path is a parent of target path",
            )
            if theirs != ours and not (refused and (source, target) in INTO_ITSELF):
                found.append(f"{act} {source} {target} {chosen}: {theirs} {ours}"[:1000])
        return found

    async def result(self, who: str, act: str, source: str, target: str, options: dict[str, bool]) -> object:
        """What is raised, or what is there afterwards."""
        if self.changed:
            for place in {self.here, self.there}:
                shutil.rmtree(place, ignore_errors=True)
                furnish(place)
        places = {self.here: None, self.there: None}
        before = [description(place) for place in places]
        path, destination = self.here / source, self.there / (target or source)
        error = None
        try:
            if who == "ours":
                await getattr(AsyncPath(path), act)(AsyncPath(destination), **options)
            elif hasattr(path, act):
                getattr(path, act)(destination, **options)
            elif act.endswith("_into"):
                getattr(pathlib_copy, act.removesuffix("_into"))(path, destination / path.name, **options)
            else:
                getattr(pathlib_copy, act)(path, destination, **options)
        except OSError as raised:
            error = raised
        after: list[object] = [description(place) for place in places]
        self.changed = after != before
        if error is not None:
            if who == "ours":
                assert not self.changed, (
                    f"{act} {source} {target} {options}: something is left after {error!r}"
                )
            return told(error, self.root)
        copied = destination / path.name if act.endswith("_into") else destination
        if options.get("preserve_metadata", act.startswith("move")) and os.path.lexists(copied):
            after.append(description(copied, metadata=True))
        return after


@pytest.mark.one_loop
async def test_copies(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    found = await sides.differences("copy", SOURCES, [*TARGETS, *NEW], OPTIONS)
    found += await sides.differences("copy_into", SOURCES, INTO, OPTIONS)
    assert found == []


@pytest.mark.one_loop
async def test_moves(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    found = await sides.differences("move", SOURCES, [*TARGETS[:-1], *NEW])
    assert found + await sides.differences("move_into", SOURCES, INTO) == []


@pytest.mark.one_loop
async def test_moves_to_another_file_system(tmp_path: Path) -> None:
    """What is there is replaced, where pathlib writes to it or fails: so only what goes where nothing is.

    (And an error of making a link that is to replace something names the target alone.)
    """
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=64 << 20) as elsewhere:
        sides = Sides(tmp_path, elsewhere)
        found = await sides.differences("move", SOURCES, NEW[:-1])
        found += await sides.differences("move", FOLDERS, TARGETS[1:])
        assert found == []
