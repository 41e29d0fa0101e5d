"""Runs an `async def` test once on each kind of event loop, and hands out folders on real file systems.

A test that is a plain function asks for the fixture `loop` and calls `loop.run(main)`. Markers:

- `@pytest.mark.loops("asyncio")` keeps a test to the loops of one library.
- `@pytest.mark.one_loop` runs it on one loop only, a different one for each of its parameter sets: for what
  does not cross the loop differently on another.
- `@pytest.mark.interpreter`: it shows how an interpreter drives a loop; each of them runs it on every loop.
- `@pytest.mark.slow`: it takes seconds and says the same on every interpreter. It runs if it is chosen by its
  file, by `-k` or by `-m`, and with `--slow`.
- `@pytest.mark.watchdog(seconds)` lets a test take longer than `watchdog.SECONDS` before it counts as hung.

Without chosen files, the suite runs in several processes side by side (pytest-xdist); `-n` decides.
`--everything` does all rounds and examples of the random tests, and every test on every loop. `--one-loop`
runs all tests but those marked `interpreter` on one loop, for a further interpreter: there the crossings of
tests and loops would say again what they have said on the first. `--part 1/2` runs these and, of the others,
those that fall to the first of two further interpreters.
"""

import gc
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from support import effort, fuse, ground, mounts, watchdog
from support.loops import LOOPS

# Most of what takes long waits for a disk or a child process.
PROCESSES_PER_CPU = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--everything", action="store_true", help="all rounds, all examples, every test on every loop"
    )
    parser.addoption("--slow", action="store_true", help="also the tests marked `slow`")
    parser.addoption(
        "--one-loop",
        action="store_true",
        help="every test on one loop only, each on a different one, but for those marked `interpreter`",
    )
    parser.addoption(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="N/OF",
        help="of the tests that are not marked `interpreter`, only the N-th of as many parts",
    )


def _part(text: str) -> tuple[int, int]:
    number, of = map(int, text.split("/"))
    if not 1 <= number <= of:
        raise ValueError(text)
    return number, of


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before pytest-xdist looks at its options: the whole suite side by side."""
    # Nor may one of its workers start workers: they pass through here as well, with the same arguments.
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS or "PYTEST_XDIST_WORKER" in os.environ
    if config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None and not chosen:
        config.option.numprocesses = PROCESSES_PER_CPU * (os.cpu_count() or 1)
        config.option.dist = "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist, which is given the same arguments, but files in place of none."""
    node.workerinput["slow"] = _runs_slow(node.config)


def _runs_slow(config: pytest.Config) -> bool:
    """Whether tests marked `slow` run: if anything was chosen."""
    if (input_of_worker := getattr(config, "workerinput", None)) is not None:
        return bool(input_of_worker["slow"])
    option = config.option
    by_file = config.args_source is pytest.Config.ArgsSource.ARGS
    return bool(by_file or option.keyword or option.markexpr or option.slow or option.everything)


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "loops(library): run only on the event loops of asyncio or of trio",
        "interpreter: run on every loop on each interpreter",
        "one_loop: run on one event loop, a different one for each set of parameters",
        "slow: takes seconds and says the same on every interpreter",
        "watchdog(seconds): may take so long before it counts as hung",
    ):
        config.addinivalue_line("markers", marker)
    if config.option.everything:
        os.environ[effort.EVERYTHING] = "1"  # the workers of pytest-xdist, and modules that are imported
    # Containers often set this. Each worker would rewrite all assertions anew, and each of the hundreds of
    # interpreters that the tests start would compile the package.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    watchdog.prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that the options choose."""
    for others in (_slow, _on_other_loops, _of_other_parts):
        if dropped := others(config, items):
            config.hook.pytest_deselected(items=[item for item in items if item in dropped])
            items[:] = [item for item in items if item not in dropped]


def _slow(config: pytest.Config, items: list[pytest.Item]) -> set[pytest.Item]:
    if _runs_slow(config):
        return set()
    return {item for item in items if item.get_closest_marker("slow") is not None}


def _on_other_loops(config: pytest.Config, items: list[pytest.Item]) -> set[pytest.Item]:
    """Of tests that run on one loop: those on another one. The next parameters are for the next loop."""
    if config.option.everything:
        return set()
    alike: dict[tuple[object, str, int], dict[str, list[pytest.Item]]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and (first := _first_loop(item)) is not None:
            # The loop's name is the first one, unless a fixture has parameters; it may itself have a hyphen.
            parameters = f"-{item.callspec.id}-".replace(f"-{item.callspec.params['loop']}-", "-", 1)
            alike.setdefault((item.parent, item.originalname, first), {}).setdefault(parameters, []).append(
                item
            )
    return {
        item
        for (_parent, _name, first), sets in alike.items()
        for number, on_loops in enumerate(sets.values(), first)
        for item in on_loops
        if item is not on_loops[number % len(on_loops)]
    }


def _of_other_parts(config: pytest.Config, items: list[pytest.Item]) -> set[pytest.Item]:
    number, of = config.option.part
    return {
        item
        for item in items
        if item.get_closest_marker("interpreter") is None and crc32(item.nodeid.encode()) % of != number - 1
    }


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what pytest holds out of collections: tests that settle garbage would go through it each time."""
    # When it is imported, which may not have been, it asks the collector who holds trio's random numbers, and
    # is not told of what is frozen.
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


def _first_loop(item: pytest.Function) -> int | None:
    """On which loop a test's first parameters are run, if they are run on one loop only."""
    if item.get_closest_marker("one_loop") is not None:
        return 0
    crosses = hasattr(item, "callspec") and "loop" in item.callspec.params
    if crosses and item.config.option.one_loop and item.get_closest_marker("interpreter") is None:
        # Most tests have no other parameters: they, too, are to be spread over the loops.
        return crc32(item.originalname.encode())
    return None


def _watch(item: pytest.Item) -> None:
    marker = item.get_closest_marker("watchdog")
    watchdog.start(watchdog.SECONDS if marker is None else marker.args[0])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The watchdog over a test and its fixtures."""
    _watch(item)
    try:
        return (yield)
    finally:
        watchdog.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Again: pytest calls a dump off when a test has failed."""
    _watch(item)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Nothing calls this one off: a process that does not end hangs too."""
    watchdog.start(watchdog.SECONDS)


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
    """A FUSE mount whose every request takes `fuse.DELAY_MS`."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("slow")) as disk:
        yield disk


@pytest.fixture(scope="session")
def sluggish_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuse.SlowDisk]:
    """One of 40 ms, twice what a loop may lag: for what is done one at a time, and so takes long."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("sluggish"), delay_ms=40) as disk:
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
