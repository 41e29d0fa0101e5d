"""One call of every operation of AsyncPath, for tests that say the same of all of them."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rapfiles import AsyncPath, Stream

Work = Callable[[AsyncPath], Awaitable[object]]


async def _all(stream: Stream[object]) -> list[object]:
    async with stream:
        return [item async for item in stream]


@dataclass(frozen=True)
class Operation:
    """An operation and where it works: `path` of the tree that `build` makes in a folder."""

    name: str
    path: str
    work: Work

    def start(self, folder: os.PathLike[str]) -> Awaitable[object]:
        """Begin the operation in `folder`."""
        return self.work(AsyncPath(folder, self.path))

    def __str__(self) -> str:
        return self.name


def build(folder: Path) -> None:
    """Build what each operation works on; each has its own, so that they can run at once."""
    for name in (
        "file",
        "text",
        "chmod",
        "lchmod",
        "chown",
        "utime",
        "touched",
        "unlinked",
        "renamed",
        "replaced",
        "exchanged",
        "exchanged-with",
        "synchronised",
    ):
        (folder / name).write_bytes(b"content\n")
    for name in (
        "truncated",
        "overwritten",
        "overwritten-text",
        "overwritten-atomically",
        "appended",
        "appended-text",
        "attribute",
        "linked",
        "moved",
        "moved-into",
    ):
        (folder / name).write_bytes(b"content\n")
    for name in ("dir", "removed", "removed-tree"):
        (folder / name).mkdir()
    (folder / "dir" / "entry").touch()
    (folder / "link").symlink_to("file")
    os.setxattr(folder / "file", "user.colour", b"blue")
    os.setxattr(folder / "attribute", "user.colour", b"blue")


# Operations of which the kernel's cache may know the answer.
READING = [
    Operation("stat", "file", lambda path: path.stat()),
    Operation("lstat", "link", lambda path: path.lstat()),
    Operation("exists", "file", lambda path: path.exists()),
    Operation("is_file", "file", lambda path: path.is_file()),
    Operation("is_dir", "dir", lambda path: path.is_dir()),
    Operation("is_symlink", "link", lambda path: path.is_symlink()),
    Operation("is_mount", "dir", lambda path: path.is_mount()),
    Operation("is_socket", "file", lambda path: path.is_socket()),
    Operation("is_fifo", "file", lambda path: path.is_fifo()),
    Operation("is_block_device", "file", lambda path: path.is_block_device()),
    Operation("is_char_device", "file", lambda path: path.is_char_device()),
    Operation("samefile", "file", lambda path: path.samefile(path.parent / "link")),
    Operation("owner", "file", lambda path: path.owner()),
    Operation("group", "file", lambda path: path.group()),
    Operation("access", "file", lambda path: path.access(os.R_OK)),
    Operation("statvfs", "file", lambda path: path.statvfs()),
    Operation("getxattr", "file", lambda path: path.getxattr("user.colour")),
    Operation("listxattr", "file", lambda path: path.listxattr()),
    Operation("readlink", "link", lambda path: path.readlink()),
    Operation("resolve", "link", lambda path: path.resolve()),
    Operation("resolve_strict", "link", lambda path: path.resolve(strict=True)),
    Operation("iterdir", "dir", lambda path: _all(path.iterdir())),
    Operation("scandir", "dir", lambda path: _all(path.scandir(with_stat=True))),
    Operation("glob", "dir", lambda path: _all(path.glob("*/../*"))),
    Operation("rglob", "dir", lambda path: _all(path.rglob("*"))),
    Operation("walk", "dir", lambda path: _all(path.walk())),
    Operation("find", "dir", lambda path: _all(path.find(with_stat=True))),
    Operation("du", "dir", lambda path: path.du()),
    Operation("tree", "dir", lambda path: path.tree()),
    Operation("read_bytes", "file", lambda path: path.read_bytes()),
    Operation("read_text", "text", lambda path: path.read_text("utf-8")),
    Operation("read_text_in_python", "text", lambda path: path.read_text("cp1252")),
]

CHANGING = [
    Operation("write_bytes", "overwritten", lambda path: path.write_bytes(b"new")),
    Operation("write_text", "overwritten-text", lambda path: path.write_text("new", "utf-8")),
    Operation("write_text_in_python", "created-text", lambda path: path.write_text("new", "cp1252")),
    Operation(
        "write_atomically", "overwritten-atomically", lambda path: path.write_bytes(b"new", atomic=True)
    ),
    Operation("append_bytes", "appended", lambda path: path.append_bytes(b"more")),
    Operation("append_text", "appended-text", lambda path: path.append_text("more", "utf-8")),
    Operation("touch", "touched", lambda path: path.touch()),
    Operation("touch_new", "created", lambda path: path.touch(exist_ok=False)),
    Operation("mkdir", "made", lambda path: path.mkdir()),
    Operation("mkdir_parents", "made-deep/deeper", lambda path: path.mkdir(parents=True)),
    Operation("rmdir", "removed", lambda path: path.rmdir()),
    Operation("unlink", "unlinked", lambda path: path.unlink()),
    Operation("rename", "renamed", lambda path: path.rename(path.with_name("renamed-to"))),
    Operation("replace", "replaced", lambda path: path.replace(path.with_name("replaced-to"))),
    Operation("exchange", "exchanged", lambda path: path.exchange(path.with_name("exchanged-with"))),
    Operation("sync", "synchronised", lambda path: path.sync()),
    Operation("copy", "file", lambda path: path.copy(path.with_name("copied-to"))),
    Operation("copy_into", "file", lambda path: path.copy_into(path.with_name("dir"))),
    Operation("move", "moved", lambda path: path.move(path.with_name("moved-to"))),
    Operation("move_into", "moved-into", lambda path: path.move_into(path.with_name("dir"))),
    Operation("rmtree", "removed-tree", lambda path: path.rmtree()),
    Operation("symlink_to", "new-link", lambda path: path.symlink_to("file")),
    Operation("hardlink_to", "hard-link", lambda path: path.hardlink_to(path.with_name("linked"))),
    Operation("chmod", "chmod", lambda path: path.chmod(0o600)),
    Operation("chown", "chown", lambda path: path.chown(os.getuid(), os.getgid())),
    Operation("utime", "utime", lambda path: path.utime()),
    Operation("truncate", "truncated", lambda path: path.truncate(3)),
    Operation("setxattr", "attribute", lambda path: path.setxattr("user.taste", b"salt")),
    Operation("removexattr", "attribute", lambda path: path.removexattr("user.colour")),
]

OPERATIONS = [*READING, *CHANGING]
