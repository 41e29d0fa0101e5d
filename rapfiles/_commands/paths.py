"""The arguments of commands that are paths."""

import argparse


def path_argument(text: str) -> str:
    """A path. Not the empty string: `AsyncPath` takes it for `.`, and mostly a variable was not set."""
    if not text:
        raise argparse.ArgumentTypeError("the empty string is not a path")
    return text


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the argument of commands that read several directories at once."""
    parser.add_argument("--workers", metavar="N", type=int, help="read at most N directories at once")


def add_list(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the arguments of commands that do something: to say what they have done."""
    add = parser.add_argument
    add("-v", "--verbose", action="store_true", help=f"print {what}")
    add("-0", "--null", action="store_true", help="the same, each ended with NUL instead of a new line")


def add_tops(parser: argparse.ArgumentParser, metavar: str, meaning: str) -> None:
    """Add the arguments of a command that looks at trees: where these begin, by default here."""
    parser.add_argument(
        "paths",
        metavar=metavar,
        nargs="*",
        type=path_argument,
        default=["."],
        help=f"{meaning} (default: here)",
    )
