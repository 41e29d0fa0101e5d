"""Out of memory: an operation fails with io's exception, and the process lives on."""

import sys
from pathlib import Path

import pytest

from support import process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to RLIMIT_AS")

# Each operation in a child of its own, which has some memory, but not enough for everything.
_CHILDREN = """
import asyncio, faulthandler, itertools, os, resource, sys, warnings
from pathlib import Path
import rapfiles, rapfiles.compat
from rapfiles import AsyncPath

# That of faulthandler is a thread as well, says Python 3.15.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
folder = sys.argv[1]

def limit():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + int(os.environ["HEADROOM"])
    resource.setrlimit(resource.RLIMIT_AS, (size, size))

def told(run):
    # The class of the exception.
    try:
        limit()
        run()
    except MemoryError:
        return "MemoryError"
    except OSError as error:
        return f"OSError({error.errno})"
    except UnicodeError as error:
        return type(error).__name__
    return "done"

def child(run):
    faulthandler.dump_traceback_later(30, exit=True)
    read, write = os.pipe()
    number = os.fork()
    if number == 0:
        try:
            os.write(write, told(run).encode())
        finally:
            os._exit(0)
    os.close(write)
    answer = os.read(read, 100).decode()
    os.close(read)
    status = os.waitpid(number, 0)[1]
    return answer if status == 0 else f"{answer} and then status {status:#x}"
"""

_PROGRAM = (
    _CHILDREN
    + """
LINE, LINES, MOST = 1 << 20, 192, 160 << 20
large, long, out = (os.path.join(folder, name) for name in ("large", "long", "out"))
with open(large, "wb") as file:
    for number in range(1, LINES + 1):
        file.seek(number * LINE - 1)
        file.write(b"\\n")
with open(long, "wb") as file:
    file.truncate(LINE * LINES)
text = "x" * (16 << 20)
wide = "\\u20ac" * (5 << 20)
content = bytes(16 << 20)

def reads(mode, name, **keywords):
    def synchronous(use):
        with open(name, mode, **keywords) as file:
            return use(file)
    async def asynchronous(use):
        async with rapfiles.open(name, mode, **keywords) as file:
            return await use(file)
    return synchronous, asynchronous

def lines(file):
    return [line for line in file]

async def lines_awaited(file):
    return [line async for line in file]

def whole(name):
    return (lambda use: use(Path(name))), (lambda use: use(AsyncPath(name)))

UTF8, UTF16 = {"encoding": "utf-8"}, {"encoding": "utf-16-le"}
CASES = {}
def case(name, open_pair, use, awaited=None):
    CASES[name] = (open_pair, use, awaited or use)

case("read_bytes", whole(large), lambda path: path.read_bytes())
case("write_bytes", whole(out), lambda path: path.write_bytes(content))
for kind, keywords in {"utf-8": UTF8, "utf-16": UTF16}.items():
    case(f"read_text {kind}", whole(large), lambda path, e=keywords["encoding"]: path.read_text(e))
    case(f"write_text {kind}", whole(out), lambda path, e=keywords["encoding"]: path.write_text(text, e))
    case(f"read {kind}", reads("r", large, **keywords), lambda file: file.read())
    case(f"read(n) {kind}", reads("r", large, **keywords), lambda file: file.read(MOST))
    case(f"readline {kind}", reads("r", long, **keywords), lambda file: file.readline())
    case(f"write {kind}", reads("w", out, **keywords), lambda file: file.write(text))
    case(f"write wide {kind}", reads("w", out, **keywords), lambda file: file.write(wide))
case("readlines utf-8", reads("r", large, **UTF8), lambda file: file.readlines())
case("readlines latin-1", reads("r", large, encoding="latin-1"), lambda file: file.readlines())
case("iterate utf-8", reads("r", long, **UTF8), lines, lines_awaited)
case("newlines", reads("r", long, newline="", **UTF8), lambda file: file.readline())
case("short readline", reads("r", large, **UTF8), lambda file: file.readline())
# What is written beside what was written before does not fit, but does when that is in the file.
far, farther, farthest = ("x" * (size << 20) for size in (24, 29, 58))
third, euros = "x" * (16 << 20), "\\u20ac" * (15 << 20)

def often(file):
    for _ in range(4):
        file.write(far)

async def often_awaited(file):
    for _ in range(4):
        await file.write(far)

def compat(mode, name, **keywords):
    async def asynchronous(use):
        async with rapfiles.compat.open(name, mode, **keywords) as file:
            return await use(file)
    return reads(mode, name, **keywords)[0], asynchronous

for opened, kind in (reads, ""), (compat, " with compat"):
    case(f"write often{kind}", opened("w", out, **UTF16), often, often_awaited)
    case(f"writelines{kind}", opened("w", out, **UTF16), lambda file: file.writelines([third] * 3))
    case(f"write much that is wide{kind}", opened("w", out, **UTF8), lambda file: file.write(euros))
case("write_text of much utf-16", whole(out), lambda path: path.write_text(farther, "utf-16-le"))
case("write_text of much cp1252", whole(out), lambda path: path.write_text(farthest, "cp1252"))
case("read", reads("rb", large), lambda file: file.read())
case("read(n)", reads("rb", large), lambda file: file.read(MOST))
case("readline", reads("rb", long), lambda file: file.readline())
case("readlines", reads("rb", large), lambda file: file.readlines())
case("write", reads("wb", out), lambda file: file.write(content))
case("write bytearray", reads("wb", out), lambda file: file.write(bytearray(content)))
case("raw read", reads("rb", large, buffering=0), lambda file: file.read())

async def awaited(opened, use):
    return await opened(use)

print("ready", flush=True)
for name in sys.argv[2:] or CASES:
    (opened, opened_async), use, use_async = CASES[name]
    expected = child(lambda: opened(use))
    found = child(lambda: asyncio.run(awaited(opened_async, use_async)))
    if found != expected:
        print(f"{name}: {found}, but io: {expected}", flush=True)
"""
)


@pytest.mark.parametrize(
    "cases",
    [["readline utf-8", "readline utf-16"], pytest.param([], marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def test_as_io_does(cases: list[str], tmp_path: Path) -> None:
    ended = process.run(_PROGRAM, str(tmp_path), *cases, HEADROOM=str(64 << 20), timeout=100)
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


_WRITES = (
    _CHILDREN
    + """
# One of each width of `str`; and one whose first slice is shorter than the others.
KINDS = {"ascii": "x", "latin": "\\u00e9", "wide": "\\u20ac", "astral": "\\U0001f600"}
CODECS = ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]
# What is written need not be kept: that takes longer than all the rest.
SIZE, out = 24 << 20, os.devnull

def texts(codec):
    for kind, character in KINDS.items():
        try:
            each = len((2 * character).encode(codec)) - len(character.encode(codec))
        except UnicodeEncodeError:
            continue
        yield kind, character * (SIZE // each)
        if kind != "ascii":
            yield f"ascii and {kind}", "x" * (1 << 17) + character * (SIZE // each - (1 << 17))

def written(text, codec, mode, newline):
    with open(out, mode, encoding=codec, newline=newline) as file:
        file.write(text)

async def written_async(opener, text, codec, mode, newline):
    async with opener(out, mode, encoding=codec, newline=newline) as file:
        await file.write(text)

def ways(text, codec):
    path, path_async = Path(out), AsyncPath(out)
    yield "write_text", lambda: path.write_text(text, codec), lambda: path_async.write_text(text, codec)
    appended = lambda: written(text, codec, "a", None)
    yield "append_text", appended, lambda: path_async.append_text(text, codec)
    for opener in rapfiles.open, rapfiles.compat.open:
        one = lambda: written(text, codec, "w", "\\r\\n")
        yield opener.__module__, one, lambda: written_async(opener, text, codec, "w", "\\r\\n")

async def awaited(way):
    return await way()

print("ready", flush=True)
turn = itertools.count()
for codec in CODECS:
    for kind, text in texts(codec):
        for name, synchronous, asynchronous in ways(text, codec):
            # The first way always, the others in turn.
            if name != "write_text" and next(turn) % 4:
                continue
            if child(synchronous) == "done":
                found = child(lambda: asyncio.run(awaited(asynchronous)))
                if found != "done":
                    print(codec, kind, name, found, flush=True)
"""
)


@pytest.mark.slow
def test_what_io_can_write_can_be_written(tmp_path: Path) -> None:
    """Every codec and kind of text for which io has just enough memory; with slices, we have as well."""
    ended = process.run(_WRITES, str(tmp_path), HEADROOM=str(32 << 20), timeout=100)
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


_CANCELLED = """
import asyncio, os, resource, sys, time
from pathlib import Path
import rapfiles

path, keywords = os.path.join(sys.argv[1], "file"), eval(sys.argv[2])
LINE, LINES = 1 << 20, 160
with open(path, "wb") as file:
    for number in range(LINES):
        file.seek(number * LINE)
        file.write(b"%d\\r\\n" % number)
    file.truncate(LINE * LINES)

def settle():
    # The loop stands still, so the task does not learn of it.
    while rapfiles.stats().queued + rapfiles.stats().in_flight:
        time.sleep(0.001)

async def main():
    cancelled = 0
    for turns in range(12):
        async with rapfiles.open(path, **keywords) as file:
            await file.read(10)
            place = await file.tell()
            reading = asyncio.ensure_future(file.read(LINE * LINES - 10))
            for _ in range(turns):
                await asyncio.sleep(0)
                settle()
            reading.cancel()
            try:
                await reading
            except asyncio.CancelledError:
                cancelled += 1
            except MemoryError:
                pass  # what an earlier one held on to was not released yet; nothing has been read
            else:
                continue
            settle()
            await asyncio.sleep(0)  # which releases it
            assert await file.tell() == place, turns
            with open(path, **keywords) as other:
                other.seek(place)
                assert await file.read(3 * LINE) == other.read(3 * LINE), turns
    assert cancelled

pages = int(Path("/proc/self/statm").read_text().split()[0])
size = pages * resource.getpagesize() + LINE * LINES + int(os.environ["HEADROOM"])
resource.setrlimit(resource.RLIMIT_AS, (size, size))
print("ready", flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("keywords", [{"mode": "rb"}, {"mode": "rb", "buffering": 0}], ids=str)
def test_what_a_cancelled_read_has_read_needs_no_memory(keywords: dict[str, object], tmp_path: Path) -> None:
    """Where there is room for it once and not twice, it is read again: nothing is lost, nothing aborts."""
    ended = process.run(_CANCELLED, str(tmp_path), repr(keywords), HEADROOM=str(120 << 20))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


# Each in a child of its own, with too little memory, and with enough.
_WHOLE_CHANGES = """
import asyncio, faulthandler, os, resource, sys, warnings
from pathlib import Path
import rapfiles
from rapfiles import AsyncPath

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
folder = Path(sys.argv[1])
path = AsyncPath(folder, "file")
# Encoded, the text is larger than what the C library may have in reserve: a heap of 64 MiB.
SIZE = 48 << 20
content, wide = b"n" * SIZE, "\\u20ac" * (SIZE // 2)

async def opens(mode, part, **options):
    async with path.open_atomic(mode, **options) as file:
        await file.write(part)

async def transacts():
    async with rapfiles.transaction(folder, durable=False) as t:
        await t.write_bytes("file", content)
        await t.append_text("file", wide, "utf-8")

OPERATIONS = {
    "write_text": (lambda: path.write_text(wide, "utf-8", atomic=True), 3 * len(wide)),
    "append_text": (lambda: path.append_text(wide, "utf-8", durable=True), 3 + 3 * len(wide)),
    "open_atomic": (lambda: opens("w", wide, encoding="utf-16-le"), 2 * len(wide)),
    "transaction": (transacts, SIZE + 3 * len(wide)),
}

def child(run, headroom):
    faulthandler.dump_traceback_later(30, exit=True)
    number = os.fork()
    if number == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + headroom
        try:
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            asyncio.run(run())
        except MemoryError:
            os._exit(2)
        except OSError as error:
            os._exit(2 if error.errno == 12 else 3)
        except BaseException:
            os._exit(4)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

print("ready", flush=True)
refused = 0
for name, (run, new) in OPERATIONS.items():
    for headroom in HEADROOMS:
        (folder / "file").write_bytes(b"old")
        ended = child(run, headroom << 20)
        refused += ended == 2
        found = (folder / "file").stat().st_size
        if found != (new if ended == 0 else 3) or ended not in (0, 2) or os.listdir(folder) != ["file"]:
            print(name, headroom, ended, found, os.listdir(folder), flush=True)
    if ended != 0:
        print(name, "refused with enough", flush=True)
if refused == 0:
    print("none refused", flush=True)
""".replace("HEADROOMS", repr([8, 600]))


@pytest.mark.slow
def test_whole_changes(tmp_path: Path) -> None:
    """An atomic write or a transaction for which there is no memory changes nothing and leaves nothing."""
    ended = process.run(_WHOLE_CHANGES, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
