"""Trees of files, built and inspected with plain `os` and `open`: the truth to compare the library with."""

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

# Names that a careless library spoils: not UTF-8, line ends, spaces, patterns, homes, decomposed letters.
ODD_NAMES = [
    os.fsdecode(b"not-utf8-\xff\xfe"),
    "line\nend",
    " spaces ",
    "tab\t",
    "-option",
    "~tilde",
    "star*?[a]",
    "...",
    ".hidden",
    "back\\slash",
    "quote'\"",
    "pr\u00e9compos\u00e9",
    "de\u0301compose\u0301",
    "\u65e5\u672c\u8a9e",
    "\U0001f980",
    "colon:",
]
LONGEST_NAME = "n" * 255


@dataclass(frozen=True)
class Tree:
    """A folder `root` with something of every kind in it; `names` are its entries, relative to `root`."""

    root: Path
    names: list[str]


def _write(path: str, data: bytes = b"") -> None:
    with open(path, "wb") as file:
        file.write(data)


def build_varied(root: Path) -> Tree:
    """Build a tree with every kind of entry, link, name and permission that the file system takes.

    What only root can make (other owners) is there when root builds it. It belongs to whoever builds it.
    """
    base = os.fspath(root)

    def at(name: str) -> str:
        return os.path.join(base, name)

    for name in (
        "dir",
        "dir/deeper",
        "dir/deeper/deepest",
        "empty-dir",
        "secret-dir",
        "entered-dir",
        "listed-dir",
    ):
        os.mkdir(at(name))
    _write(at("empty"))
    _write(at("small"), b"one line\n")
    _write(at("crlf"), b"dos\r\nmac\rmixed\n\r\r\nend")
    _write(at("utf8"), "gr\u00fc\u00df \u65e5\u672c \U0001f980\n".encode())
    _write(at("bom"), b"\xef\xbb\xbfmark\n")
    _write(at("latin1"), b"gr\xfc\xdf\n")
    _write(at("utf16"), "two bytes \u20ac\n".encode("utf-16"))
    _write(at("binary"), bytes(range(256)) * 8)
    _write(at("page"), b"p" * 4096)
    _write(at("large"), bytes(range(251)) * 1200)
    _write(at("dir/file"), b"in a folder\n")
    _write(at("dir/deeper/file"), b"deeper\n")
    _write(at("sparse"))
    os.truncate(at("sparse"), 300_000)
    _write(at("secret"), b"nobody reads this")
    _write(at("write-only"), b"nor this")
    _write(at("read-only"), b"but this")
    _write(at("program"), b"#!/bin/sh\n")
    _write(at("old"), b"old")
    os.utime(at("old"), ns=(1_000_000_001, 86_400_123_456_789))
    os.link(at("small"), at("hard-link"))

    links = {
        "to-file": "small",
        "to-dir": "dir",
        "to-empty": "empty-dir",
        "to-absolute": at("dir/file"),
        "to-parent": "..",
        "to-self": ".",
        "to-inside": "dir/deeper/file",
        "dangling": "missing",
        "dangling-deep": "missing/deeper",
        "through-file": "small/inside",
        "loop": "loop",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "loop-inside": "loop/inside",
        "dir/up": "../small",
        "dir/to-loop": "../loop-a",
        "to-secret": "secret-dir/inside",
        "to-link": "to-file",
        "to-fifo": "fifo",
        "odd-link": os.fsdecode(b"odd-\xfa"),
    }
    for name, target in links.items():
        os.symlink(target, at(name))
    # The kernel follows 40 links and no more.
    os.symlink("small", at("chain-0"))
    for number in range(1, 42):
        os.symlink(f"chain-{number - 1}", at(f"chain-{number}"))

    os.mkfifo(at("fifo"))
    os.mknod(at("socket"), stat.S_IFSOCK | 0o644)
    for name in ODD_NAMES:
        _write(at(name), b"odd")
    os.mkdir(at(LONGEST_NAME))
    _write(at(f"{LONGEST_NAME}/{LONGEST_NAME}"), b"long")

    for name in ("secret-dir", "entered-dir", "listed-dir"):
        _write(at(f"{name}/inside"), b"inside")
    if os.geteuid() == 0:
        _write(at("stranger"))
        os.chown(at("stranger"), 54321, 54321)
        os.symlink("small", at("stranger-link"))
        os.lchown(at("stranger-link"), 54322, 54322)
        _write(at("of-daemon"))
        os.chown(at("of-daemon"), 1, 1)
        _write(at("roots"), b"root's")
        os.chmod(at("roots"), 0o600)
    with contextlib.suppress(OSError):  # some file systems have no extended attributes for users
        os.setxattr(at("small"), "user.colour", b"blue\xff")
        os.setxattr(at("small"), "user.empty", b"")
    # A walk that the kernel begins anew, because something changed meanwhile, goes on counting the links
    # where it was (fs/namei.c sets `total_link_count` once for both of its walks): with 21 to 40 of them
    # either answer may come.
    unsteady = {f"chain-{number}" for number in range(20, 40)}
    names = sorted(set(_entries(base)) - unsteady)
    modes = {
        "secret": 0o000,
        "secret-dir": 0o000,
        "write-only": 0o200,
        "read-only": 0o444,
        "entered-dir": 0o111,
        "listed-dir": 0o444,
        "program": 0o6755,
        "empty-dir": 0o1777,
    }
    for name, mode in modes.items():
        os.chmod(at(name), mode)
    return Tree(root, names)


def build_plain(root: Path) -> None:
    """Build a small tree for operations that change it: few names, so that they meet often."""
    base = os.fspath(root)
    for name in ("d", "d/e", "full", "locked", "kept"):
        os.mkdir(os.path.join(base, name))
    for name in ("a", "b", "full/x", "full/y", "locked/x", "kept/x", os.fsdecode(b"odd\xff")):
        _write(os.path.join(base, name), name.encode(errors="surrogateescape"))
    links = {"l": "a", "ld": "d", "dangling": "nowhere", "loop": "loop", "up": "..", "through": "a/x"}
    for name, target in links.items():
        os.symlink(target, os.path.join(base, name))
    os.link(os.path.join(base, "a"), os.path.join(base, "h"))
    os.mkfifo(os.path.join(base, "fifo"))
    for name in _entries(base):
        os.utime(os.path.join(base, name), ns=(10**18, 10**18), follow_symlinks=False)
    os.chmod(os.path.join(base, "locked"), 0o000)
    os.chmod(os.path.join(base, "kept"), 0o555)
    os.chmod(os.path.join(base, "b"), 0o400)


def build_foreign(root: Path) -> Path:
    """Build a folder that only its owner may change, with a file for everyone and one for the owner alone."""
    root.mkdir()
    _write(os.path.join(root, "file"), b"for everyone")
    _write(os.path.join(root, "secret"), b"for its owner")
    os.chmod(os.path.join(root, "secret"), 0o600)
    return root


def _entries(base: str) -> list[str]:
    found = []
    for folder, folders, files in os.walk(base):
        found += [os.path.relpath(os.path.join(folder, name), base) for name in (*folders, *files)]
    return found


# Times from before are compared exactly; later ones were made by the operation and are just "now".
_NOW = 1_600_000_000 * 10**9


def snapshot(root: Path) -> dict[str, object]:
    """What is under `root`: for each relative name its type and mode, owner, links, size, time and content.

    It opens up what its owner may not read, so a tree can be looked at once.
    """
    base = os.fspath(root)
    seen: dict[str, object] = {}
    hard_links: dict[tuple[int, int], list[str]] = {}

    def look(name: str) -> None:
        path = os.path.join(base, name)
        status = os.lstat(path)
        content: object = None
        attributes: list[tuple[str, bytes]] = []
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path).replace(base, "<root>")
        elif stat.S_ISREG(status.st_mode):
            os.chmod(path, 0o600)
            with open(path, "rb") as file:
                content = file.read()
            hard_links.setdefault((status.st_dev, status.st_ino), []).append(name)
        elif stat.S_ISDIR(status.st_mode):
            os.chmod(path, 0o700)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            with contextlib.suppress(OSError):
                attributes = [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))]
        seen[name] = (
            oct(status.st_mode),
            (status.st_uid, status.st_gid),
            status.st_nlink,
            status.st_size if stat.S_ISREG(status.st_mode) else None,
            "now" if status.st_mtime_ns > _NOW else status.st_mtime_ns,
            content,
            attributes,
        )
        if stat.S_ISDIR(status.st_mode):
            for entry in sorted(os.listdir(path)):
                look(os.path.join(name, entry))

    look("")
    seen["hard links"] = sorted(names for names in hard_links.values() if len(names) > 1)
    return seen


def remove(root: Path) -> None:
    """Remove a tree, whatever its permissions."""
    open_up(root)
    shutil.rmtree(root)


def open_up(root: Path) -> None:
    """Give the owner every permission on the folders of a tree, so that it can be removed."""
    for folder, folders, _ in os.walk(root):
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
