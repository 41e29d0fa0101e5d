"""AsyncPath answers as the running interpreter's pathlib: each method, each kind of path, also at random."""

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from rapfiles import AsyncPath
from support import differential, effort, ground, process
from support.loops import LOOPS, SELECTOR, Loop

# Another seed plays other sequences; a failure says which one it was.
SEED = int(os.environ.get("RAPFILES_SEED", "2"))

# Methods that pathlib and AsyncPath both have and that other tests compare, or that need no disk.
COMPARED_ELSEWHERE = {
    "open": "test_handle_fuzz.py and test_open.py",
    "copy": "test_copy.py and test_copy_tree.py",
    "copy_into": "test_copy.py",
    "move": "test_move.py",
    "move_into": "test_move.py",
    "glob": "test_glob.py",
    "rglob": "test_glob.py",
    "walk": "test_walk.py",
    "cwd": "test_resolve.py",
    "home": "test_resolve.py",
    "from_uri": "test_lexical.py",
}


def _report(differences: list[str]) -> None:
    assert not differences, f"{len(differences)} differences, seed {SEED}:\n" + "\n".join(differences[:8])


def _tree(folder: Path) -> Iterator[ground.Tree]:
    root = folder / "tree"
    root.mkdir()
    yield ground.build_varied(root)
    ground.open_up(root)


@pytest.fixture
def varied(directory: Path) -> Iterator[ground.Tree]:
    """The tree with everything, on each kind of file system."""
    yield from _tree(directory)


def _others(tree: ground.Tree) -> list[str]:
    return ["small", f"{tree.root}/small", "to-file", "dir", "missing", "loop", "small/inside", ""]


def test_every_shared_method_is_compared() -> None:
    """A method that is new in either class announces itself here."""
    shared = {
        name
        for name in dir(Path)
        if not name.startswith("_")
        and callable(getattr(Path, name))
        and not hasattr(PurePath, name)
        and hasattr(AsyncPath, name)
    }
    reading = {step.method for step in differential.reading_calls(["x"])}
    assert shared == reading | differential.CHANGING | (set(COMPARED_ELSEWHERE) & shared)


def _share(loop: Loop, cases: int) -> slice:
    """What a loop has of random cases: each has others, or all of them with `--everything`."""
    first, loops = LOOPS.index(loop), len(LOOPS)
    return slice(effort.times(cases * first // loops, 0), effort.times(cases * (first + 1) // loops, cases))


def test_reading_on_every_loop(tree: ground.Tree, loop: Loop) -> None:
    calls = differential.reading_calls(_others(tree))
    _report(loop.run(differential.compare_reading, tree, differential.spellings(tree), calls))


def test_reading_random_paths(tree: ground.Tree, loop: Loop) -> None:
    paths = differential.random_paths(tree, effort.times(300, everything=1000), random.Random(SEED))
    paths = paths[_share(loop, len(paths))]
    calls = [step for step in differential.reading_calls(["small"]) if step.method != "read_text"]
    _report(loop.run(differential.compare_reading, tree, paths, calls))


@pytest.mark.slow
def test_reading_on_every_file_system(varied: ground.Tree) -> None:
    calls = differential.reading_calls(_others(varied))
    # A sample, without the longest ones: each component of a path is a request to FUSE, in each call.
    paths = [path for path in differential.spellings(varied) if len(path) < 1000]
    paths = random.Random(SEED).sample(paths, 30)
    _report(SELECTOR.run(differential.compare_reading, varied, paths, calls))


def test_changing_on_every_loop(tmp_path: Path, loop: Loop) -> None:
    _report(loop.run(differential.compare_changing, SEED, range(75)[_share(loop, 75)], tmp_path, None))


@pytest.mark.slow
def test_changing_on_every_file_system(directory: Path) -> None:
    _report(SELECTOR.run(differential.compare_changing, SEED + 1, range(15), directory, None))


@pytest.mark.watchdog(330)
@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; the other tests ran as this one"
)
def test_as_another_user() -> None:
    # pytest's own folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="rapfiles-"))
    try:
        folder.chmod(0o755)
        (folder / "of-root").mkdir()
        (folder / "own").mkdir()
        os.chown(folder / "own", 65534, 65534)
        ground.build_foreign(folder / "of-root" / "foreign")
        program = "from support.nobody import main; main()"
        ended = process.run(program, str(folder), str(SEED), "60", HOME=str(folder / "own"), timeout=300)
        assert (ended.code, ended.errors) == (0, "")
        _report(json.loads(ended.output))
    finally:
        shutil.rmtree(folder)
