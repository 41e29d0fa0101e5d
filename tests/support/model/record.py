"""What came of an operation."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from support.handles import Outcome

from . import rules
from .program import Op

_clock = itertools.count()


@dataclass(eq=False)
class Record:
    """An operation that was begun, and its outcome; None: it was cancelled.

    `begin` and `end` are moments of one clock, that counts.
    """

    op: Op
    outcome: Outcome | None = None
    begin: int = field(default_factory=lambda: next(_clock))
    end: int | None = None

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.end = next(_clock)

    @property
    def in_turn(self) -> bool:
        """Whether it takes its turn when it begins, and so takes effect in the order of beginning."""
        # A handle's other operations run beside those, a folder's anyhow. Many lines are collected first.
        beside = rules.POSITIONAL | rules.OF_THE_PATH | {"writelines"}
        if self.op.name == "close" and self.outcome is None:
            # "If cancelled, that is finished in the background": whenever that is.
            return False
        return self.op.target.startswith("file") and self.op.name not in beside

    def precedes(self, other: "Record") -> bool:
        """Whether it takes effect first in any case."""
        if self.in_turn and other.in_turn:
            return self.begin < other.begin
        return self.end is not None and self.end < other.begin

    def __str__(self) -> str:
        came = "cancelled" if self.outcome is None else shown(self.outcome)
        return f"{self.op!r} [{self.begin} to {self.end}]: {came}"


def shown(value: Any) -> str:
    """A value, shortened."""
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    if isinstance(value, str | bytes | bytearray) and len(value) > 60:
        return f"<{len(value)}: {value[:24]!r} … {value[-16:]!r}>"
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]} … {text[-60:]}"
