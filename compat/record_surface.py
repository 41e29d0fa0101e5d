"""Records what aiofiles offers: `python compat/record_surface.py >compat/surface.json`.

For each module, its names; for each name, what it is, and how it is called; for each class, its bases and
members. `tests/test_compat_surface.py` records `rapfiles.compat` in the same way and compares. The file is
made with Python 3.11 on Linux; since 3.12, `NamedTemporaryFile` has `delete_on_close` as well.
"""

import importlib
import inspect
import json
import os
import sys
from typing import Any

MODULES = [
    "",
    ".base",
    ".os",
    ".ospath",
    ".tempfile",
    ".tempfile.temptypes",
    ".threadpool",
    ".threadpool.binary",
    ".threadpool.text",
    ".threadpool.utils",
]

# What modules and classes have that is not of their making.
UNINTERESTING = {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}


def signature(function: Any) -> str:
    """The parameters of a function, without annotations."""
    found = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def member(value: Any) -> str:
    """What kind of member of a class this is, and how it is called."""
    if isinstance(value, property):
        return "property" if value.fset is None else "property that can be set"
    if inspect.iscoroutinefunction(value):
        return f"awaited {signature(value)}"
    if inspect.isfunction(value):
        return f"method {signature(value)}"
    return type(value).__name__


def incidental(name: str, value: Any, package: str) -> bool:
    """Whether a module has this name only because it imports something for itself."""
    if inspect.ismodule(value):
        return name in {"asyncio", "functools", "sys"}
    at_home = getattr(value, "__module__", None) or ""
    return (
        not at_home.startswith(package)
        and getattr(value, "__name__", None) == name
        and not hasattr(value, "__wrapped__")
    )


def describe(name: str, value: Any, module: str, package: str) -> Any:
    """What a name of a module stands for."""
    if inspect.ismodule(value):
        if value is os.path:
            return "module os.path"
        return "module " + value.__name__.replace(package, "aiofiles", 1)
    if inspect.isclass(value):
        if not value.__module__.startswith(package):
            return f"{value.__module__}.{value.__name__}"
        home = value.__module__.replace(package, "aiofiles", 1)
        if value.__module__ != module:
            return f"class {home}.{value.__name__}"
        members = {name: member(each) for name, each in vars(value).items() if name not in UNINTERESTING}
        bases = [base.__name__ for base in value.__mro__ if base.__module__.startswith(package)]
        return {"bases": bases[1:], "members": dict(sorted(members.items()))}
    if hasattr(value, "registry"):
        registered = sorted(kind.__name__ for kind in value.registry)
        return f"single dispatch {signature(value)} for {', '.join(registered)}"
    if inspect.iscoroutinefunction(value):
        if (wrapped := getattr(value, "__wrapped__", None)) is None:
            return f"awaited {signature(value)}"
        # Where the standard library defines them depends on the platform.
        home = "os" if wrapped is getattr(os, name, None) else "os.path"
        assert wrapped is getattr(os if home == "os" else os.path, name)
        return f"awaited, wraps {home}.{name}"
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        home = value.__module__
        if home.startswith(package):
            return f"function {signature(value)}"
        return f"{'io' if home == '_io' else home}.{value.__name__}"
    return f"a {type(value).__name__}"


def record(package: str) -> dict[str, Any]:
    """What there is in each module of a package that is laid out as aiofiles is."""
    surface: dict[str, Any] = {}
    for name in MODULES:
        module = importlib.import_module(package + name)
        public = getattr(module, "__all__", None)
        surface["aiofiles" + name] = {
            "__all__": None if public is None else sorted(public),
            "names": {
                name: describe(name, value, module.__name__, package)
                for name, value in sorted(vars(module).items())
                if name != "_" and not name.startswith("__") and not incidental(name, value, package)
            },
        }
    return surface


if __name__ == "__main__":
    json.dump(record("aiofiles"), sys.stdout, indent=1)
    print()
