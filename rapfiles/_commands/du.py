"""`python -m rapfiles du`: how much space files and trees take."""

import argparse
from typing import Final

from .._path import AsyncPath
from .console import EXIT_CODES, Console
from .paths import add_tops, add_workers
from .reporting import reporter_beside_output
from .sizes import human

DESCRIPTION: Final = "Print how much room files and trees take."
EPILOG: Final = EXIT_CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_tops(parser, "PATH", "a file or a directory")
    add("--apparent-size", action="store_true", help="the sum of the sizes, not what is set aside for them")
    add("--bytes", action="store_true", help="print bytes instead of K, M and G")
    add("--exclude", metavar="GLOB", action="append", help="do not count what matches")
    add("--gitignore", action="store_true", help="do not count what git would ignore")
    add_workers(parser)
    add("-x", "--one-file-system", action="store_true", help="do not enter other file systems")
    add("-0", "--null", action="store_true", help="end each path with NUL instead of a new line")
    add("--json", action="store_true", help="print an object for each PATH, one a line")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    for path in options.paths:
        try:
            # What is missing has no size, not even none, and neither has what a link leads to in vain.
            await AsyncPath(path).stat()
            usage = await AsyncPath(path).du(
                exclude=options.exclude,
                gitignore=options.gitignore,
                same_file_system=options.one_file_system,
                workers=options.workers,
                on_error=console.complain,
                progress=reporter_beside_output(console, "counted"),
                totals=console.status.shown,
            )
        except OSError as error:
            console.complain(error)
            continue
        if options.json:
            console.record(
                path=path,
                apparent=usage.apparent,
                allocated=usage.allocated,
                files=usage.files,
                directories=usage.directories,
                symlinks=usage.symlinks,
                others=usage.others,
            )
        else:
            size = usage.apparent if options.apparent_size else usage.allocated
            console.result(f"{size if options.bytes else human(size)}\t{path}")
    return 1 if console.failed else 0
