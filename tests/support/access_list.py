"""Access control lists, as the extended attributes that they are for the kernel."""

import os
import struct
from pathlib import Path

import pytest

NAME = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

_NOBODY = [-1]
"""The ID of an entry without one."""


def content(*entries: tuple[int, ...]) -> bytes:
    """The list of these entries: a tag, permissions, and perhaps an ID (<linux/posix_acl_xattr.h>)."""
    packed = (struct.pack("<HHi", *entry, *_NOBODY[len(entry) - 2 :]) for entry in entries)
    return struct.pack("<I", 2) + b"".join(packed)


# Owner, one more user, group, mask, others.
CONTENT = content((1, 6), (2, 4, 12345), (4, 4), (16, 6), (32, 0))


def give(file: Path, name: str = NAME, content: bytes = CONTENT) -> None:
    """Give a file an access control list; skip the test where the file system has none."""
    try:
        os.setxattr(file, name, content)
    except OSError:
        pytest.skip("this file system has no access control lists")
