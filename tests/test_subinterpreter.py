"""A subinterpreter cannot use the module, and says so when it imports it."""

import pytest

from support import process

_PROGRAM = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

program = f'''
import sys
sys.path[:] = {sys.path!r}
try:
    import rapfiles._native
except ImportError as error:
    print(error, flush=True)
'''
print("ready", flush=True)
interpreter = interpreters.create()
interpreters.run_string(interpreter, program)
interpreters.destroy(interpreter)

# Here it goes on working, whichever of the two was first.
import asyncio, rapfiles
assert asyncio.run(rapfiles.AsyncPath("/").exists())
"""


@pytest.mark.parametrize("first", ["", "import rapfiles\n"], ids=["first", "second"])
def test_a_subinterpreter_is_refused(first: str) -> None:
    ended = process.run(first + _PROGRAM)
    said = "module rapfiles._native does not support loading in subinterpreters\n"
    assert (ended.code, ended.output, ended.errors) == (0, said, "")
