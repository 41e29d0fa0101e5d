"""The examination: what the engine can use, and the ways compared, in interleaved rounds and limited time."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from time import monotonic

from .. import stats
from .._native import configuration, inspect
from . import passes, stall
from .findings import Engine, Findings, Measurement, Stall
from .passes import CONCURRENT, SEQUENTIAL, Pass
from .sample import Sample
from .ticker import Ticker
from .ways import OPERATIONS, OURS, READ, SYNCHRONOUS, Way

ROUNDS = 9
_STEP = 0.04
"""Seconds that one pass should take."""
_LAST_ROUND_STARTS = 7.0
"""Seconds after which no further round begins."""
_PATIENCE = 4.0
"""Seconds that one pass may take, on a file system that does not answer."""
_SURVEY = 1.5
"""Seconds after which no further files are read in the survey."""
_BATCH = 16
"""How many files the survey reads at once."""
_MOST_AT_ONCE = 200
_BYTES_AT_ONCE = 16 << 20
_RESERVED = 4
"""One file out of this many stays untouched, to repeat what was suspicious on files that no cache has yet."""
_SLOW = 0.25
"""Seconds for one operation from which there is only time for a handful of them."""


class Examination:
    """Runs on an event loop; another thread may read `findings`, `under_way` and `stuck` meanwhile."""

    def __init__(
        self,
        sample: Sample,
        ways: list[Way],
        versions: dict[str, str | None],
        end: float,
        progress: Callable[[str], None],
    ) -> None:
        """Prepare an examination of the files of `sample` that ends when the monotonic clock reads `end`."""
        measurements = {operation: {way.name: Measurement() for way in ways} for operation in OPERATIONS}
        self.findings: Findings = Findings(sample, versions, measurements)
        self.under_way: tuple[str, str] | None = None
        """The operation that is being measured, and the way."""
        self._ways = {way.name: way for way in ways}
        self._sizes = dict(sample.files)
        self._started = monotonic()
        self._end = end
        self._progress = progress
        self._ticker = Ticker()
        self._names: list[str] = []
        self._reserve: list[str] = []
        # Seconds per operation in the slowest way, from which the length of a pass follows.
        self._slowest: dict[tuple[str, str], float] = {}

    def stuck(self) -> bool:
        """Whether AsyncPath is being measured and the loop has not run for a second."""
        return self.under_way is not None and self.under_way[1] == OURS and self._ticker.silence > 1

    async def run(self) -> None:
        """Fill in the findings. Ends when everything is measured or the time is up."""
        loop = type(asyncio.get_running_loop())
        self.findings.loop = f"{loop.__module__.partition('.')[0]} {loop.__qualname__.removeprefix('_Unix')}"
        await self._inspect()
        before = stats()
        gc.collect()
        gc.disable()  # a collection would be counted as lag
        try:
            if await self._survey():
                await self._measure()
        finally:
            gc.enable()
            after = stats()
            self.findings.cached_operations = after.cached - before.cached
            self.findings.worker_operations = after.submitted - before.submitted
            self.findings.seconds = monotonic() - self._started

    async def _inspect(self) -> None:
        self._progress("asking the engine about the file system")
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await inspect(self.findings.sample.directory)
        except (OSError, TimeoutError) as error:
            self.findings.notes.append(f"The file system could not be looked at: {error or 'no answer'}.")
            return
        settings = configuration()
        self.findings.engine = Engine(
            file_system=found["file_system"],
            local=found["local"],
            cached=found["cached"],
            reason=found["reason"],
            access_times=found["access_times"],
            max_workers=settings["max_workers"],
            usable_cpus=settings["usable_cpus"],
            spin=bool(settings["spin"]),
        )

    async def _survey(self) -> bool:
        """Read the files, all but a reserve, with AsyncPath, so that every way finds them in the same caches.

        Drops those that cannot be read. Returns whether there is something to measure.
        """
        files = [name for name, _ in self.findings.sample.files]
        self._reserve = files[_RESERVED - 1 :: _RESERVED]
        rest = [name for index, name in enumerate(files) if index % _RESERVED != _RESERVED - 1]
        limit = monotonic() + _SURVEY
        size = 1  # the first file alone: it tells how long one operation takes here
        while rest and (not self._names or monotonic() < limit) and monotonic() < self._end:
            self._progress(f"reading the sample: {len(self._names)} files")
            batch, rest = rest[:size], rest[size:]
            result = await self._pass(READ, self._ways[OURS], CONCURRENT, batch)
            if result is None:
                return False
            if not self._slowest:
                self._slowest = {
                    (operation, mode): result.seconds
                    for operation in OPERATIONS
                    for mode in (SEQUENTIAL, CONCURRENT)
                }
            self._names += [name for name in batch if name not in result.failed]
            self.findings.skipped += len(result.failed)
            size = _BATCH
        self.findings.files = len(self._names)
        if files and not self._names:
            self.findings.notes.append("None of the files that were found can be read.")
        return bool(self._names)

    async def _measure(self) -> None:
        for index in range(ROUNDS):
            if index and monotonic() - self._started > _LAST_ROUND_STARTS:
                return
            self.findings.control_lag = max(self.findings.control_lag, await passes.idle(0.05))
            ways = list(self._order(index))
            # Where there may not be time for everything, AsyncPath and the synchronous way come first.
            for group in (ways[:2], ways[2:]) if self._slow() else (ways,):
                for mode in (SEQUENTIAL, CONCURRENT):
                    for operation in OPERATIONS:
                        if monotonic() > self._end:
                            self._note_cut(index)
                            return
                        self._progress(f"round {index + 1} of {ROUNDS}: {operation}, {mode}")
                        await self._compare(operation, mode, index, group)

    def _note_cut(self, index: int) -> None:
        self.findings.notes.append(f"The time was up in round {index + 1} of {ROUNDS}.")

    def _slow(self) -> bool:
        return max(self._slowest.values()) > _SLOW

    async def _compare(self, operation: str, mode: str, index: int, ways: list[Way]) -> None:
        """One pass in each way, over the same files."""
        names = self._choose(operation, mode, index)
        if mode == CONCURRENT and len(names) == 1 and self._slow():
            return  # nothing new would come of it, and the time is better spent on the next way
        slowest = 0.0
        for way in ways:
            measurement = self.findings.measurements[operation][way.name]
            if measurement.failure is not None or monotonic() > self._end:
                continue
            ours = self.findings.measurements[operation][OURS]
            if way.blocking and ours.failure is not None and not ours.raised:
                # Where AsyncPath got no answer, a blocking call could never return.
                measurement.failure = "not tried"
                continue
            result = await self._pass(operation, way, mode, names)
            done = len(names) - len(result.failed) if result is not None else 0
            if result is None or done == 0:
                continue
            mean = result.seconds / done
            getattr(measurement, mode)[index] = mean
            measurement.times += result.times
            slowest = max(slowest, mean)
        if slowest:
            self._slowest[operation, mode] = slowest

    def _choose(self, operation: str, mode: str, index: int) -> list[str]:
        """As many files as the slowest way can do in the time of a step, other ones in each round.

        A small sample is gone through several times.
        """
        least = 1 if mode == SEQUENTIAL else 2 if self._slow() else 4
        count = min(_MOST_AT_ONCE, max(least, int(_STEP / self._slowest[operation, mode])))
        if self._slow():
            count = min(count, len(self._names))
        start = index * count
        names = [self._names[number % len(self._names)] for number in range(start, start + count)]
        if mode == CONCURRENT and operation == READ:
            while len(names) > 1 and sum(self._sizes[name] for name in names) > _BYTES_AT_ONCE:
                names.pop()
        return names

    def _order(self, index: int) -> Iterator[Way]:
        """AsyncPath and the synchronous way side by side, now one, now the other ahead; then the others."""
        pair = [self._ways[OURS], self._ways[SYNCHRONOUS]]
        yield from reversed(pair) if index % 2 else pair
        others = [way for way in self._ways.values() if way not in pair]
        start = index % len(others)
        yield from others[start:] + others[:start]

    async def _pass(self, operation: str, way: Way, mode: str, names: list[str]) -> Pass | None:
        """One pass within the time limit; None, and a note in the measurement, if nothing came of it."""
        measurement = self.findings.measurements[operation][way.name]
        result, lag = await self._attempt(operation, way, mode, names)
        known = any((seen.operation, seen.mode) == (operation, mode) for seen in self.findings.stalls)
        if way.name == OURS and not known and stall.suspicious(lag, self.findings.control_lag):
            await self._investigate(operation, mode, len(names), lag)
        if isinstance(result, str):
            measurement.failure = result
            return None
        return result

    async def _attempt(
        self, operation: str, way: Way, mode: str, names: list[str]
    ) -> tuple[Pass | str, float]:
        """The result of a pass, or what went wrong, and the lag that other processes did not cause."""
        ticker = self._ticker = Ticker()
        self.under_way = operation, way.name
        run = way.operations[operation]
        patience = max(0.1, min(_PATIENCE, self._end - monotonic()))
        result: Pass | str
        try:
            async with asyncio.timeout(patience):
                if mode == SEQUENTIAL:
                    result = await passes.sequential(run, names, ticker, blocking=way.blocking)
                else:
                    result = await passes.concurrent(run, names, ticker)
        except TimeoutError:
            result = f"no answer within {patience:.0f} s" if patience == _PATIENCE else "the time was up"
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
            self.findings.measurements[operation][way.name].raised = True
        self.under_way = None
        self.findings.measurements[operation][way.name].note_lag(ticker.worst, ticker.worst_of_loop)
        return result, ticker.worst_of_loop

    async def _investigate(self, operation: str, mode: str, count: int, lag: float) -> None:
        """Find out whether AsyncPath blocked the loop, if possible on files that have not been touched
        yet."""

        async def again(attempt: int) -> float:
            fresh = self._reserve[attempt :: stall.ATTEMPTS]
            names = (fresh + self._names + self._reserve)[:count]
            return (await self._attempt(operation, self._ways[OURS], mode, names))[1]

        self._progress(f"the loop lagged beside {operation}: trying again")
        least = await stall.confirm(lag, again)
        if least is None:
            self.findings.passing.append(lag)
        else:
            self.findings.stalls.append(Stall(operation, mode, least))
