"""The documentation is true: every example runs and prints what it says, every command is the one CI runs."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import rapfiles
import rapfiles.progress

ROOT = Path(__file__).resolve().parents[1]
# Where this process found the package: an installed wheel or the checkout.
PACKAGE = Path(rapfiles.__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```python *\n(?P<source>.*?)^(?P=indent)``` *$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *# ?> ?(?P<line>.*)$", re.MULTILINE)

# An example runs as its reader would run it: one that awaits at its top level as in `python -m asyncio`,
# any other as a script. The source arrives on standard input, after as many empty lines as make a traceback
# name the line of the page.
RUN = """
import ast, asyncio, inspect, sys
names = {"__name__": "__main__"}
exec(sys.argv[2], names)
code = compile(sys.stdin.read(), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
if code.co_flags & inspect.CO_COROUTINE:
    async def main():
        await eval(code, names)
    asyncio.run(main())
else:
    exec(code, names)
"""

# What the examples in docstrings need not say again.
DOCSTRING_PRELUDE = """
from rapfiles import AsyncPath, open, wrap_file
directory = AsyncPath(__import__("os").getcwd())
"""


def keeps_attributes(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.rapfiles", b"")
        os.removexattr(folder, "user.rapfiles")
    except (AttributeError, OSError):
        return False
    return True


# What an example mentions, and whether it is to be had in the folder where the example runs.
NEEDS: dict[str, Callable[[Path], bool]] = {
    "mkfifo": lambda _: hasattr(os, "mkfifo"),
    "statvfs": lambda _: hasattr(os, "statvfs"),
    "xattr": keeps_attributes,
    **{
        name: lambda _, name=name: importlib.util.find_spec(name) is not None
        for name in ("rich", "tqdm", "uvloop")
    },
}


class Example(NamedTuple):
    """A block of Python, where it stands, and what is defined before it."""

    place: str
    line: int
    source: str
    prelude: str = ""

    @property
    def id(self) -> str:
        return f"{self.place}:{self.line}"


def blocks(place: str, text: str, prelude: str = "") -> Iterator[Example]:
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("source")) + 1
        yield Example(place, line, textwrap.dedent(match["source"]), prelude)


def page_examples() -> Iterator[Example]:
    for page in PAGES:
        yield from blocks(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))


def documented(name: str, thing: object) -> Iterator[tuple[str, object]]:
    """Give a public object, and, if it is a class, its public members that rapfiles itself defines."""
    yield name, thing
    if inspect.isclass(thing):
        for cls in thing.__mro__:
            if cls.__module__.partition(".")[0] == "rapfiles":
                for member, value in vars(cls).items():
                    if not member.startswith("_"):
                        yield f"{name}.{member}", value


def docstring_examples() -> Iterator[Example]:
    for package in (rapfiles, rapfiles.progress):
        for name in package.__all__:
            thing = getattr(package, name)
            if isinstance(thing, ModuleType):
                continue
            for place, member in documented(f"{package.__name__}.{name}", thing):
                yield from blocks(place, inspect.getdoc(member) or "", DOCSTRING_PRELUDE)


EXAMPLES = [*page_examples(), *dict.fromkeys(docstring_examples())]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_example(example: Example, tmp_path: Path) -> None:
    for need, available in NEEDS.items():
        if need in example.source and not available(tmp_path):
            pytest.skip(f"no {need} on this platform or file system")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, example.place, example.prelude],
        input="\n" * (example.line - 1) + example.source,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if promised := PRINTED.findall(example.source):
        assert done.stdout.splitlines() == promised


def test_examples_are_found() -> None:
    """Guards the search itself: of everything that should have examples, some were found."""
    places = {example.place for example in EXAMPLES}
    assert {"README.md", "docs/index.md", "rapfiles.AsyncPath.read_bytes", "rapfiles.configure"} <= places


def test_every_public_docstring_is_there() -> None:
    missing = [
        place
        for name in rapfiles.__all__
        for place, member in documented(f"rapfiles.{name}", getattr(rapfiles, name))
        if callable(member) and not inspect.getdoc(member)
    ]
    assert missing == []


def test_readme_commands_are_what_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    steps = re.findall(r'^step ".*?" "(.*)"$', script, re.MULTILINE)
    for command in commands:
        assert command.strip() in steps


def test_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == rapfiles.__version__
