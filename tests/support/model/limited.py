"""What must hold of a file that cannot hold what is written to it: nothing is lost in silence."""

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from .content import written
from .program import File
from .record import Record


@contextmanager
def size_of_files(limit: int) -> Iterator[None]:
    """No file of this process can grow beyond this many bytes; writing fails with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.getsignal(signal.SIGXFSZ)
    assert ignored == signal.SIG_IGN, "Python ignores the signal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def complaint(file: File, records: list[Record], content: bytes, limit: int) -> str | None:
    """What is wrong with what is in the file, given what came of the operations; None: nothing.

    The records are all there were, up to closing.
    """
    told: list[int] = []
    for record in records:
        if record.outcome is not None and record.outcome[0] == "raises":
            kind, code, *_ = record.outcome[1]
            if (kind, code) != (OSError, errno.EFBIG):
                return f"an error of another kind: {record}"
            told.append(record.begin)
    at, last = 0, -1
    left = [(record, piece) for record in records for piece in _pieces(record, file)]
    total = sum(len(piece) for _, piece in left)
    while at < len(content):
        for place, (record, piece) in enumerate(left):
            there = content[at : at + len(piece)]
            if piece == there or (piece.startswith(there) and at + len(there) == limit):
                if record.in_turn and record.begin < last:
                    return f"not in its order: {record}"
                last = record.begin if record.in_turn else last
                at += len(there)
                if piece != there and (silence := _silence_behind(record, records)) is not None:
                    return f"{record} failed, and {silence} does not tell of it"
                # What is there as a whole is not to be missed.
                left[place : place + 1] = [] if piece == there else [(record, b"")]
                break
        else:
            return f"of {len(content)} bytes in the file, {at} are from writes, each of them once"
    for record, _ in left:
        acknowledged = record.outcome is not None and record.outcome[0] == "returns"
        if acknowledged and not any(moment > record.begin for moment in told):
            return f"acknowledged, and neither in the file nor told of later: {record}"
    if told and total < limit:
        return "told of an error, though everything fits"
    if len(content) == limit and not told:
        return "a write failed, and nobody was told"
    return None


def _silence_behind(failed: Record, records: list[Record]) -> Record | None:
    """The next operation behind a cancelled one that failed, if it should tell of that and does not."""
    data = failed.op.arguments[0]
    written_in_turn = failed.op.name == "write" and data.form == "bytearray" and data.size > 1 << 20
    if failed.outcome is not None or not written_in_turn:
        return None
    behind = [
        record for record in records if record.in_turn and record.begin > failed.begin and record.outcome
    ]
    following = min(behind, key=lambda record: record.begin, default=None)
    if following is None or following.outcome is None or following.outcome[0] == "raises":
        return None
    # What takes several turns, such as `writelines`, may have told of it, begun before it or after it.
    if any(
        not record.in_turn
        and record.begin < following.begin
        and record.end is not None
        and record.end > failed.begin
        and record.outcome is not None
        and record.outcome[0] == "raises"
        for record in records
    ):
        return None
    return following


def _pieces(record: Record, file: File) -> list[bytes]:
    """What it was to write."""
    some = record.op.arguments
    if record.op.name == "writelines":
        some = some[0]
    elif record.op.name != "write":
        return []
    texts = [written(data, file) for data in some]
    return [text.encode() if isinstance(text, str) else bytes(text) for text in texts]
