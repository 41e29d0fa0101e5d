"""`python -m rapfiles tree`: a tree, drawn."""

import argparse
from typing import Any, Final

from .._find import ReportedSearch, TreeSearch
from .._outline import drawn
from .._path import AsyncPath
from .console import EXIT_CODES, Console
from .entries import followed, kind
from .paths import add_tops, add_workers
from .reporting import counts_first, reporter_beside_output

DESCRIPTION: Final = "Draw the trees that begin with directories."
EPILOG: Final = EXIT_CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_tops(parser, "DIR", "where a tree begins")
    add("--max-depth", metavar="N", type=int, help="draw up to N levels")
    add("--include", metavar="GLOB", action="append", help="of what is no directory, only what matches")
    add("--exclude", metavar="GLOB", action="append", help="neither draw nor enter what matches")
    add(
        "--no-hidden",
        dest="hidden",
        action="store_false",
        default=None,
        help="no names that begin with a dot",
    )
    add("--gitignore", action="store_true", help="leave out what git would ignore")
    add("--follow", action="store_true", help="enter links to directories")
    add_workers(parser)
    add("-x", "--one-file-system", action="store_true", help="do not enter other file systems")
    add("-0", "--null", action="store_true", help="instead of drawing, print each path, ended with NUL")
    add("--json", action="store_true", help="instead of drawing, print an object for each path, one a line")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    for name in options.paths:
        path = AsyncPath(name)
        try:
            if options.json or options.null:
                await _print_nodes(path, options, console)
            else:
                console.result(
                    await path.tree(
                        **_wanted(options),
                        on_error=console.complain,
                        progress=reporter_beside_output(console, "read"),
                        totals=console.status.shown,
                    )
                )
        except OSError as error:
            console.complain(error)
    return 1 if console.failed else 0


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_depth": options.max_depth,
        "include": options.include,
        "exclude": options.exclude,
        "hidden": options.hidden,
        "gitignore": options.gitignore,
        "follow_symlinks": options.follow,
        "same_file_system": options.one_file_system,
        "workers": options.workers,
    }


async def _print_nodes(top: AsyncPath, options: argparse.Namespace, console: Console) -> None:
    """Print what would be drawn, the entries of each directory together and after the directory itself."""

    def node(path: AsyncPath, kind: str) -> None:
        if options.json:
            depth = len(path.parts) - len(top.parts)
            console.record(depth=depth, path=str(path), name=path.name, kind=kind)
        else:
            console.result(str(path))

    wanted = drawn(**_wanted(options))
    reporter = reporter_beside_output(console, "read")
    search = (
        TreeSearch(top, False, None, console.complain, wanted)
        if reporter is None
        else ReportedSearch(top, False, None, console.complain, wanted, reporter, counts_first(reporter))
    )
    if await top.is_dir():
        node(top, "directory")
    async with search:
        async for entry in search:
            try:
                what = kind(entry, await followed(entry, options.follow))
            except OSError as error:  # such as that of an entry that was removed meanwhile
                console.complain(error)
            else:
                node(entry.path, what)
