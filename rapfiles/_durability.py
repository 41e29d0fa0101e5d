"""The errors that say that something was done, but not all of it, or perhaps not for good."""

from __future__ import annotations

from typing import Any

__all__ = ["DurabilityError", "TransactionError"]


class DurabilityError(OSError):
    """What was written is visible under its name, but the device may not have it yet.

    Raised by operations with `durable=True` when the last of their steps fails: the directory, which has the
    name, or what was appended, could not be synchronised. `errno` and `filename` are those of that failure.

    ```python
    try:
        await (directory / "settings").write_text("new", atomic=True, durable=True)
    except rapfiles.DurabilityError as error:
        assert error.visible  # others read the new content; after a crash it may be the old one
    ```
    """

    @property
    def path(self) -> Any:
        """The path that was written."""
        return self.filename

    @property
    def visible(self) -> bool:
        """Whether others see what was written: always."""
        return True


class TransactionError(OSError):
    """A transaction is committed, but not all of its changes have been made.

    `errno` and `filename` are those of the step that failed. [`recover()`][rapfiles.recover] makes the
    changes that are missing, and so does the next transaction in the same directory that is committed.
    """

    @property
    def committed(self) -> bool:
        """Whether the transaction is committed: always."""
        return True
