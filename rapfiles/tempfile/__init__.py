"""Temporary files and directories: the standard library's `tempfile`, awaited."""

from .._public import belong_to as _belong_to
from ._create import mkdtemp, mkstemp
from ._directory import AsyncTemporaryDirectory, TemporaryDirectory
from ._file import (
    NamedTemporaryFile,
    TemporaryBinaryFile,
    TemporaryFile,
    TemporaryRawFile,
    TemporaryTextFile,
)
from ._manager import TemporaryContextManager
from ._names import gettempdir, gettempdirb, gettempprefix, gettempprefixb
from ._spooled import SpooledTemporaryFile
from ._spooled_binary import AsyncSpooledBinaryFile
from ._spooled_text import AsyncSpooledTextFile

__all__ = [
    "AsyncSpooledBinaryFile",
    "AsyncSpooledTextFile",
    "AsyncTemporaryDirectory",
    "NamedTemporaryFile",
    "SpooledTemporaryFile",
    "TemporaryBinaryFile",
    "TemporaryContextManager",
    "TemporaryDirectory",
    "TemporaryFile",
    "TemporaryRawFile",
    "TemporaryTextFile",
    "gettempdir",
    "gettempdirb",
    "gettempprefix",
    "gettempprefixb",
    "mkdtemp",
    "mkstemp",
]

_belong_to(globals())
