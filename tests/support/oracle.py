"""Compares AsyncPath with the running interpreter's own pathlib: the same result, or the same error."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from rapfiles import AsyncPath

# Where a call's argument is a path, this stands for "an object of the class under test".
AnyPath = type[Path] | type[AsyncPath]


@dataclass(frozen=True)
class Call:
    """A call of `method` that both classes have; `arguments` makes its arguments for one of the classes."""

    method: str
    text: str
    arguments: Callable[[AnyPath], tuple[tuple[Any, ...], dict[str, Any]]]
    # The argument is wrong for every path: AsyncPath says so before it looks at the path, pathlib maybe not.
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.method}({self.text})"


def call(method: str, *args: Any, **keywords: Any) -> Call:
    """A call whose arguments are the same for both classes."""
    text = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in keywords.items())])
    return Call(method, text[:80], lambda _: (args, keywords))


def refused(method: str, *args: Any, **keywords: Any) -> Call:
    """A call whose arguments are wrong whatever the path."""
    return replace(call(method, *args, **keywords), refused=True)


def call_with_path(method: str, argument: str, *args: Any) -> Call:
    """A call whose first argument is a path object of the caller's own class."""
    return Call(method, f"P({argument[:80]!r})", lambda kind: ((kind(argument), *args), {}))


def _plain(value: object) -> object:
    """A value in a form that is equal for both classes."""
    if isinstance(value, PurePath):
        return ("path", isinstance(value, Path | AsyncPath), str(value))
    if isinstance(value, os.stat_result):
        return {name: getattr(value, name) for name in dir(value) if name.startswith("st_")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return (type(value).__name__, value)


def _error(error: Exception) -> object:
    kind = type(error)
    if isinstance(error, OSError):
        return (kind, error.errno, error.strerror, error.filename, error.filename2, len(error.args))
    if isinstance(error, UnicodeError):
        return (kind, error.args)
    if isinstance(error, TypeError):
        return kind  # the texts name the class and the function that was called inside
    return (kind, str(error))


def _without_root(outcome: object, root: str | None) -> object:
    """Two equal trees stand in different places: their roots' names are taken out of what they say."""
    if root is None:
        return outcome
    if isinstance(outcome, str):
        return outcome.replace(root, "<root>")
    if isinstance(outcome, tuple | list):
        return type(outcome)(_without_root(item, root) for item in outcome)
    return outcome


def by_pathlib(path: str, step: Call, root: str | None = None) -> object:
    """What pathlib answers to `step` on `path`: ("returns", value) or ("raises", error)."""
    try:
        args, keywords = step.arguments(Path)
        result = getattr(Path(path), step.method)(*args, **keywords)
        if step.method == "iterdir":
            result = list(result)
        outcome = ("returns", _plain(result))
    except Exception as error:
        outcome = ("raises", _error(error))
    return _without_root(outcome, root)


async def by_async_path(path: str, step: Call, root: str | None = None) -> object:
    """What AsyncPath answers to `step` on `path`, in the same form."""
    try:
        args, keywords = step.arguments(AsyncPath)
        result = getattr(AsyncPath(path), step.method)(*args, **keywords)
        result = [entry async for entry in result] if step.method == "iterdir" else await result
        outcome = ("returns", _plain(result))
    except Exception as error:
        outcome = ("raises", _error(error))
    return _without_root(outcome, root)


def of_call(work: Callable[[], Any]) -> object:
    """What the synchronous `work()` does, in the same form: the oracle for what pathlib lacks."""
    try:
        return ("returns", _plain(work()))
    except Exception as error:
        return ("raises", _error(error))


async def of_await(work: Callable[[], Awaitable[Any]]) -> object:
    """What awaiting `work()` does, in the same form."""
    try:
        return ("returns", _plain(await work()))
    except Exception as error:
        return ("raises", _error(error))
