"""Runs an `async def` test once on each kind of event loop, and hands out folders on real file systems.

A test that is a plain function asks for the fixture `loop` and calls `loop.run(main)`. The marker
`@pytest.mark.loops("asyncio")` keeps a test to the loops of one library.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import fuse, ground, mounts
from support.loops import LOOPS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "loops(library): run only on the event loops of asyncio or of trio")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(getattr(obj, "__func__", obj)):
        pytest.mark.usefixtures("loop")(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "loop" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("loops")
        chosen = [loop for loop in LOOPS if marker is None or loop.library == marker.args[0]]
        assert chosen, f"{metafunc.definition.nodeid} runs on no loop"
        metafunc.parametrize("loop", chosen, ids=str)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def main() -> None:
        await pyfuncitem.obj(**arguments)

    pyfuncitem.callspec.params["loop"].run(main)
    return True


@pytest.fixture(scope="session")
def slow_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuse.SlowDisk]:
    """A FUSE mount whose every request takes 300 ms."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("slow")) as disk:
        yield disk


@pytest.fixture(scope="session")
def sluggish_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuse.SlowDisk]:
    """One of 60 ms, three times what a loop may lag: for what is done one at a time, and so takes long."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("sluggish"), delay_ms=60) as disk:
        yield disk


@pytest.fixture(scope="session")
def prompt_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuse.SlowDisk]:
    """The same FUSE file system without the delay."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("prompt"), delay_ms=0) as disk:
        yield disk


@pytest.fixture(scope="session", params=["disk", "tmpfs", "xfs", "btrfs", "fuse"])
def file_system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on each kind of file system; "disk" is whatever holds the temporary files."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "disk":
        yield folder
    elif request.param == "fuse":
        yield request.getfixturevalue("prompt_disk").root
    else:
        if (reason := mounts.missing(request.param)) is not None:
            pytest.skip(reason)
        with mounts.mounted(request.param, folder, size=64 << 20) as root:
            yield root


@pytest.fixture
def directory(file_system: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new folder on each kind of file system."""
    folder = file_system / f"test-{abs(hash(request.node.nodeid)):x}"
    folder.mkdir()
    yield folder
    ground.remove(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[ground.Tree]:
    """A tree with every kind of entry, link, name and permission, on the disk."""
    root = tmp_path / "tree"
    root.mkdir()
    yield ground.build_varied(root)
    ground.open_up(root)
