"""Extended attributes, beside the functions of `os`, with names and values of every kind and length."""

import os
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import oracle

pytestmark = pytest.mark.skipif(
    not hasattr(os, "getxattr"), reason="this platform's os has no extended attributes"
)


@pytest.fixture
def file(directory: Path) -> Path:
    """An empty file on each file system that has extended attributes for users."""
    (directory / "file").touch()
    try:
        os.setxattr(directory / "file", "user.probe", b"")
    except OSError as error:
        pytest.skip(f"this file system has none: {error.strerror}")
    os.removexattr(directory / "file", "user.probe")
    return directory / "file"


async def test_the_life_of_an_attribute(file: Path) -> None:
    path = AsyncPath(file)
    assert await path.listxattr() == []
    assert await path.setxattr("user.colour", b"blue\0\xff") is None
    assert await path.getxattr("user.colour") == b"blue\0\xff" == os.getxattr(file, "user.colour")
    assert await path.getxattr(b"user.colour") == b"blue\0\xff"
    await path.setxattr(b"user.empty", bytearray())
    assert await path.getxattr("user.empty") == b""
    assert sorted(await path.listxattr()) == ["user.colour", "user.empty"] == sorted(os.listxattr(file))
    assert await path.removexattr("user.colour") is None
    assert os.listxattr(file) == ["user.empty"]


@pytest.mark.parametrize("size", [1, 127, 128, 129, 1000, 3000])
async def test_values_of_every_size(size: int, file: Path) -> None:
    value = os.urandom(size)
    await AsyncPath(file).setxattr("user.value", memoryview(value))
    assert os.getxattr(file, "user.value") == value
    assert await AsyncPath(file).getxattr("user.value") == value


async def test_many_long_names(file: Path) -> None:
    names = [f"user.{'n' * 100}{number}" for number in range(20)]
    for name in names:
        os.setxattr(file, name, b"")
    assert await AsyncPath(file).listxattr() == os.listxattr(file)
    assert sorted(await AsyncPath(file).listxattr()) == sorted(names)


async def test_a_name_that_is_not_utf8(file: Path) -> None:
    name = os.fsdecode(b"user.\xff\xfe")
    await AsyncPath(file).setxattr(name, b"odd")
    assert await AsyncPath(file).listxattr() == [name] == os.listxattr(file)
    assert await AsyncPath(file).getxattr(os.fsencode(name)) == b"odd"


async def test_flags(file: Path) -> None:
    path = AsyncPath(file)
    with pytest.raises(OSError, match="No data available"):
        await path.setxattr("user.x", b"", os.XATTR_REPLACE)
    await path.setxattr("user.x", b"1", os.XATTR_CREATE)
    with pytest.raises(FileExistsError):
        await path.setxattr("user.x", b"2", os.XATTR_CREATE)
    await path.setxattr("user.x", b"3", flags=os.XATTR_REPLACE)
    assert os.getxattr(file, "user.x") == b"3"


async def test_links(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to("file")
    await AsyncPath(link).setxattr("user.x", b"of the target")
    assert os.getxattr(file, "user.x") == b"of the target"
    # The kernel keeps no attributes of users on links.
    for ours, theirs in (
        (
            lambda: AsyncPath(link).setxattr("user.x", b"", follow_symlinks=False),
            lambda: os.setxattr(link, "user.x", b"", follow_symlinks=False),
        ),
        (
            lambda: AsyncPath(link).getxattr("user.x", follow_symlinks=False),
            lambda: os.getxattr(link, "user.x", follow_symlinks=False),
        ),
        (
            lambda: AsyncPath(link).listxattr(follow_symlinks=False),
            lambda: os.listxattr(link, follow_symlinks=False),
        ),
        (
            lambda: AsyncPath(link).removexattr("user.x", follow_symlinks=False),
            lambda: os.removexattr(link, "user.x", follow_symlinks=False),
        ),
    ):
        assert await oracle.of_await(ours) == oracle.of_call(theirs)


@pytest.mark.parametrize(
    "name", ["user.absent", "no-such-namespace.x", "x", "", "user." + "n" * 300, "user.\0"]
)
async def test_errors(name: str, file: Path) -> None:
    for place in (file, file.with_name("missing")):
        for ours, theirs in (
            (lambda p=place: AsyncPath(p).getxattr(name), lambda p=place: os.getxattr(p, name)),
            (lambda p=place: AsyncPath(p).removexattr(name), lambda p=place: os.removexattr(p, name)),
        ):
            assert await oracle.of_await(ours) == oracle.of_call(theirs)


async def test_a_value_that_is_too_long(file: Path) -> None:
    value = b"x" * 70_000
    expected = oracle.of_call(lambda: os.setxattr(file, "user.x", value))
    assert await oracle.of_await(lambda: AsyncPath(file).setxattr("user.x", value)) == expected
