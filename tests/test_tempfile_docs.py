"""The examples in the docstrings of rapfiles.tempfile run."""

import inspect
from pathlib import Path

import pytest

from rapfiles import tempfile
from test_docs import DOCSTRING_PRELUDE, Example, blocks, documented
from test_docs import test_example as run_example

EXAMPLES = list(
    dict.fromkeys(
        example
        for name in tempfile.__all__
        for place, member in documented(f"rapfiles.tempfile.{name}", getattr(tempfile, name))
        for example in blocks(place, inspect.getdoc(member) or "", DOCSTRING_PRELUDE)
    )
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_docstring(example: Example, tmp_path: Path) -> None:
    run_example(example, tmp_path)


def test_every_public_function_has_an_example() -> None:
    places = {example.place for example in EXAMPLES}
    functions = {
        f"rapfiles.tempfile.{name}"
        for name in tempfile.__all__
        if inspect.isfunction(getattr(tempfile, name))
    }
    assert functions <= places


def test_everything_public_is_documented() -> None:
    missing = [
        place
        for name in tempfile.__all__
        for place, member in documented(f"rapfiles.tempfile.{name}", getattr(tempfile, name))
        if callable(member) and not inspect.getdoc(member)
    ]
    assert missing == []
