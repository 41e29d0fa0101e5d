"""The error that says that this platform does not have an operation."""

import sys

if sys.version_info >= (3, 13):
    from pathlib import UnsupportedOperation
else:
    UnsupportedOperation = NotImplementedError

__all__ = ["UnsupportedOperation", "unsupported"]


def unsupported(path: object, operation: str) -> NotImplementedError:
    """The error for an operation of a path's class, worded as pathlib does it."""
    return UnsupportedOperation(f"{type(path).__name__}.{operation} is unsupported on this system")
