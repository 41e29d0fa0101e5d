"""Work in a thread that nobody waits for any more is undone, and never on the thread of the event loop."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles._undoable import Undoable
from support import fuse
from support.leaks import descriptors
from support.leftovers import same_descriptors
from support.loops import Loop


def test_what_was_made_is_undone_in_another_thread() -> None:
    undone: list[tuple[int, str]] = []
    finished = threading.Event()

    def undo(thing: str) -> None:
        undone.append((threading.get_ident(), thing))
        finished.set()

    call = Undoable(lambda: "made", undo)
    assert call() == "made"
    call.abandon()
    assert finished.wait(10)
    call.abandon()
    [(thread, thing)] = undone
    assert thing == "made"
    assert thread != threading.get_ident()


def test_what_is_made_late_is_undone_by_its_maker() -> None:
    undone: list[str] = []

    def work() -> str:
        call.abandon()
        return "late"

    call = Undoable(work, undone.append)
    call()
    assert undone == ["late"]


def test_what_was_not_begun_is_not_done() -> None:
    call = Undoable(lambda: pytest.fail("nobody waits for this"), lambda _: None)
    call.abandon()
    with pytest.raises(InterruptedError):
        call()


@contextmanager
def _rescuer(disk: fuse.SlowDisk) -> Iterator[threading.Event]:
    """Opens the gate if the thread of the loop does not come to it itself, and says that it had to."""
    rescued, timer_over = threading.Event(), threading.Event()

    def watch() -> None:
        if not timer_over.wait(10):
            rescued.set()
            disk.open_gate()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield rescued
    finally:
        timer_over.set()
        watcher.join()


def _wait_for_the_end_of(thread: int, function: Callable[..., object]) -> None:
    """Hold up this thread until another has left a function and what called it in this package."""
    while True:
        frame = sys._current_frames().get(thread)
        while (
            frame is not None and frame.f_code.co_name != "__call__" and frame.f_code is not function.__code__
        ):
            frame = frame.f_back
        if frame is None:
            return


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_closing_for_a_cancelled_opener(moment: str, prompt_disk: fuse.SlowDisk, loop: Loop) -> None:
    """The file's closing is held up by its server. `moment`: cancelled before or after it was opened."""
    path = prompt_disk.root / f"held-{moment}-{loop}"
    (prompt_disk.backing / path.name).touch()
    before = descriptors()
    opening, opened, go = threading.Event(), threading.Event(), threading.Event()
    thread = 0

    def opener(name: str, flags: int) -> int:
        nonlocal thread
        thread = threading.get_ident()
        descriptor = os.open(name, flags)
        prompt_disk.close_gate()
        opening.set()
        go.wait()
        opened.set()
        return descriptor

    with _rescuer(prompt_disk) as rescued:
        async with anyio.create_task_group() as group:
            group.start_soon(_open, path, opener)
            while not opening.is_set():
                await anyio.sleep(0)
            if moment == "after":
                # The answer is there, but the loop does not come to it before it cancels the task.
                go.set()
                _wait_for_the_end_of(thread, opener)
            group.cancel_scope.cancel()
        go.set()
        # Now it is being closed, and the loop goes on nevertheless.
        await anyio.sleep(0)
        assert not rescued.is_set()
        prompt_disk.open_gate()
    await same_descriptors(before)


async def _open(path: Path, opener: Callable[[str, int], int]) -> None:
    await rapfiles.open(path, "rb", opener=opener)
    pytest.fail("it was cancelled")
