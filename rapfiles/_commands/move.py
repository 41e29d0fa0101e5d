"""`python -m rapfiles move`: files and trees."""

import argparse
from typing import Final

from .._path import AsyncPath
from .console import Console
from .reporting import Reporter
from .transfer import EPILOG, add_paths, clear_up, transfer

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "clear_up", "run"]

DESCRIPTION: Final = (
    "Move files and trees, also to another file system: then the source is removed when the copy is complete."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_paths(parser)


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""

    async def one(source: AsyncPath, target: AsyncPath, reporter: Reporter) -> None:
        await source.move(target, progress=reporter, totals=console.status.shown)

    return await transfer(options, console, "moved", one)
