"""The long form of the power-cut tests: `scripts/test-power-cuts`."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from support.power import disk, states
from support.power.trial import FAULTS, Trial
from support.power.workloads import WORKLOADS

_SHOWN = 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/test-power-cuts", description="What file systems hold after power cuts."
    )
    parser.add_argument("--file-system", choices=disk.KINDS, action="append", help="by default all")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="by default all")
    parser.add_argument("--states", type=int, default=400, help="of each workload on each file system")
    parser.add_argument(
        "--seed", type=int, default=None, help="for the choice of states; by default a new one"
    )
    parser.add_argument("--fault", choices=FAULTS, help="make this mistake, which has to be found")
    parser.add_argument(
        "--keep", type=Path, help="where to leave the records of what fails; by default in /dev/shm"
    )
    parser.add_argument(
        "--replay", nargs=2, metavar=("FOLDER", "STATE"), help="look at a state of such a record again"
    )
    return parser.parse_args()


def _replay(folder: Path, state: str) -> int:
    trial = Trial.load(folder)
    for _, finding in trial.findings(folder, [states.State.parse(state)]):
        print(f"{trial}, state {state}: {finding.problem or 'as it should be'}")
        return int(finding.problem is not None)
    return 1


def _test(trial: Trial, number: int, keep: Path | None) -> bool:
    """Record and check one workload on one file system; False if there are problems."""
    # In memory, so that flushes cost nothing.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="power-cuts.", dir=keep or (memory if memory.is_dir() else None)))
    started = time.monotonic()
    entries = trial.record(folder)
    chosen = states.choose(entries, trial.seed, number)
    findings = list(trial.findings(folder, chosen))
    bad = [(state, finding.problem) for state, finding in findings if finding.problem is not None]
    left = sum(finding.left > 0 for _, finding in findings)
    kinds = [entry.kind for entry in entries]
    print(
        f"{trial.kind:5} {trial.workload:20} {len(chosen):5} states of {kinds.count('W')} writes and "
        f"{kinds.count('F')} flushes: {len(bad)} bad, {left} with a temporary name; "
        f"seed {trial.seed}, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    for state, problem in bad[:_SHOWN]:
        print(f"      {problem}\n      scripts/test-power-cuts --replay {folder} {state}", flush=True)
    if not bad:
        shutil.rmtree(folder)
    return not bad


def main() -> int:
    """What the arguments ask for; 1 if something was found."""
    chosen = _arguments()
    if chosen.replay is not None:
        return _replay(Path(chosen.replay[0]), chosen.replay[1])
    seed = random.randrange(1 << 32) if chosen.seed is None else chosen.seed
    good = True
    for kind in chosen.file_system or disk.KINDS:
        if (reason := disk.missing(kind)) is not None:
            print(f"{kind}: not tested, because {reason}")
            good = False
            continue
        for workload in chosen.workload or WORKLOADS:
            good &= _test(Trial(kind, workload, seed, chosen.fault), chosen.states, chosen.keep)
    return int(not good)


sys.exit(main())
