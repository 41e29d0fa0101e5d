"""Where public objects say that they are from."""

from types import FunctionType
from typing import Any


def belong_to(package: dict[str, Any]) -> None:
    """Have what a package exports say that it is from there, not from the file that it is written in.

    That is what their `repr`, `help()` and a pickle name.
    """
    for name in package["__all__"]:
        exported = package[name]
        if isinstance(exported, type | FunctionType):
            exported.__module__ = package["__name__"]
