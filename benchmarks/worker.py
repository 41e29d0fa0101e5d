"""One process that measures one library, commanded over its standard input by the harness.

Each library has a process of its own: its threads, its runtime and its allocations cannot disturb the others,
a crash or a hang ends that process only, and processor time and peak memory can be read for the process.
rapfiles shares its process with the synchronous code that is the base of every ratio.

The protocol: one JSON object per line in, one per line out.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version
from textwrap import indent
from typing import Any, TypeVar

import rapfiles
from rapfiles.doctor.ticker import Ticker

from .handles import program
from .peers import BASE, COMPAT, OURS, PEERS, Peer
from .works import CONTENT, MOST_ENTRIES, WORKS, Files, Names, Scale, Work, verify

_T = TypeVar("_T")

# The loops, as source: the operation is compiled into them, so that nothing of the harness runs for each
# operation, and the synchronous loop has the same shape as the asynchronous one.
_SEQUENTIAL = """
async def run(names, clock):
    path = {path}
    started = clock()
    for {arguments} in names:
        {step}
    return clock() - started
"""
_CONCURRENT = """
async def run(names, clock):
    {task}
    started = clock()
    results = await gather(*[{job} for {arguments} in names])
    return clock() - started
"""
# The result is let go of after the clock: giving hundreds of megabytes back to the system is not reading.
_SINGLE = """
async def run(names, clock):
    elapsed = 0.0
    for {arguments} in names:
        started = clock()
        {step}
        elapsed += clock() - started
        del result
    return elapsed
"""
_ONCE = """
async def run(names, clock):
    path = {path}
    result = []
    for {arguments} in names[:1]:
        {step}
    return result
"""
_TEMPLATES = {
    "sequential": _SEQUENTIAL,
    "stream": _SEQUENTIAL,
    "concurrent": _CONCURRENT,
    "single": _SINGLE,
}

_Run = Callable[[Names, Callable[[], float]], Coroutine[Any, Any, Any]]


class Loops:
    """The compiled loops of one peer."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._names = {"data": CONTENT, "gather": asyncio.gather, **peer.namespace()}
        self._compiled: dict[tuple[str, str], _Run] = {}

    def timed(self, work: Work) -> _Run:
        """The loop that runs the work over all names and returns the seconds it took."""
        return self._compile(_TEMPLATES[work.shape], work)

    def once(self, work: Work) -> _Run:
        """The operation on the first name alone; returns its result."""
        return self._compile(_ONCE, work)

    def _compile(self, template: str, work: Work) -> _Run:
        key = (template, work.key)
        if key not in self._compiled:
            self._compiled[key] = self._build(template, work)
        return self._compiled[key]

    def _build(self, template: str, work: Work) -> _Run:
        peer = self._peer
        if not peer.can(work.operation):
            raise LookupError(f"{peer.name} has no {work.operation}")
        keeps = work.keep_path and peer.path is not None
        expression = "" if work.handle else peer.expression(work.operation, keep_path=work.keep_path)
        step = f"await {expression}" if peer.asynchronous else str(expression)
        if template is not _SEQUENTIAL:
            step = f"result = {step}"
        if work.handle:
            step = program(
                work.operation,
                opens=str(peer.opens),
                asynchronous=peer.asynchronous,
                unit=work.unit,
                keep=template is _ONCE,
            )
        source = template.format(
            arguments=work.arguments,
            path=str(peer.path).replace("name", "names[0]") if keeps else None,
            step=indent(step, " " * 8).lstrip(),
            # A synchronous call needs a task of its own to run under gather.
            task="pass" if peer.asynchronous else f"async def task({work.arguments}): return {expression}",
            job=expression if peer.asynchronous else f"task({work.arguments})",
        )
        namespace = dict(self._names)
        exec(compile(source, f"<{peer.name} {work.key}>", "exec"), namespace)
        run: _Run = namespace["run"]
        return run


class TrioRunner:
    """What `asyncio.Runner` is, for trio: turns can be measured in it, but not lags."""

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end."""
        import trio

        async def wait() -> _T:
            return await coroutine

        return trio.run(wait)

    def close(self) -> None:
        """Nothing is left of a run."""


class Worker:
    """What a process does for the harness: each public method is a command."""

    def __init__(self, loop: str, directory: str, scale: dict[str, Any]) -> None:
        self._scale = Scale(**scale)
        self._files = Files(directory)
        self._loops: dict[str, Loops] = {}
        self._runner: asyncio.Runner | TrioRunner
        self._runner = TrioRunner() if loop == "trio" else asyncio.Runner(loop_factory=_loop_factory(loop))

    def load(self, peer: str) -> dict[str, Any]:
        """Import a peer; say its version, or that it is missing."""
        distribution = PEERS[peer].distribution
        try:
            self._loops[peer] = Loops(PEERS[peer])
        except ImportError as error:
            return {"missing": str(error)}
        if distribution is None:
            return {"version": sys.version.split()[0]}
        try:
            return {"version": version(distribution)}
        except PackageNotFoundError:  # built in place, not installed
            return {"version": getattr(sys.modules[distribution], "__version__", "unknown")}

    def verify(self, peer: str, work: str, count: int) -> dict[str, Any]:
        """Run an operation once, or a program over as many items as in a turn, and check what it did."""
        it = self._work(work)
        names = self._prepare(it, peer, min(count, it.items or 1))
        verify(it, names, self._runner.run(self._loops[peer].once(it)(names, time.perf_counter)))
        return {}

    def calibrate(self, peer: str, work: str) -> dict[str, Any]:
        """How many operations one turn should have, so that it takes as long as the scale says."""
        it = self._work(work)
        if it.shape == "single":
            return {"count": 1}
        if it.shape == "concurrent":
            return {"count": it.count}
        if it.shape == "stream":
            return {"count": self._calibrate_stream(peer, it)}
        count, most = 16, MOST_ENTRIES if it.consuming else 20_000
        while True:
            each = self.turn(peer, work, count)["seconds"]
            wanted = int(self._scale.turn / max(each, 1e-9))
            if count >= most or wanted <= count * 2:
                return {"count": max(16, min(most, wanted))}
            count = min(most, wanted, count * 20)

    def _calibrate_stream(self, peer: str, work: Work) -> int:
        """As many items as whole files fill a turn; fewer than a file has for a library that is slow."""
        each = self.turn(peer, work.key, max(16, work.items // 50))["seconds"]
        wanted = int(self._scale.turn / each)
        if wanted >= work.items // 5 or peer in (BASE, OURS, COMPAT):
            return max(1, wanted // work.items) * work.items
        return max(16, wanted)

    def turn(self, peer: str, work: str, count: int) -> dict[str, Any]:
        """Run `count` operations after a warm-up; give the wall time, and all threads' processor time."""
        it = self._work(work)
        run = self._loops[peer].timed(it)
        # The warm-up brings this process back into the processor's caches after another one had its turn.
        # It has its names apart, for an operation that consumes them.
        warm = 0 if it.shape == "single" else max(8, count // 10)
        warming = self._files.names(it, peer, warm) if warm else []
        names = self._files.names(it, peer, count, first=warm)
        self._files.prepare(it, peer, [*warming, *names])
        gc.collect()
        gc.disable()
        try:
            seconds, cpu = self._runner.run(_measure(run, warming, names))
        finally:
            gc.enable()
        self._files.clear(peer)
        self._settle()
        return {"seconds": seconds / count, "cpu": cpu / count, "count": count}

    def lag(self, peer: str, work: str, count: int) -> dict[str, Any]:
        """Run the work again with a ticker beside it; give the worst lag of the loop in seconds."""
        it = self._work(work)
        # What a single operation returns is let go of when nobody watches any more: the library is not
        # asked how long it takes to free a million strings.
        run = self._loops[peer].once(it) if it.shape == "single" else self._loops[peer].timed(it)
        worst = 0.0
        deadline = time.perf_counter() + self._scale.lag
        while worst == 0.0 or time.perf_counter() < deadline:
            names = self._prepare(it, peer, count)
            gc.collect()
            worst = max(worst, self._runner.run(_watch(run, names)))
        self._files.clear(peer)
        self._settle()
        return {"lag": worst}

    def idle_lag(self) -> dict[str, Any]:
        """The worst lag of a loop on which nothing but the ticker runs: the noise of the machine."""

        async def watch() -> float:
            async with Ticker() as ticker:
                await asyncio.sleep(max(self._scale.lag, 0.05))
            return ticker.worst

        return {"lag": self._runner.run(watch())}

    def peak(self, peer: str, work: str) -> dict[str, Any]:
        """The growth of the peak memory while one large file is read, in bytes."""
        it = self._work(work)
        small = self._files.shared(1)
        run = self._loops[peer].timed(it)
        self._runner.run(run(small, time.perf_counter))
        gc.collect()
        before = reset_peak_memory()
        self._runner.run(run([self._files.large], time.perf_counter))
        return {"bytes": peak_memory() - before}

    def wakeups(self, peer: str, work: str) -> dict[str, Any]:
        """How often the engine wakes the loop while a stream is gone through."""
        it = self._work(work)
        names = self._prepare(it, peer, it.items)
        before = rapfiles.stats().wakeups
        self._runner.run(self._loops[peer].timed(it)(names, time.perf_counter))
        return {"wakeups": rapfiles.stats().wakeups - before}

    def fifo(self, peer: str, work: str, release_after: float) -> dict[str, Any]:
        """Read a FIFO that nobody writes to; give the loop's lag until somebody does, after `release_after`.

        A library that makes system calls on the loop's thread holds the loop up for that long.
        """
        path = os.path.join(self._files.directory, f"fifo-{peer}")
        os.mkfifo(path)
        threading.Thread(target=_release, args=(path, release_after), daemon=True).start()
        return {"lag": self._stall(peer, work, [path], release_after + 3)}

    def slow(self, peer: str, work: str, names: list[str]) -> dict[str, Any]:
        """Run one operation on a slow mount; give the loop's lag meanwhile."""
        return {"lag": self._stall(peer, work, names, 30)}

    def _stall(self, peer: str, work: str, names: list[str], limit: float) -> float:
        once = self._loops[peer].once(self._work(work))

        async def watch() -> float:
            async with Ticker() as ticker:
                # Whether it succeeds is not the question here: not every library reads a FIFO.
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(once(names, time.perf_counter), limit)
            return ticker.worst

        return self._runner.run(watch())

    def _settle(self) -> None:
        """Wait until the library's own threads are quiet, so that they do not run in the next peer's turn."""
        for _ in range(100 if self._scale.settle else 0):
            before = time.process_time()
            time.sleep(0.005)
            if time.process_time() - before < 0.000_5:
                return

    def _work(self, key: str) -> Work:
        return self._scale.fit(WORKS[key])

    def _prepare(self, work: Work, peer: str, count: int) -> Names:
        names = self._files.names(work, peer, count)
        self._files.prepare(work, peer, names)
        return names


async def _measure(run: _Run, warm: Names, names: Names) -> tuple[float, float]:
    if warm:
        await run(warm, time.perf_counter)
    cpu = time.process_time()
    seconds = await run(names, time.perf_counter)
    return seconds, time.process_time() - cpu


async def _watch(run: _Run, names: Names) -> float:
    async with Ticker() as ticker:
        result = await run(names, time.perf_counter)
    del result
    return ticker.worst


def _release(path: str, after: float) -> None:
    """Open both ends of the FIFO and close them, again and again: stuck readers get an end of file."""
    time.sleep(after)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        time.sleep(0.01)
        os.close(descriptor)
        time.sleep(0.01)


def reset_peak_memory() -> int:
    """Forget the peak so far, where the system lets one; return the memory from which growth is counted."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return peak_memory()


def peak_memory() -> int:
    """The most memory that this process has had at once, in bytes.

    Linux hands getrusage's figure down from the parent process, so that it cannot be used there.
    """
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def _raise_file_limit() -> None:
    """Libraries without a bound of their own have every file under a gather open at once."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Answer commands until the input ends. Standard output is kept for the answers alone."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _raise_file_limit()
    worker = Worker(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("command"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    # Threads that a library leaves behind, perhaps stuck in a call, are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
