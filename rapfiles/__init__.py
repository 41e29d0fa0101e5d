"""pathlib's objects, awaitable: as fast as synchronous code, and never a stall of the event loop."""

from typing import TYPE_CHECKING

try:
    from ._native import __version__
except ModuleNotFoundError as _error:
    if _error.name != "rapfiles._native":
        raise
    from pathlib import Path as _Path

    from ._missing import explained as _explained

    raise _explained(_Path(__file__).parent) from _error

from ._atomic_open import AtomicFileContextManager
from ._durability import DurabilityError, TransactionError
from ._engine import Configuration, Stats, configuration, configure, stats
from ._file import (
    AsyncBufferedRandom,
    AsyncBufferedReader,
    AsyncBufferedWriter,
    AsyncFileIO,
    AsyncTextIOWrapper,
)
from ._info import Answer, PathInfo
from ._lock import FileLock, LockReentryError, LockTimeout
from ._open import FileContextManager, open
from ._path import AsyncPath
from ._progress import Progress
from ._public import belong_to as _belong_to
from ._scandir import AsyncDirEntry
from ._standard import StandardInput, StandardOutput, stderr, stdin, stdout
from ._stream import Stream
from ._transaction import Recovery, Transaction, recover, transaction
from ._usage import DiskUsage
from ._wrap import WrappedFile, wrap_file

if TYPE_CHECKING:
    from . import compat as compat
    from . import progress as progress
    from . import tempfile as tempfile
else:
    from ._lazy import loaded_on_first_use as _loaded_on_first_use

    __getattr__, __dir__ = _loaded_on_first_use(globals(), "compat", "progress", "tempfile")

__all__ = [
    "Answer",
    "AsyncBufferedRandom",
    "AsyncBufferedReader",
    "AsyncBufferedWriter",
    "AsyncDirEntry",
    "AsyncFileIO",
    "AsyncPath",
    "AsyncTextIOWrapper",
    "AtomicFileContextManager",
    "Configuration",
    "DiskUsage",
    "DurabilityError",
    "FileContextManager",
    "FileLock",
    "LockReentryError",
    "LockTimeout",
    "PathInfo",
    "Progress",
    "Recovery",
    "StandardInput",
    "StandardOutput",
    "Stats",
    "Stream",
    "Transaction",
    "TransactionError",
    "WrappedFile",
    "__version__",
    "configuration",
    "configure",
    "open",
    "recover",
    "stats",
    "stderr",
    "stdin",
    "stdout",
    "transaction",
    "wrap_file",
]

_belong_to(globals())
