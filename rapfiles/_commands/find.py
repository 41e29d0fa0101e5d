"""`python -m rapfiles find`: the entries of trees that meet conditions."""

import argparse
from datetime import datetime
from typing import Any, Final

from .._path import AsyncPath
from .._scandir import AsyncDirEntry
from .._tree import permissions
from .console import EXIT_CODES, Console
from .entries import followed, kind
from .paths import add_tops, add_workers
from .reporting import counts_first, reporter_beside_output
from .sizes import parsed as size

DESCRIPTION: Final = "Print what is wanted of one or several trees."
EPILOG: Final = EXIT_CODES

_LETTERS: Final = {
    "file": "f",
    "directory": "d",
    "symlink": "l",
    "fifo": "p",
    "socket": "s",
    "block_device": "b",
    "char_device": "c",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_tops(parser, "DIR", "where to look")
    add("--kind", metavar="KIND", action="append", choices=sorted(_LETTERS), help="only these: %(choices)s")
    add("--include", metavar="GLOB", action="append", help="only what matches")
    add("--exclude", metavar="GLOB", action="append", help="neither print nor enter what matches")
    add("--prune", metavar="GLOB", action="append", help="print, but do not enter what matches")
    add(
        "--min-depth",
        metavar="N",
        type=int,
        default=1,
        help="nothing above this level; DIR's entries are at 1",
    )
    add("--max-depth", metavar="N", type=int, help="nothing below this level")
    add("--min-size", metavar="SIZE", type=size, help="at least so large; 4096, 4K, 1.5M")
    add("--max-size", metavar="SIZE", type=size, help="at most so large")
    add(
        "--modified-after",
        metavar="TIME",
        type=_moment,
        help="content changed since; 2026-01-31, 2026-01-31T12:00",
    )
    add("--modified-before", metavar="TIME", type=_moment, help="content not changed since")
    add("--changed-after", metavar="TIME", type=_moment, help="content, name or permissions changed since")
    add("--changed-before", metavar="TIME", type=_moment, help="none of these changed since")
    add("--owner", metavar="USER", type=_user, help="only what belongs to this user; a name or a number")
    add(
        "--perm",
        metavar="MODE",
        type=_permissions,
        help="only these permissions; 644, -022 for all of them, /022 for any",
    )
    add("--empty", action="store_true", default=None, help="only empty files and directories")
    add("--no-empty", dest="empty", action="store_false", default=None, help="no empty ones")
    add("--hidden", action="store_true", default=None, help="only names that begin with a dot")
    add(
        "--no-hidden",
        dest="hidden",
        action="store_false",
        default=None,
        help="no names that begin with a dot",
    )
    add("--gitignore", action="store_true", help="leave out what git would ignore")
    add_workers(parser)
    add("--follow", action="store_true", help="symbolic links stand for what they lead to")
    add("-x", "--one-file-system", action="store_true", help="do not enter other file systems")
    add("--limit", metavar="N", type=int, help="stop after N, in each DIR")
    add("--sort", action="store_true", help="sort the entries of each directory by name")
    add("--stat", action="store_true", help="with --json, size, mode, owner and times, too")
    add("-0", "--null", action="store_true", help="end each path with NUL instead of a new line")
    add("--json", action="store_true", help="print an object for each entry, one a line")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run it and return its exit code."""
    bounds = _bounds(options.min_size, options.max_size)
    modified = _bounds(options.modified_after, options.modified_before)
    changed = _bounds(options.changed_after, options.changed_before)
    reporter = reporter_beside_output(console, "looked at")
    for path in options.paths:
        found = AsyncPath(path).find(
            kind=options.kind,
            include=options.include,
            exclude=options.exclude,
            prune=options.prune,
            min_depth=options.min_depth,
            max_depth=options.max_depth,
            size=bounds,
            modified=modified,
            changed=changed,
            owner=options.owner,
            perm=options.perm,
            empty=options.empty,
            hidden=options.hidden,
            gitignore=options.gitignore,
            follow_symlinks=options.follow,
            same_file_system=options.one_file_system,
            limit=options.limit,
            sort=options.sort,
            workers=options.workers,
            with_stat=options.stat,
            on_error=console.complain,
            progress=reporter,
            totals=counts_first(reporter) and options.limit is None,
        )
        async with found:
            if options.json:
                async for entry in found:
                    try:
                        record = await _record(entry, options)
                    except OSError as error:  # such as that of an entry that was removed meanwhile
                        console.complain(error)
                    else:
                        console.record(**record)
            else:
                async for entry in found:
                    console.result(str(entry.path))
    return 1 if console.failed else 0


def _user(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _permissions(text: str) -> str:
    try:
        permissions(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time: {text!r}") from None


def _bounds(least: Any, most: Any) -> tuple[Any, Any] | None:
    return None if least is None and most is None else (least, most)


async def _record(entry: AsyncDirEntry[AsyncPath], options: argparse.Namespace) -> dict[str, object]:
    follow = await followed(entry, options.follow)
    record: dict[str, object] = {"path": str(entry.path), "kind": kind(entry, follow)}
    if options.stat:
        found = await entry.stat(follow_symlinks=follow)
        record |= {
            "size": found.st_size,
            "mode": found.st_mode,
            "uid": found.st_uid,
            "gid": found.st_gid,
            "inode": found.st_ino,
            "links": found.st_nlink,
            "modified": found.st_mtime,
            "changed": found.st_ctime,
            "accessed": found.st_atime,
        }
    return record
