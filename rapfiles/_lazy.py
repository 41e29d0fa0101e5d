"""Submodules that are imported when they are first used."""

from collections.abc import Callable
from typing import Any


def loaded_on_first_use(
    package: dict[str, Any], *parts: str
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The package's `__getattr__` and `__dir__`: `package.part` imports the submodule `part`."""

    def __getattr__(name: str) -> object:  # noqa: N807
        if name in parts:
            from importlib import import_module

            return import_module(f"{package['__name__']}.{name}")
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}", name=name)

    def __dir__() -> list[str]:  # noqa: N807
        inner = (name for name in package if name.startswith("_"))
        return sorted({*package["__all__"], *parts, *inner})

    return __getattr__, __dir__
