"""The ways to read and stat a file that are compared: synchronous, threads, other libraries, AsyncPath."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import AsyncPath

READ = "read_bytes"
STAT = "stat"
OPERATIONS = (READ, STAT)

SYNCHRONOUS = "synchronous"
OURS = "AsyncPath"

Operation = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Way:
    """One way, as a coroutine function for each operation."""

    name: str
    operations: dict[str, Operation]
    blocking: bool = False
    """Whether a call holds up the loop until it is done."""


def available_ways() -> tuple[list[Way], dict[str, str | None]]:
    """Every way that works here, and the version of each library, None for those that cannot be imported."""
    ways = [_synchronous(), _to_thread()]
    versions: dict[str, str | None] = {}
    for name, make in (("aiofiles", _aiofiles), ("anyio", _anyio)):
        try:
            ways.append(make())
        except Exception:
            # Not installed, or installed and broken: either way it cannot be compared.
            versions[name] = None
        else:
            versions[name] = _version(name)
    return [*ways, _async_path()], versions


def _synchronous() -> Way:
    async def read(name: str) -> object:
        return Path(name).read_bytes()  # noqa: ASYNC240 - it is the point of this way

    async def stat(name: str) -> object:
        return Path(name).stat()  # noqa: ASYNC240

    return Way(SYNCHRONOUS, {READ: read, STAT: stat}, blocking=True)


def _to_thread() -> Way:
    def read(name: str) -> Awaitable[object]:
        return asyncio.to_thread(Path(name).read_bytes)

    def stat(name: str) -> Awaitable[object]:
        return asyncio.to_thread(Path(name).stat)

    return Way("asyncio.to_thread", {READ: read, STAT: stat})


def _aiofiles() -> Way:
    open_file = importlib.import_module("aiofiles").open
    file_status = importlib.import_module("aiofiles.os").stat

    async def read(name: str) -> object:
        async with open_file(name, "rb") as file:
            return await file.read()

    return Way("aiofiles", {READ: read, STAT: file_status})


def _anyio() -> Way:
    path = importlib.import_module("anyio").Path

    def read(name: str) -> Awaitable[object]:
        reading: Awaitable[object] = path(name).read_bytes()
        return reading

    def stat(name: str) -> Awaitable[object]:
        status: Awaitable[object] = path(name).stat()
        return status

    return Way("anyio.Path", {READ: read, STAT: stat})


def _async_path() -> Way:
    def read(name: str) -> Awaitable[object]:
        return AsyncPath(name).read_bytes()

    def stat(name: str) -> Awaitable[object]:
        return AsyncPath(name).stat()

    return Way(OURS, {READ: read, STAT: stat})


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
