"""The package as a new user meets it: what is imported when, what names say, how to build what is not."""

import importlib
import inspect
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import FunctionType

import pytest

import rapfiles
import rapfiles.progress
import rapfiles.tempfile
from rapfiles import AsyncPath
from support import process

PACKAGE = Path(rapfiles.__file__).parent

LAZY = """
import sys
import rapfiles

print("ready")
parts = ("rapfiles.tempfile", "rapfiles.compat", "rapfiles.progress", "rich", "tqdm")
print([name for name in (*parts, "asyncio", "trio") if name in sys.modules])
print([name for name in ("compat", "progress", "tempfile", "open") if name not in dir(rapfiles)])
print([name for name in dir(rapfiles) if not name.startswith("_") and name not in rapfiles.__all__])
print(rapfiles.tempfile.TemporaryDirectory.__name__, rapfiles.compat.tempfile.TemporaryDirectory.__name__)
print(rapfiles.tempfile is sys.modules["rapfiles.tempfile"])
try:
    rapfiles.missing
except AttributeError as error:
    print(error)
"""


def test_parts_are_loaded_on_first_use() -> None:
    ended = process.run(LAZY)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.splitlines() == [
        "[]",
        "[]",
        "['compat', 'progress', 'tempfile']",
        "TemporaryDirectory TemporaryDirectory",
        "True",
        "module 'rapfiles' has no attribute 'missing'",
    ]


@pytest.mark.parametrize(
    "package", [rapfiles, rapfiles.progress, rapfiles.tempfile], ids=lambda package: package.__name__
)
def test_what_is_public_says_so(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        exported = getattr(package, name)
        if isinstance(exported, type | FunctionType):
            assert exported.__module__ == package.__name__, name  # type: ignore[attr-defined]
            assert pickle.loads(pickle.dumps(exported)) is exported
            assert inspect.getdoc(exported), name


async def test_reprs_name_nothing_private(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path)
    opening = path.joinpath("file").open("wb+")
    assert repr(opening).startswith("<rapfiles.FileContextManager object at ")
    async with opening as file, rapfiles.tempfile.TemporaryFile("w+") as temporary:
        shown = [path, path.iterdir(), file, file.chunks(10), file.lines(), temporary]
        shown += [rapfiles.stdin, rapfiles.stdout, rapfiles.stats(), rapfiles.configuration()]
        assert [
            text for text in map(repr, shown) if "rapfiles._" in text or "rapfiles.tempfile._" in text
        ] == []


TRY = """
try:
    import rapfiles
except ImportError as error:
    print(error.__cause__, error, sep="\\n")
"""


def _unbuilt(folder: Path) -> Path:
    """A copy of the package without what is compiled."""
    copy = folder / "rapfiles"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("_native.*.so", "*.pyd", "__pycache__"))
    return copy


def _python(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "" if path is None else str(path)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("place", ["checkout", "another Python", "installed", "archive"])
def test_a_package_that_is_not_built(place: str, tmp_path: Path) -> None:
    """One sentence says what to do, without a traceback where a command was given."""
    copy = _unbuilt(tmp_path)
    advice = "install rapfiles again"
    path = None
    if place == "checkout":
        (tmp_path / "pyproject.toml").touch()
        advice = "`pip install -e .`"
    elif place == "another Python":
        (copy / "_native.cpython-310-x86_64-linux-gnu.so").touch()
        advice = "install rapfiles with the Python that uses it"
    elif place == "archive":
        path = tmp_path / "app.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in copy.rglob("*.py"):
                archive.write(file, file.relative_to(tmp_path))
        shutil.rmtree(copy)
        advice = "unpack it"
    for module in ("rapfiles", "rapfiles.compat"):
        command = _python(tmp_path, "-m", module, "doctor", path=path)
        assert command.returncode == 1
        assert command.stderr.count("\n") == 1, command.stderr
        assert advice in command.stderr
    imported = _python(tmp_path, "-c", TRY, path=path)
    assert (imported.returncode, imported.stderr) == (0, "")
    cause, explanation = imported.stdout.splitlines()
    assert cause == "No module named 'rapfiles._native'"
    assert advice in explanation


def test_every_public_module_can_be_imported_on_its_own() -> None:
    for name in (
        "rapfiles.tempfile",
        "rapfiles.progress",
        "rapfiles.compat.os",
        "rapfiles.compat.tempfile.temptypes",
    ):
        assert process.run(f"import {name}\nprint('ready')").code == 0
        importlib.import_module(name)
