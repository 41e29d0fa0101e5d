"""What both kinds of bars show of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._commands.sizes import human

if TYPE_CHECKING:
    from .._progress import Progress

__all__ = ["Position", "amount", "missing"]


class Position(NamedTuple):
    """Where a bar is."""

    done: int
    total: int | None
    """`None` where the bar has no end, or none yet."""
    is_bytes: bool
    """Whether these are bytes, not entries."""

    @classmethod
    def of(cls, progress: Progress) -> Position:
        """Bytes where there are any, entries otherwise: a removal has no bytes, nor have empty files."""
        if progress.counted is not None:
            return cls(0, None, True)
        if progress.total_files is None or progress.total_directories is None:
            is_bytes = progress.bytes > 0
            return cls(progress.bytes if is_bytes else _entries(progress), None, is_bytes)
        if progress.total_bytes:
            return cls(progress.bytes, progress.total_bytes, True)
        return cls(_entries(progress), progress.total_files + progress.total_directories, False)


def _entries(progress: Progress) -> int:
    return progress.files + progress.directories


def missing(function: str, module: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error of a module that has to be installed first."""
    return ModuleNotFoundError(
        f"{function}() needs {module}, which is not installed: pip install 'rapfiles[{module}]'",
        name=error.name,
        path=error.path,
    )


def amount(progress: Progress) -> str:
    """How much, as text."""
    if progress.counted is not None:
        return f"{progress.counted:,} counted"
    files = f"{progress.files:,}"
    if progress.total_files is not None:
        files += f"/{progress.total_files:,}"
    parts = [f"{files} files"]
    if progress.bytes or progress.total_bytes:
        size = human(progress.bytes)
        if progress.total_bytes is not None:
            size += f"/{human(progress.total_bytes)}"
        parts += [size, f"{human(progress.rate)}/s"]
    if progress.errors:
        parts.append(f"{progress.errors:,} failed")
    return ", ".join(parts)
