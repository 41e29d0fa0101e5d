"""What a run measured, as Markdown tables and as JSON."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .handles import WINDOW
from .measurement import Results
from .peers import AIOFILES, BASE, COMPAT, OURS, PEERS
from .processes import Floor
from .works import Work

_SLOW_CREATION = 150e-6
"""Seconds for the creation of an entry from which the file system drowns everything else."""


@dataclass(frozen=True)
class Verdict:
    """One bound: what was measured against what is allowed."""

    work: str
    title: str
    figure: str
    """What is compared: wall time, processor time, peak memory, lag or wake-ups."""
    ours: float | None
    base: float | None
    """Both in microseconds per operation, in MiB for memory, in milliseconds for the lag, or a number."""
    against: str
    """What it is compared with."""
    ratio: float | None
    bound: float
    strict: bool = False
    """Whether the ratio has to be below the bound, not just at most the bound."""

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None if it could not be measured."""
        if self.ratio is None:
            return None
        return self.ratio < self.bound if self.strict else self.ratio <= self.bound


def verdicts(results: Results) -> list[Verdict]:
    """Every bound: first those against synchronous code and absolute ones, then those against peers."""
    against_base = [verdict for work in results.works for verdict in _against_base(results, work)]
    against_peers = [verdict for work in results.works for verdict in _against_peers(results, work)]
    return against_base + against_peers


def _against_base(results: Results, work: Work) -> Iterable[Verdict]:
    yield _compared(results, work, "wall time", "seconds", BASE, work.most)
    if work.most_cpu is not None:
        yield _compared(results, work, "processor time, all threads", "cpu", BASE, work.most_cpu)
    if work.most_memory is not None:
        peak, size = results.peak.get(OURS), results.scale.large
        ours = None if peak is None else peak / 2**20
        yield _absolute(work, "peak memory", ours, size / 2**20, "the file's size", work.most_memory)
    if work.most_lag is not None:
        ours, most = _milliseconds(results.lag.get(work.key, {}).get(OURS)), work.most_lag * 1e3
        yield _absolute(work, "worst lag of the loop, ms", ours, most, f"{most:g} ms", 1.0, strict=True)
    if work.counts_wakeups:
        most = work.size / WINDOW + 2
        yield _absolute(work, "wake-ups", results.wakeups.get(work.key), most, "windows + 2", 1.0)


def _against_peers(results: Results, work: Work) -> Iterable[Verdict]:
    if work.below is not None:
        yield _compared(results, work, "wall time", "seconds", work.below, 1.0, strict=True)
    fastest = fastest_peer(results, work)
    if fastest is not None and fastest != work.below:
        yield _compared(results, work, "wall time", "seconds", fastest, 1.0, strict=True)
    if work.most_compat is not None:
        yield _compared(
            results, work, f"wall time of {COMPAT}", "seconds", AIOFILES, work.most_compat, mine=COMPAT
        )


def _absolute(
    work: Work, figure: str, ours: float | None, base: float, against: str, bound: float, strict: bool = False
) -> Verdict:
    ratio = None if ours is None else ours / base
    return Verdict(work.key, work.title, figure, ours, base, against, ratio, bound, strict)


def _compared(
    results: Results,
    work: Work,
    figure: str,
    kind: str,
    base: str,
    bound: float,
    *,
    strict: bool = False,
    mine: str = OURS,
) -> Verdict:
    ours, theirs = results.typical(work.key, mine, kind), results.typical(work.key, base, kind)
    return Verdict(
        work.key,
        work.title,
        figure,
        None if ours is None else ours * 1e6,
        None if theirs is None else theirs * 1e6,
        work.base if base == BASE else base,
        results.ratio(work.key, mine, base, kind),
        bound,
        strict,
    )


def fastest_peer(results: Results, work: Work) -> str | None:
    """The fastest asynchronous library, other than ours, that was not seen to stall the loop."""
    times = {
        peer: results.typical(work.key, peer) or 0.0
        for peer in results.seconds.get(work.key, {})
        if peer in PEERS and peer not in (BASE, OURS, COMPAT) and not results.stalls(peer)
    }
    return min(times, key=lambda peer: times[peer]) if times else None


def markdown(results: Results) -> str:
    """The whole report."""
    whole = [work for work in results.works if not work.handle]
    handles = [work for work in results.works if work.handle]
    parts = [_machine(results), "## rapfiles against its bounds", _bounds(results)]
    if whole:
        title = "## Microseconds per operation, and the ratio to synchronous pathlib"
        parts += [title, _times(results, whole)]
    if handles:
        title = "## Open files: microseconds per item or operation, and the ratio to synchronous open()"
        parts += [title, _times(results, handles)]
    parts += [
        "## Worst lag of the event loop, in milliseconds, while the work runs",
        _lags(results),
        "## Whether a call that waits holds up the event loop",
        _stalls(results),
    ]
    if results.peak:
        parts += ["## Peak memory over one read of the large file, as a ratio to its size", _peaks(results)]
    notes = _notes(results)
    if notes:
        parts += ["## Notes", notes]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {results.loop}, "
        f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors, "
        f"{results.scale.rounds} interleaved rounds (medians)."
    )


def _bounds(results: Results) -> str:
    rows = [
        (
            verdict.title,
            verdict.figure,
            verdict.against,
            _number(verdict.base),
            _number(verdict.ours),
            ("below " if verdict.strict else "at most ") + f"{verdict.bound:g}",
            _number(verdict.ratio),
            {True: "pass", False: "**miss**", None: "not measured"}[verdict.passed],
        )
        for verdict in verdicts(results)
    ]
    return table(("work", "figure", "against", "theirs", "ours", "target", "ratio", "verdict"), rows)


def _times(results: Results, works: list[Work]) -> str:
    columns = [
        peer
        for peer in (Floor.name, *PEERS)
        if any(peer in results.seconds.get(work.key, {}) for work in works)
    ]
    rows = [(work.title, *(_time_and_ratio(results, work.key, peer) for peer in columns)) for work in works]
    return table(("work", *(works[0].base if peer == BASE else peer for peer in columns)), rows)


def _time_and_ratio(results: Results, work: str, peer: str) -> str:
    seconds, ratio = results.typical(work, peer), results.ratio(work, peer, BASE)
    if seconds is None or ratio is None:
        return "failed" if peer in results.failures.get(work, {}) else "-"
    return f"{_number(seconds * 1e6)} ({_number(ratio)})"


def _lags(results: Results) -> str:
    columns = [peer for peer in PEERS if any(peer in row for row in results.lag.values())]
    rows = [
        (
            work.title,
            *(_number(_milliseconds(results.lag.get(work.key, {}).get(peer))) for peer in columns),
        )
        for work in results.works
    ]
    lags = table(("work", *columns), rows)
    idle = _number(_milliseconds(max(results.idle_lag, default=None)))
    return f"{lags}\n\nThe loop with nothing but the ticker on it lagged by {idle} ms at worst."


def _stalls(results: Results) -> str:
    operations = list(dict.fromkeys(name for lags in results.slow_lag.values() for name in lags))
    rows = [
        (
            peer,
            _number(_milliseconds(results.fifo_lag.get(peer))),
            *(_number(_milliseconds(results.slow_lag.get(peer, {}).get(name))) for name in operations),
            "**stalls**" if results.stalls(peer) else "no stall seen",
        )
        for peer in PEERS
        if peer in results.fifo_lag or peer in results.slow_lag
    ]
    header = ("library", "FIFO that nobody writes to", *(f"slow mount: {name}" for name in operations), "")
    return table(header, rows)


def _peaks(results: Results) -> str:
    rows = [(peer, _number(bytes_ / results.scale.large)) for peer, bytes_ in results.peak.items()]
    return table(("library", "ratio"), rows)


def _notes(results: Results) -> str:
    notes = [f"- Not measured: {peer} ({reason})" for peer, reason in results.missing.items()]
    notes += [
        f"- {peer} failed at {work}: {reason}"
        for work, failures in results.failures.items()
        for peer, reason in failures.items()
    ]
    notes += [f"- {peer}: {PEERS[peer].note}." for peer in results.versions if PEERS[peer].note]
    slowest = max((results.typical(work, BASE) or 0.0 for work in ("mkdir", "write_bytes")), default=0.0)
    if slowest > _SLOW_CREATION:
        notes.append(
            f"- Creating an entry takes {slowest * 1e6:.0f} µs here even synchronously, so the rows that "
            "create or write say little about the libraries. ext4 without a journal is like that after many "
            "deletions. Take a directory on another file system with --directory."
        )
    versions = ", ".join(
        f"{peer} {version}" for peer, version in results.versions.items() if PEERS[peer].distribution
    )
    if versions:
        notes.append(f"- Versions: {versions}.")
    return "\n".join(notes)


def as_json(results: Results) -> dict[str, Any]:
    """Everything in the report, and the rounds behind it, for a program to read."""
    return {
        "python": platform.python_version(),
        "loop": results.loop,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "rounds": results.scale.rounds,
        "versions": results.versions,
        "missing": results.missing,
        "failures": results.failures,
        "bounds": [
            {
                "work": verdict.work,
                "title": verdict.title,
                "figure": verdict.figure,
                "against": verdict.against,
                "theirs": verdict.base,
                "ours": verdict.ours,
                "bound": verdict.bound,
                "below": verdict.strict,
                "ratio": verdict.ratio,
                "passed": verdict.passed,
            }
            for verdict in verdicts(results)
        ],
        "works": {
            work.key: {
                "title": work.title,
                "fastest_peer": fastest_peer(results, work),
                "wakeups": results.wakeups.get(work.key),
                "peers": {
                    peer: {
                        "microseconds": (results.typical(work.key, peer) or 0.0) * 1e6,
                        "ratio": results.ratio(work.key, peer, BASE),
                        "seconds_by_round": seconds,
                        "processor_seconds_by_round": results.cpu.get(work.key, {}).get(peer),
                        "lag_milliseconds": _milliseconds(results.lag.get(work.key, {}).get(peer)),
                    }
                    for peer, seconds in results.seconds.get(work.key, {}).items()
                },
            }
            for work in results.works
        },
        "idle_lag_milliseconds": _milliseconds(max(results.idle_lag, default=None)),
        "peak_memory_bytes": results.peak,
        "stalls": {
            peer: {
                "stalls": results.stalls(peer),
                "fifo_lag_milliseconds": _milliseconds(results.fifo_lag.get(peer)),
                "slow_lag_milliseconds": {
                    name: _milliseconds(lag) for name, lag in results.slow_lag.get(peer, {}).items()
                },
            }
            for peer in PEERS
            if peer in results.fifo_lag or peer in results.slow_lag
        },
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _number(value: float | None) -> str:
    """Three figures that mean something, whatever the size."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table whose columns are aligned in the source too."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
