"""What is in files and what is written to them: lines that tell where they come from."""

from functools import lru_cache

from .program import Data, File

_WORDS = {
    "ascii": "word ~",
    "latin-1": "gr\u00fcn caf\u00e9",
    "cp1252": "gr\u00fcn \u20ac \u201e",
    "shift_jis": "\u65e5\u672c \u30ab\uff76 ~a",
}
_OTHER_WORDS = "gr\u00fcn \u20ac \u65e5\u672c \U0001f600 e\u0301"
_LINE_ENDS = ["\n", "\n", "\r\n", "\n", "\r", "\n\n"]


@lru_cache(maxsize=200)
def text_of(key: int, size: int, lines: bool, encoding: str) -> str:
    """So many characters that the encoding has."""
    word = _WORDS.get(encoding, _OTHER_WORDS)
    pieces: list[str] = []
    length = number = 0
    while length < size:
        # Every few lines are ASCII alone, which is decoded in another way; their lengths differ.
        filler = word if number % 8 == key % 8 else "-" * (key * 7 + number * 13 % 90)
        end = _LINE_ENDS[(key + number) % len(_LINE_ENDS)] if lines else " "
        pieces.append(f"{key}:{number:05} {filler}{end}")
        length += len(pieces[-1])
        number += 1
    return "".join(pieces)[:size]


@lru_cache(maxsize=200)
def bytes_of(key: int, size: int, lines: bool) -> bytes:
    """So many bytes."""
    return text_of(key, size, lines, "ascii").encode()


def written(data: Data, file: File) -> str | bytes | bytearray | memoryview:
    """The object that a handle of this file is given to write; a new one where it can be changed."""
    if file.text:
        return text_of(data.key, data.size, data.lines, file.encoding or "utf-8")
    content = bytes_of(data.key, data.size, data.lines)
    if data.form == "bytearray":
        return bytearray(content)
    return memoryview(content) if data.form == "memoryview" else content


def content_of(file: File) -> bytes | None:
    """What is in the file before it is opened."""
    if (data := file.content) is None:
        return None
    if file.text:
        encoding = file.encoding or "utf-8"
        return text_of(data.key, data.size, data.lines, encoding).encode(encoding)
    return bytes_of(data.key, data.size, data.lines)
