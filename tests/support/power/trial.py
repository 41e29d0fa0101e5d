"""A workload on one file system: recorded, and checked after power cuts."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rapfiles import recover
from support import compiled, process
from support.power import disk, states
from support.power.states import State
from support.power.workloads import WORKLOADS, left

FAULTS = ("no-file-sync", "no-directory-sync", "name-before-content", "commit-before-content")
_FAULTS = Path(__file__).parent.parent.parent / "power" / "faults.c"
_START = "import runpy; runpy.run_module('support.power.child', run_name='__main__', alter_sys=True)\n"


async def _recover_all(folder: Path) -> None:
    """Call `recover()` for a folder and all folders in it but logs."""
    for path, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if name != ".rapfiles"]
        await recover(path)


@dataclass(frozen=True)
class Finding:
    """What a state is like."""

    problem: str | None
    left: int = 0
    """How many entries with temporary names there are."""


@dataclass(frozen=True)
class Trial:
    """What was recorded, in a folder that has all that is needed to look at a state again."""

    kind: str
    workload: str
    seed: int
    fault: str | None = None

    @classmethod
    def load(cls, folder: Path) -> "Trial":
        """The one whose record is in the folder."""
        return cls(**json.loads((folder / "trial.json").read_text()))

    def record(self, folder: Path) -> list[states.Entry]:
        """Run the workload, and leave its record and the image from before in the folder."""
        workload = WORKLOADS[self.workload]
        image, base, log = folder / "image", folder / "base", folder / "log"
        disk.make(self.kind, image)
        with disk.mounted(self.kind, image, folder / "mount") as root:
            workload.prepare(root)
        # Without the zeros that XFS fills its log with: this is copied for each state.
        disk.run("cp", "--sparse=always", image, base)
        with (
            disk.recording(image, log, folder / "recorder") as (recorded, marks),
            disk.mounted(self.kind, recorded, folder / "mount") as root,
        ):
            self._run(root, marks)
        image.unlink()
        (folder / "trial.json").write_text(json.dumps(asdict(self)))
        return states.read(log)

    def _run(self, root: Path, marks: Path) -> None:
        environment = dict(os.environ)
        if self.fault is not None:
            environment["LD_PRELOAD"] = str(compiled.program(_FAULTS, "-shared", "-fPIC"))
            environment["POWER_FAULT"] = self.fault
        command = [sys.executable, "-c", process.PREAMBLE + _START, self.workload, str(root), str(marks)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr

    def findings(self, folder: Path, chosen: Iterable[State]) -> Iterator[tuple[State, Finding]]:
        """What each of these states is like, which are in their order."""
        entries = states.read(folder / "log")
        device = states.Device(folder / "base", entries, self.seed, folder)
        lanes = disk.side_by_side(self.kind)
        free = [folder / f"lane{number}" for number in range(lanes)]
        waiting: list[tuple[State, Path, Future[Finding]]] = []
        with ThreadPoolExecutor(lanes) as pool:
            for state in chosen:
                if not free:
                    first, lane, finding = waiting.pop(0)
                    yield first, finding.result()
                    free.append(lane)
                lane = free.pop()
                lane.mkdir(exist_ok=True)
                device.become(state, lane / "image")
                waiting.append((state, lane, pool.submit(self._look, lane, device.marks(state))))
            for state, _, finding in waiting:
                yield state, finding.result()

    def _look(self, lane: Path, marks: int) -> Finding:
        workload = WORKLOADS[self.workload]
        try:
            mounted = disk.mounted(self.kind, lane / "image", lane / "mount")
            with mounted as root, disk.nothing_inherited:
                problem = workload.problem(root / "work", marks)
                names = left(root / "work")
                asyncio.run(_recover_all(root / "work"))
                still = left(root / "work")
        except RuntimeError as error:
            return Finding(f"cannot be mounted: {error}")
        except OSError as error:
            return Finding(f"cannot be read: {error}")
        if problem is None and len(names) > workload.temporary:
            problem = f"operations that were complete have left something: {names}"
        if problem is None and still:
            problem = f"recover() has left {still}"
        return Finding(problem, len(names))
