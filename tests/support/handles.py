"""Plays a list of operations on a handle of builtin `open` and on one of `rapfiles.open`, and compares them.

Each step must return the same or raise the same, and the two files must hold the same bytes whenever both are
flushed. Where `io` itself promises no more than that *something* correct happens, the comparison leaves room;
every such place is one of the methods of `Pair` and says why.
"""

import errno
import io
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rapfiles

# What `io` reads at once from the file below a text handle. What it does with the rest of it when one
# goes on with a write, without a seek in between, is nowhere promised.
TEXT_CHUNK = 8192
# A text position up to here is a plain number of bytes, above it there is the state of a decoder in it.
PLAIN_POSITIONS = 1 << 63

METHODS_NOT_AWAITED = {"fileno", "isatty", "readable", "writable", "seekable"}
PROPERTIES = {"closed", "encoding", "errors", "newlines", "line_buffering", "write_through", "mode"}
# These ask, and move nothing.
ASKING = METHODS_NOT_AWAITED | PROPERTIES
AT_MOST_ONE_READ = {"read1", "readinto1", "peek"}
WRITING = {"write", "writelines"}
READING = {"read", "readline", "readlines", "next", "readall", "readinto"} | AT_MOST_ONE_READ

Outcome = tuple[str, Any]
ENDS: Outcome = ("ends", None)


@dataclass(frozen=True)
class Step:
    """One operation on a handle: a method or property, `next`, or `seek_told`, to a place told before."""

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        arguments = ", ".join(map(_spelled, self.arguments))
        if self.keywords:
            return f"Step({self.name!r}, ({arguments}), {self.keywords!r})"
        return f"Step({self.name!r}, ({arguments},))" if arguments else f"Step({self.name!r})"


def _spelled(value: Any) -> str:
    """An argument as one writes it: `filling` is written as such."""
    if isinstance(value, list):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, memoryview):
        return f"memoryview({_spelled(bytes(value))})"
    if isinstance(value, str | bytes | bytearray) and len(value) > 100:
        if value == filling(len(value)):
            name = "" if isinstance(value, bytes) else type(value).__name__
            return f"{name}(filling({len(value)}))" if name else f"filling({len(value)})"
        if value == filling(len(value)).decode():
            return f"filling({len(value)}).decode()"
    return repr(value)


@dataclass(frozen=True)
class Case:
    """How a file is opened, what is in it (None: there is none), and what is done with the handle.

    Of the pieces of the content, an int stands for that many bytes of ordinary lines.
    """

    mode: str
    buffering: int = -1
    encoding: str | None = None
    errors: str | None = None
    newline: str | None = None
    pieces: tuple[bytes | int, ...] | None = ()
    steps: tuple[Step, ...] = ()

    @property
    def text(self) -> bool:
        return "b" not in self.mode

    def content(self) -> bytes | None:
        if self.pieces is None:
            return None
        return b"".join(filling(piece) if isinstance(piece, int) else piece for piece in self.pieces)

    def keywords(self) -> dict[str, Any]:
        chosen = {"mode": self.mode, "buffering": self.buffering}
        if self.text:
            chosen |= {"encoding": self.encoding, "errors": self.errors, "newline": self.newline}
        return chosen


def filling(size: int) -> bytes:
    """This many bytes of numbered lines, each different, so that bytes in the wrong place show."""
    line = b"%015d\n"
    return b"".join([line % number for number in range(size // 16 + 1)])[:size]


def error(problem: BaseException) -> tuple[Any, ...]:
    """What of an exception must be the same."""
    kind = type(problem)
    if isinstance(problem, io.UnsupportedOperation):
        return (kind, str(problem))
    if isinstance(problem, OSError):
        return (kind, problem.errno, problem.strerror, problem.filename, problem.filename2, len(problem.args))
    if isinstance(problem, UnicodeError):
        return (kind, problem.args)
    if isinstance(problem, TypeError | AttributeError | OverflowError):
        return (kind,)  # the texts name classes and C types
    return (kind, str(problem))


def of_call(work: Callable[[], Any]) -> Outcome:
    """What the synchronous `work()` does."""
    try:
        return ("returns", work())
    except StopIteration:
        return ENDS
    except Exception as problem:
        return ("raises", error(problem))


async def of_await(work: Callable[[], Awaitable[Any]]) -> Outcome:
    """What awaiting `work()` does, in the same form."""
    try:
        return ("returns", await work())
    except StopAsyncIteration:
        return ENDS
    except Exception as problem:
        return ("raises", error(problem))


def by_builtin(file: Any, step: Step) -> Outcome:
    """Do `step` with an ordinary file."""
    if step.name in PROPERTIES:
        return of_call(lambda: getattr(file, step.name))
    if step.name == "next":
        return of_call(lambda: next(file))
    if step.name in ("readinto", "readinto1"):
        into = _target(step)
        found = of_call(lambda: getattr(file, step.name)(into))
        return (found[0], (found[1], into))
    return of_call(lambda: getattr(file, step.name)(*step.arguments, **dict(step.keywords)))


async def by_rapfiles(handle: Any, step: Step) -> Outcome:
    """Do `step` with a handle of rapfiles."""
    if step.name in PROPERTIES:
        return of_call(lambda: getattr(handle, step.name))
    if step.name in METHODS_NOT_AWAITED:
        return of_call(lambda: getattr(handle, step.name)())
    if step.name == "next":
        return await of_await(lambda: anext(handle))
    if step.name in ("readinto", "readinto1"):
        into = _target(step)
        found = await of_await(lambda: getattr(handle, step.name)(into))
        return (found[0], (found[1], into))
    return await of_await(lambda: getattr(handle, step.name)(*step.arguments, **dict(step.keywords)))


def _target(step: Step) -> Any:
    """What `readinto` fills: so many bytes, or an object that cannot be filled."""
    (size,) = step.arguments
    return bytearray(b"." * size) if isinstance(size, int) else size


@dataclass
class Pair:
    """The two handles on their two files, and what is known of the state they are in."""

    case: Case
    plain: Path
    ours: Path
    file: Any = None
    handle: Any = None
    told: list[tuple[int, int]] = field(default_factory=list)
    # Since the last seek: characters were read; since the last flush: something was written.
    read_ahead: bool = False
    unflushed: bool = False
    # Text: io keeps no true account of where it is, having iterated, or failed to decode.
    astray: bool = False
    # Text: telling where it is, io may forget the line ends that it has seen.
    forgotten: bool = False
    done: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.original = self.case

    def fail(self, step: object, expected: Outcome, actual: Outcome) -> None:
        detail = f"\n  builtin  {_shown(expected)}\n  rapfiles {_shown(actual)}"
        values = [outcome[1] for outcome in (expected, actual)]
        if all(isinstance(value, str | bytes) for value in values) and type(values[0]) is type(values[1]):
            at = _common(*values)
            shown = [value[max(at - 20, 0) : at + 60] for value in values]
            detail += f"\n  lengths {len(values[0])} and {len(values[1])}, differ at {at}: {shown}"
        raise AssertionError(f"{step} after {self.done[:-1]}{detail}\n{self.original}")

    def compare(self, step: object, expected: Outcome, actual: Outcome) -> None:
        if _two_mistakes(step, expected, actual) or _is_newer_refusal(step, expected, actual):
            return
        if expected != actual or type(expected[1]) is not type(actual[1]):
            self.fail(step, expected, actual)

    async def both(self, step: Step) -> tuple[Outcome, Outcome]:
        return by_builtin(self.file, step), await by_rapfiles(self.handle, step)

    async def same(self, step: Step) -> Outcome:
        expected, actual = await self.both(step)
        self.compare(step, expected, actual)
        return expected

    @property
    def large(self) -> bool:
        """Whether the file may hold more than `io` reads at once."""
        return self.plain.exists() and self.plain.stat().st_size > TEXT_CHUNK

    async def play(self, step: Step) -> None:
        """Do one step with both, and compare."""
        if self.case.encoding == "utf-16" and step.name in WRITING and "\\ud800" in ascii(step.arguments):
            # Having failed to encode a text, io takes the byte order mark to be written. Ours writes it then.
            return
        if step.name == "seek_told" and not self.told:
            return
        if step.name == "reconfigure" and {"newline", "encoding"} <= dict(step.keywords).keys():
            # Where there is no such encoding, io has changed the line ends by half. Ours changes nothing.
            step = Step(step.name, (), tuple(item for item in step.keywords if item[0] != "newline"))
        self.done.append(step)
        if step.name not in ASKING:
            await self.prepare(step)
        if step.name == "seek_told":
            await self.seek_told(step)
        elif step.name in AT_MOST_ONE_READ:
            await self.read_once(step)
        elif step.name == "newlines" and (self.large or self.forgotten):
            pass  # the line ends seen so far: whoever decodes more at once has seen more
        elif step.name == "tell" or (step.name == "seek" and step.arguments[1:] == (1,)):
            found = await self.both(step)
            if not (self.case.text and self.astray):
                self.compare_positions(step, *found)
            elif step.name == "seek":
                # Ours knows where it is and goes there: test_telling_while_iterating says where that is.
                await self.same(Step("seek", (0,)))
        elif step.name == "detach":
            await self.detach(step)
        else:
            found = await self.same(step)
            if step.name == "flush" and found[0] == "returns":
                self.unflushed = False
                self.compare_files()
            elif step.name in READING and found[0] != "raises":
                self.unflushed = False
            elif found[0] == "raises" and found[1][0] is UnicodeDecodeError:
                self.astray = True
        self.forgotten |= step.name in ("tell", "seek")
        self.astray |= step.name == "next" or (step.name == "readlines" and step.arguments != ())
        if step.name in READING:
            self.read_ahead = True
        elif step.name in ("seek", "seek_told"):
            self.read_ahead = self.unflushed = self.astray = False
        elif step.name in WRITING:
            self.unflushed = True
        if step.name in WRITING | {"truncate", "reconfigure", "detach"}:
            self.told.clear()  # a place is one in the file as it was
        if self.raw:
            self.compare_files()

    @property
    def raw(self) -> bool:
        return isinstance(self.file, io.RawIOBase)

    async def prepare(self, step: Step) -> None:
        """Take away what decides an outcome that `io` leaves open."""
        changing = step.name in WRITING | {"truncate", "detach", "reconfigure"}
        if self.case.text and changing and self.read_ahead and self.large:
            # Where a write lands, after reads without a seek: behind what was read ahead.
            await self.same(Step("seek", (0, 2)))
            self.read_ahead = self.unflushed = False
        overlooks = self.case.text or step.name in AT_MOST_ONE_READ
        if (
            overlooks
            and step.name in READING
            and self.unflushed
            and not self.file.closed
            and self.handle.readable()
        ):
            # The buffer's read1, through which text is read too, overlooks what is to be written still.
            await self.same(Step("flush"))
            self.unflushed = False
        if "a" in self.case.mode and self.unflushed and step.name in ("tell", "seek", "truncate", "detach"):
            # What is written lands at the end, wherever the handle is; until then it seems not to move.
            await self.same(Step("flush"))
            self.unflushed = False

    async def read_once(self, step: Step) -> None:
        """A read from what happens to be there returns more or less of it; then both go on from one place."""
        place = of_call(self.file.tell) if step.name != "peek" else None
        expected, actual = await self.both(step)
        if "raises" in (expected[0], actual[0]):
            self.compare(step, expected, actual)
            return
        if step.name == "readinto1":
            (count, into), (our_count, our_into) = expected[1], actual[1]
            expected, actual = ("returns", bytes(into[:count])), ("returns", bytes(our_into[:our_count]))
        one, other = expected[1], actual[1]
        common = one if len(one) < len(other) else other
        asked = step.arguments[0] if step.arguments else None
        limit = asked if step.name != "peek" and isinstance(asked, int) and asked >= 0 else None
        if (
            type(one) is not type(other)
            or one[: len(common)] != other[: len(common)]
            or bool(one) != bool(other)
            or (limit is not None and len(other) > limit)
        ):
            self.fail(step, expected, actual)
        if place is not None and place[0] == "returns":
            await self.same(Step("seek", (place[1] + len(common),)))

    def compare_positions(self, step: Step, expected: Outcome, actual: Outcome) -> None:
        """A text position that is more than a number of bytes is the handle's own affair."""
        if self.case.text and expected in (
            ("raises", (OSError, None, None, None, None, 1)),  # "telling position disabled by next() call"
        ):
            return
        if (
            self.case.text
            and expected[0] == actual[0] == "returns"
            and isinstance(expected[1], int)
            and isinstance(actual[1], int)
        ):
            if expected[1] < PLAIN_POSITIONS:
                self.compare(step, expected, actual)
            self.told.append((expected[1], actual[1]))
        else:
            self.compare(step, expected, actual)

    async def seek_told(self, step: Step) -> None:
        """Go to a place that both have told."""
        place, our_place = self.told[step.arguments[0] % len(self.told)]
        expected = by_builtin(self.file, Step("seek", (place,)))
        actual = await by_rapfiles(self.handle, Step("seek", (our_place,)))
        if expected == ("returns", place):
            self.compare(step, ("returns", our_place), actual)
        else:
            self.compare(step, expected, actual)

    async def detach(self, step: Step) -> None:
        """Go on with what is below; where that stands is a matter of how much was read ahead."""
        expected, actual = await self.both(step)
        if "raises" in (expected[0], actual[0]):
            self.compare(step, expected, actual)
            return
        (_, self.file), (_, self.handle) = expected, actual
        kind = type(self.file).__name__
        self.compare(step, ("returns", kind), ("returns", type(self.handle).__name__.removeprefix("Async")))
        self.case = Case(
            f"{self.case.mode}b" if self.case.text else self.case.mode,
            *(self.case.buffering, None, None, None),
            *(self.case.pieces, self.case.steps),
        )
        await self.same(Step("seek", (0,)))
        self.read_ahead = self.unflushed = self.astray = False

    def compare_files(self) -> None:
        expected, actual = (of_call(path.read_bytes) for path in (self.plain, self.ours))
        if expected[0] == actual[0] == "returns":
            self.compare("the file", expected, actual)
        else:
            assert expected[0] == actual[0], (expected, actual, self.case)


def _two_mistakes(step: object, expected: Outcome, actual: Outcome) -> bool:
    """A wrong argument of what the handle cannot do at all: either may be said."""
    refusals = {(TypeError,), (io.UnsupportedOperation,), (AttributeError,)}
    return (
        isinstance(step, Step)
        and expected[0] == actual[0] == "raises"
        and {expected[1][:1], actual[1][:1]} <= refusals
        and io.UnsupportedOperation in (expected[1][0], actual[1][0])
        and expected[1][0] is not actual[1][0]
    )


def _is_newer_refusal(step: object, expected: Outcome, actual: Outcome) -> bool:
    """`readall()` of what is not open for reading: EBADF here, as in io before Python 3.15."""
    return (
        sys.version_info >= (3, 15)
        and isinstance(step, Step)
        and step.name == "readall"
        and expected[0] == actual[0] == "raises"
        and expected[1][0] is io.UnsupportedOperation
        and actual[1][:2] == (OSError, errno.EBADF)
    )


def _common(one: Any, other: Any) -> int:
    """How long the two are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _shown(outcome: Outcome) -> str:
    text = repr(outcome)
    return text if len(text) <= 400 else f"{text[:250]} … {text[-120:]}"


async def play(case: Case, folder: Path) -> None:
    """Play all of `case` in `folder`, on two files of the same name."""
    for side in ("builtin", "rapfiles"):
        (folder / side).mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            (folder / side / "file").unlink()
        if (content := case.content()) is not None:
            (folder / side / "file").write_bytes(content)
    pair = Pair(case, folder / "builtin" / "file", folder / "rapfiles" / "file")
    expected = of_call(lambda: open(pair.plain, **case.keywords()))  # noqa: SIM115
    actual = await of_await(lambda: rapfiles.open(pair.ours, **case.keywords()))
    try:
        if "raises" in (expected[0], actual[0]):
            pair.compare("open", _without(expected, pair.plain), _without(actual, pair.ours))
            return
        pair.file, pair.handle = expected[1], actual[1]
        kind = type(pair.file).__name__
        pair.compare("open", ("returns", f"Async{kind}"), ("returns", type(pair.handle).__name__))
        for step in case.steps:
            await pair.play(step)
        pair.done.append(Step("close"))
        await pair.same(Step("close"))
        pair.compare_files()
    finally:
        for outcome in (expected, actual):
            if outcome[0] == "returns":
                with suppress(Exception):
                    pair.file.close()
                with suppress(Exception):
                    await pair.handle.close()


def _without(outcome: Outcome, path: Path) -> Outcome:
    """The two files stand in different places: a problem's file is "the one that was opened"."""
    kind, value = outcome
    if kind == "raises":
        return (kind, tuple("<file>" if str(item) == str(path) else item for item in value))
    return (kind, type(value).__name__)
