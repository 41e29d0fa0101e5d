"""The command `python -m benchmarks.sides`: interpreters and loops side by side, work by work.

Each interpreter has a rapfiles of its own installed. A side is an interpreter with a loop; all sides go
through the same works on the same files in interleaved rounds, and each interpreter's synchronous code beside
them.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from .measurement import terminal_progress
from .peers import BASE, OURS
from .processes import ROOT, WorkerProcess
from .report import table
from .workplace import benchmarks_alone, chosen_works, workplace
from .works import FULL, QUICK, WORKS, Files, Scale

LOOPS = ("asyncio", "uvloop", "trio")
DEFAULT = ("read_bytes", "stat", "read_4k", "lines", "write_4k")


class Side:
    """An interpreter with a loop, and what it took."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.rounds: dict[str, list[tuple[float, float]]] = {}
        """By work and round: seconds for an operation of rapfiles, and of synchronous code."""
        self._counts: dict[str, int] = {}

    def check(self, work: str) -> None:
        """See that it does the work, and how many operations fill a turn."""
        for peer in (OURS, BASE):
            loaded = self.worker.ask("load", peer=peer)
            if "missing" in loaded:
                raise SystemExit(f"{peer} cannot be imported by {self.worker.label}: {loaded['missing']}")
        self._counts[work] = self.worker.ask("calibrate", peer=OURS, work=work)["count"]
        self.worker.ask("verify", peer=OURS, work=work, count=self._counts[work])

    def turns(self, work: str) -> None:
        """One turn of rapfiles, and one of synchronous code."""
        took = [
            self.worker.ask("turn", peer=peer, work=work, count=self._counts[work])["seconds"]
            for peer in (OURS, BASE)
        ]
        self.rounds.setdefault(work, []).append((took[0], took[1]))


def report(sides: Sequence[Side], works: Sequence[str], scale: Scale) -> str:
    """A line for each work, a column for each side.

    The figures are the time, its ratio to synchronous code of the same interpreter, and that to rapfiles on
    the first side.
    """
    rows = []
    for work in works:
        first = sides[0].rounds[work]
        cells = [scale.fit(WORKS[work]).title]
        for side in sides:
            rounds = side.rounds[work]
            seconds = median(ours for ours, _ in rounds)
            ratio = median(ours / base for ours, base in rounds)
            to_first = median(ours / of_first for (ours, _), (of_first, _) in zip(rounds, first, strict=True))
            cells.append(f"{seconds * 1e6:,.2f} ({ratio:.2f}; {to_first:.2f})")
        rows.append(tuple(cells))
    return table(("work", *(side.worker.label for side in sides)), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    options = _parser().parse_args(arguments)
    scale = replace(QUICK if options.quick else FULL, rounds=options.rounds)
    works = chosen_works(options.only, DEFAULT)
    try:
        with workplace(options.directory) as directory, ExitStack() as stack:
            root = benchmarks_alone(directory) if options.python else ROOT
            Files(directory).create(scale)
            sides = []
            for python in options.python or [sys.executable]:
                for loop in options.loop or ["asyncio"]:
                    label = f"{python}, {loop}" if options.python else loop
                    path = os.path.abspath(python)
                    worker = WorkerProcess(label, loop, directory, scale, python=path, root=root)
                    stack.callback(worker.close)
                    sides.append(Side(worker))
            for work in works:
                for side in sides:
                    terminal_progress(f"checking {work}: {side.worker.label}")
                    side.check(work)
            for number in range(scale.rounds):
                for work in works:
                    terminal_progress(f"round {number + 1} of {scale.rounds}: {work}")
                    for at in range(len(sides)):
                        sides[(at + number) % len(sides)].turns(work)
            terminal_progress("")
    except KeyboardInterrupt:
        return 130
    print(
        f"µs (ratio to synchronous code; to the first column), {scale.rounds} interleaved rounds (medians).\n"
    )
    print(report(sides, works, scale))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sides", description="Measure interpreters and loops side by side."
    )
    parser.add_argument("--python", action="append", metavar="PYTHON", help="an interpreter; may be repeated")
    parser.add_argument("--loop", action="append", choices=LOOPS, help="an event loop; may be repeated")
    parser.add_argument("--only", metavar="WORK,…", help=f"these works instead of {', '.join(DEFAULT)}")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, metavar="N", help="interleaved rounds")
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures mean nothing")
    parser.add_argument("--directory", metavar="DIR", help="where the files are made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
