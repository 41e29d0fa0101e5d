"""The `__module__` of public objects."""

from types import FunctionType
from typing import Any


def belong_to(package: dict[str, Any]) -> None:
    """Set `__module__` of everything that a package exports to the package.

    It is shown by `repr` and `help()`, and stored in pickles.
    """
    for name in package["__all__"]:
        exported = package[name]
        if isinstance(exported, type | FunctionType):
            exported.__module__ = package["__name__"]
