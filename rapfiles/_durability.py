"""The error that says that something is visible and may not survive a crash."""

from __future__ import annotations

from typing import Any

__all__ = ["DurabilityError"]


class DurabilityError(OSError):
    """What was written is visible under its name, but the device may not have it yet.

    Raised by operations with `durable=True` when the last of their steps fails: the directory, which has the
    name, could not be synchronised. `errno` and `filename` are those of that failure.

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
