"""Which operations on a handle may mix, so that `io` defines what comes of them.

Operations are in groups. Those of one group run in any order and at once; between groups, an operation may
be needed that takes away what `io` leaves open. That one is not cancelled.
"""

from .program import File, Op

READING = {
    "read",
    "readline",
    "readlines",
    "readinto",
    "read1",
    "readinto1",
    "peek",
    "next",
    "chunk",
    "batch",
}
WRITING = {"write", "writelines"}
MOVING = {"seek", "tell", "seek_told"}
FLUSHING = {"flush", "sync", "datasync"}
# Beside all others, whoever's turn it is.
POSITIONAL = {"pread", "pwrite", "size"}
# Asked of the path, not of the handle.
OF_THE_PATH = {"path.read_bytes", "path.size", "path.unlink"}
# Groups of what passes the buffers by.
BESIDE = {"path", "positional", "overwriting"}
# Those that change what the next operation finds, and may be in effect though they were cancelled.
CHANGING = {"write", "writelines", "pwrite", "seek", "seek_told", "truncate", "close", "path.unlink"}
# These change what is in the file.
OF_CONTENT = {"write", "writelines", "pwrite", "truncate"}


def group(file: File, name: str) -> str:
    """The group of an operation."""
    if name in POSITIONAL:
        return "overwriting" if name == "pwrite" else "positional"
    if name in OF_THE_PATH:
        return "path"
    if name == "close":
        return "any"
    if not file.text and not file.append:
        return "free"
    if file.raw:
        return "free"
    if name in WRITING:
        return "writing"
    if name == "truncate":
        return "cutting"
    if name in FLUSHING or (name in MOVING and not file.append):
        return "any"
    return "reading"


def between(file: File, before: str | None, now: str) -> list[Op]:
    """What has to be done between operations of two groups, besides the name of the target."""
    if now in ("any", before) or file.raw:
        return []
    flush, to_end = Op("", "flush"), Op("", "seek", (0, 2))
    if file.text:
        # After reads without a seek, a write lands behind what was read ahead, however much that is;
        # and what was read ahead stays there when the file is cut.
        moved = {"reading": now in {"writing", "cutting"}, "cutting": True, "writing": file.append}
        needed = [to_end] if before is not None and moved.get(before, False) else []
        return [flush, *needed] if now in BESIDE or (file.append and before == "writing") else needed
    # What is appended lands at the end, wherever the handle is; until then it seems not to move. And what is
    # in the buffers does not show elsewhere.
    return [flush] if now in BESIDE or (file.append and before == "writing") else []
