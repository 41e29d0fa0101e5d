"""The arguments of commands that are paths."""

import argparse


def path_argument(text: str) -> str:
    """A path. Not the empty string: `AsyncPath` takes it for `.`, and mostly a variable was not set."""
    if not text:
        raise argparse.ArgumentTypeError("the empty string is not a path")
    return text


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
