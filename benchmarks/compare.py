"""The command `python -m benchmarks.compare OLD NEW`: two builds of rapfiles side by side, work by work.

OLD and NEW are interpreters, each of an environment of its own with a build installed. Both go through the
same works on the same files in interleaved rounds, so that whatever else the machine does falls on both.
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
from .processes import WorkerProcess
from .report import table
from .workplace import benchmarks_alone, chosen_works, workplace
from .works import FULL, QUICK, WORKS, Files, Scale

TOLERANCE = 0.03
"""What two measurements of the same thing may differ by."""


class Pair:
    """The two builds, and what they took: seconds for each operation, round by round."""

    def __init__(self, old: WorkerProcess, new: WorkerProcess) -> None:
        self.old, self.new = old, new
        self.rounds: dict[str, list[tuple[float, float, float]]] = {}
        """By work: the old build's, the new build's, and the synchronous code's."""
        self._counts: dict[str, int] = {}

    def load(self) -> dict[str, str]:
        """Import both; return their versions."""
        versions = {}
        for worker in (self.old, self.new):
            loaded = worker.ask("load", peer=OURS)
            if "missing" in loaded:
                raise SystemExit(f"rapfiles cannot be imported by {worker.label}: {loaded['missing']}")
            versions[worker.label] = loaded["version"]
        self.new.ask("load", peer=BASE)
        return versions

    def check(self, work: str) -> None:
        """See that both do the work, and how many operations fill a turn."""
        count: int = self.new.ask("calibrate", peer=OURS, work=work)["count"]
        for worker in (self.old, self.new):
            worker.ask("verify", peer=OURS, work=work, count=count)
        self._counts[work] = count

    def round(self, work: str, number: int) -> None:
        """One turn of each, now one, now the other ahead."""
        turns = [(self.old, OURS), (self.new, OURS), (self.new, BASE)]
        order = [turns[(number + offset) % 3] for offset in range(3)]
        if number % 2:
            order.reverse()
        took = {turn: self._turn(work, *turn) for turn in order}
        self.rounds.setdefault(work, []).append((took[turns[0]], took[turns[1]], took[turns[2]]))

    def _turn(self, work: str, worker: WorkerProcess, peer: str) -> float:
        answer = worker.ask("turn", peer=peer, work=work, count=self._counts[work])
        seconds: float = answer["seconds"]
        return seconds

    def ratio(self, work: str) -> float:
        """New to old: the median of the quotients of two turns in the same round."""
        return median(new / old for old, new, _ in self.rounds[work])


def compare(pair: Pair, works: Sequence[str], rounds: int) -> None:
    """Run all rounds."""
    for work in works:
        terminal_progress(f"checking {work}")
        pair.check(work)
    for number in range(rounds):
        for work in works:
            terminal_progress(f"round {number + 1} of {rounds}: {work}")
            pair.round(work, number)
    terminal_progress("")


def report(pair: Pair, scale: Scale) -> str:
    """A table with a line for each work."""
    rows = []
    for work, rounds in pair.rounds.items():
        old, new, base = (median(column) * 1e6 for column in zip(*rounds, strict=True))
        ratio = pair.ratio(work)
        rows.append(
            (
                scale.fit(WORKS[work]).title,
                f"{base:,.2f}",
                f"{old:,.2f}",
                f"{new:,.2f}",
                f"{median(new / base for _, new, base in rounds):.2f}",
                f"{ratio:.3f}",
                f"{min(new for _, new, _ in rounds) / min(old for old, _, _ in rounds):.3f}",
                "slower" if ratio > 1 + TOLERANCE else "faster" if ratio < 1 - TOLERANCE else "the same",
            )
        )
    return table(
        (
            "work",
            "synchronous, µs",
            "old, µs",
            "new, µs",
            "new / synchronous",
            "new / old",
            "of the best",
            "",
        ),
        rows,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print the table. The exit code is 1 where something is slower and that was asked about."""
    options = _parser().parse_args(arguments)
    scale = replace(QUICK if options.quick else FULL, rounds=options.rounds)
    works = chosen_works(options.only, WORKS)
    try:
        with workplace(options.directory) as directory, ExitStack() as stack:
            root = benchmarks_alone(directory)
            Files(directory).create(scale)
            workers = []
            for label, python in (("old", options.old), ("new", options.new)):
                worker = WorkerProcess(
                    label, options.loop, directory, scale, python=os.path.abspath(python), root=root
                )
                stack.callback(worker.close)
                workers.append(worker)
            pair = Pair(*workers)
            versions = pair.load()
            compare(pair, works, scale.rounds)
    except KeyboardInterrupt:
        return 130
    builds = ", ".join(f"{label} {version}" for label, version in versions.items())
    print(f"{builds}, {options.loop}, {scale.rounds} interleaved rounds (medians).\n")
    print(report(pair, scale))
    slower = [work for work in works if pair.ratio(work) > 1 + TOLERANCE]
    return int(options.strict and bool(slower))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description="Measure two builds of rapfiles side by side."
    )
    parser.add_argument("old", help="the interpreter of an environment with the old build")
    parser.add_argument("new", help="the same with the new build")
    parser.add_argument("--only", metavar="WORK,…", help="these works: " + ", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=FULL.rounds, metavar="N", help="interleaved rounds")
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures mean nothing")
    parser.add_argument("--strict", action="store_true", help="fail where the new one is slower")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop")
    parser.add_argument("--directory", metavar="DIR", help="where the files are made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
