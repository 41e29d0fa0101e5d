"""pathlib's objects, awaitable: as fast as synchronous code, and never a stall of the event loop."""

from ._engine import Configuration, Stats, configuration, configure, stats
from ._file import (
    AsyncBufferedRandom,
    AsyncBufferedReader,
    AsyncBufferedWriter,
    AsyncFileIO,
    AsyncTextIOWrapper,
)
from ._native import __version__
from ._open import FileContextManager, open
from ._path import AsyncPath
from ._standard import StandardInput, StandardOutput, stderr, stdin, stdout
from ._wrap import WrappedFile, wrap_file

__all__ = [
    "AsyncBufferedRandom",
    "AsyncBufferedReader",
    "AsyncBufferedWriter",
    "AsyncFileIO",
    "AsyncPath",
    "AsyncTextIOWrapper",
    "Configuration",
    "FileContextManager",
    "StandardInput",
    "StandardOutput",
    "Stats",
    "WrappedFile",
    "__version__",
    "configuration",
    "configure",
    "open",
    "stats",
    "stderr",
    "stdin",
    "stdout",
    "wrap_file",
]
