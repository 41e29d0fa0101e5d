"""Text in every encoding is read and written as `open` does it, and other tasks get their turn."""

import asyncio
import codecs
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from encodings.aliases import aliases
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rapfiles
from rapfiles import AsyncPath, _text


def is_text_codec(name: str) -> bool:
    try:
        io.TextIOWrapper(io.BytesIO(), name)
    except LookupError:
        return False
    return True


CODECS = sorted(
    {
        codecs.lookup(name).name
        for name in {*aliases.values(), "utf-8-sig", "idna", "punycode", "unicode-escape", "koi8-t", "cp1252"}
        if is_text_codec(name)
    }
)
HANDLERS = [
    None,
    "strict",
    "ignore",
    "replace",
    "backslashreplace",
    "namereplace",
    "surrogateescape",
    "surrogatepass",
    "xmlcharrefreplace",
    "no such handler",
    "test_text.position",
]
NEWLINES = [None, "", "\n", "\r", "\r\n"]
CHARACTERS = "ab \r\n\\u+-~1é§ÿ€あ漢か゚ｱßΩЖ\u0301😀\ud83d\ude00\ud800\udc80"

# Only what has no incremental decoder or encoder at all would be left out above.
assert len(CODECS) > 90

codecs.register_error(
    "test_text.position", lambda error: (f"<{error.start}-{error.end} of {len(error.object)}>", error.end)
)


def outcome(action: Callable[[], Any]) -> Any:
    """What an action returns, or all about what it raises."""
    try:
        result = action()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        return type(error), error.encoding, error.object, error.start, error.end, error.reason
    except (ValueError, LookupError, TypeError) as error:
        return type(error), str(error)
    return bytes(result) if isinstance(result, bytearray) else result


def decoded_by_python(content: bytes, encoding: str, errors: str | None, newline: str | None) -> str:
    return io.TextIOWrapper(io.BytesIO(content), encoding, errors, newline).read()


def encoded_by_python(text: str, encoding: str, errors: str | None, newline: str | None) -> bytes:
    target = io.BytesIO()
    file = io.TextIOWrapper(target, encoding, errors, newline)
    file.write(text)
    file.flush()
    return target.getvalue()


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs one coroutine after the other on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


def valid_or_not(encoding: str) -> st.SearchStrategy[bytes]:
    """Bytes of which many are valid in an encoding."""

    def encoded(text: str) -> bytes:
        try:
            return text.encode(encoding, "ignore")
        except (UnicodeError, LookupError):
            return text.encode("ascii", "ignore")

    piece = (
        st.text(CHARACTERS).map(encoded) | st.binary(max_size=4) | st.sampled_from([b"\r", b"\r\n", b"\n"])
    )
    return st.lists(piece, max_size=5).map(b"".join)


several = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Python's unicode-escape warns of unknown escapes, whatever calls it.
@pytest.mark.filterwarnings("ignore:.*invalid (octal )?escape sequence:DeprecationWarning")
@pytest.mark.parametrize("encoding", CODECS)
def test_decoding_in_slices_is_decoding(encoding: str, run: Callable[[Any], Any]) -> None:
    @several
    @given(
        valid_or_not(encoding),
        st.sampled_from(HANDLERS),
        st.sampled_from(NEWLINES),
        st.integers(min_value=1, max_value=9),
    )
    @example(b"\\11", None, None, 1)
    def check(content: bytes, errors: str | None, newline: str | None, slice_size: int) -> None:
        expected = outcome(lambda: decoded_by_python(content, encoding, errors, newline))
        decode = _text.decode
        actual = outcome(lambda: run(decode(content, encoding, errors, newline, slice_size=slice_size)))
        assert actual == expected

    check()


@pytest.mark.parametrize("encoding", CODECS)
def test_encoding_in_slices_is_encoding(encoding: str, run: Callable[[Any], Any]) -> None:
    @several
    @given(
        st.text(CHARACTERS, max_size=30),
        st.sampled_from(HANDLERS),
        st.sampled_from(NEWLINES),
        st.integers(min_value=1, max_value=9),
    )
    def check(text: str, errors: str | None, newline: str | None, slice_size: int) -> None:
        expected = outcome(lambda: encoded_by_python(text, encoding, errors, newline))
        encode = _text.encode
        actual = outcome(lambda: run(encode(text, encoding, errors, newline, slice_size=slice_size)))
        assert actual == expected

    check()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "big5hkscs", "shift_jis", "shift_jis_2004"])
def test_what_cannot_be_encoded_behind_something(encoding: str, run: Callable[[Any], Any]) -> None:
    """Alone or only there: two of these characters may be one, and handlers take one or all in a row."""
    for text, errors in itertools.product(
        map("".join, itertools.product("かa\u309a\udc80", repeat=4)), HANDLERS
    ):
        expected = outcome(lambda: encoded_by_python(text, encoding, errors, ""))  # noqa: B023
        for size in (1, 2, 3):
            encode = _text.encode
            actual = outcome(lambda: run(encode(text, encoding, errors, "", slice_size=size)))  # noqa: B023
            assert actual == expected, (text, errors, size)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "shift_jis", "cp1252", "iso2022_jp"])
@pytest.mark.parametrize("newline", [None, "\r\n"])
def test_large_text(encoding: str, newline: str | None, run: Callable[[Any], Any]) -> None:
    text = ("ein Würfel\r\n" if encoding == "cp1252" else "あいうえお abc\r\n") * 40_000
    content = encoded_by_python(text, encoding, None, newline)
    assert len(content) > 5 * _text._SLICE
    assert run(_text.encode(text, encoding, None, newline)) == content
    assert run(_text.decode(content, encoding, None, newline)) == decoded_by_python(
        content, encoding, None, newline
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "shift_jis", "ascii"])
def test_an_error_far_into_large_text(encoding: str, run: Callable[[Any], Any]) -> None:
    good = "abcdefg\n" * 20_000
    unencodable = good + "\udcff" * 70_000 + good
    assert outcome(lambda: run(_text.encode(unencodable, encoding, None, "\r\n"))) == outcome(
        lambda: encoded_by_python(unencodable, encoding, None, "\r\n")
    )
    content = good.encode(encoding)
    undecodable = content + b"\xff\xdc\x80\x80"[: 3 if encoding == "utf-16" else 4] + good.encode("utf-16-le")
    expected = outcome(lambda: decoded_by_python(undecodable, encoding, None, None))
    assert expected[0] is UnicodeDecodeError
    assert outcome(lambda: run(_text.decode(undecodable, encoding, None, None))) == expected


async def test_other_tasks_get_their_turn() -> None:
    turns = 0
    done = False

    async def watch() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await anyio.sleep(0)

    async def work() -> None:
        nonlocal done
        text = "あ" * 12_000_000
        content = await _text.encode(text, "shift_jis", None, None)
        assert await _text.decode(bytes(content), "shift_jis", None, None) == text
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        tasks.start_soon(work)
    # One turn for every 128 slices is the least that the budget allows.
    assert turns >= (12_000_000 + 24_000_000) // _text._SLICE // 128


# What is read and written through real files.

READINGS: list[tuple[bytes, str | None, str | None]] = [
    (b"", "utf-16", None),
    (b"a\r\nb\rc\n", "utf-8", None),
    ("crème\r\n".encode("utf-16"), "utf-16", None),
    ("crème\r\n".encode("utf-16-be"), "utf-16-be", None),
    (b"\xef\xbb\xbfabc", "utf-8-sig", None),
    (b"\xef\xbb\xbfabc", "utf-8", None),
    (b"\xff\xfeabc", "utf-8", None),
    (b"\xff\xfeabc", "utf8", "replace"),
    (b"\xff\xfeabc", "U8", "surrogateescape"),
    (b"caf\xe9", "latin-1", None),
    (b"caf\xe9", "L1", None),
    (b"caf\xe9", "ascii", None),
    (b"caf\xe9", "646", "backslashreplace"),
    (b"caf\xe9\x81", "cp1252", None),
    (b"caf\xe9", "hex", None),
    (b"caf\xe9", "no such encoding", None),
    (b"caf\xe9", "nul\0encoding", None),
    (b"caf\xe9", "", None),
    (b"caf\xe9", "utf-8", "no such handler"),
    (b"cafe", "utf-8", "no such handler"),
    (b"cafe", "utf-8", ""),
    (b"caf\xe9", "utf-8", ""),
    ("あ\r\n".encode("shift_jis"), "shift_jis", None),
    (b"cafe", "locale", None),
    ("café".encode(), "locale", None),
    ("café".encode(), None, None),
]


async def result_of(awaitable: Awaitable[Any]) -> Any:
    """What is awaited, or all about what it raises."""
    try:
        result = await awaitable
    except Exception as error:
        raised = error
        return outcome(lambda: raise_(raised))
    return result


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.one_loop
@pytest.mark.parametrize(("content", "encoding", "errors"), READINGS)
async def test_read_text(content: bytes, encoding: str | None, errors: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for newline in [*NEWLINES, "x", "\n\r"]:

        def read(newline: str | None = newline) -> str:
            with open(path, encoding=encoding, errors=errors, newline=newline) as file:
                return file.read()

        assert await result_of(AsyncPath(path).read_text(encoding, errors, newline)) == outcome(read)


TEXTS = ["", "abc\r\n\n", "crème\n", "あ\n", "😀", "\ud800", "a\udc80b"]
WRITINGS = [
    ("utf-8", None),
    ("utf8", "surrogateescape"),
    ("utf-8-sig", None),
    ("utf-16", None),
    ("utf-16-be", None),
    ("utf-32", None),
    ("latin-1", None),
    ("ascii", "xmlcharrefreplace"),
    ("ascii", None),
    ("shift_jis", None),
    ("iso2022_jp", None),
    ("cp1252", "replace"),
    ("cp1252", "no such handler"),
    ("utf-7", None),
    ("hex", None),
    ("no such encoding", None),
    ("locale", None),
    (None, None),
]


@pytest.mark.one_loop
@pytest.mark.parametrize(("encoding", "errors"), WRITINGS)
@pytest.mark.parametrize("mode", ["w", "a"])
async def test_write_text(encoding: str | None, errors: str | None, mode: str, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    method = AsyncPath(ours).write_text if mode == "w" else AsyncPath(ours).append_text
    for text, newline, before in product(TEXTS, [*NEWLINES, "x"], [None, b"", b"before"]):
        for path in theirs, ours:
            path.unlink(missing_ok=True)
            if before is not None:
                path.write_bytes(before)

        def write(text: str = text, newline: str | None = newline) -> int:
            with open(theirs, mode, encoding=encoding, errors=errors, newline=newline) as file:
                return file.write(text)

        expected = outcome(write)
        actual = await result_of(method(text, encoding, errors, newline))
        if isinstance(expected, tuple) and expected[0] is UnicodeEncodeError and before:
            # Where there is a mark already, `open` names UTF-16 by its byte order.
            expected, actual = (expected[0], *expected[2:]), (actual[0], *actual[2:])
        assert actual == expected
        if is_refused(expected):
            # pathlib has opened and emptied the file before it looks at the other arguments.
            assert (ours.read_bytes() if ours.exists() else None) == before
        else:
            assert ours.read_bytes() == theirs.read_bytes()


def is_refused(outcome: Any) -> bool:
    """Whether an argument was at fault, not the text."""
    return isinstance(outcome, tuple) and (
        (outcome[0] is LookupError and "handler" not in outcome[1]) or "newline" in str(outcome[1])
    )


async def test_a_missing_directory_comes_before_what_cannot_be_encoded(tmp_path: Path) -> None:
    for encoding in ("utf-8", "ascii", "cp1252", "utf-16"):
        with pytest.raises(FileNotFoundError):
            await AsyncPath(tmp_path, "missing", "file").write_text("\ud800", encoding)


WARNING = """
import asyncio, sys, warnings
from rapfiles import AsyncPath

async def main(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await path.write_text("x")
        await path.append_text("x")
        await path.read_text()
        await path.read_text("locale")
    for warning in caught:
        print(warning.category.__name__, warning.filename == __file__, warning.lineno)

asyncio.run(main(AsyncPath(sys.argv[1])))
"""


def test_the_default_encoding_is_warned_of_where_it_is_used(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WARNING, "utf-8")
    command = [sys.executable, "-X", "warn_default_encoding", script, tmp_path / "file"]
    environment = os.environ | {"PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert done.stdout.splitlines() == [f"EncodingWarning True {line}" for line in (8, 9, 10)]


@pytest.mark.parametrize(
    "settings", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "1"}, {"PYTHONUTF8": "0"}]
)
def test_the_locale_decides(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"caf\xc3\xa9")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    environment = kept | {
        "PYTHONPATH": str(Path(rapfiles.__file__).parents[1]),
        "PYTHONCOERCECLOCALE": "0",
    }
    program = (
        "import asyncio, pathlib, sys; from rapfiles import AsyncPath\n"
        "def shown(action):\n"
        "    try: return ascii(action())\n"
        "    except UnicodeError as error: return repr(error)\n"
        "for encoding in None, 'locale':\n"
        "    print(shown(lambda: pathlib.Path(sys.argv[1]).read_text(encoding)))\n"
        "    print(shown(lambda: asyncio.run(AsyncPath(sys.argv[1]).read_text(encoding))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "file"],
        capture_output=True,
        text=True,
        check=True,
        env=environment | settings,
        timeout=60,
    )
    theirs, ours, theirs_of_locale, ours_of_locale = done.stdout.splitlines()
    assert ours == theirs
    assert ours_of_locale == theirs_of_locale


@pytest.mark.one_loop
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
async def test_a_carriage_return_where_a_chunk_ends(
    encoding: str, newline: str | None, tmp_path: Path
) -> None:
    """8 KiB are decoded at a time; whether a line feed follows is known with the next ones."""
    path = tmp_path / "file"
    for before in (8190, 8191, 8192, 16383, 131_071):
        for end in (b"\r", b"\r\n", b"\rb", b"\r\nb", b"\r\r\n"):
            path.write_bytes(b"a" * before + end + b"c" * 9000 + b"\r")
            with path.open(encoding=encoding, newline=newline) as plain:
                expected = plain.readlines()
            async with rapfiles.open(path, encoding=encoding, newline=newline) as file:
                assert [line async for line in file] == expected
            async with rapfiles.open(path, encoding=encoding, newline=newline) as file:
                assert await file.readlines() == expected
            async with rapfiles.open(path, encoding=encoding, newline=newline) as file:
                pieces = []
                while piece := await file.read(1000):
                    pieces.append(piece)
                assert "".join(pieces) == "".join(expected)
