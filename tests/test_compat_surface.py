"""rapfiles.compat offers what aiofiles offers: the recorded surface, and the signatures of types-aiofiles."""

import ast
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rapfiles.compat

_COMPAT = Path(__file__).parent.parent / "compat"
_PACKAGE = Path(rapfiles.compat.__file__).parent

pytestmark = pytest.mark.skipif(
    not (_COMPAT / "surface.json").exists(), reason="the record is part of the checkout, not of the package"
)


def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_surface", _COMPAT / "record_surface.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded() -> dict[str, Any]:
    """The recorded surface, as it is on the running Python and platform."""
    surface: dict[str, Any] = json.loads((_COMPAT / "surface.json").read_text(encoding="utf-8"))
    if sys.version_info >= (3, 12):
        names = surface["aiofiles.tempfile"]["names"]
        for name in ("NamedTemporaryFile", "_temporary_file"):
            names[name] = names[name].replace("delete=True,", "delete=True, delete_on_close=True,")
    module = surface["aiofiles.os"]
    for name in ("link", "sendfile", "statvfs"):
        if not hasattr(os, name):
            del module["names"][name]
            module["__all__"].remove(name)
    return surface


def test_the_record_is_that_of_aiofiles() -> None:
    if importlib.util.find_spec("aiofiles") is None:
        pytest.skip("aiofiles is not installed")
    assert recorder().record("aiofiles") == recorded()


def test_every_name_is_there_and_the_same() -> None:
    ours, theirs = recorder().record("rapfiles.compat"), recorded()
    assert ours.keys() == theirs.keys()
    for module, about in theirs.items():
        assert ours[module]["__all__"] == about["__all__"], module
        for name, thing in about["names"].items():
            place = f"{module}.{name}"
            assert name in ours[module]["names"], place
            ours_of_it = ours[module]["names"][name]
            if isinstance(thing, dict):
                assert ours_of_it["bases"] == thing["bases"], place
                # There may be more, but only what is private.
                more = {member: kind for member, kind in ours_of_it["members"].items() if member[0] == "_"}
                assert ours_of_it["members"] == more | thing["members"], place
            elif not name.startswith("_"):
                assert ours_of_it == thing, place


def test_what_there_is_besides() -> None:
    """A superset on purpose: modules that aiofiles has only after they have been imported, and `install`."""
    ours, theirs = recorder().record("rapfiles.compat"), recorded()
    more = {
        f"{module}.{name}"
        for module, about in ours.items()
        for name, thing in about["names"].items()
        if not name.startswith("_") and name not in theirs[module]["names"]
        # Not what is imported from elsewhere.
        if isinstance(thing, dict) or thing.startswith(("function", "awaited", "module aiofiles"))
    }
    assert more == {
        "aiofiles.install",
        "aiofiles.os",
        "aiofiles.ospath",
        "aiofiles.uninstall",
    }


@pytest.mark.parametrize("module", ["", "os", "ospath", "tempfile", "threadpool"])
def test_public_functions_are_documented(module: str) -> None:
    names = vars(importlib.import_module(f"rapfiles.compat.{module}".rstrip(".")))
    for name in names["__all__"]:
        if callable(names[name]):
            assert inspect.getdoc(names[name]), name


# types-aiofiles: our declarations for type checkers are compared with its stubs, as syntax trees.

# What our signatures take and those of types-aiofiles do not, though aiofiles does.
_TAKEN_TOO = {
    ("os", "access"): ("loop", "executor"),
    ("os", "getcwd"): ("loop", "executor"),
    ("os", "statvfs"): ("loop", "executor"),
    ("ospath", "abspath"): ("loop", "executor"),
    ("ospath", "islink"): ("loop", "executor"),
    ("ospath", "ismount"): ("loop", "executor"),
}
_MODULES = [
    "base",
    "os",
    "ospath",
    "tempfile",
    "tempfile.temptypes",
    "threadpool",
    "threadpool.binary",
    "threadpool.text",
    "threadpool.utils",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Class:
    """The declarations of a class, and the names of its bases."""

    def __init__(self, node: ast.ClassDef) -> None:
        bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
        self.bases = [ast.unparse(base) for base in bases]
        self.members = functions(node.body)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that a type checker sees."""
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            chosen = test == "TYPE_CHECKING" or (test.startswith("sys.") and eval(test, {"sys": sys}))
            yield from statements(node.body if chosen else node.orelse)
        else:
            yield node


def functions(body: list[ast.stmt]) -> dict[str, list[Function]]:
    """For each function its declaration, or those of its overloads, without what is private."""
    found: dict[str, list[Function]] = {}
    for node in statements(body):
        if isinstance(node, Function) and (not node.name.startswith("_") or node.name.startswith("__")):
            found.setdefault(node.name, []).append(node)
    # An overloaded function ends with its implementation, which is nobody's business.
    return {
        name: each[:-1] if len(each) > 1 and not each[-1].decorator_list else each
        for name, each in found.items()
    }


def signature(function: Function, without: tuple[str, ...] = ()) -> str:
    """What a type checker knows about a function."""
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    kept = [(keyword, default) for keyword, default in keywords if keyword.arg not in without]
    arguments = ast.arguments(
        posonlyargs=function.args.posonlyargs,
        args=function.args.args,
        vararg=function.args.vararg,
        kwonlyargs=[keyword for keyword, _ in kept],
        kw_defaults=[default for _, default in kept],
        kwarg=function.args.kwarg,
        defaults=function.args.defaults,
    )
    decorators = sorted(ast.unparse(decorator) for decorator in function.decorator_list)
    result = None if function.returns is None else ast.unparse(function.returns)
    return f"{decorators} {type(function).__name__} ({ast.unparse(arguments)}) -> {result}".replace(
        "TemporaryDirectory[Incomplete]", "TemporaryDirectory[Any]"
    )


def parse(folder: Path, module: str, suffix: str) -> ast.Module:
    path = folder.joinpath(*module.split("."))
    file = path / f"__init__{suffix}" if path.is_dir() else path.with_suffix(suffix)
    return ast.parse(file.read_text(encoding="utf-8"))


def classes(folder: Path, suffix: str) -> dict[str, Class]:
    """The classes of all modules; no two have the same name."""
    return {
        node.name: Class(node)
        for module in _MODULES
        for node in statements(parse(folder, module, suffix).body)
        if isinstance(node, ast.ClassDef)
    }


def inherited(name: str, known: dict[str, Class]) -> dict[str, list[str]]:
    """The signatures of all members of a class."""
    if name not in known:
        return {}
    found: dict[str, list[str]] = {}
    for base in reversed(known[name].bases):
        found |= inherited(base, known)
    return found | {
        member: [signature(each) for each in overloads] for member, overloads in known[name].members.items()
    }


@pytest.fixture
def stubs() -> Path:
    spec = importlib.util.find_spec("aiofiles-stubs")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("types-aiofiles is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@pytest.mark.parametrize("module", _MODULES)
def test_signatures_of_functions_are_those_of_types_aiofiles(module: str, stubs: Path) -> None:
    theirs = functions(parse(stubs, module, ".pyi").body)
    ours = functions(parse(_PACKAGE, module, ".py").body)
    for name, overloads in theirs.items():
        more = _TAKEN_TOO.get((module, name), ())
        for each, declared in zip(ours[name], overloads, strict=True):
            assert signature(each, more) == signature(declared), name
            assert set(more) <= {keyword.arg for keyword in each.args.kwonlyargs}


def test_signatures_of_methods_are_those_of_types_aiofiles(stubs: Path) -> None:
    theirs, ours = classes(stubs, ".pyi"), classes(_PACKAGE, ".py")
    compared = {name for name in theirs if not name.startswith("_")}
    assert len(compared) >= 12
    for name in compared:
        their_members, our_members = inherited(name, theirs), inherited(name, ours)
        for member, overloads in their_members.items():
            assert our_members[member] == overloads, f"{name}.{member}"
        assert {
            member for member in our_members.keys() - their_members.keys() if member[0] != "_"
        } == set(), name
