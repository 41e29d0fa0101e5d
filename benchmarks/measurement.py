"""A whole run: starts the processes, interleaves their turns round by round, collects what they measured."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .peers import BASE, OURS, PEERS
from .processes import Floor, WorkerError, WorkerProcess
from .works import CONTENT, Files, Scale, Work

STALL = 0.1
"""A lag in seconds from which a library counts as stalling the loop, in that test and on a slow mount."""
_LONG_TURN = 1.0
"""Seconds that a turn may take; one that takes longer is not taken in every round."""
_ROUNDS_OF_LONG_TURNS = 3
_SLOW_OPERATIONS = ("read_bytes", "stat", "exists", "write_bytes", "open_read")


@dataclass
class Results:
    """Everything that a run measured. Times are seconds per operation, one for each round."""

    works: list[Work]
    loop: str
    scale: Scale
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Peers that could not be measured, and why."""
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    """By work and peer: what went wrong."""
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    cpu: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    lag: dict[str, dict[str, float]] = field(default_factory=dict)
    idle_lag: list[float] = field(default_factory=list)
    peak: dict[str, int] = field(default_factory=dict)
    """By peer: growth of the peak memory over the read of the large file, in bytes."""
    wakeups: dict[str, int] = field(default_factory=dict)
    """By work: how often the loop was woken while rapfiles went through the file."""
    fifo_lag: dict[str, float] = field(default_factory=dict)
    slow_lag: dict[str, dict[str, float]] = field(default_factory=dict)

    def ratio(self, work: str, peer: str, base: str, kind: str = "seconds") -> float | None:
        """The median over the rounds of peer / base in the same round."""
        figures = getattr(self, kind).get(work, {})
        pairs = list(zip(figures.get(peer, ()), figures.get(base, ()), strict=False))
        return median(mine / theirs for mine, theirs in pairs) if pairs else None

    def typical(self, work: str, peer: str, kind: str = "seconds") -> float | None:
        """The median over the rounds."""
        figures = getattr(self, kind).get(work, {}).get(peer)
        return median(figures) if figures else None

    def stalls(self, peer: str) -> bool:
        """Whether the peer was seen to hold up the loop while a call waited."""
        seen = [self.fifo_lag.get(peer, 0.0), *self.slow_lag.get(peer, {}).values()]
        return max(seen) > STALL


class Run:
    """One run of the benchmarks in a directory of its own."""

    def __init__(
        self,
        works: list[Work],
        peers: list[str],
        scale: Scale,
        *,
        loop: str,
        directory: str,
        slow_directory: str | None,
        progress: Callable[[str], None],
    ) -> None:
        self.results = Results(works, loop, scale)
        self._peers = peers
        self._scale = scale
        self._directory = directory
        self._slow_directory = slow_directory
        self._progress = progress
        self._files = Files(directory)
        self._floor = Floor(self._files)
        self._workers: dict[str, WorkerProcess] = {}
        self._counts: dict[str, dict[str, int]] = {}

    def measure(self) -> Results:
        """Run everything and return what was measured."""
        with ExitStack() as stack:
            self._progress("setting up")
            self._files.create(self._scale)
            self._start(stack)
            self._calibrate()
            self._rounds()
            self._lags()
            self._wakeups()
            self._stalls()
        # One process after the other from here: peak memory and hangs are a matter of each alone.
        self._peaks()
        if self._slow_directory is not None:
            self._slow(self._slow_directory)
        return self.results

    def _open(self, stack: ExitStack, label: str) -> WorkerProcess:
        worker = WorkerProcess(label, self.results.loop, self._directory, self._scale)
        stack.callback(worker.close)
        return worker

    def _start(self, stack: ExitStack) -> None:
        """One process for each peer; the base shares that of rapfiles. All of them import side by side."""
        for peer in self._peers:
            if peer != BASE:
                self._workers[peer] = self._open(stack, peer)
                self._workers[peer].send("load", peer=peer)
        for peer in list(self._workers):
            self._progress(f"loading {peer}")
            self._loaded(peer, self._workers[peer].receive)
        if OURS not in self._workers:
            raise SystemExit(f"rapfiles cannot be imported: {self.results.missing[OURS]}")
        self._workers[BASE] = self._workers[OURS]
        self._loaded(BASE, lambda: self._workers[BASE].ask("load", peer=BASE))
        if not self._floor.available():
            self.results.missing[Floor.name] = Floor.hint

    def _loaded(self, peer: str, answer: Callable[[], dict[str, Any]]) -> None:
        try:
            loaded = answer()
        except WorkerError as error:
            loaded = {"missing": str(error)}
        if "missing" in loaded:
            self.results.missing[peer] = loaded["missing"]
            self._workers.pop(peer, None)
        else:
            self.results.versions[peer] = loaded["version"]

    def _calibrate(self) -> None:
        """Check what each peer does, and find how many operations fill a turn."""
        for work in self.results.works:
            counts = self._counts[work.key] = {}
            for peer in self._workers:
                if not PEERS[peer].can(work.operation):
                    continue
                self._progress(f"{work.key}: checking {peer}")
                with self._noting(work, peer):
                    count = self._workers[peer].ask("calibrate", peer=peer, work=work.key)["count"]
                    self._workers[peer].ask("verify", peer=peer, work=work.key, count=count)
                    counts[peer] = count
            # As it was when this began: it may be built meanwhile.
            if Floor.name not in self.results.missing and work.has_floor:
                counts[Floor.name] = counts[BASE]

    def _rounds(self) -> None:
        """Every round runs every work; within it the peers take turns, so that noise meets them all alike."""
        for index in range(self._scale.rounds):
            for work in self.results.works:
                self._progress(f"round {index + 1} of {self._scale.rounds}: {work.key}")
                for peer in self._order(work, index):
                    if index < _ROUNDS_OF_LONG_TURNS or not self._takes_long(work, peer):
                        with self._noting(work, peer):
                            self._turn(work, peer)

    def _order(self, work: Work, index: int) -> Iterator[str]:
        """rapfiles and its base side by side, now one, now the other ahead; then the others in rotation."""
        counts = self._counts[work.key]
        pair = [peer for peer in (BASE, OURS) if peer in counts]
        yield from pair if index % 2 else reversed(pair)
        others = [peer for peer in counts if peer not in pair]
        start = index % len(others) if others else 0
        yield from others[start:] + others[:start]

    def _takes_long(self, work: Work, peer: str) -> bool:
        seconds = self.results.seconds[work.key][peer]
        return peer not in (BASE, OURS) and min(seconds) * self._counts[work.key][peer] > _LONG_TURN

    def _turn(self, work: Work, peer: str) -> None:
        count = self._counts[work.key][peer]
        seconds = self.results.seconds.setdefault(work.key, {}).setdefault(peer, [])
        if peer == Floor.name:
            seconds.append(self._floor.turn(work, count))
            return
        answer = self._workers[peer].ask("turn", peer=peer, work=work.key, count=count)
        seconds.append(answer["seconds"])
        self.results.cpu.setdefault(work.key, {}).setdefault(peer, []).append(answer["cpu"])

    def _lags(self) -> None:
        """The loop's lag, in a pass of its own: a ticker beside the work would disturb the times."""
        for work in self.results.works:
            self._progress(f"{work.key}: loop lag")
            lags = self.results.lag.setdefault(work.key, {})
            self.results.idle_lag.append(self._workers[BASE].ask("idle_lag")["lag"])
            for peer, count in self._counts[work.key].items():
                if PEERS.get(peer) and PEERS[peer].asynchronous:
                    with self._noting(work, peer):
                        lags[peer] = self._workers[peer].ask("lag", peer=peer, work=work.key, count=count)[
                            "lag"
                        ]

    def _wakeups(self) -> None:
        """How often the loop is woken while lines are iterated over."""
        for work in self.results.works:
            if work.counts_wakeups:
                answer = self._workers[OURS].ask("wakeups", peer=OURS, work=work.key)
                self.results.wakeups[work.key] = answer["wakeups"]

    def _stalls(self) -> None:
        """Which peers hold up the loop while an open waits."""
        if not hasattr(os, "mkfifo"):
            return
        for peer, worker in self._workers.items():
            works = [work for work in ("read_bytes", "open_read") if PEERS[peer].can(work)]
            if PEERS[peer].asynchronous and works:
                self._progress(f"stall test: {peer}")
                work = works[0]
                try:
                    answer = worker.ask("fifo", 20, peer=peer, work=work, release_after=self._scale.blocked)
                except WorkerError as error:
                    self.results.failures.setdefault("stall test", {})[peer] = str(error)
                else:
                    self.results.fifo_lag[peer] = answer["lag"]

    def _peaks(self) -> None:
        """Peak memory over the read of the large file, each in a fresh process."""
        for work in self.results.works:
            if work.most_memory is None:
                continue
            for peer in self._counts[work.key]:
                if peer in PEERS:
                    self._progress(f"{work.key}: peak memory of {peer}")
                    with ExitStack() as stack, self._noting(work, peer):
                        worker = self._open(stack, peer)
                        worker.ask("load", peer=peer)
                        self.results.peak[peer] = worker.ask("peak", peer=peer, work=work.key)["bytes"]

    def _slow(self, directory: str) -> None:
        """The loop's lag while one operation runs on a slow mount, each peer in a fresh process."""
        # Each operation has a name that nobody touched before, so that nothing of it is in a cache.
        names = (
            os.path.join(directory, f"rapfiles-benchmark-{os.getpid()}-{index}")
            for index in itertools.count()
        )
        for peer in (peer for peer in self._workers if PEERS[peer].asynchronous):
            with ExitStack() as stack:
                self._progress(f"slow mount: {peer}")
                try:
                    worker = self._open(stack, peer)
                    worker.ask("load", peer=peer)
                    for operation in _SLOW_OPERATIONS:
                        if PEERS[peer].can(operation):
                            lag = self._slow_operation(worker, peer, operation, next(names))
                            self.results.slow_lag.setdefault(peer, {})[operation] = lag
                except (WorkerError, OSError) as error:
                    self.results.failures.setdefault("slow mount", {})[peer] = str(error)

    def _slow_operation(self, worker: WorkerProcess, peer: str, operation: str, name: str) -> float:
        """One operation on a file made for it; on a mount that cannot be written to, on one that is there."""
        made = False
        try:
            if operation != "write_bytes":
                with open(name, "wb") as file:
                    file.write(CONTENT)
                made = True
        except OSError:
            name = _some_file(os.path.dirname(name)) or name
        try:
            return float(worker.ask("slow", 60, peer=peer, work=operation, names=[name])["lag"])
        finally:
            if (made or operation == "write_bytes") and os.path.lexists(name):
                os.unlink(name)

    @contextmanager
    def _noting(self, work: Work, peer: str) -> Iterator[None]:
        """A context in which a worker's failure is noted, and the peer leaves the work."""
        try:
            yield
        except WorkerError as error:
            self._drop(work, peer, error)

    def _drop(self, work: Work, peer: str, error: WorkerError) -> None:
        """Note a failure. rapfiles and its base may not fail."""
        if peer in (BASE, OURS):
            raise SystemExit(f"{peer} failed at {work.key}: {error}") from error
        self.results.failures.setdefault(work.key, {})[peer] = str(error)
        self._counts[work.key].pop(peer, None)
        self.results.seconds.get(work.key, {}).pop(peer, None)
        self.results.cpu.get(work.key, {}).pop(peer, None)


def _some_file(directory: str) -> str | None:
    with os.scandir(directory) as entries:
        return next((entry.path for entry in entries if entry.is_file()), None)


def terminal_progress(message: str) -> None:
    """Show what is going on in one line of the terminal, or not at all when it is not one."""
    if sys.stderr.isatty():
        print(f"\r{message:<60.60}", end="" if message else "\r", file=sys.stderr, flush=True)
