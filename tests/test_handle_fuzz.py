"""Random operations on a handle do what they do on one of builtin `open`: the same results, errors, bytes.

`RAPFILES_FUZZ_EXAMPLES` asks for that many examples of each kind, different ones in each run; without it
there are few, and always the same. What hypothesis finds is a `Case`; put it into `FOUND` to keep it.
"""

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rapfiles
from support import effort
from support.handles import Case, Step, filling, play
from support.loops import LOOPS, Loop
from support.thresholds import SMALLER, THRESHOLDS, around

ASKED_FOR = os.environ.get("RAPFILES_FUZZ_EXAMPLES")
EXAMPLES = effort.times(200, everything=1000, variable="RAPFILES_FUZZ_EXAMPLES")

ENCODINGS = [None, "utf-8", "utf-8-sig", "utf-16", "latin-1", "ascii", "cp1252", "shift_jis", "utf-7"]
ERRORS = [None, "strict", "replace", "ignore", "surrogateescape", "backslashreplace"]
NEWLINES = [None, "", "\n", "\r", "\r\n"]
MODES = ["r", "r+", "w", "w+", "a", "a+", "x", "x+"]
# Around what is read or kept at once, here and in io.
SIZES = [4095, 4096, 8190, *around(SMALLER)]

WORDS = st.sampled_from(
    [
        *("a", "word", " ", "0123456789" * 7, "tab\t", "gr\u00fcn", "caf\u00e9", "\u20ac", "\u65e5\u672c"),
        *("\U0001f600", "e\u0301", "\u2028", "\x85", "\x0b\x0c\x1c", "\0", "\ufeff", "~", "\\", "+A-"),
    ]
)
LINE_ENDS = st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\r\n"])
INVALID = st.sampled_from(
    [
        *(b"\xff", b"\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\x81\x8d"),
        *(b"\x81", b"\xfe\xff", b"\xff\xfe", b"\x00", b"+", b"\x1b$B", b"\xef\xbb", b"\xef\xbb\xbf"),
    ]
)


def _encoded(text: str, encoding: str | None) -> bytes:
    """The text as it stands in the middle of a file."""
    within = {"utf-16": "utf-16-le", "utf-8-sig": "utf-8", None: "utf-8"}.get(encoding, encoding)
    return text.encode(within or "utf-8", "ignore")


@st.composite
def contents(draw: st.DrawFn, encoding: str | None = None) -> tuple[bytes | int, ...]:
    """The pieces of a file: words, line ends, bytes that are wrong in the encoding, and much in between."""
    pieces: list[bytes | int] = []
    broken = draw(st.booleans())
    for kind in draw(st.lists(st.sampled_from("wwweeei" if broken else "wwweee"), min_size=4, max_size=20)):
        if kind == "i":
            pieces.append(draw(INVALID))
        else:
            pieces.append(_encoded(draw(WORDS if kind == "w" else LINE_ENDS), encoding))
    if draw(st.sampled_from([False, False, False, True])):
        place = draw(st.integers(0, len(pieces)))
        pieces.insert(place, draw(st.sampled_from(SIZES)))
    if encoding in ("utf-16", "utf-8-sig") and draw(st.booleans()):
        pieces.insert(0, b"\xff\xfe" if encoding == "utf-16" else b"\xef\xbb\xbf")
    return tuple(pieces)


COUNTS = st.one_of(
    st.sampled_from([-1, None, 0, 1, 2, 3, 5, 10, 100, 4096, 8191, 8192, 8193, 70_000]),
    st.sampled_from([-1, None, 0, 1, 2, 3, 5, 10, 100, *around(SMALLER)]),
)
POSITIONS = st.sampled_from([0, 1, 2, 3, 4, 7, 20, 100, 4096, 8191, 8192, 8193, 70_000, 300_000])
WRONG = st.sampled_from(["x", b"x", 1.5, None, [1]])


def _steps(**kinds: Any) -> list[st.SearchStrategy[Step]]:
    """For each name the strategies of its arguments; `name_2` is another form of `name`."""
    return [
        st.builds(Step, st.just(key.partition("__")[0]), st.tuples(*arguments))
        for key, arguments in kinds.items()
    ]


ASKING = [st.sampled_from(["isatty", "readable", "writable", "seekable", "closed", "mode"]).map(Step)]
MOVING = [
    *_steps(tell=[], seek=[POSITIONS], flush=[], flush__again=[], seek__start=[st.just(0)]),
    *_steps(seek__end=[st.just(0), st.just(2)], seek__here=[st.just(0), st.just(1)]),
]
READING = _steps(
    read=[COUNTS],
    read__all=[],
    readline=[],
    readline__limit=[st.sampled_from([-1, 0, 1, 2, 5, 100, 8192])],
    readlines=[],
    readlines__hint=[st.sampled_from([None, -1, 0, 1, 10, 5000])],
    next=[],
    next__again=[],
)
TRUNCATING = _steps(truncate=[], truncate__at=[POSITIONS])
MISTAKES = [
    *_steps(read=[WRONG], readline=[WRONG], write=[WRONG], writelines=[WRONG], next=[], readlines=[]),
    *_steps(seek=[st.sampled_from([-1, "x", None, [0], 1 << 70])]),
    *_steps(seek__whence=[st.sampled_from([-1, 0, 1, 5]), st.sampled_from([0, 1, 2, 3, 5, -1])]),
    *_steps(truncate=[st.sampled_from([-1, "x", 1.5])]),
]
ENDING = _steps(close=[], detach=[])

MOVING_BINARY = [
    *MOVING,
    *_steps(
        seek__from_here=[st.sampled_from([-3, -1, 0, 1, 3, 9000]), st.just(1)],
        seek__from_end=[st.sampled_from([-9000, -3, -1, 0, 1, 3]), st.just(2)],
    ),
]
READING_BINARY = [
    *READING,
    *_steps(
        readinto=[st.sampled_from([0, 1, 3, 100, 8192, 70_000])],
        readinto__wrong=[st.sampled_from([b"constant", "text", None])],
        readinto1=[st.sampled_from([0, 1, 100, 8192])],
        read1=[],
        read1__size=[st.sampled_from([-1, 0, 1, 3, 8192, 70_000])],
        peek=[],
        peek__size=[st.sampled_from([0, 1, 10, 8192])],
    ),
]
DATA = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"line\n", b"a\nb", b"\r\n", b"end"]),
    st.sampled_from([4096, 8191, 8192, 8193, 70_000, 300_000]).map(filling),
)
WRITING_BINARY = _steps(
    write=[st.one_of(DATA, DATA.map(bytearray), DATA.map(memoryview))],
    write__again=[DATA],
    writelines=[st.lists(DATA, max_size=4)],
)

MOVING_TEXT = [
    *MOVING,
    *_steps(tell__again=[], seek_told=[st.integers(-3, 3)]),
    st.sampled_from(["encoding", "errors", "newlines", "line_buffering", "write_through"]).map(Step),
]
RECONFIGURING = st.builds(
    lambda *some: Step("reconfigure", (), tuple(pair for group in some for pair in group)),
    st.sampled_from([(), (("newline", "\r\n"),), (("newline", None),), (("newline", "x"),)]),
    st.sampled_from([(), (("errors", "replace"),), (("errors", "no-such"),), (("errors", None),)]),
    st.sampled_from([(), (("encoding", "utf-8"),), (("encoding", "latin-1"),), (("encoding", "no-such"),)]),
    st.sampled_from(
        [(), (("line_buffering", True),), (("write_through", True),), (("write_through", False),)]
    ),
)
STRINGS = st.one_of(
    st.lists(st.one_of(WORDS, LINE_ENDS), max_size=4).map("".join),
    st.sampled_from(["lone \ud800", "line\n", "\u20ac\r\n"]),
    st.sampled_from([4096, 8192, 8193, 70_000, 300_000]).map(lambda size: filling(size).decode()),
)
WRITING_TEXT = _steps(write=[STRINGS], write__again=[STRINGS], writelines=[st.lists(STRINGS, max_size=4)])


def _sequences(
    mode: str, moving: list[Any], reading: list[Any], writing: list[Any]
) -> st.SearchStrategy[tuple[Step, ...]]:
    """Mostly what the mode allows; now and then a mistake, or an end with something after it."""
    kinds = {"moving": moving, "rare": [*ASKING, *MISTAKES, *reading, *writing], "ending": ENDING}
    weights = {"moving": 6, "rare": 1}
    if "r" in mode or "+" in mode:
        kinds["reading"], weights["reading"] = reading, 10
    if "r" not in mode or "+" in mode:
        kinds["writing"], weights["writing"] = writing, 8
        kinds["truncating"], weights["truncating"] = TRUNCATING, 1
    # One among many is rare: what is chosen first is the kind, then the step.
    choices = {name: st.one_of(kind) for name, kind in kinds.items()}
    bag = [name for name, weight in weights.items() for _ in range(weight)]
    step = st.sampled_from(bag).flatmap(choices.__getitem__)
    # Read, tell where that ended, read on, go back there, and read the same again.
    read, place = choices.get("reading", step), st.sampled_from([-1, 0])
    again = st.tuples(read, st.just(Step("tell")), read, place.map(lambda at: Step("seek_told", (at,))), read)
    group = st.integers(0, 7).flatmap(lambda which: step.map(lambda one: (one,)) if which else again)
    usual = st.lists(group, min_size=6, max_size=20)
    last = st.lists(st.one_of(choices["ending"], step), max_size=5)
    return st.builds(lambda groups, steps: (*itertools.chain(*groups), *steps), usual, last)


@st.composite
def binary_cases(draw: st.DrawFn) -> Case:
    mode = draw(st.sampled_from(MODES))
    buffering = draw(st.sampled_from([-1, -1, -1, 0, 0, 2, 16, 5000, 300_000]))
    fresh = "x" in mode or draw(st.integers(0, 9)) == 0
    pieces = None if fresh and draw(st.integers(0, 9)) else draw(contents())
    reading = READING_BINARY if buffering else [*READING_BINARY, *_steps(readall=[])]
    steps = draw(_sequences(mode, MOVING_BINARY, reading, WRITING_BINARY))
    return Case(f"{mode}b", buffering, pieces=pieces, steps=steps)


@st.composite
def text_cases(draw: st.DrawFn) -> Case:
    mode = draw(st.sampled_from(MODES))
    encoding = draw(st.sampled_from(ENCODINGS))
    fresh = "x" in mode or draw(st.integers(0, 9)) == 0
    return Case(
        mode,
        draw(st.sampled_from([-1, -1, -1, 1, 2, 5000, 300_000])),
        encoding,
        draw(st.sampled_from(ERRORS)),
        draw(st.sampled_from(NEWLINES)),
        None if fresh and draw(st.integers(0, 9)) else draw(contents(encoding)),
        draw(_sequences(mode, [*MOVING_TEXT, RECONFIGURING], READING, WRITING_TEXT)),
    )


@st.composite
def reading_cases(draw: st.DrawFn) -> Case:
    """Text that is only read, mostly without errors: where positions are told and gone to most."""
    encoding = draw(st.sampled_from(ENCODINGS))
    return Case(
        "r",
        draw(st.sampled_from([-1, 1, 16])),
        encoding,
        draw(st.sampled_from(["replace", "surrogateescape", "backslashreplace", "strict"])),
        draw(st.sampled_from(NEWLINES)),
        draw(contents(encoding)),
        draw(_sequences("r", MOVING_TEXT, READING, WRITING_TEXT)),
    )


@st.composite
def chunk_cases(draw: st.DrawFn) -> Case:
    """A large file, read in chunks of which several are read at a time, with other things in between."""
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.sampled_from([32 << 10, 64 << 10, 64 << 10, 100_000, 128 << 10, 200_000]))
        steps += [Step("read", (size,))] * draw(st.integers(1, 9))
        steps += draw(st.lists(st.one_of(*MOVING_BINARY, *READING_BINARY), max_size=3))
    return Case(
        draw(st.sampled_from(["rb", "rb", "r+b"])),
        pieces=(draw(st.sampled_from([300_000, 700_001, 1 << 20])),),
        steps=(*steps, *draw(st.lists(st.one_of(ENDING), max_size=1))),
    )


# Around what is buffered, written, copied or handed over at once, and beyond.
AMOUNTS = [*around(THRESHOLDS), 0, 1, 100, 700_000, 5 << 20]


@st.composite
def amount_cases(draw: st.DrawFn) -> Case:
    """Writes of all sizes, one after the other, mostly with nothing in between."""
    kind = draw(st.sampled_from(["bytes", "bytes", "changing", "text", "text", "codec"]))
    text = kind in ("text", "codec")
    steps: list[Step] = []
    for size in draw(st.lists(st.sampled_from(AMOUNTS), min_size=2, max_size=6)):
        data: Any = filling(size)
        data = data.decode() if text else bytearray(data) if kind == "changing" else data
        lines = Step("writelines", ([data, data[:100]],))
        steps.append(lines if draw(st.integers(0, 5)) == 5 else Step("write", (data,)))
        if draw(st.integers(0, 3)) == 3:
            steps.append(draw(st.sampled_from([Step("flush"), Step("tell"), Step("seek", (0, 2))])))
    return Case(
        draw(st.sampled_from(["w", "w+", "a"])) + ("" if text else "b"),
        # io's unbuffered files may write less than they are given; these are not for comparing.
        draw(st.sampled_from([-1, -1, 16, 5000, 300_000] + ([1] if text else []))),
        encoding={"text": "utf-8", "codec": "utf-16-le"}.get(kind),
        pieces=None,
        steps=tuple(steps),
    )


@st.composite
def read_amount_cases(draw: st.DrawFn) -> Case:
    """Files and reads of all sizes, with little in between."""
    kind = draw(st.sampled_from(["bytes", "bytes", "raw", "text", "text", "codec"]))
    text = kind in ("text", "codec")
    # What is left of the file decides as well as what is asked for.
    content = draw(st.sampled_from(AMOUNTS)) + draw(st.sampled_from([0, 0, 1, 10, 5000]))
    amounts = st.sampled_from(AMOUNTS)
    read = amounts.map(lambda size: Step("read", (size,)))
    reads = [
        read,
        read,
        amounts.map(lambda size: Step("readline", (size,))),
        *_steps(read=[], readlines=[amounts]),
    ]
    if not text:
        reads += _steps(readinto=[amounts])
    between = st.sampled_from([Step("tell"), Step("seek", (0,)), Step("seek", (100,)), Step("read", (10,))])
    steps: list[Step] = []
    for one in draw(st.lists(st.one_of(*reads), min_size=1, max_size=5)):
        if draw(st.integers(0, 2)) == 2:
            steps.append(draw(between))
        steps.append(one)
    return Case(
        draw(st.sampled_from(["r", "r", "r+"])) + ("" if text else "b"),
        0 if kind == "raw" else draw(st.sampled_from([-1, -1, -1, 5000, 300_000])),
        encoding={"text": "utf-8", "codec": "cp1252"}.get(kind),
        pieces=(content,),
        steps=tuple(steps),
    )


# Found by this test once, and mended since.
FOUND: list[Case] = [
    # A little that was not worth a worker, and then more than fits beside it.
    *(
        Case(mode, pieces=None, steps=(Step("write", (data[:1],)), Step("write", (data,))))
        for mode, data in (
            ("wb", filling(1 << 20)),
            ("w+b", bytearray(filling(1 << 20))),
            ("ab", filling(2 << 20)),
            ("w", filling(1 << 20).decode()),
        )
    ),
    # What lay in the buffer before a read that passed it by.
    *(
        Case(
            "rb",
            pieces=(1 << 20,),
            steps=(Step("read", (10,)), Step("read", (size,)), Step("seek", (-3, 1)), Step("read", (3,))),
        )
        for size in (100_000, 300_000, -1)
    ),
    Case("r", pieces=(b"a\r", b"\nb"), steps=(Step("read", (2,)), Step("tell"), Step("read"))),
]

fuzzing = settings(
    max_examples=EXAMPLES,
    derandomize=ASKED_FOR is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

KINDS_OF_LOOP = st.sampled_from(LOOPS)


def _play(loop: Loop, case: Case) -> None:
    # hypothesis runs the test many times within one use of its fixtures, so each has a folder of its own.
    with tempfile.TemporaryDirectory(prefix="rapfiles-fuzz-") as folder:
        loop.run(play, case, Path(folder))


@fuzzing
@given(case=binary_cases(), loop=KINDS_OF_LOOP)
def test_binary(case: Case, loop: Loop) -> None:
    _play(loop, case)


@fuzzing
@given(case=chunk_cases(), loop=KINDS_OF_LOOP)
def test_large_chunks(case: Case, loop: Loop) -> None:
    _play(loop, case)


@fuzzing
@given(case=text_cases(), loop=KINDS_OF_LOOP)
def test_text(case: Case, loop: Loop) -> None:
    _play(loop, case)


@fuzzing
@given(case=reading_cases(), loop=KINDS_OF_LOOP)
def test_reading_text(case: Case, loop: Loop) -> None:
    _play(loop, case)


@settings(fuzzing, max_examples=min(EXAMPLES, 60) if ASKED_FOR is None else EXAMPLES)
@given(case=amount_cases(), loop=KINDS_OF_LOOP)
def test_amounts(case: Case, loop: Loop) -> None:
    _play(loop, case)


@settings(fuzzing, max_examples=min(EXAMPLES, 60) if ASKED_FOR is None else EXAMPLES)
@given(case=read_amount_cases(), loop=KINDS_OF_LOOP)
def test_amounts_read(case: Case, loop: Loop) -> None:
    _play(loop, case)


@pytest.mark.parametrize("case", FOUND, ids=repr)
def test_found(loop: Loop, case: Case) -> None:
    _play(loop, case)


@pytest.mark.one_loop
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-7", "shift_jis"])
@pytest.mark.parametrize("newline", NEWLINES)
async def test_telling_while_iterating(encoding: str, newline: str | None, tmp_path: Path) -> None:
    """io tells a wrong place, or none, while it iterates. Ours leads back to the next line."""
    lines = ["one\n", "t+o\r\n", "three\r", "\n", "~" * 9000 + "\n", "six"]
    (tmp_path / "file").write_bytes("".join(lines).encode(encoding))
    async with rapfiles.open(tmp_path / "file", encoding=encoding, newline=newline) as file:
        whole = [line async for line in file]
        await file.seek(0)
        at = 0
        async for line in file:
            assert line == whole[at]
            at += 1
            place = await file.tell()
            assert await file.read() == "".join(whole[at:])
            await file.seek(place)
        assert at == len(whole)
