"""The arguments of `migrate`, its output and its exit code."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..._commands.console import BROKEN_PIPE, OutputError, discard_output, prepare_streams
from ..._commands.paths import path_argument
from . import names, sources, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rewriting import Outcome

_DESCRIPTION = """
Rewrites the imports of aiofiles in Python files to those of rapfiles.compat, and prints what it changes and
what it leaves. Everything else in a file stays as it is.
"""
_EXIT = """
Exit code: 0 if all went well; 1 with --check if something would be changed; 2 if a file could not be read,
parsed or written, or the output could not be written; 141 if its reader has closed the pipe.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rapfiles.compat", description="For programs that have used aiofiles."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    migrate = commands.add_parser("migrate", help="rewrite imports", description=_DESCRIPTION, epilog=_EXIT)
    migrate.add_argument("--check", action="store_true", help="change nothing, and exit with 1 if it would")
    migrate.add_argument(
        "paths", nargs="+", type=path_argument, metavar="PATH", help="a file, or a folder of files"
    )
    chosen = parser.parse_args(arguments)
    prepare_streams()
    if importlib.util.find_spec("libcst") is None:
        print("migrate needs libcst: pip install 'rapfiles[migrate]'", file=sys.stderr)
        return 2
    try:
        return _migrate([Path(path) for path in chosen.paths], check=chosen.check)
    except OutputError as error:
        discard_output()
        if isinstance(error.__cause__, BrokenPipeError):
            return BROKEN_PIPE
        print(error, file=sys.stderr)
        return 2


def _migrate(paths: list[Path], *, check: bool) -> int:
    changed = left = failed = 0
    try:
        for path in sources.find(paths):
            try:
                outcome = _migrate_file(path, check=check)
            except (OSError, SyntaxError) as error:
                print(f"{path}: cannot be migrated: {error}", file=sys.stderr)
                failed += 1
                continue
            if outcome is None:
                continue
            for line, note in outcome.changes:
                _print(f"{path}:{line}: {note}")
            for line, note in outcome.left:
                _print(f"{path}:{line}: left: {note}")
            changed += bool(outcome.changes)
            left += len(outcome.left)
    except OSError as error:
        print(error, file=sys.stderr)
        failed += 1
    _print(f"{_files(changed)} {'would be changed' if check else 'changed'}, {_places(left)} left to you")
    if failed:
        return 2
    return int(check and changed > 0)


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def _migrate_file(path: Path, *, check: bool) -> Outcome | None:
    content = path.read_bytes()
    # Most files need not be parsed.
    if names.THEIRS.encode() not in content:
        return None
    from . import rewriting

    source = text.decode(content)
    outcome = rewriting.rewrite(source.text)
    if outcome.changes and not check:
        path.write_bytes(source.encode(outcome.text))
    return outcome


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"


def _places(number: int) -> str:
    return f"{number} place" if number == 1 else f"{number} places"
