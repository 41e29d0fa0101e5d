"""Sizes in bytes, as people write and read them."""

from argparse import ArgumentTypeError
from typing import Final

_UNITS: Final = "KMGTPE"


def human(size: float) -> str:
    """Three digits and a unit: powers of 1024, as `du -h` counts."""
    if size < 1024:
        return str(int(size))
    for unit in _UNITS:
        size /= 1024
        if size < 1023.5 or unit == _UNITS[-1]:
            return f"{size:.1f}{unit}" if size < 9.95 else f"{size:.0f}{unit}"
    raise AssertionError


def parsed(text: str) -> int:
    """A number of bytes, or of units: `4096`, `4K`, `1.5M`.

    Raises:
        ArgumentTypeError: It is not a size.
    """
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        factor = 1024 ** (_UNITS.index(unit) + 1) if unit else 1
        size = int(float(number) * factor) if "." in number else int(number) * factor
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"not a size: {text!r}") from None
    if size < 0:
        raise ArgumentTypeError("a size is not negative")
    return size
