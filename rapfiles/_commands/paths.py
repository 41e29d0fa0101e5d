"""The arguments of commands that are paths."""

import argparse


def path_argument(text: str) -> str:
    """A path. Not the empty string: `AsyncPath` takes it for `.`, and mostly a variable was not set."""
    if not text:
        raise argparse.ArgumentTypeError("the empty string is not a path")
    return text
