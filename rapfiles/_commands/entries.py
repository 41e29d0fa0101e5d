"""What commands tell of an entry of a tree."""

from .._path import AsyncPath
from .._scandir import AsyncDirEntry


async def followed(entry: AsyncDirEntry[AsyncPath], follow: bool) -> bool:
    """Whether it is a link that is followed. One that leads nowhere stands for itself, as in find(1)."""
    if not follow or not entry.is_symlink():
        return False
    try:
        await entry.stat()
    except OSError:
        return False
    return True


def kind(entry: AsyncDirEntry[AsyncPath], through: bool) -> str:
    """What it is, or, where a link is followed, what that leads to."""
    if entry.is_symlink() and not through:
        return "symlink"
    if entry.is_dir(follow_symlinks=through):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=through) else "other"
