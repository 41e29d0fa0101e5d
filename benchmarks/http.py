"""The command `python -m benchmarks.http`: files through an HTTP server, many at a time.

A server (Starlette on uvicorn) for each library answers the same requests over the loopback device, 16 at a
time: a whole file as one response, and a file in chunks. The libraries take turns in interleaved rounds, the
server whose turn it is not is stopped. Beside the requests per second there are the page faults and the
processor time of the server for each request.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .processes import ROOT
from .report import table
from .works import CONTENT

CONNECTIONS = 16
SIZE = 1 << 20
CHUNK = 64 << 10
ROUTES = ("whole", "chunks")
LIBRARIES = ("rapfiles", "anyio", "to_thread")
BASE = "anyio"
_PATIENCE = 60.0
"""Seconds for one turn, after which something is wrong."""


def _reader(library: str) -> tuple[Callable[[str], Awaitable[bytes]], Callable[[str], AsyncIterator[bytes]]]:
    """How a library reads a whole file, and a file in chunks."""
    match library:
        case "rapfiles":
            import rapfiles

            async def whole(path: str) -> bytes:
                return await rapfiles.AsyncPath(path).read_bytes()

            async def chunks(path: str) -> AsyncIterator[bytes]:
                async with rapfiles.open(path, "rb") as file:
                    while chunk := await file.read(CHUNK):
                        yield chunk

        case "anyio":
            import anyio

            async def whole(path: str) -> bytes:
                return await anyio.Path(path).read_bytes()

            async def chunks(path: str) -> AsyncIterator[bytes]:
                async with await anyio.open_file(path, "rb") as file:
                    while chunk := await file.read(CHUNK):
                        yield chunk

        case _:

            async def whole(path: str) -> bytes:
                return await asyncio.to_thread(Path(path).read_bytes)

            async def chunks(path: str) -> AsyncIterator[bytes]:
                file = await asyncio.to_thread(open, path, "rb")
                try:
                    while chunk := await asyncio.to_thread(file.read, CHUNK):
                        yield chunk
                finally:
                    await asyncio.to_thread(file.close)

    return whole, chunks


def serve(library: str, path: str) -> None:
    """Serve the file until the process is ended. The port is the first line of the output."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    read, chunks = _reader(library)
    size = str(os.path.getsize(path))

    async def whole(_: Request) -> Response:
        return Response(await read(path))

    async def in_chunks(_: Request) -> Response:
        return StreamingResponse(chunks(path), headers={"content-length": size})

    app = Starlette(routes=[Route("/whole", whole), Route("/chunks", in_chunks)])
    listener = socket.create_server(("127.0.0.1", 0), backlog=2 * CONNECTIONS)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="error", access_log=False, loop="asyncio", http="h11")
    uvicorn.Server(config).run(sockets=[listener])


@dataclass
class Figures:
    """What one turn of a server took, for each request."""

    seconds: float
    faults: float
    cpu: float


class Server:
    """The process of one server."""

    def __init__(self, library: str, path: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.http", "--serve", library, path],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the server with {library} did not start")
        self._port = int(line)
        self._signal("SIGSTOP")

    def turn(self, route: str, requests: int) -> Figures:
        """Send `requests` requests over all connections together."""
        self._signal("SIGCONT")
        faults, cpu = self._used()
        seconds = asyncio.run(asyncio.wait_for(_load(self._port, route, requests), _PATIENCE))
        faults_after, cpu_after = self._used()
        self._signal("SIGSTOP")
        return Figures(seconds / requests, (faults_after - faults) / requests, (cpu_after - cpu) / requests)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):
            self._process.send_signal(getattr(signal, name))

    def _used(self) -> tuple[int, float]:
        """Page faults and seconds of processor time so far; nothing where the system does not tell."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0, 0.0
        # The name, in parentheses, may have spaces in it.
        fields = text.rpartition(")")[2].split()
        return int(fields[7]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(port: int, route: str, requests: int) -> float:
    """Seconds for `requests` requests over 16 connections; each response is read, and its length checked."""
    loop = asyncio.get_running_loop()
    request = f"GET /{route} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    left = requests

    async def connection() -> None:
        nonlocal left
        buffer = bytearray(256 << 10)
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            while left > 0:
                left -= 1
                await loop.sock_sendall(client, request)
                await _response(loop, client, buffer)

    started = loop.time()
    await asyncio.gather(*(connection() for _ in range(min(CONNECTIONS, requests))))
    return loop.time() - started


async def _response(loop: asyncio.AbstractEventLoop, client: socket.socket, buffer: bytearray) -> None:
    """Read one response to its end."""
    head = b""
    while b"\r\n\r\n" not in head:
        count = await loop.sock_recv_into(client, buffer)
        if count == 0:
            raise SystemExit("the server closed the connection")
        head += buffer[:count]
    head, _, body = head.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or f"content-length: {SIZE}".encode() not in head.lower():
        raise SystemExit(f"not the answer that was asked for: {head[:200]!r}")
    left = SIZE - len(body)
    while left > 0:
        count = await loop.sock_recv_into(client, buffer)
        if count == 0:
            raise SystemExit("the server closed the connection")
        left -= count
    if left < 0:
        raise SystemExit("a response is too long")


def measure(libraries: Sequence[str], rounds: int, requests: int) -> dict[str, dict[str, list[Figures]]]:
    """The figures by route and library, one for each round."""
    figures: dict[str, dict[str, list[Figures]]] = {
        route: {library: [] for library in libraries} for route in ROUTES
    }
    with ExitStack() as stack:
        path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "file")
        Path(path).write_bytes(CONTENT * (SIZE // len(CONTENT)))
        servers = {}
        for library in libraries:
            servers[library] = Server(library, path)
            stack.callback(servers[library].close)
            for route in ROUTES:
                servers[library].turn(route, CONNECTIONS)
        for number in range(rounds):
            order = [*servers][number % len(servers) :] + [*servers][: number % len(servers)]
            for route in ROUTES:
                for library in order:
                    figures[route][library].append(servers[library].turn(route, requests))
    return figures


def report(figures: dict[str, dict[str, list[Figures]]]) -> str:
    """A table with a line for each route and library."""
    rows = []
    for route, by_library in figures.items():
        for library, turns in by_library.items():
            base = by_library.get(BASE, turns)
            ratios = [its.seconds / turn.seconds for turn, its in zip(turns, base, strict=True)]
            rows.append(
                (
                    route,
                    library,
                    f"{1 / median(turn.seconds for turn in turns):,.0f}",
                    f"{median(ratios):.2f}",
                    f"{median(turn.faults for turn in turns):,.0f}",
                    f"{median(turn.cpu for turn in turns) * 1e6:,.0f}",
                )
            )
    header = ("response", "library", "requests/s", f"of {BASE}'s", "page faults", "processor time, µs")
    return table(header, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, or measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http",
        description=f"Measure files of 1 MiB through an HTTP server, {CONNECTIONS} responses at a time.",
    )
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="interleaved rounds")
    parser.add_argument("--requests", type=int, default=320, metavar="N", help="requests of one turn")
    parser.add_argument("--libraries", default=",".join(LIBRARIES), metavar="NAME,…")
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    options: Any = parser.parse_args(arguments)
    if options.serve:
        serve(*options.serve)
        return 0
    libraries = options.libraries.split(",")
    if not set(libraries) <= set(LIBRARIES):
        parser.error(f"the libraries are {', '.join(LIBRARIES)}")
    print(report(measure(libraries, max(1, options.rounds), max(1, options.requests))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
