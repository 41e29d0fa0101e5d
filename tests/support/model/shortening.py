"""Cuts a program that fails down to what it takes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from .program import Program, Round, Task


def shortened(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    """A program that fails as well, with as little in it as could be found in so many seconds.

    It fails or not with the moments at which things happen, so `fails` is to try more than once.
    """
    deadline = time.monotonic() + seconds
    again = True
    while again:
        again = False
        for fewer in _fewer(program):
            if time.monotonic() > deadline:
                return program
            if fails(fewer):
                program, again = fewer, True
                break
    return program


def _fewer(program: Program) -> Iterator[Program]:
    """The programs that lack one thing, the large things first."""
    rounds = program.rounds
    for count in (len(rounds) // 2, 1):
        for at in range(0, len(rounds) - count + 1, max(count, 1)):
            if count:
                yield program.with_rounds(rounds[:at] + rounds[at + count :])
    for at, each in enumerate(rounds):
        for fewer in _fewer_tasks(each):
            yield program.with_rounds((*rounds[:at], fewer, *rounds[at + 1 :]))
    # The last file or folder, where nobody uses it.
    used = {op.target for each in rounds for task in each.tasks for op in task.operations}
    if len(program.files) > 1 and f"file {len(program.files) - 1}" not in used:
        yield replace(program, files=program.files[:-1])
    if program.folders and f"folder {program.folders - 1}" not in used:
        yield replace(program, folders=program.folders - 1)
    for at, file in enumerate(program.files):
        for simpler in (replace(file, opening=()), replace(file, ending="close")):
            if simpler != file:
                yield replace(program, files=(*program.files[:at], simpler, *program.files[at + 1 :]))


def _fewer_tasks(each: Round) -> Iterator[Round]:
    tasks = each.tasks
    for at, task in enumerate(tasks):
        if len(tasks) > 1:
            yield replace(each, tasks=tasks[:at] + tasks[at + 1 :])
        for number in range(len(task.operations)):
            if len(task.operations) > 1:
                operations = task.operations[:number] + task.operations[number + 1 :]
                cancel = task.cancel
                if cancel is not None:
                    before = cancel.operation - (cancel.operation > number)
                    cancel = replace(cancel, operation=min(before, len(operations) - 1))
                yield replace(each, tasks=(*tasks[:at], Task(operations, cancel), *tasks[at + 1 :]))
        if task.cancel is not None:
            yield replace(each, tasks=(*tasks[:at], replace(task, cancel=None), *tasks[at + 1 :]))
    if each.probe:
        yield replace(each, probe=False)
