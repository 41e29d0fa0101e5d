"""Many tasks on one handle: operations run in the order in which they were begun, each as a whole."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support.handles import filling

pytestmark = pytest.mark.interpreter

CONTENT = filling(1 << 20)


async def test_reads_share_the_file(tmp_path: Path) -> None:
    """Each byte is read by one of the tasks, in the order of their reads."""
    (tmp_path / "file").write_bytes(CONTENT)
    for keywords in ({}, {"buffering": 100}):
        found: list[bytes] = []

        async def reader(file: Any, number: int, found: list[bytes] = found) -> None:
            generator = random.Random(number)
            while data := await file.read(generator.choice([1, 100, 5000, 70_000])):
                found.append(data)
                if generator.random() < 0.3:
                    await anyio.sleep(0)

        async with (
            rapfiles.open(tmp_path / "file", "rb", **keywords) as file,
            anyio.create_task_group() as group,
        ):
            for number in range(10):
                group.start_soon(reader, file, number)
        assert len(b"".join(found)) == len(CONTENT)
        pieces = sorted(
            found, key=lambda data: (CONTENT.find(data), len(data)) if len(data) > 20 else (-1, 0)
        )
        large = [data for data in pieces if len(data) > 20]
        ends = [CONTENT.find(data) + len(data) for data in large]
        starts = [CONTENT.find(data) for data in large]
        assert -1 not in starts
        # Whole pieces of the file, and no two overlap.
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_lines_are_shared_by_tasks(mode: str, tmp_path: Path) -> None:
    content = filling(300_000)
    (tmp_path / "file").write_bytes(content)
    found: list[Any] = []

    async def reader(file: Any) -> None:
        async for line in file:
            found.append(line)
            if len(found) % 7 == 0:
                await anyio.sleep(0)

    async with rapfiles.open(tmp_path / "file", mode) as file, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(reader, file)
    data = [line if isinstance(line, bytes) else line.encode() for line in found]
    assert sorted(data) == content.splitlines(True)


WRITERS = [
    {"mode": "wb"},
    {"mode": "wb", "buffering": 100},
    {"mode": "wb", "buffering": 0},
    {"mode": "ab"},
    {"mode": "wb+"},
    {"mode": "w", "encoding": "utf-8"},
    {"mode": "w", "encoding": "cp1252"},
    {"mode": "a", "encoding": "utf-8", "buffering": 1},
]


@pytest.mark.parametrize("keywords", WRITERS, ids=str)
async def test_writes_do_not_mix(keywords: dict[str, Any], tmp_path: Path) -> None:
    """Each write is in the file as a whole, and one task's writes are in their order."""
    text = "b" not in keywords["mode"]
    sizes = [0, 10, 1000, 9000, 300_000]

    async def writer(file: Any, number: int) -> None:
        generator = random.Random(number)
        for count in range(20):
            record = f"{number}:{count}:" + chr(97 + number) * generator.choice(sizes) + "\n"
            # Without a buffer, `writelines` is one operation for each line.
            if generator.random() < 0.2 and keywords.get("buffering") != 0:
                lines = [record[:5], record[5:]]
                await file.writelines(lines if text else [line.encode() for line in lines])
            else:
                data = record if text else record.encode()
                assert await file.write(data) == len(data)
            if generator.random() < 0.2:
                await file.flush()

    async with rapfiles.open(tmp_path / "file", **keywords) as file, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(writer, file, number)
    seen: dict[int, int] = dict.fromkeys(range(8), 0)
    for line in (tmp_path / "file").read_bytes().splitlines():
        first, second, rest = line.split(b":")
        number, count = int(first), int(second)
        assert rest == bytes([97 + number]) * len(rest)
        assert count == seen[number]
        seen[number] += 1
    assert set(seen.values()) == {20}


@pytest.mark.loops("asyncio")
async def test_the_order_is_that_in_which_they_were_begun(tmp_path: Path) -> None:
    """Operations begun without being awaited, as tasks: first come, first served, of whatever kind."""
    async with rapfiles.open(tmp_path / "file", "wb+") as file:
        writes = [asyncio.create_task(file.write(b"%d;" % number)) for number in range(1000)]
        told = asyncio.create_task(file.tell())
        back = asyncio.create_task(file.seek(0))
        read = asyncio.create_task(file.read())
        cut = asyncio.create_task(file.truncate(10))
        again = asyncio.create_task(file.seek(0))
        rest = asyncio.create_task(file.read())
        closed = asyncio.create_task(file.close())
        await asyncio.gather(*writes, told, back, read, cut, again, rest, closed)
    expected = b"".join(b"%d;" % number for number in range(1000))
    assert told.result() == len(expected)
    assert read.result() == expected
    assert rest.result() == expected[:10]
    assert file.closed


async def test_closing_waits_for_what_was_begun(tmp_path: Path) -> None:
    """What was begun before the close is done; what is begun after it is refused."""
    results: list[Any] = []

    async def write(file: Any, number: int) -> None:
        try:
            await file.write(b"%07d;" % number + b"x" * 100_000)
            results.append(number)
        except ValueError as error:
            results.append(str(error))

    for _ in range(10):
        results.clear()
        file = await rapfiles.open(tmp_path / "file", "wb")
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(write, file, number)
                if number == 10:
                    await anyio.sleep(0)
                    group.start_soon(file.close)
        done = {result for result in results if isinstance(result, int)}
        assert len(results) == 20
        assert all("closed" in result for result in results if isinstance(result, str))
        content = (tmp_path / "file").read_bytes()
        found = {int(content[at : at + 7]) for at in range(0, len(content), 100_008)}
        assert found == done


async def test_several_closes_at_once(tmp_path: Path) -> None:
    file = await rapfiles.open(tmp_path / "file", "wb")
    await file.write(b"written")
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(file.close)
    assert file.closed
    assert (tmp_path / "file").read_bytes() == b"written"


async def test_positional_reads_beside_a_sequential_reader(tmp_path: Path) -> None:
    """They neither move its place nor wait for it."""
    (tmp_path / "file").write_bytes(CONTENT)
    ended = False

    async def positional(file: Any, number: int) -> None:
        generator = random.Random(number)
        while not ended:
            place, size = generator.randrange(len(CONTENT) + 100), generator.choice([0, 1, 100, 300_000])
            assert await file.pread(size, place) == CONTENT[place : place + size]
            await anyio.sleep(0)

    async with rapfiles.open(tmp_path / "file", "rb") as file, anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(positional, file, number)
        found = b""
        while data := await file.read(5000):
            found += data
            await anyio.sleep(0)
        ended = True
    assert found == CONTENT


async def test_positional_writes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))

    async def write(file: Any, number: int) -> None:
        for place in range(number * 100, 100_000, 1000):
            assert await file.pwrite(bytes([number + 1]) * 100, place) == 100

    async with rapfiles.open(tmp_path / "file", "rb+") as file:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(write, file, number)
        assert await file.tell() == 0
        expected = b"".join(bytes([number + 1]) * 100 for number in range(10)) * 100
        assert await file.pread(100_000, 0) == expected
    assert (tmp_path / "file").read_bytes() == expected


@pytest.mark.parametrize("keywords", [{"mode": "rb+"}, {"mode": "rb+", "buffering": 0}], ids=str)
async def test_positional_and_ordinary_operations_agree(keywords: dict[str, Any], tmp_path: Path) -> None:
    """One after the other, in whatever order: as with os.pread and os.pwrite after a flush."""
    generator = random.Random(7)
    reference = bytearray(CONTENT[:50_000])
    (tmp_path / "file").write_bytes(reference)
    async with rapfiles.open(tmp_path / "file", **keywords) as file:
        place = 0
        for _ in range(400):
            kind = generator.choice(["read", "write", "seek", "pread", "pwrite"])
            size, at = generator.choice([1, 10, 5000]), generator.randrange(45_000)
            data = generator.randbytes(size)
            if kind == "read":
                assert await file.read(size) == reference[place : place + size]
                place = min(place + size, max(place, len(reference)))
            elif kind == "write":
                assert await file.write(data) == size
                reference[place : place + size] = data
                place += size
            elif kind == "seek":
                place = await file.seek(at)
            elif kind == "pread":
                assert await file.pread(size, at) == reference[at : at + size]
            else:
                await file.flush()
                assert await file.pwrite(data, at) == size
                reference[at : at + size] = data
    assert (tmp_path / "file").read_bytes() == reference


@pytest.mark.one_loop
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_what_is_written_at_an_offset_is_read(buffering: int, directory: Path) -> None:
    """Whatever has been read ahead: as with os.pwrite beside a file of io that reads nothing ahead."""
    generator = random.Random(buffering)
    ours, theirs = directory / "ours", directory / "theirs"
    ours.write_bytes(CONTENT[:400_000])
    theirs.write_bytes(CONTENT[:400_000])
    with open(theirs, "rb+", buffering=0) as reference:
        async with rapfiles.open(ours, "rb+", buffering=buffering) as file:

            async def read(size: int) -> bytes:
                """So much, in as many reads as it takes."""
                found = b""
                while len(found) < size and (more := await file.read(size - len(found))):
                    found += more
                return found

            for number in range(120):
                kind = generator.choice(["read", "readline", "next", "chunks", "back", "given up", "write"])
                data = generator.randbytes(generator.choice([1, 100, 50_000]))
                at = reference.tell() if number % 8 else generator.randrange(420_000)
                if number % 5:
                    await file.flush()
                    assert await file.pwrite(data, at) == os.pwrite(reference.fileno(), data, at)
                if kind == "read":
                    size = generator.choice([1, 10, 5000, 40_000])
                    assert await read(size) == reference.read(size)
                elif kind == "readline":
                    assert await file.readline() == reference.readline()
                elif kind == "next":
                    assert await anext(file, b"") == reference.readline()
                elif kind == "chunks":
                    chunk = await anext(file.chunks(33_000), b"")
                    assert chunk == reference.read(len(chunk))
                elif kind == "back":
                    back = -min(generator.choice([1, 300, 10_000]), reference.tell())
                    assert await file.seek(back, os.SEEK_CUR) == reference.seek(back, os.SEEK_CUR)
                elif kind == "given up":
                    async with anyio.create_task_group() as group:
                        group.start_soon(file.readline)
                        await anyio.sleep(0)
                        group.cancel_scope.cancel()
                    reference.seek(await file.tell())
                else:
                    assert await file.write(data[:100]) == reference.write(data[:100])
                if reference.tell() > 350_000:
                    reference.seek(await file.seek(generator.randrange(200_000)))
                assert await file.tell() == reference.tell()
    assert ours.read_bytes() == theirs.read_bytes()


async def test_what_others_see(tmp_path: Path) -> None:
    """After flush, after close, and at once without a buffer."""
    path = tmp_path / "file"
    for mode, data in (("wb", b"123"), ("w", "123"), ("ab", b"123"), ("w+", "123")):
        path.write_bytes(b"")
        file = await rapfiles.open(path, mode)
        await file.write(data)
        await file.flush()
        assert path.read_bytes() == b"123"
        await file.write(data)
        await file.close()
        assert path.read_bytes() == b"123123"
    async with rapfiles.open(path, "wb", buffering=0) as raw:
        await raw.write(b"now")
        assert path.read_bytes() == b"now"
    async with rapfiles.open(path, "w", buffering=1) as text:
        await text.write("a line\nand")
        assert path.read_bytes().startswith(b"a line\n")
    async with rapfiles.open(path, "w") as text:
        await text.reconfigure(write_through=True)
        await text.write("through")
        await text.flush()
        assert path.read_bytes() == b"through"


async def test_following_a_file_that_grows(tmp_path: Path) -> None:
    """At the end of the file there is nothing, and later there may be more: the end is not remembered."""
    path = tmp_path / "file"
    path.touch()
    with path.open("ab", buffering=0) as log:
        for mode in ("rb", "r"):
            path.write_bytes(b"")
            async with rapfiles.open(path, mode) as file:
                for number in range(50):
                    assert await file.readline() in (b"", "")
                    log.write(b"line %d\n" % number)
                    line = await file.readline()
                    assert (line if isinstance(line, bytes) else line.encode()) == b"line %d\n" % number
                    assert [rest async for rest in file] == []
                os.truncate(path, 0)
                await file.seek(0)
                log.write(b"anew\n")
                assert await file.readline() in (b"anew\n", "anew\n")
