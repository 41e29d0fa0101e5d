"""`python -m rapfiles tree`: a tree, drawn."""

import argparse
from typing import Final

from .._path import AsyncPath
from .console import EXIT_CODES, Console
from .paths import add_tops
from .reporting import reporter_beside_output

DESCRIPTION: Final = "Draw the trees that begin with directories."
EPILOG: Final = EXIT_CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_tops(parser, "DIR", "where a tree begins")
    add("--max-depth", metavar="N", type=int, help="draw so many levels")
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
    add("-x", "--one-file-system", action="store_true", help="do not enter other file systems")
    add("--json", action="store_true", help="print an object with the lines for each DIR, one a line")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    for path in options.paths:
        try:
            drawn = await AsyncPath(path).tree(
                max_depth=options.max_depth,
                include=options.include,
                exclude=options.exclude,
                hidden=options.hidden,
                gitignore=options.gitignore,
                follow_symlinks=options.follow,
                same_file_system=options.one_file_system,
                on_error=console.complain,
                progress=reporter_beside_output(console, "read"),
            )
        except OSError as error:
            console.complain(error)
            continue
        if options.json:
            console.record(path=path, lines=drawn.splitlines())
        else:
            console.result(drawn)
    return 1 if console.failed else 0
