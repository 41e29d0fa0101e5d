"""Kills a program at each of its system calls on a folder, one after the other (`kill -9`).

    for point in kill_points.each(PROGRAM, folder, prepare):
        check(folder, point)

`PROGRAM` is the text of a module whose `async def main(folder: str)` does the work. For each number,
`prepare()` makes the folder anew, and a child process runs `main` until it enters its call of that number:
the call is not made, and no clean-up runs. At the end comes a point at which nothing was killed. A program
that recovers from the death of another is killed in the same way: its `prepare` then kills the other one,
with `until`.

A call counts if it has a path in the folder, or a descriptor of something there: whichever calls a program
makes, it is killed between any two of them that concern the folder. It takes some 10 ms for each of them.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from support import process

_START = "import runpy; runpy.run_module('support.tracer', run_name='__main__')\n"


@dataclass(frozen=True)
class Point:
    """Where a child was killed: at its `number`-th call. `call` is None if it ended by itself."""

    number: int
    call: str | None

    def __str__(self) -> str:
        return "not killed" if self.call is None else f"killed at {self.number}: {self.call}"


@cache
def _tracer() -> "subprocess.Popen[str]":
    """The process that starts the children. It ends with this one, which closes its standard input."""
    command = [sys.executable, "-W", "error", "-c", process.PREAMBLE + _START]
    tracer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(tracer.communicate)
    return tracer


def until(program: str, folder: Path, number: int) -> Point:
    """Run a program until it enters its system call on the folder with this number, counted from 1."""
    if sys.platform != "linux":
        pytest.skip("ptrace(2) is Linux's")
    tracer = _tracer()
    assert tracer.stdin is not None
    assert tracer.stdout is not None
    what = {"program": program, "folder": os.path.realpath(folder), "number": number}
    tracer.stdin.write(json.dumps(what) + "\n")
    tracer.stdin.flush()
    answer = tracer.stdout.readline()
    assert answer, "the tracer has ended"
    ended = json.loads(answer)
    if not ended["traced"] and "Operation not permitted" in ended["errors"]:
        pytest.skip("ptrace(2) is not permitted")
    if ended["code"] == -9 and len(ended["calls"]) == number:
        return Point(number, ended["calls"][-1])
    assert ended["code"] == 0, f"the program ended with {ended['code']}:\n{ended['errors']}"
    return Point(number, None)


def each(program: str, folder: Path, prepare: Callable[[], object], most: int = 500) -> Iterator[Point]:
    """Kill a program at its first call on the folder, its second, …, and in the end not at all."""
    for number in range(1, most + 1):
        prepare()
        point = until(program, folder, number)
        yield point
        if point.call is None:
            return
    raise AssertionError(f"a program that makes more than {most} calls:\n{program}")
