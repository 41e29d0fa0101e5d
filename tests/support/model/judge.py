"""Looks for an explanation of what came of operations that ran at the same time."""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

from support.handles import Outcome

from . import folder, rules
from .program import Op
from .record import Record

# What changes nothing, of whatever target.
QUESTIONS = (
    rules.POSITIONAL - {"pwrite"} | rules.OF_THE_PATH - {"path.unlink"} | rules.FLUSHING | folder.QUESTIONS
)


class Keyed(Protocol):
    def key(self) -> Hashable: ...


S = TypeVar("S", bound=Keyed)
Steps = Callable[[S, Op, Outcome | None], list[S]]


def explanations(states: Sequence[S], records: Sequence[Record], steps: Steps[S]) -> list[S]:
    """The states that the records can lead to, from one of `states`, in an order that they allow.

    Of what ran at the same time, one was first; a cancelled operation took effect, at its place among the
    others, or did not, as `steps` allows. None: nothing explains the outcomes.
    """
    found: dict[Hashable, S] = {}
    seen: set[tuple[frozenset[int], Hashable]] = set()

    def go_on(state: S, left: frozenset[int]) -> None:
        if not left:
            found.setdefault(state.key(), state)
            return None
        mark = (left, state.key())
        if mark in seen:
            return None
        seen.add(mark)
        ready = [
            at
            for at in sorted(left)
            if not any(records[other].precedes(records[at]) for other in left - {at})
        ]
        ways = []
        for at in ready:
            after = steps(state, records[at].op, records[at].outcome)
            if after and records[at].op.name in QUESTIONS:
                # It changes nothing anywhere, so here is as good as later.
                return go_on(state, left - {at})
            ways += [(each, at) for each in after]
        for each, at in ways:
            go_on(each, left - {at})
        return None

    for state in states:
        go_on(state, frozenset(range(len(records))))
    return list(found.values())
