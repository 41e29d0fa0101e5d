"""An access control list for a file, as the extended attribute that it is for the kernel."""

import os
import struct
from pathlib import Path

import pytest

NAME = "system.posix_acl_access"

# The layout of <linux/posix_acl_xattr.h>: owner, one more user, group, mask, others.
_ENTRIES = [(1, 6, -1), (2, 4, 12345), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
CONTENT = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in _ENTRIES)


def give(file: Path) -> None:
    """Give a file an access control list; skip the test where the file system has none."""
    try:
        os.setxattr(file, NAME, CONTENT)
    except OSError:
        pytest.skip("this file system has no access control lists")
