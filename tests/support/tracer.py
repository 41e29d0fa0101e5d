"""Kills programs at their n-th system call on a folder: the process that `kill_points` starts.

Each trial is a forked child that runs the `main` of a program under ptrace(2), and is killed at the entrance
of a call, before the kernel does it. What to run comes as JSON on standard input, a line for each trial, and
so do the results on standard output. The package is imported once, before all of them.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Any

# linux/ptrace.h
_TRACE_ME, _SYSTEM_CALL, _SET_OPTIONS, _GET_CALL = 0, 24, 0x4200, 0x420E
_TELL_CALLS_APART, _FOLLOW_THREADS, _KILL_WITH_TRACER = 1, 1 << 3, 1 << 20
_ENTRY = 1
_AT_CALL = signal.SIGTRAP | 0x80
_ALL_THREADS = 0x40000000  # __WALL of waitpid(2)
_PATH_MAX = 4096
_PIPE = 16 << 10  # fits into any pipe

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Call(ctypes.Structure):
    """The beginning of `struct ptrace_syscall_info`: the same on all machines."""

    _fields_ = (
        ("stop", ctypes.c_uint8),
        ("padding", ctypes.c_uint8 * 3),
        ("machine", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    )


def _ptrace(request: int, thread: int, address: int = 0, data: Any = None) -> None:
    if _libc.ptrace(request, thread, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@dataclass
class _Child:
    """A traced process, and the folder whose system calls count."""

    process: int
    folder: str

    def subject(self, thread: int) -> str | None:
        """What in the folder the call is about that a thread is about to make, or None."""
        call = _Call()
        _ptrace(_GET_CALL, thread, ctypes.sizeof(call), ctypes.byref(call))
        if call.stop != _ENTRY:
            return None
        # A descriptor comes first, or third (linkat, renameat); a path first, or second.
        arguments = call.arguments
        about = [self._path(arguments[0]), self._path(arguments[1])]
        about += [self._file(arguments[0]), self._file(arguments[2])]
        inside = [text for text in about if text == self.folder or text.startswith(f"{self.folder}/")]
        return f"system call {call.number} on {inside[0]}" if inside else None

    def _file(self, descriptor: int) -> str:
        if descriptor > 1 << 20:
            return ""
        try:
            return os.readlink(f"/proc/{self.process}/fd/{descriptor}")
        except OSError:
            return ""

    def _path(self, address: int) -> str:
        if not 1 << 16 < address < 1 << 63:
            return ""
        try:
            with open(f"/proc/{self.process}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return os.fsdecode(memory.read(min(_PATH_MAX, 4096 - address % 4096)).partition(b"\0")[0])
        except (OSError, ValueError):
            return ""


def _run(program: str, folder: str, errors: int) -> None:
    """What the child does. It does not return."""
    try:
        names: dict[str, Any] = {}
        exec(compile(program, "<program>", "exec"), names)
        _ptrace(_TRACE_ME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        asyncio.run(names["main"](folder))
        os._exit(0)
    except BaseException:
        os.write(errors, traceback.format_exc().encode()[:_PIPE])
        os._exit(1)


def trial(program: str, folder: str, number: int) -> dict[str, Any]:
    """Run a program in a child that is killed at its call with this number, counted from 1."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        _run(program, folder, writer)
    os.close(writer)
    with open(reader, "rb") as errors:
        _, status = os.waitpid(process, 0)
        traced = os.WIFSTOPPED(status)
        calls: list[str] = []
        if traced:
            code = _follow(_Child(process, folder), number, calls)
        else:
            code = os.waitstatus_to_exitcode(status)
        return {"code": code, "calls": calls, "traced": traced, "errors": errors.read().decode()}


def _follow(child: _Child, number: int, calls: list[str]) -> int:
    """Let a stopped child go on to its call with this number; its exit code."""
    _ptrace(_SET_OPTIONS, child.process, 0, _TELL_CALLS_APART | _FOLLOW_THREADS | _KILL_WITH_TRACER)
    _ptrace(_SYSTEM_CALL, child.process)
    while True:
        thread, status = os.waitpid(-1, _ALL_THREADS)
        if not os.WIFSTOPPED(status):
            if thread == child.process:
                return os.waitstatus_to_exitcode(status)
            continue
        stopped = status >> 8
        signals = None
        try:
            if stopped == _AT_CALL:
                if (subject := child.subject(thread)) is not None:
                    calls.append(subject)
                    if len(calls) == number:
                        os.kill(child.process, signal.SIGKILL)
                        continue
            elif stopped >> 8 == 0 and stopped != signal.SIGSTOP:
                signals = stopped
            _ptrace(_SYSTEM_CALL, thread, 0, signals)
        except ProcessLookupError:
            pass  # it is being killed


def _serve() -> None:
    import rapfiles  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(trial(**json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
