"""An overlay is for the loop where all of its layers are known to be on one local file system."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import rapfiles
import rapfiles._native as _native
from rapfiles import AsyncPath
from support import mounts
from support.engine import idle
from support.fuse import SlowDisk
from support.loops import SELECTOR


@contextlib.contextmanager
def _overlay(root: Path, lower: list[Path], upper: Path | None, options: str = "") -> Iterator[Path]:
    root.mkdir()
    layers = f"lowerdir={':'.join(map(str, lower))}"
    if upper is not None:
        for name in ("up", "work"):
            (upper / name).mkdir(exist_ok=True)
        layers += f",upperdir={upper / 'up'},workdir={upper / 'work'}"
    command = ["mount", "-t", "overlay", "-o", layers + options, "overlay", str(root)]
    subprocess.run(command, check=True, timeout=60)
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True, timeout=60)


def _layer(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / name).write_bytes(b"content")
    return folder


async def _inspect(path: Path) -> tuple[bool, str | None]:
    found = await _native.inspect(AsyncPath(path))
    assert found["file_system"] == "overlay"
    assert found["local"] == (found["reason"] is None)
    return found["local"], found["reason"]


async def _stat(path: Path) -> None:
    await AsyncPath(path).stat()


async def _open(path: Path) -> None:
    """Opened, looked at and closed: overlays have no reading that does not wait."""
    async with rapfiles.open(path, "rb") as file:
        await file.seek(0, os.SEEK_END)


async def _on_the_loop(work: Callable[[Path], Awaitable[None]], path: Path) -> bool:
    await idle()
    before = rapfiles.stats().submitted
    await work(path)
    await idle()
    return rapfiles.stats().submitted == before


async def _comes_to_the_loop(path: Path) -> bool:
    """Whether the loop does it, once somebody has looked at the file; it is asked without `inspect`."""
    for work in (_stat, _open):
        for _ in range(30):
            if await _on_the_loop(work, path):
                break
            await asyncio.sleep(0.01)
        else:
            return False
    return True


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if (reason := mounts.missing("overlay") or mounts.missing(request.param)) is not None:
        pytest.skip(reason)
    with mounts.mounted(request.param, tmp_path / "disk") as root:
        yield root


def test_one_local_file_system(disk: Path, tmp_path: Path) -> None:
    """As with containers."""
    with _overlay(tmp_path / "overlay", [_layer(disk, "a"), _layer(disk, "b")], disk) as root:
        (root / "new").write_bytes(b"content")

        async def main() -> None:
            for name in ("a", "b", "new"):
                assert await _comes_to_the_loop(root / name)
                assert await AsyncPath(root / name).read_bytes() == b"content"
            assert await _inspect(root / "a") == (True, None)
            assert await _inspect(root) == (True, None)
            with (root / "a").open("ab") as file:
                file.write(b", copied up")
            assert await AsyncPath(root / "a").read_bytes() == b"content, copied up"

        SELECTOR.run(main)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_a_directory_tells_by_its_files(disk: Path, tmp_path: Path) -> None:
    with _overlay(tmp_path / "overlay", [_layer(disk, "a")], disk) as root:

        async def main() -> None:
            (root / "empty").mkdir()
            local, reason = await _inspect(root / "empty")
            assert not local
            assert "here is none" in (reason or "")
            assert await _inspect(root) == (True, None)
            # What is known holds for all of it.
            assert await _inspect(root / "empty") == (True, None)

        SELECTOR.run(main)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
@pytest.mark.parametrize("options", ["", ",xino=on", ",xino=auto"])
@pytest.mark.parametrize("layers", ["tmpfs", "fuse below", "fuse alone", "overlay"])
def test_what_is_not_known(
    layers: str, options: str, disk: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        if layers == "tmpfs":
            other = stack.enter_context(mounts.mounted("tmpfs", tmp_path / "other", size=1 << 20))
            lower, upper = [_layer(disk, "a")], other
        elif layers == "overlay":
            inner = _overlay(tmp_path / "inner", [_layer(disk, "a")], disk)
            lower, upper = [stack.enter_context(inner), _layer(tmp_path, "b")], None
        else:
            server: SlowDisk = request.getfixturevalue("prompt_disk")
            folder = server.root / f"{abs(hash(layers + options)):x}"
            folder.mkdir()
            lower = [_layer(folder, "a")]
            upper = disk if layers == "fuse below" else None
            if upper is None:
                lower.append(_layer(folder, "b"))
        root = stack.enter_context(_overlay(tmp_path / "overlay", lower, upper, options))
        if upper is not None:
            (root / "new").write_bytes(b"content")
            mounts.settle(root / "new")

        async def main() -> None:
            for file in (entry for entry in root.iterdir() if entry.is_file()):
                for work in (_stat, _open, _stat, _open):
                    assert not await _on_the_loop(work, file)
                local, reason = await _inspect(file)
                assert not local, reason

        SELECTOR.run(main)
