"""AsyncPath has every member of pathlib.Path, and each takes every argument that pathlib's takes."""

import inspect
import os
import pathlib
import sys
from inspect import Parameter, Signature
from typing import Any

import pytest

import rapfiles
from rapfiles import AsyncPath

NEVER = {
    "link_to": "deprecated when it was new, and gone since Python 3.12; hardlink_to takes its place",
    "__enter__": "does nothing, is deprecated, and is gone since Python 3.13",
    "__exit__": "does nothing, is deprecated, and is gone since Python 3.13",
}

# The members of the newest pathlib, Python 3.15.
LEXICAL = [
    "anchor",
    "as_posix",
    "as_uri",
    "drive",
    "from_uri",
    "full_match",
    "info",
    "is_absolute",
    "is_relative_to",
    "joinpath",
    "match",
    "name",
    "parent",
    "parents",
    "parser",
    "parts",
    "relative_to",
    "root",
    "stem",
    "suffix",
    "suffixes",
    "with_name",
    "with_segments",
    "with_stem",
    "with_suffix",
]
AWAITED = [
    "absolute",
    "chmod",
    "copy",
    "copy_into",
    "cwd",
    "exists",
    "expanduser",
    "group",
    "hardlink_to",
    "home",
    "is_block_device",
    "is_char_device",
    "is_dir",
    "is_fifo",
    "is_file",
    "is_junction",
    "is_mount",
    "is_socket",
    "is_symlink",
    "lchmod",
    "lstat",
    "mkdir",
    "move",
    "move_into",
    "owner",
    "read_bytes",
    "read_text",
    "readlink",
    "rename",
    "replace",
    "resolve",
    "rmdir",
    "samefile",
    "stat",
    "symlink_to",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
]
ITERATED = ["glob", "iterdir", "rglob", "walk"]
ENTERED = ["open", "open_atomic"]

# What pathlib does not have.
ADDED = {
    "access",
    "append_bytes",
    "append_text",
    "du",
    "exchange",
    "find",
    "lock",
    "rmtree",
    "scandir",
    "sync",
    "tree",
    "truncate",
    "utime",
}
if sys.platform != "win32":
    ADDED |= {"chown", "statvfs"}
if sys.platform == "linux":
    ADDED |= {"getxattr", "setxattr", "listxattr", "removexattr"}


def public(kind: type) -> set[str]:
    """The names of a class's members, without those that every object has and those that are private."""
    return {
        name
        for name in dir(kind)
        if not name.startswith("_") or (name.startswith("__") and not hasattr(object, name))
    } - {
        "__module__",
        "__slots__",
        "__weakref__",
        "__annotations__",
        "__static_attributes__",
        "__firstlineno__",
    }


def test_every_member_of_pathlib_is_there() -> None:
    assert public(pathlib.Path) - public(AsyncPath) == {name for name in NEVER if hasattr(pathlib.Path, name)}


def test_every_member_of_the_newest_pathlib_is_there() -> None:
    assert {*LEXICAL, *AWAITED, *ITERATED, *ENTERED} <= public(AsyncPath)


def test_nothing_else_is_there() -> None:
    known = {*LEXICAL, *AWAITED, *ITERATED, *ENTERED} | public(pathlib.Path)
    assert public(AsyncPath) - known == ADDED
    for name in ADDED:
        assert not hasattr(pathlib.Path, name)


@pytest.mark.parametrize("name", AWAITED)
def test_what_looks_at_the_disk_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(AsyncPath, name))
    assert isinstance(inspect.getattr_static(AsyncPath, name), classmethod) == (name in {"cwd", "home"})


def test_iterdir_is_iterated_asynchronously() -> None:
    iterator = AsyncPath().iterdir()
    assert aiter(iterator) is iterator


@pytest.mark.parametrize("name", LEXICAL)
def test_what_is_lexical_is_not_awaited(name: str) -> None:
    assert not inspect.iscoroutinefunction(inspect.getattr_static(AsyncPath, name))


def parameters(kind: type, name: str) -> list[Parameter]:
    """The parameters of a method, without the object or class itself."""
    member = inspect.getattr_static(kind, name)
    member = member.__func__ if isinstance(member, classmethod) else member
    return list(inspect.signature(member).parameters.values())[1:]


METHODS = [
    name
    for name in sorted(public(pathlib.Path) - NEVER.keys())
    if callable(getattr(pathlib.Path, name)) and not inspect.isclass(getattr(pathlib.Path, name))
]


@pytest.mark.parametrize("name", METHODS)
def test_each_takes_what_pathlib_takes(name: str) -> None:
    theirs, ours = parameters(pathlib.Path, name), parameters(AsyncPath, name)
    positional = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL}
    their_positional = [parameter for parameter in theirs if parameter.kind in positional]
    our_positional = [parameter for parameter in ours if parameter.kind in positional]
    for their, our in zip(their_positional, our_positional, strict=False):
        if their.kind is Parameter.VAR_POSITIONAL:
            assert our.kind is Parameter.VAR_POSITIONAL
        elif their.kind is not Parameter.POSITIONAL_ONLY:
            assert (our.name, our.kind) == (their.name, their.kind)
        assert our.default == their.default
    assert len(our_positional) >= len(their_positional)
    ours_by_name = {parameter.name: parameter for parameter in ours}
    for their in theirs:
        if their.kind is Parameter.KEYWORD_ONLY:
            assert ours_by_name[their.name].kind is Parameter.KEYWORD_ONLY
            assert ours_by_name[their.name].default == their.default
    for our in ours[len(theirs) :]:
        # What is more than pathlib takes may be left out.
        assert our.default is not Parameter.empty


# The signatures of the newest pathlib, where some Python that is supported has less.
NEWEST: dict[str, str] = {
    "exists": "(*, follow_symlinks=True)",
    "is_file": "(*, follow_symlinks=True)",
    "is_dir": "(*, follow_symlinks=True)",
    "owner": "(*, follow_symlinks=True)",
    "group": "(*, follow_symlinks=True)",
    "stat": "(*, follow_symlinks=True)",
    "chmod": "(mode, *, follow_symlinks=True)",
    "read_text": "(encoding=None, errors=None, newline=None)",
    # What comes after the star is more than pathlib takes.
    "write_text": "(data, encoding=None, errors=None, newline=None, *, atomic=False, durable=False, "
    "overwrite=True, follow_symlinks=True, fallback='error')",
    "mkdir": "(mode=511, parents=False, exist_ok=False, *, parent_mode=None)",
    "match": "(path_pattern, *, case_sensitive=None)",
    "glob": "(pattern, *, case_sensitive=None, recurse_symlinks=False)",
    "rglob": "(pattern, *, case_sensitive=None, recurse_symlinks=False)",
    "full_match": "(pattern, *, case_sensitive=None)",
    "with_segments": "(*pathsegments)",
    "from_uri": "(uri)",
    "is_junction": "()",
    "hardlink_to": "(target)",
    "samefile": "(other_path)",
}


BEYOND = {"glob": "progress", "rglob": "progress"}
"""What some of these methods have besides."""


@pytest.mark.parametrize("name", NEWEST)
def test_signatures_are_those_of_the_newest_pathlib(name: str) -> None:
    bare = [parameter.replace(annotation=Parameter.empty) for parameter in parameters(AsyncPath, name)]
    if name in BEYOND:
        beyond = bare.pop()
        assert (beyond.name, beyond.kind) == (BEYOND[name], Parameter.KEYWORD_ONLY)
    assert str(Signature(bare)) == NEWEST[name]


def test_relative_to_walks_up() -> None:
    walk_up = inspect.signature(AsyncPath.relative_to).parameters["walk_up"]
    assert (walk_up.kind, walk_up.default) == (Parameter.KEYWORD_ONLY, False)


OF_OS: dict[str, Any] = {"access": os.access, "truncate": os.truncate}
OF_OS |= {
    name: getattr(os, name) for name in ("getxattr", "setxattr", "listxattr", "removexattr") if name in ADDED
}


@pytest.mark.parametrize("name", OF_OS)
def test_what_is_added_is_called_as_in_os(name: str) -> None:
    theirs = list(inspect.signature(OF_OS[name]).parameters.values())[1:]
    theirs = [parameter for parameter in theirs if parameter.name != "dir_fd"]
    ours = parameters(AsyncPath, name)
    assert [(our.name, our.kind) for our in ours] == [(their.name, their.kind) for their in theirs]
    assert [our.default for our in ours] == [their.default for their in theirs]


def test_utime_is_called_as_in_os() -> None:
    # The one of os has no signature that could be compared, because its `ns` has no default.
    bare = [parameter.replace(annotation=Parameter.empty) for parameter in parameters(AsyncPath, "utime")]
    assert str(Signature(bare)) == "(times=None, *, ns=None, follow_symlinks=True)"


@pytest.mark.parametrize("name", sorted({*AWAITED, *ITERATED, *ENTERED, *ADDED}))
def test_every_method_says_what_it_does(name: str) -> None:
    text = inspect.getdoc(inspect.getattr_static(AsyncPath, name)) or ""
    assert "```python" in text
    for parameter in parameters(AsyncPath, name):
        if name not in {"lchmod"}:
            assert f"{parameter.name}:" in text, parameter.name


def test_the_package_lists_what_is_public() -> None:
    assert rapfiles.__all__ == sorted(rapfiles.__all__, key=lambda name: (not name[0].isupper(), name))
    for name in rapfiles.__all__:
        assert getattr(rapfiles, name) is not None
    public_names = {name for name in vars(rapfiles) if not name.startswith("_")}
    # The submodules are there once they were used.
    public_names -= {"TYPE_CHECKING", "compat", "doctor", "progress", "tempfile"}
    assert public_names == set(rapfiles.__all__) - {"__version__"}
