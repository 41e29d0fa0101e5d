"""Writing whole files atomically: the arguments, and what Python adds to the native operation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import rapfiles._native as _native

from ._lock import warn_of_lock
from ._mounted import WRITTEN, explained
from ._text import checked_codec, encode

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._arguments import StrPath

Fallback: TypeAlias = Literal["error", "inplace"]


class AtomicOptions(NamedTuple):
    """The options of the native operations, in their order."""

    durable: bool
    overwrite: bool
    follow_symlinks: bool
    in_place: bool


def atomic_options(
    atomic: bool, durable: bool, overwrite: bool, follow_symlinks: bool, fallback: Fallback
) -> AtomicOptions | None:
    """The options, or `None` for a file that is not written atomically.

    Raises:
        ValueError: `fallback` is no such word, or an option is given that needs `atomic=True`.
    """
    if fallback not in ("error", "inplace"):
        raise ValueError(f"fallback must be 'error' or 'inplace', not {fallback!r}")
    if atomic:
        return AtomicOptions(bool(durable), bool(overwrite), bool(follow_symlinks), fallback == "inplace")
    if durable or not overwrite or not follow_symlinks or fallback != "error":
        raise ValueError("durable, overwrite, follow_symlinks and fallback need atomic=True")
    return None


async def warn(path: StrPath, options: AtomicOptions) -> None:
    """Warn if what is replaced is locked."""
    if options.overwrite:
        await warn_of_lock(path, options.follow_symlinks)


async def write_bytes(path: StrPath, data: Buffer, options: AtomicOptions) -> int:
    """Replace the content of a file."""
    await warn(path, options)
    return await explained(_native.write_bytes_atomically(path, data, options), WRITTEN)


async def write_text(
    path: StrPath, text: str, encoding: str, errors: str | None, newline: str | None, options: AtomicOptions
) -> None:
    """Replace the content of a file with text; `encoding` is what `io.text_encoding` returned."""
    await warn(path, options)
    codec = checked_codec(encoding, errors, newline, io.BufferedWriter)
    if codec is not None:
        written = _native.write_text_atomically(path, text, codec, newline, options)
        if await explained(written, WRITTEN) is not None:
            return
    content = await encode(text, encoding, errors, newline, within=False)
    await explained(_native.write_bytes_atomically(path, content, options), WRITTEN)
