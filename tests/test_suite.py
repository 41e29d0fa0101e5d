"""The suite itself: what hangs ends with a dump, and every test runs on the loops that it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import effort
from support.loops import LOOPS, Loop

_CONFTEST = Path(__file__).parent / "conftest.py"
_SETTINGS = _CONFTEST.parent.parent / "pyproject.toml"

_HANGS = """
import threading
import pytest

@pytest.mark.watchdog(0.5)
def test_that_hangs():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def test_that_is_never_reached():
    pass
"""

_HANGS_AT_EXIT = """
import threading

def test_that_leaves_a_thread():
    threading.Thread(target=threading.Event().wait).start()
"""


@pytest.mark.parametrize(("program", "seconds"), [(_HANGS, "120"), (_HANGS_AT_EXIT, "0.5")])
def test_a_hang_is_a_failure_with_a_dump(program: str, seconds: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(program)
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(_CONFTEST.parent)!r})\n"
        f"from support import watchdog; watchdog.SECONDS = {seconds}\n" + _CONFTEST.read_text("utf-8")
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        str(_SETTINGS),
        "--rootdir",
        str(tmp_path),
    ]
    ended = subprocess.run(
        [*command, str(tmp_path / "test_it.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended
    assert "Timeout (0:00:00.5" in ended.stderr
    assert "most recent call first" in ended.stderr


@pytest.mark.one_loop
@pytest.mark.parametrize("number", range(2 * len(LOOPS)))
def test_one_loop(number: int, loop: Loop, request: pytest.FixtureRequest) -> None:
    """The parameter sets go round the loops."""
    chosen_by_hand = len(request.session.items) == 1
    assert effort.EVERYTHING in os.environ or chosen_by_hand or loop is LOOPS[number % len(LOOPS)]
