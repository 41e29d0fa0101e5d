"""Paths from `file:` URIs, as the newest pathlib reads them, for the Pythons that cannot."""

import os
import socket
import sys
from urllib.parse import unquote, urlsplit


def path_from_uri(uri: str) -> str:
    """The path that a `file:` URI names. Query and fragment are dropped."""
    scheme, authority, path, _query, _fragment = urlsplit(uri)
    if scheme != "file":
        raise ValueError("URL is missing a 'file:' scheme")
    if os.name == "nt":
        path = _windows_path(authority, path)
    elif not _is_here(authority):
        raise ValueError("file:// scheme is supported only on localhost")
    return unquote(path, sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _is_here(authority: str) -> bool:
    # The local host's name comes from the kernel (gethostname(2)): no name server is asked.
    return authority in {"", "localhost"} or authority == socket.gethostname()


def _windows_path(authority: str, path: str) -> str:
    if authority[1:2] == ":":
        path = authority + path  # file://c:/file
    elif not _is_here(authority):
        path = f"//{authority}{path}"  # file://server/share/file
    elif path.startswith("///"):
        path = path[1:]  # file://///server/share/file
    else:
        if path.startswith("/") and path[2:3] in {":", "|"}:
            path = path[1:]  # file:///c:/file
        if path[1:2] == "|":
            path = f"{path[:1]}:{path[2:]}"  # file:///c|/file
    return path.replace("/", "\\")
