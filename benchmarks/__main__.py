"""The command: `python -m benchmarks`, from the root of the checkout."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from .measurement import Run, terminal_progress
from .peers import BASE, OURS, PEERS
from .processes import ROOT
from .report import as_json, markdown
from .works import FULL, QUICK, WORKS


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the tables or the JSON."""
    # Ended from outside it clears up too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    if options.rounds is not None:
        scale = replace(scale, rounds=options.rounds)
    if options.turn is not None:
        scale = replace(scale, turn=options.turn / 1e3)
    parent = options.directory or os.path.join(ROOT, "build")
    if options.directory is None:
        os.makedirs(parent, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="benchmarks-", dir=parent)
    run = Run(
        [scale.fit(WORKS[key]) for key in options.only or WORKS],
        [peer for peer in PEERS if peer in (BASE, OURS) or not options.peers or peer in options.peers],
        scale,
        loop=options.loop,
        directory=directory,
        slow_directory=options.slow_dir,
        progress=terminal_progress,
    )
    try:
        results = run.measure()
    except KeyboardInterrupt:
        return 130
    finally:
        terminal_progress("")
        shutil.rmtree(directory, ignore_errors=True)
    if options.json != "-":
        print(markdown(results), end="")
        if options.quick:
            print("\nA quick run shows that everything works; its figures mean nothing.")
    if options.json == "-":
        json.dump(as_json(results), sys.stdout, indent=2)
        print()
    elif options.json is not None:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(as_json(results), file, indent=2)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure rapfiles beside synchronous code, other libraries and bare system calls.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test of a few seconds: figures mean nothing"
    )
    parser.add_argument(
        "--rounds", type=_positive, metavar="N", help=f"interleaved rounds (default {FULL.rounds})"
    )
    parser.add_argument(
        "--turn",
        type=_positive,
        metavar="MS",
        help=f"milliseconds for one turn of one library (default {FULL.turn * 1e3:.0f})",
    )
    parser.add_argument(
        "--only", type=_subset(WORKS), metavar="WORK,…", help="these works: " + ", ".join(WORKS)
    )
    parser.add_argument(
        "--peers",
        type=_subset(PEERS),
        metavar="NAME,…",
        help=f"these libraries beside {BASE} and {OURS}: "
        + ", ".join(name for name in PEERS if name not in (BASE, OURS)),
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop")
    parser.add_argument(
        "--directory",
        type=_directory,
        metavar="DIR",
        help="where the files are made (default: build/ in the checkout)",
    )
    parser.add_argument(
        "--slow-dir",
        type=_directory,
        metavar="DIR",
        help="a mount that answers slowly: also watch the loop while one operation runs there",
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="also write everything as JSON to FILE; without FILE print JSON instead of the tables",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _subset(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in known]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or 'nothing given'}")
        return chosen

    return names


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"not a directory: {text}")
    return os.path.abspath(text)


if __name__ == "__main__":
    sys.exit(main())
