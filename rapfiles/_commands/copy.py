"""`python -m rapfiles copy`: files and trees."""

import argparse
import shutil
from typing import Final

from .._path import AsyncPath
from .console import Console
from .reporting import Reporter
from .transfer import EPILOG, add_paths, clear_up, transfer

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "clear_up", "run"]

DESCRIPTION: Final = "Copy files and trees. A target that is new appears complete or not at all."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_paths(parser)
    add = parser.add_argument
    add("-p", "--preserve", action="store_true", help="keep times, permissions and extended attributes")
    add("-P", "--no-follow", action="store_true", help="copy symbolic links as links")
    add("--atomic", action="store_true", help="replace a file that exists at one stroke, not in place")
    add("--merge", action="store_true", help="copy into a directory that exists under the same name")
    add("--hard-links", action="store_true", help="what are names of one file stay names of one file")
    add(
        "--special-files",
        action="store_true",
        help="make new FIFOs, sockets and devices, instead of refusing",
    )
    add("--ignore", metavar="GLOB", action="append", help="leave out names in SOURCE that match")
    add("-k", "--keep-going", action="store_true", help="leave out what cannot be copied, and say so")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    ignore = None if options.ignore is None else shutil.ignore_patterns(*options.ignore)

    async def one(source: AsyncPath, target: AsyncPath, reporter: Reporter) -> None:
        await source.copy(
            target,
            follow_symlinks=not options.no_follow,
            preserve_metadata=options.preserve,
            atomic=options.atomic,
            merge=options.merge,
            hardlinks="preserve" if options.hard_links else "copy",
            special_files="recreate" if options.special_files else "refuse",
            ignore=ignore,
            on_error=console.complain if options.keep_going else None,
            progress=reporter,
            totals=console.status.shown,
        )

    return await transfer(options, console, "copied", one)
