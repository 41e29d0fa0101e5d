"""The harness's side of the measuring processes: one per library, and the floor, a program in Rust."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .works import Files, Names, Scale, Work

ROOT = Path(__file__).resolve().parent.parent
FLOOR = ROOT / "target" / "release" / "examples" / ("floor.exe" if os.name == "nt" else "floor")


class WorkerError(Exception):
    """A library failed, hung or died; the message says how."""


class WorkerProcess:
    """A running worker (see worker.py), which answers one command at a time.

    Between its answer and the next command it is stopped, where the system can: what a library still does
    then, for seconds, would take a processor from the others.
    """

    def __init__(
        self,
        label: str,
        loop: str,
        directory: str,
        scale: Scale,
        *,
        python: str = sys.executable,
        root: Path = ROOT,
    ) -> None:
        """Start it in the folder `root`, from which an interpreter imports what it has not installed."""
        self.label = label
        settings = json.dumps({"loop": loop, "directory": directory, "scale": asdict(scale)})
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=root,
            # One hash seed for all, so that no process is luckier in its dicts than another.
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        self._complaints = b""
        self._ended: str | None = None

    def send(self, command: str, **arguments: Any) -> None:
        """Give a command without waiting for its answer."""
        if self._ended is not None:
            raise WorkerError(self._ended)
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._obituary()) from None

    def receive(self, timeout: float = 120) -> dict[str, Any]:
        """The answer to the last command. A worker that does not answer in time is ended."""
        assert self._process.stdout is not None
        line = self._read_line(timeout)
        if not line:
            raise WorkerError(self._obituary())
        self._signal("SIGSTOP")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def ask(self, command: str, timeout: float = 120, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.send(command, **arguments)
        return self.receive(timeout)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        if self._ended is None:
            self._ended = "the process was ended"
            self._process.communicate()
        self._process.wait()

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):
            self._process.send_signal(getattr(signal, name))

    def _read_line(self, timeout: float) -> bytes:
        """One line of the answer; what the library prints is put aside, so that its pipe never fills."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            selector.register(self._process.stderr, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                ready = selector.select(timeout)
                if not ready:
                    self._ended = f"no answer within {timeout:.0f} s"
                    self._process.kill()
                    raise WorkerError(self._ended)
                for key, _ in ready:
                    chunk = os.read(key.fd, 65536)
                    if key.fileobj is self._process.stderr:
                        self._complaints = (self._complaints + chunk)[-10_000:]
                        if not chunk:
                            selector.unregister(self._process.stderr)
                    elif not chunk:
                        return b""
                    else:
                        line += chunk
        return line

    def _obituary(self) -> str:
        _, complaints = self._process.communicate()
        lines = (self._complaints + complaints).decode(errors="replace").strip().splitlines()
        self._ended = f"the process ended with {self._process.returncode}" + (
            f": {lines[-1]}" if lines else ""
        )
        return self._ended


class Floor:
    """The bare calls, made by `rust/rapfiles-core/examples/floor.rs`."""

    name = "floor"
    hint = "not built: cargo build --release -p rapfiles-core --example floor"

    def __init__(self, files: Files) -> None:
        self._files = files

    @staticmethod
    def available() -> bool:
        """Whether the program has been built."""
        return FLOOR.exists()

    def turn(self, work: Work, count: int) -> float:
        """Seconds per operation over `count` of them."""
        names = self._files.names(work, self.name, count)
        self._files.prepare(work, self.name, names)
        completed = subprocess.run(
            [FLOOR, "read_large" if work.shape == "single" else work.operation],
            input="".join(f"{name}\0" for name in _flat(names)).encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        self._files.clear(self.name)
        if completed.returncode != 0:
            raise WorkerError(completed.stderr.decode(errors="replace").strip())
        microseconds: float = json.loads(completed.stdout)["microseconds"]
        return microseconds / 1e6


def _flat(names: Names) -> Sequence[str]:
    return [part for name in names for part in ((name,) if isinstance(name, str) else name)]
