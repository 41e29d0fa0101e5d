"""`python -m rapfiles rm`: files and trees."""

import argparse
import sys
from typing import Final

from .._path import AsyncPath
from .console import Console, printable
from .paths import add_list, path_argument
from .reporting import Reporter

DESCRIPTION: Final = "Remove files and trees; more than one file only with --force, or when told to."
EPILOG: Final = """\
Where standard input is a terminal, it asks before it removes a directory or several paths; elsewhere it
wants --force for that. Symbolic links are removed, never what they lead to. The root, `.` and `..` are not
removed.

exit codes: 0 all is gone, 1 something is not, 2 wrong usage, 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        type=path_argument,
        help="a file or a directory, with everything in it",
    )
    add("-f", "--force", action="store_true", help="do not ask, and do not complain of what is not there")
    add_list(parser, "each PATH that has been removed")
    add("--json", action="store_true", help="print an object for each PATH, one a line")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    paths = [AsyncPath(name) for name in options.paths]
    for path in paths:
        if path.name in ("", ".."):
            console.say(f"{path} is not removed: it is the root, or has no name of its own")
            return 1
    trees = [path for path in paths if await _is_tree(path)]
    if not options.force and (trees or len(paths) > 1):
        what = f"{trees[0]} and everything in it" if len(paths) == 1 else f"{len(paths)} paths"
        if len(paths) > 1 and trees:
            what += " and everything in them"
        if not sys.stdin.isatty():
            console.say(f"removing {what} wants --force")
            return 1
        if not _agreed(f"remove {what}?"):
            return 1
    for path in paths:
        reporter = Reporter(console, "removed")
        try:
            if path in trees:
                await path.rmtree(progress=reporter, totals=console.status.shown)
            else:
                await path.unlink()
        except OSError as error:
            if not (options.force and isinstance(error, FileNotFoundError)):
                console.complain(error)
            continue
        finally:
            console.status.clear()
        reporter.end(path=str(path))
        console.listed(str(path), options)
    return 1 if console.failed else 0


async def _is_tree(path: AsyncPath) -> bool:
    return await path.is_dir(follow_symlinks=False)


def _agreed(question: str) -> bool:
    print(f"python -m rapfiles rm: {printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
