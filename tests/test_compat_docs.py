"""The examples in the documentation of rapfiles.compat run."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import test_docs

_MODULES = ["", ".base", ".os", ".ospath", ".tempfile", ".threadpool"]
_NOT_IN_ALL = {"": ["install", "uninstall"], ".base": ["wrap"], ".threadpool": ["wrap"]}


def examples() -> Iterator[test_docs.Example]:
    for suffix in _MODULES:
        module = importlib.import_module(f"rapfiles.compat{suffix}")
        for name in [*getattr(module, "__all__", []), *_NOT_IN_ALL.get(suffix, [])]:
            thing = getattr(module, name)
            if inspect.isfunction(thing) and (thing.__module__ or "").startswith("rapfiles."):
                yield from test_docs.blocks(f"{module.__name__}.{name}", inspect.getdoc(thing) or "")


EXAMPLES = list(dict.fromkeys(examples()))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_example(example: test_docs.Example, tmp_path: Path) -> None:
    test_docs.test_example(example, tmp_path)


def test_examples_are_found() -> None:
    places = {example.place for example in EXAMPLES}
    assert {
        "rapfiles.compat.install",
        "rapfiles.compat.open",
        "rapfiles.compat.tempfile.TemporaryFile",
    } <= places
