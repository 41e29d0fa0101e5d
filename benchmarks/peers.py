"""The libraries that are measured, each as one small class: how it does every operation.

An operation is written as an expression, as one would for `timeit`: the harness compiles it into its loop,
so that no call of the harness stands between the loop and the library. The names in it come from
`namespace()` and from the harness: `name` and `target` are str paths, `data` is the bytes to write.
For an asynchronous peer the expression is what stands behind `await`. An operation that a library does
not have is left out. For the programs over open files (see handles.py) a library says how it opens one.
"""

import os
import shutil
import subprocess
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from .handles import PROGRAMS, TEXT_PROGRAMS
from .works import walk_and_stat


class Peer:
    """One library. Subclasses say how it does each operation."""

    name: str
    distribution: str | None = None
    """The distribution on the package index; None for the standard library."""
    asynchronous = True
    path: str | None = None
    """The part of the expressions that makes a path object, for the row where it is kept."""
    note = ""
    """Where the library does other work than pathlib for the same call."""

    read_bytes: str | None = None
    read_text: str | None = None
    write_bytes: str | None = None
    stat: str | None = None
    exists: str | None = None
    mkdir: str | None = None
    rmdir: str | None = None
    unlink: str | None = None
    rename: str | None = None
    iterdir: str | None = None
    """Gives the paths of the entries in a list."""
    scandir_stat: str | None = None
    """Gives the stat of each entry in a list."""
    rglob: str | None = None
    """Gives the paths of all `*.txt` below in a list."""
    walk: str | None = None
    """Gives the directories of a tree in a list, each with what is in it."""
    copy: str | None = None
    """Copies a file to a new one."""
    copy_tree: str | None = None
    """Copies a directory with everything in it, times and permissions too."""
    remove_tree: str | None = None
    """Removes a directory with everything in it."""
    find: str | None = None
    """Gives the sum of the sizes of everything in a tree."""

    opens: str | None = None
    """What stands between `async with` and the arguments of builtin `open`."""
    lacks: frozenset[str] = frozenset()
    """The programs for which its files miss a method."""

    def namespace(self) -> dict[str, Any]:
        """Import the library and return the names that the expressions use."""
        raise NotImplementedError

    def can(self, operation: str) -> bool:
        """Whether the library has the operation, or what the program needs."""
        if operation in PROGRAMS:
            return self.opens is not None and operation not in self.lacks
        return getattr(self, operation) is not None

    def expression(self, operation: str, *, keep_path: bool = False) -> str | None:
        """The expression for an operation; with `keep_path` one that uses the path object `path`."""
        expression: str | None = getattr(self, operation)
        if keep_path and expression is not None and self.path is not None:
            return expression.replace(self.path, "path")
        return expression


class Pathlib(Peer):
    name = "pathlib"
    asynchronous = False
    path = "Path(name)"

    read_bytes = "Path(name).read_bytes()"
    read_text = "Path(name).read_text(encoding='utf-8')"
    write_bytes = "Path(name).write_bytes(data)"
    stat = "Path(name).stat()"
    exists = "Path(name).exists()"
    mkdir = "Path(name).mkdir()"
    rmdir = "Path(name).rmdir()"
    unlink = "Path(name).unlink()"
    rename = "Path(name).rename(target)"
    iterdir = "list(Path(name).iterdir())"
    scandir_stat = "stats(name)"
    rglob = "list(Path(name).rglob('*.txt'))"
    # Python 3.11's has none, and that of later ones goes through this.
    walk = "list(os.walk(name))"
    find = "walk_and_stat(name)"
    # pathlib's own are there since Python 3.14.
    copy = "shutil.copyfile(name, target)"
    copy_tree = "shutil.copytree(name, target, symlinks=True)"
    # pathlib has none.
    remove_tree = "shutil.rmtree(name)"
    opens = "open"

    def namespace(self) -> dict[str, Any]:
        from pathlib import Path

        names = {"Path": Path, "stats": _stats, "os": os, "walk_and_stat": walk_and_stat}
        return names | {"shutil": shutil}


class Rapfiles(Peer):
    name = "rapfiles"
    distribution = "rapfiles"
    path = "AsyncPath(name)"

    read_bytes = "AsyncPath(name).read_bytes()"
    read_text = "AsyncPath(name).read_text(encoding='utf-8')"
    write_bytes = "AsyncPath(name).write_bytes(data)"
    stat = "AsyncPath(name).stat()"
    exists = "AsyncPath(name).exists()"
    mkdir = "AsyncPath(name).mkdir()"
    rmdir = "AsyncPath(name).rmdir()"
    unlink = "AsyncPath(name).unlink()"
    rename = "AsyncPath(name).rename(target)"
    iterdir = "collected(AsyncPath(name).iterdir())"
    scandir_stat = "stats_of(AsyncPath(name).scandir(with_stat=True))"
    rglob = "collected(AsyncPath(name).rglob('*.txt'))"
    walk = "collected(AsyncPath(name).walk())"
    find = "summed(AsyncPath(name).find(with_stat=True))"
    copy = "AsyncPath(name).copy(target)"
    copy_tree = "AsyncPath(name).copy(target, follow_symlinks=False, preserve_metadata=True)"
    remove_tree = "AsyncPath(name).rmtree()"
    opens = "rapfiles.open"

    def namespace(self) -> dict[str, Any]:
        import rapfiles

        return {
            "rapfiles": rapfiles,
            "AsyncPath": rapfiles.AsyncPath,
            "collected": _collected,
            "stats_of": _stats_of,
            "summed": _summed,
        }


class Compat(Peer):
    name = "rapfiles.compat"
    distribution = "rapfiles"

    opens = "aiofiles.open"

    def namespace(self) -> dict[str, Any]:
        import rapfiles.compat as aiofiles

        return {"aiofiles": aiofiles}


class ToThread(Peer):
    name = "to_thread"
    path = "Path(name)"

    read_bytes = "to_thread(Path(name).read_bytes)"
    read_text = "to_thread(Path(name).read_text, encoding='utf-8')"
    write_bytes = "to_thread(Path(name).write_bytes, data)"
    stat = "to_thread(Path(name).stat)"
    exists = "to_thread(Path(name).exists)"
    mkdir = "to_thread(Path(name).mkdir)"
    rmdir = "to_thread(Path(name).rmdir)"
    unlink = "to_thread(Path(name).unlink)"
    rename = "to_thread(Path(name).rename, target)"
    iterdir = "to_thread(lambda: list(Path(name).iterdir()))"
    scandir_stat = "to_thread(stats, name)"
    rglob = "to_thread(lambda: list(Path(name).rglob('*.txt')))"
    walk = "to_thread(lambda: list(os.walk(name)))"
    find = "to_thread(walk_and_stat, name)"
    copy = "to_thread(shutil.copyfile, name, target)"
    copy_tree = "to_thread(shutil.copytree, name, target, symlinks=True)"
    remove_tree = "to_thread(shutil.rmtree, name)"
    opens = "ThreadFile"

    def namespace(self) -> dict[str, Any]:
        from pathlib import Path

        names = {"to_thread": to_thread, "Path": Path, "ThreadFile": ThreadFile, "stats": _stats}
        return names | {"os": os, "shutil": shutil, "walk_and_stat": walk_and_stat}


class Command(Peer):
    note = "a command: starting it counts"

    def namespace(self) -> dict[str, Any]:
        from subprocess import run

        return {"to_thread": to_thread, "command": run}


class Cp(Command):
    name = "cp -a"

    copy = copy_tree = "to_thread(command, ['cp', '-a', name, target], check=True)"


class Rm(Command):
    name = "rm -rf"

    remove_tree = "to_thread(command, ['rm', '-rf', name], check=True)"


class Glob(Peer):
    name = "glob.glob"
    note = "in a thread; gives strings, and finds no hidden names"

    rglob = "to_thread(glob, os.path.join(name, '**', '*.txt'), recursive=True)"

    def namespace(self) -> dict[str, Any]:
        from glob import glob

        return {"to_thread": to_thread, "glob": glob, "os": os}


class Find(Peer):
    name = "find"
    note = "a command: starting it counts, and making strings of what it prints"

    rglob = "to_thread(printed, ['find', name, '-name', '*.txt', '-print0'])"

    def namespace(self) -> dict[str, Any]:
        _check_installed(self.name)
        return {"to_thread": to_thread, "printed": _printed}


class Bfs(Find):
    name = "bfs"

    rglob = "to_thread(printed, ['bfs', name, '-name', '*.txt', '-print0'])"


class Du(Peer):
    name = "du"
    note = "a command: starting it counts"

    find = "to_thread(summed, name)"

    def namespace(self) -> dict[str, Any]:
        _check_installed(self.name)
        return {"to_thread": to_thread, "summed": _summed_by_du}


class ThreadFile:
    """A file of builtin `open`, each call in a thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._arguments = arguments
        self._options = options
        self._file: Any = None

    async def __aenter__(self) -> Self:
        self._file = await to_thread(open, *self._arguments, **self._options)
        return self

    async def __aexit__(self, *error: object) -> None:
        await to_thread(self._file.close)

    def read(self, size: int = -1) -> Coroutine[Any, Any, Any]:
        return to_thread(self._file.read, size)

    def readlines(self) -> Coroutine[Any, Any, list[Any]]:
        return to_thread(self._file.readlines)

    def write(self, data: Any) -> Coroutine[Any, Any, int]:
        return to_thread(self._file.write, data)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        line = await to_thread(self._file.readline)
        if not line:
            raise StopAsyncIteration
        return line


class Aiofiles(Peer):
    name = "aiofiles"
    distribution = "aiofiles"

    read_bytes = "read_bytes(name)"
    read_text = "read_text(name)"
    write_bytes = "write_bytes(name, data)"
    stat = "aiofiles.os.stat(name)"
    exists = "aiofiles.os.path.exists(name)"
    mkdir = "aiofiles.os.mkdir(name)"
    rmdir = "aiofiles.os.rmdir(name)"
    unlink = "aiofiles.os.unlink(name)"
    rename = "aiofiles.os.rename(name, target)"
    opens = "aiofiles.open"

    def namespace(self) -> dict[str, Any]:
        import aiofiles
        import aiofiles.os

        return {"aiofiles": aiofiles, **_whole_files(aiofiles.open)}


class AnyioPath(Peer):
    name = "anyio"
    distribution = "anyio"
    path = "Path(name)"

    read_bytes = "Path(name).read_bytes()"
    read_text = "Path(name).read_text(encoding='utf-8')"
    write_bytes = "Path(name).write_bytes(data)"
    stat = "Path(name).stat()"
    exists = "Path(name).exists()"
    mkdir = "Path(name).mkdir()"
    rmdir = "Path(name).rmdir()"
    unlink = "Path(name).unlink()"
    rename = "Path(name).rename(target)"
    iterdir = "collected(Path(name).iterdir())"
    rglob = "collected(Path(name).rglob('*.txt'))"
    opens = "await anyio.open_file"

    def namespace(self) -> dict[str, Any]:
        import anyio

        return {"anyio": anyio, "Path": anyio.Path, "collected": _collected}


class Aiofile(Peer):
    name = "aiofile"
    distribution = "aiofile"
    note = "close() of a file opened for writing also syncs it to the device"

    read_bytes = "read_bytes(name)"
    read_text = "read_text(name)"
    write_bytes = "write_bytes(name, data)"
    opens = "async_open"
    lacks = frozenset({"readlines"})

    def namespace(self) -> dict[str, Any]:
        from aiofile import async_open

        return {"async_open": async_open, **_whole_files(async_open)}


class Aerofs(Peer):
    name = "aerofs"
    distribution = "aerofs"

    read_bytes = "read_bytes(name)"
    read_text = "read_text(name)"
    write_bytes = "write_bytes(name, data)"
    stat = "aerofs.os.stat(name)"
    exists = "aerofs.os.path.exists(name)"
    mkdir = "aerofs.os.mkdir(name)"
    rmdir = "aerofs.os.rmdir(name)"
    unlink = "aerofs.os.unlink(name)"
    rename = "aerofs.os.rename(name, target)"
    opens = "aerofs.open"

    def namespace(self) -> dict[str, Any]:
        import aerofs
        import aerofs.os

        return {"aerofs": aerofs, **_whole_files(aerofs.open)}


class Ayafileio(Peer):
    name = "ayafileio"
    distribution = "ayafileio"
    note = "its whole-file functions open the file on the event loop's thread"

    read_bytes = "ayafileio.read_bytes(name)"
    read_text = "ayafileio.read_text(name, encoding='utf-8')"
    write_bytes = "ayafileio.write_bytes(name, data)"
    opens = "ayafileio.open"

    def namespace(self) -> dict[str, Any]:
        import ayafileio

        return {"ayafileio": ayafileio}


class AyafileioAopen(Peer):
    name = "ayafileio.aopen"
    distribution = "ayafileio"

    read_bytes = "read_bytes(name)"
    read_text = "read_text(name)"
    write_bytes = "write_bytes(name, data)"
    opens = "ayafileio.aopen"

    def namespace(self) -> dict[str, Any]:
        import ayafileio

        return {"ayafileio": ayafileio, **_whole_files(ayafileio.aopen)}


class Obstore(Peer):
    name = "obstore"
    distribution = "obstore"
    note = "writes to a temporary file and renames it; returns its own buffer type, not bytes"

    read_bytes = "read_bytes(name)"
    write_bytes = "store.put_async(name, data)"
    stat = "store.head_async(name)"
    unlink = "store.delete_async(name)"
    rename = "store.rename_async(name, target)"
    opens = "open_file"
    lacks = TEXT_PROGRAMS

    def namespace(self) -> dict[str, Any]:
        from obstore import open_reader_async, open_writer_async
        from obstore.store import LocalStore

        store = LocalStore()

        async def read_bytes(name: str) -> Any:
            return await (await store.get_async(name)).bytes_async()

        @asynccontextmanager
        async def open_file(name: str, mode: str) -> AsyncIterator[Any]:
            if mode == "rb":
                yield await open_reader_async(store, name)
            else:
                async with open_writer_async(store, name) as file:
                    yield file

        return {"store": store, "read_bytes": read_bytes, "open_file": open_file}


class Opendal(Peer):
    name = "opendal"
    distribution = "opendal"
    note = "makes missing parents too when it makes a directory"

    read_bytes = "operator.read(name)"
    write_bytes = "operator.write(name, data)"
    stat = "operator.stat(name)"
    exists = "operator.exists(name)"
    mkdir = "operator.create_dir(name + '/')"
    rmdir = "operator.delete(name + '/')"
    unlink = "operator.delete(name)"
    rename = "operator.rename(name, target)"
    opens = "await operator.open"
    lacks = TEXT_PROGRAMS

    def namespace(self) -> dict[str, Any]:
        from opendal import AsyncOperator

        return {"operator": AsyncOperator("fs", root="/")}


def _stats(name: str) -> list[os.stat_result]:
    with os.scandir(name) as entries:
        return [entry.stat() for entry in entries]


def _check_installed(command: str) -> None:
    # Those of other systems do not have all the options.
    if sys.platform != "linux" or shutil.which(command) is None:
        raise ImportError(f"no command {command}")


def _printed(command: list[str]) -> list[str]:
    return os.fsdecode(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout).split("\0")[:-1]


def _summed_by_du(name: str) -> int:
    command = ["du", "-s", "-B1", "--apparent-size", name]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()[0])


async def _stats_of(entries: AsyncIterator[Any]) -> list[os.stat_result]:
    return [await entry.stat() async for entry in entries]


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


async def _summed(entries: AsyncIterator[Any]) -> int:
    return sum([(await entry.stat(follow_symlinks=False)).st_size async for entry in entries])


def _whole_files(open_file: Any) -> dict[str, Any]:
    """The three whole-file operations of a library that only has open()."""

    async def read_bytes(name: str) -> bytes:
        async with open_file(name, "rb") as file:
            return await file.read()

    async def read_text(name: str) -> str:
        async with open_file(name, "r", encoding="utf-8") as file:
            return await file.read()

    async def write_bytes(name: str, data: bytes) -> None:
        async with open_file(name, "wb") as file:
            await file.write(data)

    return {"read_bytes": read_bytes, "read_text": read_text, "write_bytes": write_bytes}


BASE = Pathlib.name
OURS = Rapfiles.name
COMPAT = Compat.name
AIOFILES = Aiofiles.name
PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Pathlib(),
        Rapfiles(),
        ToThread(),
        Cp(),
        Rm(),
        Glob(),
        Find(),
        Bfs(),
        Du(),
        Compat(),
        Aiofiles(),
        AnyioPath(),
        Aiofile(),
        Aerofs(),
        Ayafileio(),
        AyafileioAopen(),
        Obstore(),
        Opendal(),
    )
}
