"""`python -m rapfiles.compat migrate`: what it rewrites, what it leaves; all else stays byte for byte."""

import ast
import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO

import pytest

from rapfiles.compat._migrate import command, sources

if importlib.util.find_spec("libcst") is None:
    pytest.skip("libcst is not installed", allow_module_level=True)

from rapfiles.compat._migrate.rewriting import rewrite

REWRITTEN = {
    "import aiofiles": "import rapfiles.compat as aiofiles",
    "import aiofiles as aio": "import rapfiles.compat as aio",
    "import aiofiles.os": "import rapfiles.compat as aiofiles",
    "import aiofiles.os as aios": "import rapfiles.compat.os as aios",
    "import aiofiles.threadpool.text": "import rapfiles.compat as aiofiles",
    "import os, aiofiles, sys": "import os, rapfiles.compat as aiofiles, sys",
    "import aiofiles, aiofiles.os": "import rapfiles.compat as aiofiles",
    "import aiofiles.os, sys, aiofiles": "import rapfiles.compat as aiofiles, sys",
    "import sys, \\\n  aiofiles  # why": "import sys, \\\n  rapfiles.compat as aiofiles  # why",
    "import aiofiles; import sys": "import rapfiles.compat as aiofiles; import sys",
    "from aiofiles import open": "from rapfiles.compat import open",
    "from aiofiles import os as aios, ospath": "from rapfiles.compat import os as aios, ospath",
    "from aiofiles import (\n    open,  # why\n    stdin,\n)": (
        "from rapfiles.compat import (\n    open,  # why\n    stdin,\n)"
    ),
    "from aiofiles import *": "from rapfiles.compat import *",
    "from  aiofiles . os  import  stat": "from  rapfiles.compat.os  import  stat",
    "from aiofiles.os import path": "from rapfiles.compat.os import path",
    "from aiofiles.threadpool.text import AsyncTextIOWrapper": (
        "from rapfiles.compat.threadpool.text import AsyncTextIOWrapper"
    ),
    "from aiofiles.tempfile.temptypes import AsyncSpooledTemporaryFile": (
        "from rapfiles.compat.tempfile.temptypes import AsyncSpooledTemporaryFile"
    ),
    "try:\n    import aiofiles\nexcept ImportError:\n    aiofiles = None": (
        "try:\n    import rapfiles.compat as aiofiles\nexcept ImportError:\n    aiofiles = None"
    ),
    "def f():\n    import aiofiles.os\n    return aiofiles.os.stat": (
        "def f():\n    import rapfiles.compat as aiofiles\n    return aiofiles.os.stat"
    ),
    # The second one of a block would do the same as the first.
    "import aiofiles\nimport aiofiles.os\nimport sys": "import rapfiles.compat as aiofiles\nimport sys",
    "import aiofiles\nimport aiofiles.os  # why": (
        "import rapfiles.compat as aiofiles\nimport rapfiles.compat as aiofiles  # why"
    ),
    "import aiofiles\nif x:\n    import aiofiles.os": (
        "import rapfiles.compat as aiofiles\nif x:\n    import rapfiles.compat as aiofiles"
    ),
}


@pytest.mark.parametrize("before", REWRITTEN)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_what_is_rewritten(before: str, end: str) -> None:
    before, after = (
        before.replace("\n", end or "\n") + end,
        REWRITTEN[before].replace("\n", end or "\n") + end,
    )
    outcome = rewrite(before)
    assert outcome.text == after
    assert outcome.changes
    assert outcome.left == []
    # Nothing is left to do, and what has come out is Python.
    ast.parse(after)
    assert rewrite(after) == (after, [], [])


@pytest.mark.parametrize(
    "source",
    [
        "import aiofiles_more, aiofile",
        "from .aiofiles import open",
        "from . import aiofiles",
        "import package.aiofiles",
        "aiofiles = 1",
        '"""aiofiles"""',
        "x = 'about aiofiles.'",
        "# import aiofiles",
    ],
)
def test_what_is_none_of_its_business(source: str) -> None:
    assert rewrite(source) == (source, [], [])


LEFT = {
    "importlib.import_module('aiofiles')": "perhaps it should be 'rapfiles.compat'",
    "__import__('aiofiles.os')": "perhaps it should be 'rapfiles.compat.os'",
    "mock.patch('aiofiles.' 'open')": "perhaps it should be 'rapfiles.compat.open'",
    "sys.modules['aiofiles']": "perhaps it should be 'rapfiles.compat'",
    "def f(x: 'aiofiles.base.AsyncBase'): ...": "an annotation in a string",
    "x: 'list[aiofiles.base.AsyncBase]' = []": "an annotation in a string",
    "def f() -> 'aiofiles.base.AsyncBase': ...": "an annotation in a string",
    "from aiofiles.unknown import x": "there is no module rapfiles.compat.unknown",
    "import aiofiles.unknown": "there is no module rapfiles.compat.unknown",
    "from aiofiles import unknown": "rapfiles.compat has no unknown",
    "from aiofiles.os import stat, unknown": "rapfiles.compat.os has no unknown",
}


@pytest.mark.parametrize("source", LEFT)
def test_what_is_left(source: str) -> None:
    outcome = rewrite("\n" + source)
    assert outcome.text == "\n" + source
    assert outcome.changes == []
    assert [line for line, _ in outcome.left] == [2]
    assert LEFT[source] in outcome.left[0].text


def migrate(
    *arguments: str | Path, stdout: int | IO[bytes] = subprocess.PIPE
) -> "subprocess.CompletedProcess[str]":
    package = Path(command.__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "rapfiles.compat", "migrate", *map(str, arguments)],
        cwd=package,
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_tree(tmp_path: Path) -> None:
    tree = {
        "a.py": b"import aiofiles\n",
        "stub.pyi": b"import aiofiles.os as o\n",
        "deep/er/b.py": b"x = 1\nfrom aiofiles import open\npatch('aiofiles.open')\n",
        "same.py": b"import os\n",
        "text.txt": b"import aiofiles\n",
        ".hidden/c.py": b"import aiofiles\n",
        "env/pyvenv.cfg": b"",
        "env/d.py": b"import aiofiles\n",
        "__pycache__/e.py": b"import aiofiles\n",
    }
    for name, content in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a.py").chmod(0o755)

    checked = migrate("--check", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in tree} == tree
    assert (checked.returncode, checked.stderr) == (1, "")
    assert checked.stdout == textwrap.dedent(
        f"""\
        {tmp_path / "a.py"}:1: import aiofiles -> import rapfiles.compat as aiofiles
        {tmp_path / "stub.pyi"}:1: import aiofiles.os as o -> import rapfiles.compat.os as o
        {tmp_path / "deep" / "er" / "b.py"}:2: from aiofiles import open -> from rapfiles.compat import open
        {tmp_path / "deep" / "er" / "b.py"}:3: left: 'aiofiles.open': a string names aiofiles; \
perhaps it should be 'rapfiles.compat.open'
        3 files would be changed, 1 place left to you
        """
    )

    done = migrate(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == checked.stdout.replace("would be changed", "changed")
    changed = {
        "a.py": b"import rapfiles.compat as aiofiles\n",
        "stub.pyi": b"import rapfiles.compat.os as o\n",
        "deep/er/b.py": b"x = 1\nfrom rapfiles.compat import open\npatch('aiofiles.open')\n",
    }
    assert {name: (tmp_path / name).read_bytes() for name in tree} == tree | changed
    if sys.platform != "win32":
        assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o755

    again = migrate("--check", tmp_path)
    assert again.returncode == 0
    assert again.stdout.endswith("0 files would be changed, 1 place left to you\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfIMPORT\r\nx = '\xc3\xa9'  \r\n\r\n",
        b"# coding: latin-1\nx = '\xe9'; IMPORT; y = '\xe9'",
        b"#!/usr/bin/python\n# -*- coding: shift_jis -*-\nx = '\x93\xfa\x96\x7b'\nIMPORT\n",
        b"if 1:\n\tIMPORT \t# tabs\n\n\n  # odd\n\tx = (1,\n  2)\n",
        b"\x0c\nIMPORT\n\x0c\nx = 1\n",
        b"x = 1\r\nIMPORT\ny = 2\r\n",
    ],
)
def test_all_else_stays_byte_for_byte(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "some-script"
    file.write_bytes(content.replace(b"IMPORT", b"import aiofiles"))
    done = migrate(file)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == content.replace(b"IMPORT", b"import rapfiles.compat as aiofiles")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"import aiofiles\nprint 'a'\n", "line 2"),
        (b"# coding: nonsense\nimport aiofiles\n", "nonsense"),
        (b"import aiofiles\nx = '\xe9'\n", "utf-8"),
        (b"import aiofiles\rx = 1\r", "line ends"),
        (b"\x0cimport aiofiles\n", "form feeds"),
    ],
)
def test_what_cannot_be_migrated(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(content)
    (tmp_path / "b.py").write_bytes(b"import aiofiles\n")
    done = migrate(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path / 'a.py'}: cannot be migrated: " in done.stderr
    assert complaint in done.stderr
    # The others are.
    assert (tmp_path / "a.py").read_bytes() == content
    assert (tmp_path / "b.py").read_bytes() == b"import rapfiles.compat as aiofiles\n"


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    done = migrate(tmp_path / "missing")
    assert done.returncode == 2
    assert "missing" in done.stderr


def test_an_empty_path(tmp_path: Path) -> None:
    """It is not the current folder."""
    (tmp_path / "a.py").write_bytes(b"import aiofiles\n")
    done = migrate(tmp_path / "a.py", "")
    assert done.returncode == 2
    assert "the empty string is not a path" in done.stderr
    assert (tmp_path / "a.py").read_bytes() == b"import aiofiles\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / ".#lock.py").symlink_to("user@host.1:1")
    (tmp_path / "folder.py").mkdir()
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.py")).write_bytes(b"import aiofiles\n")
    done = migrate("--check", tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == [
        r"\udcff.py:1: import aiofiles -> import rapfiles.compat as aiofiles",
        "1 file would be changed, 0 places left to you",
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this platform")
def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"import aiofiles\n")
    with open("/dev/full", "wb") as full:
        done = migrate("--check", tmp_path, stdout=full)
    assert (done.returncode, done.stderr) == (2, "standard output: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = migrate("--check", tmp_path, stdout=pipe)
    assert (done.returncode, done.stderr) == (141, "")


def test_without_libcst(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"import aiofiles\n")
    program = (
        "import sys; sys.modules['libcst'] = None\n"
        "from rapfiles.compat._migrate.command import run\n"
        "sys.exit(run(['migrate', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(command.__file__).parents[3],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "migrate needs libcst: pip install 'rapfiles[migrate]'\n"


def test_it_finds_this_file() -> None:
    assert Path(__file__) in set(sources.find([Path(__file__).parent]))
