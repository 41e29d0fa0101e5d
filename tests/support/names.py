"""Names for the parameters of tests that are the same in every process: without addresses."""

import re


def shown(value: object) -> str:
    """How `value` shows itself in ASCII, shortened, and without its address."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", ascii(value))[:60]
