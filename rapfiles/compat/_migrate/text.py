"""A source file as text, and back: what is not changed stays the same byte for byte."""

from __future__ import annotations

import codecs
import io
import tokenize
from typing import NamedTuple


class Source(NamedTuple):
    """The text of a file, without the byte order mark that it may begin with."""

    text: str
    encoding: str
    mark: bytes

    def encode(self, text: str) -> bytes:
        """The bytes of a changed text."""
        return self.mark + text.encode(self.encoding)


def decode(content: bytes) -> Source:
    """Read a file as Python does; line ends stay as they are.

    Raises:
        SyntaxError: It names an encoding that there is not, or is not in that encoding.
    """
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    if encoding == "utf-8-sig":
        encoding = "utf-8"
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise SyntaxError(f"it is not {encoding}: {error}") from None
    if text.encode(encoding) != content[len(mark) :]:
        raise SyntaxError(f"as {encoding}, it would not stay the same")
    return Source(text, encoding, mark)
