"""The works on open files: the programs that run, the files that they read, the check of what was done.

A program is written once. With its gaps filled in it is what a user of each library would write: `{async_}`
and `{await_}` are empty for builtin `open`, and `{open}` is how the library opens a file. `{each}` is what
happens to an item: nothing, or keeping it for the check.
"""

import os
from collections.abc import Iterator
from typing import Any

PROGRAMS: dict[str, str] = {
    "read_chunks": """
{async_}with {open}(name, "rb") as file:
    while item := {await_}file.read({unit}):
        {each}
""",
    "lines": """
{async_}with {open}(name, "r", encoding="utf-8") as file:
    {async_}for item in file:
        {each}
""",
    "readlines": """
{async_}with {open}(name, "r", encoding="utf-8") as file:
    result = {await_}file.readlines()
""",
    "read_all": """
{async_}with {open}(name, "r", encoding="utf-8") as file:
    result = {await_}file.read()
""",
    "write_chunks": """
{async_}with {open}(name, "wb") as file:
    for _ in range(count):
        {await_}file.write(data)
""",
    "open_read": """
{async_}with {open}(name, "rb") as file:
    result = {await_}file.read(4096)
""",
    "open_all": """
{async_}with {open}(name, "rb") as file:
    result = {await_}file.read()
""",
    "open_text": """
{async_}with {open}(name, "r", encoding="utf-8") as file:
    result = {await_}file.read()
""",
}
TEXT_PROGRAMS = frozenset({"lines", "readlines", "read_all", "open_text"})

WINDOW = 256 << 10
"""The most that a file that is read from beginning to end reads ahead, in bytes."""

# One line for each width that Python stores text in, ASCII to beyond the basic plane.
_MIXED = (
    "The quick brown fox jumps over the lazy dog.\n"
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n"
    "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.\n"
    "いろはにほへと ちりぬるを わかよたれそ つねならむ\n"
    "🦊🦊🦊 ⤳ 🐕💤🐕💤\n"
).encode()


def program(operation: str, *, opens: str, asynchronous: bool, unit: int, keep: bool) -> str:
    """The source of a program; with `keep` it leaves all that it read in the list `result`."""
    return (
        PROGRAMS[operation]
        .strip()
        .format(
            async_="async " if asynchronous else "",
            await_="await " if asynchronous else "",
            open=opens,
            unit=unit,
            each="result.append(item)" if keep else "pass",
        )
    )


def write_file(path: str, operation: str, size: int) -> None:
    """Make the file that a program reads, unless it is there: in the page cache and on the device."""
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(_content(operation, size))
        file.flush()
        os.fsync(file.fileno())


def _content(operation: str, size: int) -> Iterator[bytes]:
    match operation:
        case "read_chunks":
            block = bytes(range(256)) * 256
        case "lines" | "read_bytes" | "read_text" | "open_all" | "open_text":
            # 60 bytes each.
            block = b"".join(b"%059d\n" % number for number in range(1_000))
        case "readlines" | "read_all":
            # A last line of ASCII fills up to the size.
            yield from [_MIXED] * (size // len(_MIXED))
            block = b"." * len(_MIXED)
            size %= len(_MIXED)
        case other:
            raise AssertionError(f"no file for {other}")
    yield from [block] * (size // len(block))
    yield block[: size % len(block)]


def did_its_work(operation: str, name: str, count: int, data: bytes, result: Any) -> bool:
    """Whether the program returned, or left behind, what it should: builtin `open` says."""
    match operation:
        case "open_read":
            return bytes(result) == data
        case "read_chunks":
            with open(name, "rb") as file:
                return len(result) == count and b"".join(map(bytes, result)) == file.read()
        case "lines" | "readlines":
            with open(name, encoding="utf-8") as file:
                return bool(result == file.readlines())
        case "open_all":
            with open(name, "rb") as file:
                return bytes(result) == file.read()
        case "read_all" | "open_text":
            with open(name, encoding="utf-8") as file:
                return bool(result == file.read())
        case "write_chunks":
            with open(name, "rb") as file:
                return file.read() == data * count
        case other:
            raise AssertionError(f"no check for {other}")
