"""Random programs of handles and paths, with several tasks and cancels, do what a model allows.

The model (`support.model`) is `io` and `pathlib` on twins of the files, and what the documentation says of
cancelled operations.

- `RAPFILES_SEED` plays other programs than the usual ones.
- `RAPFILES_SOAK=3600` runs random ones for this many seconds, on each kind of loop for its share, and says
  how many they were. Differences do not end it; the first few are reported at the end.
- `RAPFILES_PROGRAM=asyncio/2/17` plays the one program that a report names, over and over for a minute.
"""

import os
import random
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rapfiles
from support import effort, watchdog
from support.leaks import nothing_leaks
from support.loops import LOOPS, Loop, settle_garbage
from support.model.figures import Figures
from support.model.generator import program_of
from support.model.player import Player
from support.model.program import Program
from support.model.shortening import shortened

SEED = os.environ.get("RAPFILES_SEED", "2")
PROGRAMS = effort.times(240, everything=1500, variable="RAPFILES_MODEL_PROGRAMS")
SOAK = float(os.environ.get("RAPFILES_SOAK", "0"))
# How often a program is played to see whether it fails, and for how long a failing one is shortened.
TRIES = 12
SHORTENING = 20.0
MOST_REPORTED = 3


def _problem(
    loop: Loop, program: Program, folder: Path, figures: Figures, tries: int = 1
) -> Exception | None:
    """What is wrong with it, if anything is, in one of `tries` tries."""
    for _ in range(tries):
        try:
            loop.run(Player(program, folder, loop.library, figures).play)
        except Exception as problem:
            # What it has left open is in its frames.
            traceback.clear_frames(problem.__traceback__)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                settle_garbage()
            return problem
    return None


def _report(loop: Loop, seed: str, program: Program, problem: Exception, folder: Path) -> str:
    """What is wrong, and the least program that could be found."""
    uncounted = Figures()
    less = shortened(
        program, lambda fewer: _problem(loop, fewer, folder, uncounted, TRIES) is not None, SHORTENING
    )
    found = _problem(loop, less, folder, uncounted, TRIES * 4)
    shorter = f"{found}\n{less}" if found is not None else f"not found in a shorter one: {less}"
    return f"RAPFILES_PROGRAM={seed}:\n{type(problem).__name__}: {problem}\n\n{shorter}"


@contextmanager
def _watched(seed: str, folder: Path) -> Iterator[None]:
    """A program that hangs beyond what ends it in order ends the run; its seed stands in a file."""
    (folder / "seed").write_text(seed)
    watchdog.start(watchdog.SECONDS)
    yield
    watchdog.start(watchdog.SECONDS * 2)


async def _warm() -> None:
    async with rapfiles.open(os.devnull):
        pass


def _play_usual(loop: Loop, folder: Path) -> None:
    """The programs of one seed."""
    figures = Figures()
    for number in range(PROGRAMS // len(LOOPS)):
        seed = f"{loop.name}/{SEED}/{number}"
        program = program_of(seed)
        if (problem := _problem(loop, program, folder, figures)) is not None:
            pytest.fail(_report(loop, seed, program, problem, folder), pytrace=False)
    assert figures.cancelled > PROGRAMS // len(LOOPS)


def _play_one(loop: Loop, folder: Path, seed: str) -> None:
    """One program for a minute."""
    program = program_of(seed)
    until = time.monotonic() + 60
    while seed.startswith(f"{loop.name}/") and time.monotonic() < until:
        if (problem := _problem(loop, program, folder, Figures())) is not None:
            pytest.fail(_report(loop, seed, program, problem, folder), pytrace=False)


def _soak(loop: Loop, folder: Path) -> None:
    """Random programs for the loop's share of the time."""
    print(f"\n{loop.name}: the seed that is being played stands in {folder}/seed", flush=True)
    figures = Figures()
    until = time.monotonic() + SOAK / len(LOOPS)
    while time.monotonic() < until:
        seed = f"{loop.name}/{random.SystemRandom().randrange(1 << 40)}/0"
        program = program_of(seed)
        with _watched(seed, folder):
            if (problem := _problem(loop, program, folder, figures)) is not None:
                few = len(figures.differences) < MOST_REPORTED
                figures.differences.append(_report(loop, seed, program, problem, folder) if few else seed)
                print(f"\n{figures.differences[-1]}", flush=True)
    print(f"\n{loop.name}: {figures}\n{dict(figures.names.most_common())}", flush=True)
    assert not figures.differences, "\n\n".join(figures.differences)


@pytest.mark.watchdog(SOAK + 600 if SOAK else watchdog.SECONDS)
def test_programs(loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop.run(_warm)  # what is opened once for good is open now
    with nothing_leaks():
        if "RAPFILES_PROGRAM" in os.environ:
            _play_one(loop, tmp_path, os.environ["RAPFILES_PROGRAM"])
        elif SOAK:
            with capsys.disabled():
                _soak(loop, tmp_path)
        else:
            _play_usual(loop, tmp_path)
