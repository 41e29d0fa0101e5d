"""What type checkers infer about `open` and the files that it opens. Nothing is run."""

import gzip
import io
import os
from pathlib import Path
from typing import Any, Literal, assert_type

import rapfiles
from rapfiles import (
    AsyncBufferedRandom,
    AsyncBufferedReader,
    AsyncBufferedWriter,
    AsyncFileIO,
    AsyncPath,
    AsyncTextIOWrapper,
    AtomicFileContextManager,
    FileContextManager,
    WrappedFile,
    wrap_file,
)


async def kinds_of_names(descriptor: int, path: AsyncPath, of_bytes: os.PathLike[bytes]) -> None:
    assert_type(await rapfiles.open("a"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open(b"a"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open(Path("a")), AsyncTextIOWrapper)
    assert_type(await rapfiles.open(path), AsyncTextIOWrapper)
    assert_type(await rapfiles.open(of_bytes), AsyncTextIOWrapper)
    assert_type(await rapfiles.open(descriptor, closefd=False), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", opener=os.open), AsyncTextIOWrapper)


async def ways_to_open() -> None:
    assert_type(rapfiles.open("a"), FileContextManager[AsyncTextIOWrapper])
    async with rapfiles.open("a") as text:
        assert_type(text, AsyncTextIOWrapper)
    async with await rapfiles.open("a", "rb") as reader:
        assert_type(reader, AsyncBufferedReader)
    file = await rapfiles.open("a", "wb")
    async with file as same:
        assert_type(same, AsyncBufferedWriter)
    await file.aclose()


async def modes() -> None:
    assert_type(await rapfiles.open("a", "r"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "rt"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "w"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "a+"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "xt+"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "+tr"), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "rb"), AsyncBufferedReader)
    assert_type(await rapfiles.open("a", "br"), AsyncBufferedReader)
    assert_type(await rapfiles.open("a", "wb"), AsyncBufferedWriter)
    assert_type(await rapfiles.open("a", "ab"), AsyncBufferedWriter)
    assert_type(await rapfiles.open("a", "xb"), AsyncBufferedWriter)
    assert_type(await rapfiles.open("a", "rb+"), AsyncBufferedRandom)
    assert_type(await rapfiles.open("a", "r+b"), AsyncBufferedRandom)
    assert_type(await rapfiles.open("a", "w+b"), AsyncBufferedRandom)
    assert_type(await rapfiles.open("a", "+ab"), AsyncBufferedRandom)
    assert_type(await rapfiles.open("a", "xb+"), AsyncBufferedRandom)


async def buffers(size: int) -> None:
    assert_type(await rapfiles.open("a", "rb", 0), AsyncFileIO)
    assert_type(await rapfiles.open("a", "wb", buffering=0), AsyncFileIO)
    assert_type(await rapfiles.open("a", "rb+", buffering=0), AsyncFileIO)
    assert_type(await rapfiles.open("a", "rb", -1), AsyncBufferedReader)
    assert_type(await rapfiles.open("a", "r", 1), AsyncTextIOWrapper)
    assert_type(await rapfiles.open("a", "w", size, "utf-8", "strict", "\n"), AsyncTextIOWrapper)
    # Whether there is a buffer at all is not known.
    assert_type(
        await rapfiles.open("a", "rb", size),
        AsyncBufferedReader | AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO,
    )


async def what_is_not_known(mode: str, either: Literal["r", "w"], binary: Literal["rb", "wb"]) -> None:
    assert_type(await rapfiles.open("a", mode), Any)
    assert_type(await rapfiles.open("a", mode, 0), Any)
    assert_type(await rapfiles.open("a", either), AsyncTextIOWrapper)
    file = await rapfiles.open("a", binary)
    await file.close()


async def of_a_path(path: AsyncPath, mode: str) -> None:
    assert_type(path.open(), FileContextManager[AsyncTextIOWrapper])
    assert_type(await path.open(), AsyncTextIOWrapper)
    assert_type(await path.open("w", encoding="utf-8", newline=""), AsyncTextIOWrapper)
    assert_type(await path.open("rb"), AsyncBufferedReader)
    assert_type(await path.open("ab"), AsyncBufferedWriter)
    assert_type(await path.open("wb+"), AsyncBufferedRandom)
    assert_type(await path.open("rb", buffering=0), AsyncFileIO)
    assert_type(await path.open(mode), Any)
    async with path.open("xb") as file:
        assert_type(file, AsyncBufferedWriter)


async def atomically(path: AsyncPath, mode: str) -> None:
    assert_type(path.open_atomic(), AtomicFileContextManager[AsyncTextIOWrapper])
    async with path.open_atomic("x", encoding="utf-8", durable=True) as text:
        assert_type(text, AsyncTextIOWrapper)
    async with path.open_atomic("wb", overwrite=False) as binary:
        assert_type(binary, AsyncBufferedWriter)
    async with path.open_atomic("wb+", fallback="inplace") as both:
        assert_type(both, AsyncBufferedRandom)
    async with path.open_atomic("wb", buffering=0) as raw:
        assert_type(raw, AsyncFileIO)
    async with path.open_atomic("wb", 4096) as sized:
        assert_type(sized, AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO)
    async with path.open_atomic(mode) as anything:
        assert_type(anything, Any)


async def text(file: AsyncTextIOWrapper) -> None:
    assert_type(await file.read(), str)
    assert_type(await file.read(10), str)
    assert_type(await file.read(None), str)
    assert_type(await file.readline(), str)
    assert_type(await file.readlines(), list[str])
    assert_type([line async for line in file], list[str])
    assert_type([batch async for batch in file.lines(1000)], list[list[str]])
    assert_type(await anext(file), str)
    assert_type(await file.write("a"), int)
    await file.writelines(["a", "b"])
    await file.writelines(str(number) for number in range(3))
    assert_type(await file.seek(0, os.SEEK_END), int)
    assert_type(await file.tell(), int)
    assert_type(await file.truncate(), int)
    assert_type(await file.truncate(5), int)
    await file.flush()
    await file.reconfigure(encoding="utf-8", errors="replace", newline="", line_buffering=True)
    await file.sync()
    await file.datasync()
    assert_type(await file.stat(), os.stat_result)
    assert_type(file.encoding, str)
    assert_type(file.errors, str)
    assert_type(file.newlines, str | tuple[str, ...] | None)
    assert_type(file.line_buffering, bool)
    assert_type(file.write_through, bool)
    assert_type(file.mode, str)
    await file.close()


async def binary(
    reader: AsyncBufferedReader, writer: AsyncBufferedWriter, both: AsyncBufferedRandom, raw: AsyncFileIO
) -> None:
    assert_type(await reader.read(), bytes)
    assert_type(await both.read(-1), bytes)
    assert_type(await reader.read1(), bytes)
    assert_type(await reader.peek(10), bytes)
    assert_type(await reader.readline(), bytes)
    assert_type(await reader.readlines(100), list[bytes])
    assert_type(await reader.readinto(bytearray(3)), int)
    assert_type(await both.readinto1(memoryview(bytearray(3))), int)
    assert_type([line async for line in reader], list[bytes])
    assert_type([chunk async for chunk in reader.chunks()], list[bytes])
    assert_type([chunk async for chunk in raw.chunks(4096)], list[bytes])
    assert_type([batch async for batch in both.lines()], list[list[bytes]])
    assert_type(await writer.write(b"a"), int)
    assert_type(await writer.write(bytearray(b"a")), int)
    assert_type(await both.write(memoryview(b"a")), int)
    await writer.writelines([b"a", bytearray(b"b")])
    assert_type(await reader.pread(10, 0), bytes)
    assert_type(await writer.pwrite(b"a", 0), int)
    assert_type(await both.seek(-1, os.SEEK_END), int)
    assert_type(await raw.readall(), bytes | None)
    assert_type(reader.raw, AsyncFileIO)
    assert_type(await writer.detach(), AsyncFileIO)
    assert_type(raw.closefd, bool)
    for file in (reader, writer, both, raw):
        assert_type(file.closed, bool)
        assert_type(file.mode, str)
        assert_type(file.fileno(), int)
        assert_type(file.isatty(), bool)
        assert_type(file.readable(), bool)
        assert_type(file.writable(), bool)
        assert_type(file.seekable(), bool)
        assert_type(await file.stat(), os.stat_result)


async def wrapped() -> None:
    assert_type(wrap_file(io.StringIO()), WrappedFile[str])
    assert_type(wrap_file(io.BytesIO()), WrappedFile[bytes])
    with open("a", "rb") as plain, gzip.open("a.gz", "rt") as packed:
        assert_type(wrap_file(plain), WrappedFile[bytes])
        assert_type(await wrap_file(plain).read(), bytes)
        assert_type(await wrap_file(packed).readline(), str)
    async with wrap_file(io.StringIO()) as file:
        assert_type(file, WrappedFile[str])
        assert_type(await file.write("a"), int)
        assert_type([line async for line in file], list[str])


async def standard_streams() -> None:
    assert_type(await rapfiles.stdin.readline(), str)
    assert_type([line async for line in rapfiles.stdin], list[str])
    assert_type(await rapfiles.stdout.write("a"), int)
    await rapfiles.stderr.flush()


async def mistakes(
    file: AsyncTextIOWrapper, reader: AsyncBufferedReader, writer: AsyncBufferedWriter
) -> None:
    await file.write(b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await writer.write("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await reader.readinto(b"constant")
    for _ in file:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with rapfiles.open("a"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await rapfiles.open(1.5)  # type: ignore[call-overload]  # pyright: ignore
