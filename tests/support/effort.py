"""How much of a random or repeated test is done: a part of it, or all with `--everything`."""

import os

EVERYTHING = "RAPFILES_EVERYTHING"


def times(usual: int, everything: int, variable: str | None = None) -> int:
    """How often to do something; the environment's `variable` overrides both."""
    if variable is not None and variable in os.environ:
        return int(os.environ[variable])
    return everything if EVERYTHING in os.environ else usual
