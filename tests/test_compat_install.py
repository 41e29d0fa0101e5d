"""`rapfiles.compat.install`: `import aiofiles` in anybody's code imports rapfiles.compat."""

from support import process

# A module that is none of ours, and what it does with aiofiles.
THIRD_PARTY = """
import importlib
import importlib.util
import sys

import rapfiles.compat


def check():
    import aiofiles
    import aiofiles.os
    import aiofiles.ospath as ospath
    import aiofiles.threadpool.text as text
    from aiofiles import open, stdin, tempfile, threadpool
    from aiofiles.base import AiofilesContextManager, wrap
    from aiofiles.tempfile.temptypes import AsyncSpooledTemporaryFile
    from aiofiles.threadpool.binary import AsyncBufferedReader
    from aiofiles.threadpool.utils import delegate_to_executor

    ours = rapfiles.compat
    assert aiofiles is ours
    assert aiofiles.os is ours.os is sys.modules["aiofiles.os"] is sys.modules["rapfiles.compat.os"]
    assert ospath is ours.ospath is aiofiles.os.path
    assert text is ours.threadpool.text
    assert open is ours.open is threadpool.open
    assert AiofilesContextManager is ours.base.AiofilesContextManager
    assert AsyncBufferedReader is ours.threadpool.AsyncBufferedReader
    assert importlib.import_module("aiofiles.threadpool") is threadpool
    assert importlib.util.find_spec("aiofiles") is not None
    try:
        import aiofiles.missing
    except ModuleNotFoundError as error:
        assert error.name == "aiofiles.missing"
    else:
        raise AssertionError


def real():
    # What there is of aiofiles itself, without what is imported already.
    import importlib.machinery

    return importlib.machinery.PathFinder.find_spec("aiofiles")
"""


def run(program: str) -> None:
    ended = process.run(THIRD_PARTY + "\nprint('ready')\n" + program)
    assert (ended.code, ended.errors) == (0, "")


def test_every_module_is_ours() -> None:
    run("rapfiles.compat.install(); check()")


def test_again_changes_nothing() -> None:
    run("rapfiles.compat.install(); rapfiles.compat.install(); check(); rapfiles.compat.install(); check()")


def test_it_works() -> None:
    run("""
import asyncio, tempfile

rapfiles.compat.install()

async def main():
    import aiofiles.os
    with tempfile.TemporaryDirectory() as folder:
        async with aiofiles.open(f"{folder}/a", "w") as f:
            await f.write("abc")
        assert (await aiofiles.os.stat(f"{folder}/a")).st_size == 3

asyncio.run(main())
""")


def test_replacing_a_name_is_seen_under_both_names() -> None:
    run("""
rapfiles.compat.install()
import aiofiles.threadpool
aiofiles.threadpool.sync_open = None
assert rapfiles.compat.threadpool.sync_open is None
""")


def test_uninstall() -> None:
    run("""
rapfiles.compat.uninstall()
rapfiles.compat.install()
check()
rapfiles.compat.uninstall()
rapfiles.compat.uninstall()
assert not [name for name in sys.modules if name.partition(".")[0] == "aiofiles"]
assert rapfiles.compat.os is sys.modules["rapfiles.compat.os"]
rapfiles.compat.install()
check()
""")


def test_after_aiofiles_itself() -> None:
    """Whatever is imported under the name already, here a module made up for it."""
    run("""
import types
theirs = sys.modules["aiofiles"] = types.ModuleType("aiofiles")
theirs_os = sys.modules["aiofiles.os"] = types.ModuleType("aiofiles.os")
try:
    rapfiles.compat.install()
except RuntimeError as error:
    assert "imported already" in str(error)
    assert "force=True" in str(error)
else:
    raise AssertionError
assert sys.modules["aiofiles"] is theirs

rapfiles.compat.install(force=True)
check()
rapfiles.compat.uninstall()
assert sys.modules["aiofiles"] is theirs
assert sys.modules["aiofiles.os"] is theirs_os
assert "aiofiles.threadpool" not in sys.modules
""")


def test_aiofiles_itself_comes_back() -> None:
    run("""
if real() is not None:
    import aiofiles as theirs
    import aiofiles.os
    rapfiles.compat.install(force=True)
    check()
    rapfiles.compat.uninstall()
    import aiofiles
    assert aiofiles is theirs
    assert aiofiles.os is not rapfiles.compat.os
""")
