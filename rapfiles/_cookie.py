"""The cookies that `tell()` of a text file returns: a position and the decoder's state there.

The layout of the number and the search for the position are those of `io.TextIOWrapper`, so that each accepts
the other's cookies (`cookie_type` in CPython's `Modules/_io/textio.c`).
"""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class _Decoder(Protocol):
    def decode(self, data: bytes, final: bool = False, /) -> str: ...
    def getstate(self) -> tuple[bytes, int]: ...
    def setstate(self, state: tuple[bytes, int], /) -> None: ...


_SIZE = 8 + 4 + 4 + 4 + 1
"""Bytes for the position, the flags, two counts, and a flag. The order is that of a little-endian machine."""

_BLOCK = 64 << 10
"""Bytes that are decoded at once to get close to a position."""


def parse(cookie: int) -> tuple[int, int, int, bool, int]:
    """Unpack a cookie.

    Returns:
        The position in bytes, the decoder's flags there, how many bytes to feed to it, whether these are the
        last of the file, and how many of the characters to skip.

    Raises:
        OverflowError: The number is too large to come from `tell()`.
    """
    packed = cookie.to_bytes(_SIZE, "little")
    position = int.from_bytes(packed[:8], "little", signed=True)
    flags = int.from_bytes(packed[8:12], "little", signed=True)
    feed = int.from_bytes(packed[12:16], "little", signed=True)
    skip = int.from_bytes(packed[16:20], "little", signed=True)
    return position, flags, feed, bool(packed[20]), skip


def build(position: int, flags: int, feed: int = 0, end: bool = False, skip: int = 0) -> int:
    """Pack a cookie; the inverse of `parse`."""
    packed = position.to_bytes(8, "little")
    packed += (flags & 0xFFFF_FFFF).to_bytes(4, "little") + feed.to_bytes(4, "little")
    packed += skip.to_bytes(4, "little") + bytes([end])
    return int.from_bytes(packed, "little")


def find(decoder: _Decoder, position: int, flags: int, given: bytes, used: int, ratio: float) -> int:
    """Find the cookie for a position within decoded text.

    Args:
        decoder: A decoder for the file. Its state is the same afterwards.
        position: Where `given` begins in the file.
        flags: The state of the decoder there, without anything buffered.
        given: The bytes that were decoded since.
        used: How many of the characters have been used.
        ratio: How many bytes a character took, as a first guess.

    Raises:
        OSError: The position cannot be found, because decoding again gives other text.
    """
    if used == 0:
        return build(position, flags)
    before = decoder.getstate()
    try:
        return _find(decoder, position, flags, given, used, ratio)
    finally:
        decoder.setstate(before)


def _find(decoder: _Decoder, position: int, flags: int, given: bytes, used: int, ratio: float) -> int:
    begin = flags
    # io decodes at most one chunk, and tries its guess on that; here it may be the whole file.
    skip_bytes, back = int(ratio * used) if len(given) <= _BLOCK else 0, 1
    # A position shortly before the wanted one, at which the decoder has nothing buffered.
    while skip_bytes > 0:
        decoder.setstate((b"", begin))
        decoded = len(decoder.decode(given[:skip_bytes]))
        if decoded <= used:
            buffered, state = decoder.getstate()
            if not buffered:
                flags = state
                used -= decoded
                break
            skip_bytes -= len(buffered)
            back = 1
        else:
            skip_bytes -= back
            back *= 2
    else:
        skip_bytes = 0
        decoder.setstate((b"", begin))
    # Approach it in blocks of decreasing size.
    start, block = skip_bytes, _BLOCK
    decoded, state = 0, flags
    while used and block:
        size = min(block, len(given) - start)
        while size > 0:
            decoder.setstate((b"", flags))
            decoded = len(decoder.decode(given[start : start + size]))
            buffered, state = decoder.getstate()
            if decoded >= used or not buffered:
                break
            size -= len(buffered)
        if size > 0 and decoded < used:
            start, flags, used = start + size, state, used - decoded
        else:
            block //= 2
    position += start
    if used == 0:
        return build(position, flags)

    # From there on, byte by byte.
    decoder.setstate((b"", flags))
    feed = decoded = 0
    for at in range(start, len(given)):
        feed += 1
        decoded += len(decoder.decode(given[at : at + 1]))
        buffered, state = decoder.getstate()
        if not buffered and decoded <= used:
            position += feed
            used -= decoded
            flags, feed, decoded = state, 0, 0
        if decoded >= used:
            return build(position, flags, feed, False, used)
    decoded += len(decoder.decode(b"", True))
    if decoded < used:
        raise OSError("can't reconstruct logical file position")
    return build(position, flags, feed, True, used)


def new_decoder(encoding: str, newline: str | None) -> _Decoder:
    """The decoder that a text file with this encoding and `newline` uses."""
    factory: Callable[..., Any] = codecs.getincrementaldecoder(encoding)
    decoder = factory("strict")
    if newline:
        return decoder  # type: ignore[no-any-return]
    return io.IncrementalNewlineDecoder(decoder, newline is None)
