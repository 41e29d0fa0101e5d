"""The findings as text for people and as JSON for programs."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .._commands.console import printable
from .findings import Findings, Measurement
from .passes import CONCURRENT, SEQUENTIAL
from .sample import LARGEST_FILE
from .ways import OURS


def as_text(findings: Findings, encoding: str) -> str:
    """The whole report. Characters that `encoding` does not have are not used, and nothing but plain text."""
    micro = "µs" if _encodable("µ", encoding) else "us"
    lines = [f"rapfiles doctor: {printable(findings.sample.directory)}", ""]
    lines += [f"{label:<13} {text}" for label, text in _facts(findings)]
    if findings.files:
        lines += ["", *_table(findings, micro), "", *_legend(findings)]
    lines += [printable(note) for note in findings.notes]
    lines += ["", *_verdict(findings)]
    return "\n".join(lines) + "\n"


def as_json(findings: Findings) -> str:
    """Everything in the report as one JSON object, in ASCII."""
    engine, sample = findings.engine, findings.sample
    content: dict[str, Any] = {
        "directory": sample.directory,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "loop": findings.loop,
        "engine": None if engine is None else asdict(engine),
        "libraries": findings.versions,
        "sample": {
            "files": findings.files,
            "found": len(sample.files),
            "found_bytes": sample.size,
            "unreadable": findings.skipped + sample.unreadable,
            "too_large": sample.too_large,
            "entries": sample.entries,
            "complete": sample.complete,
        },
        "measurements": [
            {
                "operation": operation,
                "way": way,
                "sequential_us": _micro(findings.typical(operation, way, SEQUENTIAL)),
                "sequential_ratio": findings.ratio(operation, way, SEQUENTIAL),
                "p50_us": _micro(measurement.percentile(50)),
                "p99_us": _micro(measurement.percentile(99)),
                "concurrent_us": _micro(findings.typical(operation, way, CONCURRENT)),
                "concurrent_ratio": findings.ratio(operation, way, CONCURRENT),
                "rounds": len(measurement.sequential),
                "worst_lag_ms": _milli(measurement.lag),
                "worst_lag_of_loop_ms": _milli(measurement.lag_of_loop),
                "failure": measurement.failure,
            }
            for operation, way, measurement in _rows(findings)
        ],
        "cached_operations": findings.cached_operations,
        "worker_operations": findings.worker_operations,
        "idle_lag_ms": _milli(findings.control_lag),
        "stalled": bool(findings.stalls),
        "broken": findings.broken,
        "stalls": [
            {"operation": stall.operation, "mode": stall.mode, "lag_ms": _milli(stall.lag)}
            for stall in findings.stalls
        ],
        "passing_lags_ms": [_milli(lag) for lag in findings.passing],
        "notes": findings.notes,
        "seconds": findings.seconds,
    }
    return json.dumps(content, indent=2) + "\n"


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    engine, sample = findings.engine, findings.sample
    if engine is not None:
        yield "file system", f"{engine.file_system}, {'local' if engine.local else 'not known to be local'}"
        yield (
            "tier 0",
            "used: what the kernel has in its caches is answered on the loop, without a thread"
            if engine.cached
            else f"not used: {engine.reason}",
        )
        yield "access times", engine.access_times
        spin = "" if engine.spin else ", without spinning"
        cpus = f"{engine.usable_cpus} usable processor{'s' if engine.usable_cpus != 1 else ''}"
        yield "workers", f"up to {engine.max_workers}, {cpus}{spin}"
    yield "loop", f"{findings.loop}, {platform.python_implementation()} {platform.python_version()}"
    left_out = [
        f"{number} {what}"
        for number, what in (
            (findings.skipped + sample.unreadable, "unreadable"),
            (sample.too_large, f"above {LARGEST_FILE >> 20} MiB"),
        )
        if number
    ]
    yield (
        "sample",
        f"{findings.files} files measured of {len(sample.files)} found, {_bytes(sample.size)}"
        + (f"; left out: {', '.join(left_out)}" if left_out else ""),
    )
    missing = [name for name, version in findings.versions.items() if version is None]
    if missing:
        yield "not installed", ", ".join(missing)


def _table(findings: Findings, micro: str) -> Iterator[str]:
    header = ("operation", "way", micro, "ratio", "p50", "p99", micro, "ratio", "lag, ms")
    rows = [
        (
            operation,
            way,
            _figure(_micro(findings.typical(operation, way, SEQUENTIAL))),
            _figure(findings.ratio(operation, way, SEQUENTIAL)),
            _figure(_micro(measurement.percentile(50))),
            _figure(_micro(measurement.percentile(99))),
            _figure(_micro(findings.typical(operation, way, CONCURRENT))),
            _figure(findings.ratio(operation, way, CONCURRENT)),
            _figure(_milli(None if measurement.lag is None else measurement.lag_of_loop)),
        )
        for operation, way, measurement in _rows(findings)
    ]
    widths = [max(7, *map(len, column)) for column in zip(header, *rows, strict=True)]
    left = sum(widths[:2]) + 4
    sequential = sum(widths[2:6]) + 6
    yield (
        f"{'':<{left}}{'one after the other':>{sequential}}"
        f"  {'all at once':>{widths[6] + widths[7] + 2}}  {'worst':>{widths[8]}}"
    )
    yield _line(header, widths)
    previous = rows[0][0] if rows else ""
    for row in rows:
        if row[0] != previous:
            yield ""
        previous = row[0]
        yield _line(row, widths)
    for operation, way, measurement in _rows(findings):
        if measurement.failure is not None:
            yield f"{operation}, {way}: {printable(measurement.failure)}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = (
        cell.ljust(width) if index < 2 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()


def _legend(findings: Findings) -> Iterator[str]:
    yield "ratio: to the synchronous way in the same round; below 1 is faster."
    yield "lag: how much too late a task that wakes every millisecond ran, at worst, apart from waiting for a"
    yield "     processor; for the synchronous way, one after the other, the loop may turn between two calls."
    total = findings.cached_operations + findings.worker_operations
    if total:
        share = 100 * findings.cached_operations / total
        yield f"tier 0 answered {share:.0f} % of the {total:,} operations of AsyncPath."


def _verdict(findings: Findings) -> Iterator[str]:
    for stall in findings.stalls:
        mode = "one after the other" if stall.mode == SEQUENTIAL else "all at once"
        yield (
            f"AsyncPath STALLED the loop: {stall.operation}, {mode}, "
            f"each time for {_figure(_milli(stall.lag))} ms or more."
        )
    idle = f"with nothing to do it lagged by {_figure(_milli(findings.control_lag))} ms"
    if findings.passing:
        worst = _figure(_milli(max(findings.passing)))
        yield f"A lag of {worst} ms beside AsyncPath did not come back, so the machine caused it; {idle}."
    ours = [ways[OURS] for ways in findings.measurements.values()]
    if not findings.stalls and findings.files and any(measurement.times for measurement in ours):
        worst = _figure(_milli(max(measurement.lag_of_loop for measurement in ours)))
        yield (
            "AsyncPath did not stall the loop: apart from waiting for a processor "
            f"it lagged by {worst} ms at worst; {idle}."
        )
    elif not findings.stalls:
        yield "Nothing was measured, so there is nothing to say about the loop."


def _rows(findings: Findings) -> Iterator[tuple[str, str, Measurement]]:
    for operation, ways in findings.measurements.items():
        for way, measurement in ways.items():
            yield operation, way, measurement


def _micro(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def _milli(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _figure(value: float | None) -> str:
    """Three figures that mean something; a dash where nothing was measured."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bytes(size: int) -> str:
    if size < 2**10:
        return f"{size} bytes"
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
