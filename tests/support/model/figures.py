"""Counts what was played."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Figures:
    """How many programs, operations, cancelled operations, and differences there were."""

    programs: int = 0
    operations: int = 0
    cancelled: int = 0
    differences: list[str] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.programs} programs, {self.operations} operations, {self.cancelled} of them cancelled, "
            f"{len(self.differences)} differences"
        )
