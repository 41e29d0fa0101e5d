"""Serve the files of a folder over HTTP, with ranges: `python file_server.py FOLDER [PORT]`.

Small, to show how a handle and a stream go together: the size is asked of the open file, not of its name, the
chunks are as large as the client takes them, and a client that goes away closes the file.
"""

import asyncio
import contextlib
import re
import sys
from urllib.parse import unquote

from rapfiles import AsyncBufferedReader, AsyncPath

CHUNK = 256 << 10


class FileServer:
    """Answers GET and HEAD with the files of one folder."""

    def __init__(self, folder: AsyncPath) -> None:
        self._folder = folder

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            await self._answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away, or never was one
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        method, _, rest = head.partition(" ")
        path = await self._find(unquote(rest.partition(" ")[0].partition("?")[0]))
        if method not in ("GET", "HEAD"):
            await self._say(writer, "405 Method Not Allowed")
        elif path is None:
            await self._say(writer, "404 Not Found")
        else:
            async with path.open("rb") as file:
                await self._send(file, head, writer, with_content=method == "GET")

    async def _find(self, url: str) -> AsyncPath | None:
        """The file of that name; None if there is none, or if it is not below the folder."""
        folder = await self._folder.resolve()
        path = await (folder / url.lstrip("/")).resolve()
        return path if path.is_relative_to(folder) and await path.is_file() else None

    async def _send(
        self, file: AsyncBufferedReader, head: str, writer: asyncio.StreamWriter, *, with_content: bool
    ) -> None:
        size = (await file.stat()).st_size
        first, last, status = 0, size - 1, "200 OK"
        extra = ""
        if wanted := re.search(r"^range: bytes=(\d+)-(\d*)\r$", head, re.IGNORECASE | re.MULTILINE):
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
            if first > last:
                await self._say(writer, "416 Range Not Satisfiable", f"Content-Range: bytes */{size}\r\n")
                return
            status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{size}\r\n"
        left = last - first + 1
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {left}\r\n{extra}Connection: close\r\n\r\n".encode()
        )
        await file.seek(first)
        while with_content and left > 0 and (chunk := await file.read(min(CHUNK, left))):
            writer.write(chunk)
            await writer.drain()  # not faster than the client reads
            left -= len(chunk)

    async def _say(self, writer: asyncio.StreamWriter, status: str, extra: str = "") -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{extra}Connection: close\r\n\r\n".encode())
        await writer.drain()


async def main(folder: str, port: str = "8000") -> None:
    server = await asyncio.start_server(FileServer(AsyncPath(folder)), "127.0.0.1", int(port))
    print("serving on port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except KeyboardInterrupt:
        sys.exit(130)
