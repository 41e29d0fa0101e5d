"""Text with the codecs and error handlers that the native module does not have.

Python's own codecs do the work, with exactly the results of `io.open(...).read()` and `.write(...)`. They
hold the GIL, so large content goes through them in slices, between which other tasks run.
"""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import codecs
import io
import os
import sys
from locale import getencoding
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, TypeVar

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._arguments import StrPath

Codec: TypeAlias = Literal["utf-8", "ascii", "latin-1"]


T = TypeVar("T", covariant=True)


class _Factory(Protocol[T]):
    def __call__(self, errors: str, /) -> T: ...


class _Decoder(Protocol):
    def decode(self, data: bytes, final: bool, /) -> str: ...


_SLICE: Final = 1 << 16
"""Bytes or characters that are decoded or encoded in one go: at most about a millisecond of work."""

_JOIN: Final = 1 << 20

_NEWLINES: Final = (None, "", "\n", "\r", "\r\n")

_CODECS: Final[dict[str, Codec]] = {"utf-8": "utf-8", "ascii": "ascii", "iso8859-1": "latin-1"}
"""The codecs that the native module has, by the name under which Python registers them."""

_native_codecs: Final[dict[str, Codec]] = dict.fromkeys(("utf-8", "UTF-8", "utf8"), "utf-8")
"""The same by the names that have been requested so far."""

_MOST_NAMES: Final = 64

# In slices, these give other results or errors, although they have incremental codecs. (That of
# unicode-escape takes the first digits of an octal escape for all of it:
# `unicode_escape_decode(b"\\1", "strict", False)`.)
_DECODED_WHOLE: Final = frozenset({"idna", "punycode", "undefined", "unicode-escape"})
ENCODED_WHOLE: Final = frozenset({"hz", "idna", "punycode", "undefined", "utf-7"})

_MARKS: Final = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
"""The codecs that cannot decode without a byte order mark."""

# Any other error handler is the application's, and may look at the content before and after the error.
HANDLERS_OF_PYTHON: Final = frozenset(
    {
        "strict",
        "ignore",
        "replace",
        "backslashreplace",
        "namereplace",
        "surrogateescape",
        "surrogatepass",
        "xmlcharrefreplace",
    }
)


def native_codec(encoding: str, errors: str | None, newline: str | None) -> Codec | None:
    """The native module's name for a codec that it has, or `None` if `read` and `write` have to handle it.

    `encoding` is what `io.text_encoding` returned.
    """
    if (errors is None or errors == "strict") and newline in _NEWLINES and isinstance(encoding, str):
        return _native_codecs.get(getencoding() if encoding == "locale" else encoding)
    return None


def checked_codec(
    encoding: str,
    errors: str | None,
    newline: str | None,
    buffer: type[io.BufferedReader | io.BufferedWriter] = io.BufferedReader,
) -> Codec | None:
    """The native module's name for a codec, by any of its names, or `None` if Python's has to do the work.

    `encoding` is what `io.text_encoding` returned. Raises the errors of `open`, before the file is touched.
    """
    codec = native_codec(encoding, errors, newline)
    if codec is None:
        check(encoding, errors, newline, buffer)
        codec = native_codec_of(encoding, errors)
    return codec


async def read(path: StrPath, encoding: str, errors: str | None, newline: str | None) -> str:
    """Read a file with a codec that the native module does not have, or does not know by this name."""
    codec = checked_codec(encoding, errors, newline)
    content = await (_native.read_bytes(path) if codec is None else _native.read_text(path, codec, newline))
    return content if isinstance(content, str) else await decode(content, encoding, errors, newline)


async def write(
    path: StrPath,
    text: str,
    encoding: str,
    errors: str | None,
    newline: str | None,
    *,
    append: bool,
    durable: bool = False,
) -> None:
    """Write a file with a codec that the native module does not have, or text that it cannot encode.

    Args:
        path: The file.
        text: What is written.
        encoding: What `io.text_encoding` returned.
        errors: The name of an error handler; `None` means `"strict"`.
        newline: As for `open`.
        append: Whether it is written at the end.
        durable: Whether the device is to have it; only with `append`.
    """
    codec = checked_codec(encoding, errors, newline, io.BufferedWriter)
    if codec is not None and await write_natively(path, text, codec, newline, append, durable) is not None:
        return
    mark = mark_length(text[:1], encoding, errors) if append else 0
    content: bytes | bytearray | None = None
    try:
        # A negative length is that of an escape sequence that some codecs begin with unless the file is
        # empty.
        within = mark < 0 and await _has_content(path)
        content = await encode(text, encoding, errors, newline, within=within)
    except MemoryError:
        if durable:
            raise
    except Exception:
        # `open` creates or truncates a text file before anything is encoded, so that has happened to it.
        await _native.write_bytes(path, b"", append, 0)
        raise
    if content is None:
        # What grows is larger at times than what it grows to. An open file encodes into no more than that.
        from ._open import open as open_file

        async with open_file(path, "a" if append else "w", -1, encoding, errors, newline) as file:
            await file.write(text)
    elif durable:
        await _native.append_bytes_durably(path, content, max(mark, 0))
    else:
        await _native.write_bytes(path, content, append, max(mark, 0))


def write_natively(
    path: StrPath, text: str, codec: Codec, newline: str | None, append: bool, durable: bool
) -> Awaitable[int | None]:
    """Write a file with a codec of the native module."""
    if durable:
        return _native.append_text_durably(path, text, codec, newline)
    return _native.write_text(path, text, codec, newline, append)


async def decode(
    content: bytes, encoding: str, errors: str | None, newline: str | None, *, slice_size: int = _SLICE
) -> str:
    """Decode the whole content of a file as a text file does.

    Args:
        content: All bytes of the file.
        encoding: What `io.text_encoding` returned.
        errors: The name of an error handler; `None` means `"strict"`.
        newline: As for `open`.
        slice_size: Bytes that are decoded before other tasks may run.

    Raises:
        UnicodeDecodeError: As if the content had been decoded in one go.
    """
    information = codecs.lookup(resolved(encoding))
    handler = "strict" if errors is None else errors
    size = len(content)
    sliced = size > slice_size and information.name not in _DECODED_WHOLE and handler in HANDLERS_OF_PYTHON
    unmarked = sliced and not content.startswith(_MARKS.get(information.name, b""))
    if unmarked:
        # The codec would complain of the missing mark, but of anything else that is wrong before.
        information = codecs.lookup(f"{information.name}-{sys.byteorder[0]}e")
    decoder: _Decoder = incremental(information.incrementaldecoder)(handler)
    if not newline:
        decoder = universal(decoder, translate=newline is None)
    if not sliced:
        return decoder.decode(content, True)

    text = ""
    parts: list[str] = []
    held = 0
    for start in range(0, size, slice_size):
        end = min(start + slice_size, size)
        try:
            part = decoder.decode(content[start:end], end == size)
        except UnicodeDecodeError as error:
            raise _in_whole_content(error, content, end, information.name) from None
        parts.append(part)
        held += len(part)
        if held >= max(_JOIN, len(text) >> 5):
            # CPython appends in place to a string that has no other reference (`unicode_modifiable` in its
            # Objects/unicodeobject.c). Joining everything at the end would block the loop for as long as
            # copying the whole text takes.
            text += "".join(parts)
            parts.clear()
            held = 0
        await _native.checkpoint()
    if unmarked:
        head = content[:4]
        try:
            return await decode(head, encoding, errors, newline)
        except UnicodeDecodeError as error:
            raise _in_whole_content(error, content, len(head), information.name) from None
    text += "".join(parts)
    return text


async def encode(
    text: str,
    encoding: str,
    errors: str | None,
    newline: str | None,
    *,
    within: bool = False,
    slice_size: int = _SLICE,
) -> bytes | bytearray:
    """Encode a text as a text file does.

    Args:
        text: The whole text.
        encoding: What `io.text_encoding` returned.
        errors: The name of an error handler; `None` means `"strict"`.
        newline: As for `open`.
        within: Whether the text follows other content. Otherwise it begins with a byte order mark, if the
            codec has one.
        slice_size: Characters that are encoded before other tasks may run.

    Raises:
        UnicodeEncodeError: As if the text had been encoded in one go.
    """
    information = codecs.lookup(resolved(encoding))
    handler = "strict" if errors is None else errors
    new_encoder = incremental(information.incrementalencoder)
    encoder = new_encoder(handler)
    if within:
        encoder.setstate(0)
    line_end = os.linesep if newline is None else newline
    size = len(text)
    if size <= slice_size or information.name in ENCODED_WHOLE or handler not in HANDLERS_OF_PYTHON:
        return encoder.encode(_with_line_ends(text, line_end))

    content = bytearray()
    translated = 0
    for start in range(0, size, slice_size):
        part = _with_line_ends(text[start : start + slice_size], line_end)
        translated += len(part)
        try:
            content += encoder.encode(part)
        except UnicodeEncodeError as error:
            whole = _with_line_ends(text, line_end)
            at = translated - len(error.object) + error.start
            raise _in_whole_text(error, whole, at, new_encoder(handler), slice_size) from None
        await _native.checkpoint()
    return content


def check(
    encoding: str,
    errors: str | None,
    newline: str | None,
    buffer: type[io.BufferedReader | io.BufferedWriter] = io.BufferedReader,
) -> None:
    """Raise the errors of `open` for the encoding, before the file is touched."""
    for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"open() argument {name!r} must be str or None, not {type(value).__name__}")
        # `io.TextIOWrapper` of CPython 3.11.2 does not look at the second.
        if value is not None and b"\0" in value.encode():
            raise ValueError("embedded null character")
    # Wrapping an empty file makes `io` check the rest.
    io.TextIOWrapper(buffer(io.BytesIO()), encoding, errors, newline)  # pyright: ignore[reportArgumentType]


def native_codec_of(encoding: str, errors: str | None) -> Codec | None:
    """The native module's name for a codec, by any of its names; the results are cached."""
    if errors not in {None, "strict"}:
        return None
    name = resolved(encoding)
    codec = _CODECS.get(codecs.lookup(name).name)
    if codec is not None and len(_native_codecs) < _MOST_NAMES:
        _native_codecs[name] = codec
    return codec


def resolved(encoding: str) -> str:
    return getencoding() if encoding == "locale" else encoding


def incremental(factory: _Factory[T] | None) -> _Factory[T]:
    """The factory of a codec's incremental decoder or encoder, as a text file uses it."""
    if factory is None:
        raise LookupError("the codec cannot be used for files, because it does not work incrementally")
    return factory


def universal(decoder: _Decoder, translate: bool) -> _Decoder:
    """A decoder that recognises every kind of line end, and may translate each to a line feed."""
    return io.IncrementalNewlineDecoder(decoder, translate)  # type: ignore[arg-type]  # pyright: ignore


def _with_line_ends(text: str, line_end: str) -> str:
    return text if line_end in {"", "\n"} else text.replace("\n", line_end)


def _in_whole_content(error: UnicodeDecodeError, content: bytes, end: int, codec: str) -> UnicodeDecodeError:
    """The error that decoding the whole content would have raised, from the one in the slice before `end`.

    A decoder's error describes the slice and what the decoder kept from the ones before.
    """
    whole = content
    start = end - len(error.object)
    if codec == "utf-8-sig" and content.startswith(codecs.BOM_UTF8):
        # This decoder takes the mark off before it decodes.
        whole = content[len(codecs.BOM_UTF8) :]
        start -= len(codecs.BOM_UTF8)
    return UnicodeDecodeError(error.encoding, whole, start + error.start, start + error.end, error.reason)


def _in_whole_text(
    error: UnicodeEncodeError, text: str, at: int, encoder: codecs.IncrementalEncoder, window: int
) -> UnicodeEncodeError:
    """The error that encoding the whole text would have raised, from the one for the character `at` a place.

    It spans all unencodable characters in a row, which slices may have cut, and names the codec as `encoder`,
    which is fresh, does.
    """
    initial = encoder.getstate()

    def complaint(part: str) -> UnicodeEncodeError | None:
        encoder.setstate(initial)
        try:
            encoder.encode(part)
        except UnicodeEncodeError as found:
            return found
        return None

    # What comes before may have been left to the error handler, which takes all in a row or none. Codecs of
    # several bytes hand over one character at a time, which may be encodable only behind another one.
    handler, encoder.errors = encoder.errors, "strict"
    while at > 0 and (found := complaint(text[at - 1 : at + 1])) and (found.start, found.end) == (0, 2):
        at -= 1
        window += 1
    encoder.errors = handler
    found = complaint(text[at : at + window])
    while found is not None and found.end == window < len(text) - at:
        window *= 2
        found = complaint(text[at : at + window])
    if found is None:
        return UnicodeEncodeError(error.encoding, text, at, at + error.end - error.start, error.reason)
    return UnicodeEncodeError(found.encoding, text, at + found.start, at + found.end, found.reason)


def mark_length(first: str, encoding: str, errors: str | None) -> int:
    """How much longer a text that begins with `first` is at the start of a file than within it."""
    new_encoder = incremental(codecs.lookup(resolved(encoding)).incrementalencoder)
    handler = "strict" if errors is None else errors
    within = new_encoder(handler)
    within.setstate(0)
    try:
        return len(new_encoder(handler).encode(first)) - len(within.encode(first))
    except Exception:
        # Encoding the text fails as well, and that is where it is reported.
        return 0


async def _has_content(path: StrPath) -> bool:
    try:
        return (await _native.stat(path, True)).st_size > 0
    except OSError:
        return False
