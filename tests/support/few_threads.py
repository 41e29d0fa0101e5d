"""Refuses this process new threads for a while: for programs that are started as root.

Root is not refused, so the program becomes a user, before it has other threads; from then on only the soft
limit changes. Going back and forth between the two users beside workers hung now and then: setresuid(2) of
glibc waits for a thread that is being created, which here the kernel refused at that moment.
"""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.nobody import import_all

_MOST = resource.getrlimit(resource.RLIMIT_NPROC)[1]


@contextmanager
def own_user() -> Iterator[Path]:
    """A folder of the user that this process becomes: one of its own, as a user's threads count together."""
    import_all()
    user = 40_000 + os.getpid() % 20_000
    os.setresuid(user, user, user)
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        finally:
            permit()


def refuse() -> None:
    """From now on the system refuses this process new threads."""
    resource.setrlimit(resource.RLIMIT_NPROC, (1, _MOST))


def permit() -> None:
    """The system starts threads again."""
    resource.setrlimit(resource.RLIMIT_NPROC, (_MOST, _MOST))
