"""The results of an examination, and the figures computed from them."""

from dataclasses import dataclass, field
from statistics import median

from .sample import Sample
from .ways import OURS, SYNCHRONOUS

Rounds = dict[int, float]
"""Seconds per operation, by the number of the round."""


@dataclass
class Measurement:
    """One operation done in one way."""

    sequential: Rounds = field(default_factory=Rounds)
    concurrent: Rounds = field(default_factory=Rounds)
    times: list[float] = field(default_factory=list[float])
    """Each operation of the sequential rounds, in seconds."""
    lag: float | None = None
    """The worst lag of the loop, in seconds."""
    lag_of_loop: float = 0.0
    """The same without the time in which the loop's thread waited for a processor."""
    failure: str | None = None
    """Why there are no figures, or not all of them."""
    raised: bool = False
    """Whether it failed with an exception that says nothing about the file, but about the library."""

    def percentile(self, percent: int) -> float | None:
        """The time that this percentage of the sequential operations does not exceed."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None

    def note_lag(self, lag: float, lag_of_loop: float) -> None:
        """Keep the lags if they are the worst so far."""
        self.lag = max(lag, self.lag or 0.0)
        self.lag_of_loop = max(lag_of_loop, self.lag_of_loop)


@dataclass(frozen=True)
class Engine:
    """What the engine can use on the file system of the directory, and on this machine."""

    file_system: str
    local: bool
    cached: bool
    """Whether tier 0 can be used: answers from the kernel's caches, on the loop's thread."""
    reason: str | None
    """Why not."""
    access_times: str
    """How access times are kept, which decides who reads what has just been changed."""
    max_workers: int
    usable_cpus: int
    spin: bool
    """Whether threads may look out for each other for some microseconds before they sleep."""


@dataclass(frozen=True)
class Stall:
    """A lag of the loop beside AsyncPath that noise does not explain: it came back each time."""

    operation: str
    mode: str
    lag: float
    """The least lag of all attempts, in seconds."""


@dataclass
class Findings:
    """The whole examination. It grows while that runs, so that a part can be reported if it is cut off."""

    sample: Sample
    versions: dict[str, str | None]
    """The version of each library that is compared, None for those that cannot be imported."""
    measurements: dict[str, dict[str, Measurement]]
    """By operation and way."""
    loop: str = ""
    engine: Engine | None = None
    files: int = 0
    """How many files of the sample were used."""
    skipped: int = 0
    """How many files of the sample could not be read."""
    control_lag: float = 0.0
    """The worst lag of the loop with nothing but the ticker on it, in seconds, counted as `lag_of_loop`."""
    stalls: list[Stall] = field(default_factory=list[Stall])
    passing: list[float] = field(default_factory=list[float])
    """Lags beside AsyncPath that looked like a stall and did not come back, in seconds."""
    notes: list[str] = field(default_factory=list[str])
    cached_operations: int = 0
    """How many operations of AsyncPath were answered by tier 0 …"""
    worker_operations: int = 0
    """… and how many by workers."""
    seconds: float = 0.0

    @property
    def broken(self) -> bool:
        """Whether AsyncPath failed at something that works synchronously."""
        return any(ways[OURS].raised and ways[SYNCHRONOUS].times for ways in self.measurements.values())

    def ratio(self, operation: str, way: str, mode: str) -> float | None:
        """The median over the rounds of this way / the synchronous way in the same round."""
        ways = self.measurements[operation]
        rounds: Rounds = getattr(ways[way], mode)
        base: Rounds = getattr(ways[SYNCHRONOUS], mode)
        ratios = [rounds[index] / base[index] for index in rounds if index in base]
        return median(ratios) if ratios else None

    def typical(self, operation: str, way: str, mode: str) -> float | None:
        """The median over the rounds, in seconds per operation."""
        rounds: Rounds = getattr(self.measurements[operation][way], mode)
        return median(rounds.values()) if rounds else None
