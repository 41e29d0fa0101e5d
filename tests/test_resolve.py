"""resolve, absolute, expanduser, cwd and home, also where the current folder or the home is gone."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath
from support import oracle

HOMES = ["/home/someone", "/", "", "relative/home", "/with/../dots", "~", "/surrogate\udcff"]
TILDES = [
    "~",
    "~/x",
    "~root",
    "~root/y/../z",
    "~no-such-user",
    "~no-such-user/x",
    "x/~",
    "/~",
    "./~",
    "~\udcff",
]


# What `strict` may be. The last two are in newer Pythons, and in the newest releases of older ones.
STRICT: list[Any] = [False, True]
STRICT += [getattr(os.path, name) for name in ("ALLOW_MISSING", "ALL_BUT_LAST") if hasattr(os.path, name)]


class Project(AsyncPath):
    """A subclass, which results must keep."""


async def _same(ours: Callable[[], Awaitable[object]], theirs: Callable[[], object]) -> None:
    assert await oracle.of_await(ours) == oracle.of_call(theirs)


async def test_results_keep_the_subclass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for operation in (
        Project("x").resolve(),
        Project("x").absolute(),
        Project("~").expanduser(),
        Project("x").expanduser(),
        Project.cwd(),
        Project.home(),
    ):
        assert type(await operation) is Project


@pytest.mark.one_loop
@pytest.mark.parametrize("home", [*HOMES, None])
async def test_home_and_expanduser(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if home is None:
        monkeypatch.delenv("HOME", raising=False)  # the password database knows
    else:
        monkeypatch.setenv("HOME", home)
    await _same(AsyncPath.home, Path.home)
    for text in TILDES:
        await _same(AsyncPath(text).expanduser, Path(text).expanduser)


async def test_cwd_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / os.fsdecode(b"odd \xff\n")
    odd.mkdir()
    monkeypatch.chdir(odd)
    await _same(AsyncPath.cwd, Path.cwd)
    for text in ("", ".", "..", "x", "x/../y", "/x", "//x", "~"):
        await _same(AsyncPath(text).absolute, Path(text).absolute)
        await _same(AsyncPath(text).resolve, Path(text).resolve)
    absolute = AsyncPath("/already/absolute")
    assert await absolute.absolute() is absolute


async def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    await _same(AsyncPath.cwd, Path.cwd)
    for text in ("", "x", "../x", "/x"):
        await _same(AsyncPath(text).absolute, Path(text).absolute)
        await _same(AsyncPath(text).resolve, Path(text).resolve)
        await _same(
            lambda text=text: AsyncPath(text).resolve(strict=True), lambda text=text: Path(text).resolve(True)
        )
        await _same(AsyncPath(text).exists, Path(text).exists)
    monkeypatch.undo()


async def test_links_of_every_shape(tmp_path: Path) -> None:
    """Each link leads on: up, to absolute places, through each other, in circles, and nowhere."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    targets = {
        "up": "a/b/..",
        "far": f"{tmp_path}/a/../a/b",
        "through": "up/b/file",
        "again": "through",
        "into-file": "again/x",
        "circle": "round/x",
        "round": "circle/y",
        "self": "self",
        "root": "/",
        "beyond": "/../../..",
        "dots": "./././a/./b",
        "slashes": "a//b///",
        "nowhere": "missing",
        "to-nowhere": "nowhere",
        "nowhere-below": "a/missing/",
        "far-from-here": "missing/deeper",
    }
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    for name in [*targets, "missing", "a/b/file/x"]:
        for rest in ("", "/..", "/b", "/../..", "/missing", "/missing/..", "/missing/x", "/file/.."):
            text = f"{tmp_path}/{name}{rest}"
            for strict in STRICT:
                await _same(
                    lambda text=text, strict=strict: AsyncPath(text).resolve(strict),
                    lambda text=text, strict=strict: Path(text).resolve(strict),
                )


async def test_a_very_deep_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deeper than any path that the kernel takes in one call."""
    monkeypatch.chdir(tmp_path)
    for _ in range(30):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    try:
        await _same(AsyncPath.cwd, Path.cwd)
        await _same(AsyncPath("x").absolute, Path("x").absolute)
        await _same(AsyncPath("x").resolve, Path("x").resolve)
        await _same(AsyncPath("..").resolve, Path("..").resolve)
    finally:
        monkeypatch.undo()
