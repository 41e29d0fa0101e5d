"""The common part of `python -m rapfiles copy` and `move`: sources and a target."""

import argparse
import errno
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from .._engine import stats
from .._path import AsyncPath
from .console import Console
from .paths import add_list, path_argument
from .reporting import Reporter

EPILOG: Final = "exit codes: 0 all was done, 1 something went wrong, 2 wrong usage, 130 interrupted"
# Seconds: a small part of what removing a thousand files takes.
_LOOK_EVERY: Final = 0.005


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that both take."""
    add = parser.add_argument
    add(
        "sources",
        metavar="SOURCE",
        nargs="+",
        type=path_argument,
        help="a file or a directory, with everything in it",
    )
    add(
        "target", metavar="TARGET", type=path_argument, help="the new path, or a directory into which they go"
    )
    add_list(parser, "the new path of each SOURCE")
    add("--json", action="store_true", help="print an object for each SOURCE, one a line")


def clear_up() -> None:
    """Wait until what an interruption left unfinished is removed; another one ends that, too."""
    while (now := stats()).queued or now.in_flight:
        time.sleep(_LOOK_EVERY)


async def transfer(
    options: argparse.Namespace,
    console: Console,
    verb: str,
    one: Callable[[AsyncPath, AsyncPath, Reporter], Awaitable[Any]],
) -> int:
    """Copy or move each source and return the exit code."""
    target = AsyncPath(options.target)
    into = await target.is_dir()
    if len(options.sources) > 1 and not into:
        console.complain(NotADirectoryError(errno.ENOTDIR, "Not a directory", options.target))
        return 1
    for name in options.sources:
        source = AsyncPath(name)
        place = target / source.name if into and source.name else target
        reporter = Reporter(console, verb)
        try:
            await one(source, place, reporter)
        except OSError as error:
            console.complain(error)
            continue
        finally:
            console.status.clear()
        reporter.end(source=name, target=str(place))
        console.listed(str(place), options)
    return 1 if console.failed else 0
