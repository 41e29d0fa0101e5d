"""What needs no file system is pathlib's own; what this pathlib lacks is as the newest one defines it."""

import copy
import operator
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import rapfiles
from rapfiles import AsyncPath
from rapfiles._pure.matching import matches

PIECES = """a b A .hidden a.tar.gz foo. ..foo ... a/b b/../c ./a a//b/ / // ///x . .. ~ c: a\\b - é \udcff"""
SEGMENT = st.sampled_from([*PIECES.split(" "), "", "a b", "x\ny"])
SEGMENTS = st.lists(SEGMENT, max_size=4)
several = settings(max_examples=40, deadline=None)


def outcome(action: Callable[[], Any]) -> Any:
    """What an action returns, or what it raises."""
    try:
        return action()
    except (ValueError, TypeError, IndexError, NotImplementedError) as error:
        return type(error), str(error)


def in_common(value: Any) -> Any:
    """The value with each path as a pure path, so that results of both classes can be compared."""
    if isinstance(value, PurePath):
        return PurePath(value), str(value)
    if isinstance(value, tuple | list):
        return [in_common(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\b(\w*Path|Initialised)\(", "Path(", value)
    return value


# Every lexical member, on a path and another one.
MEMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "parts": lambda path, _other: path.parts,
    "drive": lambda path, _other: path.drive,
    "root": lambda path, _other: path.root,
    "anchor": lambda path, _other: path.anchor,
    "name": lambda path, _other: path.name,
    "suffix": lambda path, _other: path.suffix,
    "suffixes": lambda path, _other: path.suffixes,
    "stem": lambda path, _other: path.stem,
    "parent": lambda path, _other: path.parent,
    "parents": lambda path, _other: list(path.parents),
    "a slice of parents": lambda path, _other: path.parents[:-1],
    "the last of parents": lambda path, _other: path.parents[-1],
    "too many parents": lambda path, _other: path.parents[len(path.parents)],
    "str": lambda path, _other: str(path),
    "bytes": lambda path, _other: bytes(path),
    "fspath": lambda path, _other: os.fspath(path),
    "repr": lambda path, _other: repr(path),
    "format": lambda path, _other: f"{path}",
    "as_posix": lambda path, _other: path.as_posix(),
    "is_absolute": lambda path, _other: path.is_absolute(),
    "as_uri": lambda path, _other: path.as_uri(),
    "joinpath": lambda path, other: path.joinpath(other, "x"),
    "joinpath of nothing": lambda path, _other: path.joinpath(),
    "/": lambda path, other: path / other,
    "/ text": lambda path, other: path / str(other),
    "text /": lambda path, other: str(other) / path,
    "/ a number": lambda path, _other: outcome(lambda: path / 3)[0],
    "is_relative_to": lambda path, other: path.is_relative_to(other),
    "relative_to": lambda path, other: path.relative_to(other),
    "relative_to text": lambda path, other: path.relative_to(str(other)),
    "match": lambda path, other: path.match(str(other)),
    "match a suffix": lambda path, _other: path.match("*.gz"),
    "with_name": lambda path, other: path.with_name(str(other)),
    "with_name of text": lambda path, _other: path.with_name("new.txt"),
    "with_stem": lambda path, other: path.with_stem(str(other)),
    "with_suffix": lambda path, other: path.with_suffix(str(other)),
    "with_suffix of text": lambda path, _other: path.with_suffix(".new"),
    "without suffix": lambda path, _other: path.with_suffix(""),
    "==": lambda path, other: (path == other, path == PurePath(other), path == str(path)),
    "<": lambda path, other: (path < other, path <= other, path > other, path >= other),
    "hash": lambda path, _other: hash(path),
}
if sys.version_info >= (3, 12):
    MEMBERS["relative_to walking up"] = lambda path, other: path.relative_to(other, walk_up=True)
    MEMBERS["match without case"] = lambda path, other: path.match(other, case_sensitive=False)
    MEMBERS["with_segments"] = lambda path, other: path.with_segments(path, other)
if sys.version_info >= (3, 13):
    MEMBERS["full_match"] = lambda path, other: path.full_match(other)
    MEMBERS["parser"] = lambda path, _other: path.parser


@pytest.mark.parametrize("member", MEMBERS)
def test_lexical_members_are_those_of_pathlib(member: str) -> None:
    use = MEMBERS[member]

    @several
    @given(SEGMENTS, SEGMENTS)
    def check(segments: list[str], others: list[str]) -> None:
        expected = outcome(lambda: use(Path(*segments), Path(*others)))
        actual = outcome(lambda: use(AsyncPath(*segments), AsyncPath(*others)))
        assert in_common(actual) == in_common(expected)
        assert_class(actual)

    check()


def assert_class(value: Any) -> None:
    """Every path in the value is an AsyncPath."""
    if isinstance(value, PurePath):
        assert type(value) is AsyncPath
    if isinstance(value, tuple | list):
        for item in value:
            assert_class(item)


@several
@given(SEGMENTS)
def test_paths_of_all_kinds_are_equal_and_in_order(segments: list[str]) -> None:
    path = AsyncPath(*segments)
    for other in (PurePath(*segments), Path(*segments), AsyncPath(PurePath(*segments)), AsyncPath(str(path))):
        assert path == other
        assert other == path
        assert hash(path) == hash(other)
        assert len({path, other}) == 1
        assert path <= other
        assert not path < other
        assert Path(path) == other
    assert path < PurePath(path, "x")
    assert Path(path, "x") > path
    assert path != str(path)


def test_other_flavours() -> None:
    foreign = PureWindowsPath if os.name == "posix" else PurePosixPath
    assert AsyncPath("a") != foreign("a")
    with pytest.raises(TypeError):
        _ = AsyncPath("a") < foreign("a")  # type: ignore[operator]
    assert AsyncPath(foreign("a/b")) == AsyncPath("a/b")


def test_the_left_operand_decides_the_class() -> None:
    assert type(AsyncPath("a") / Path("b")) is AsyncPath
    assert type(Path("a") / AsyncPath("b")) is type(Path())
    assert type(PurePath("a") / AsyncPath("b")) is type(PurePath())
    assert type("a" / AsyncPath("b")) is AsyncPath


def test_it_is_a_pure_path_and_not_a_path() -> None:
    assert isinstance(AsyncPath(), PurePath)
    assert isinstance(AsyncPath(), os.PathLike)
    assert not isinstance(AsyncPath(), Path)
    assert AsyncPath() == AsyncPath("") == AsyncPath(".")


def test_functions_that_take_paths_take_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    path = AsyncPath(tmp_path, "file")
    with open(path, "rb") as file:
        assert file.read() == b"abc"
    assert os.stat(path).st_size == 3
    assert os.path.join(path, "x") == f"{path}{os.sep}x"
    assert Path(path).read_bytes() == b"abc"


@several
@given(SEGMENTS)
def test_pickles_and_copies(segments: list[str]) -> None:
    path = AsyncPath(*segments)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.loads(pickle.dumps(path, protocol))
        assert type(pickled) is AsyncPath
        assert pickled == path
        assert str(pickled) == str(path)
    for copied in (copy.copy(path), copy.deepcopy(path)):
        assert type(copied) is AsyncPath
        assert copied == path


def test_a_pickle_names_the_class_by_its_public_place() -> None:
    assert b"rapfiles._" not in pickle.dumps(AsyncPath("a"))
    assert (AsyncPath.__module__, AsyncPath.__qualname__) == ("rapfiles", "AsyncPath")


def test_match_statements() -> None:
    match AsyncPath("/a/b.txt"):
        case Path():
            pytest.fail("an AsyncPath is not a Path")
        case AsyncPath(name="b.txt", parent=AsyncPath(parts=("/", "a")) as parent):
            assert parent == AsyncPath("/a")
        case _:
            pytest.fail("the attributes of a path can be matched")


def test_there_is_no_room_for_attributes() -> None:
    with pytest.raises(AttributeError):
        AsyncPath("a").attribute = 1  # type: ignore[attr-defined]
    assert not hasattr(AsyncPath("a"), "__dict__")


# Subclasses.


class Plain(AsyncPath):
    pass


class Slotted(AsyncPath):
    __slots__ = ("note",)

    note: str


class Initialised(AsyncPath):
    """Takes a keyword, and each path made from one keeps what it was given."""

    __slots__ = ("mark",)

    def __init__(self, *segments: Any, mark: str = "none") -> None:
        super().__init__(*segments)
        self.mark = mark

    def with_segments(self, *segments: Any) -> "Initialised":
        return type(self)(*segments, mark=self.mark)


class Counted(AsyncPath):
    """Only its construction is its own."""

    made = 0

    def __init__(self, *segments: Any) -> None:
        super().__init__(*segments)
        type(self).made += 1
        self.initialised = True


class Made(AsyncPath):
    """Made in the way that also worked before Python 3.12."""

    def __new__(cls, *segments: Any, extra: int = 0) -> "Made":
        path = super().__new__(cls, *segments)
        path.extra = extra
        return path

    extra: int

    def __init__(self, *segments: Any, extra: int = 0) -> None:
        super().__init__(*segments)


class Grandchild(Initialised):
    pass


DERIVATIONS: dict[str, Callable[[AsyncPath], Any]] = {
    "/": lambda path: path / "x",
    "text /": lambda path: "x" / path,
    "joinpath": lambda path: path.joinpath("x", "y"),
    "parent": lambda path: path.parent,
    "parents": lambda path: path.parents[0],
    "every parent": lambda path: list(path.parents)[-1],
    "a slice of parents": lambda path: path.parents[:2][1],
    "with_name": lambda path: path.with_name("x"),
    "with_stem": lambda path: path.with_stem("x"),
    "with_suffix": lambda path: path.with_suffix(".x"),
    "relative_to": lambda path: path.relative_to("/a"),
    "relative_to walking up": lambda path: path.relative_to("/a/x", walk_up=True),
    "with_segments": lambda path: path.with_segments("x"),
}


@pytest.mark.parametrize("kind", [Plain, Slotted, Initialised, Grandchild, Counted, Made])
@pytest.mark.parametrize("derivation", DERIVATIONS)
def test_what_is_made_from_a_path_keeps_its_class(kind: type[AsyncPath], derivation: str) -> None:
    derived = DERIVATIONS[derivation](kind("/a/b/c.txt"))
    assert type(derived) is kind
    assert derived == DERIVATIONS[derivation](AsyncPath("/a/b/c.txt"))
    assert str(derived) == str(DERIVATIONS[derivation](AsyncPath("/a/b/c.txt")))


@pytest.mark.parametrize("derivation", DERIVATIONS)
def test_with_segments_makes_every_path(derivation: str) -> None:
    for kind in Initialised, Grandchild:
        path = kind("/a/b/c.txt", mark="kept")
        assert path.mark == "kept"
        assert DERIVATIONS[derivation](path).mark == "kept"


@pytest.mark.parametrize("derivation", DERIVATIONS)
def test_init_makes_every_path(derivation: str) -> None:
    path = Counted("/a/b/c.txt")
    before = Counted.made
    assert DERIVATIONS[derivation](path).initialised
    assert Counted.made > before


def test_a_path_that_has_no_parent_is_its_own() -> None:
    for kind in AsyncPath, Initialised:
        assert kind("/").parent == kind("/")
        assert kind().parent == kind()
    root = Initialised("/", mark="kept")
    assert root.parent.mark == "kept"
    assert len(root.parents) == 0
    assert len(Initialised("/a/b").parents) == 2
    assert repr(Initialised("/a").parents) == "<Initialised.parents>"
    with pytest.raises(IndexError):
        _ = Initialised("/a").parents[1]


def test_keywords_are_for_subclasses() -> None:
    with pytest.raises(TypeError):
        AsyncPath("a", mark="b")  # type: ignore[call-arg]
    assert Made("a", extra=3).extra == 3


class Text(str):
    """A string of another class, which may say something else when it is asked."""

    __slots__ = ()


class Named:
    """What is no string, but has a path."""

    def __fspath__(self) -> str:
        return "a/b"


@pytest.mark.parametrize(
    "argument", [Text("a/b"), Named(), PurePath("a/b"), AsyncPath("a/b"), b"a/b", 1, None]
)
def test_a_path_of_one_argument(argument: Any) -> None:
    def made(kind: type[PurePath]) -> tuple[Any, ...]:
        path = kind(argument)
        return str(path), path.parts, path.name, str(path.parent)

    assert outcome(lambda: made(AsyncPath)) == outcome(lambda: made(PurePath))


def test_arguments_that_do_not_fit() -> None:
    if sys.version_info >= (3, 12):
        with pytest.raises(TypeError, match="unexpected keyword"):
            AsyncPath("a", other="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        AsyncPath("a", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_constructor_that_is_put_in_later_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def init(self: AsyncPath, *segments: str) -> None:
        seen.append(segments)
        if sys.version_info >= (3, 12):
            before(self, *segments)

    before: Callable[..., None] = AsyncPath.__init__
    AsyncPath("a")
    monkeypatch.setattr(AsyncPath, "__init__", init)
    assert str(AsyncPath("a/b")) == "a/b"
    assert seen == [("a/b",)]
    monkeypatch.undo()
    assert str(AsyncPath("a/c")) == "a/c"
    assert seen == [("a/b",)]


@several
@given(SEGMENTS, SEGMENTS)
def test_a_subclass_is_as_lexical_as_its_base(segments: list[str], others: list[str]) -> None:
    # Before Python 3.14, pathlib makes `a/.` of `a/..foo` without its suffix, which is no proper path.
    assume("..foo" not in segments)
    for use in MEMBERS.values():
        expected = outcome(lambda use=use: use(AsyncPath(*segments), AsyncPath(*others)))
        actual = outcome(lambda use=use: use(Initialised(*segments), Initialised(*others)))
        assert in_common(actual) == in_common(expected)


def test_a_subclass_pickles_and_copies() -> None:
    for kind in Plain, Initialised, Made:
        path = kind("a/b")
        assert pickle.loads(pickle.dumps(path)) == path
        assert type(pickle.loads(pickle.dumps(path))) is kind
        assert type(copy.copy(path)) is kind


# What this Python's pathlib may lack. The facts are those of Python 3.15.

FULL_MATCHES = [
    ("a/b.py", "*.py", False),
    ("b.py", "*.py", True),
    ("a/b.py", "a/*.py", True),
    ("a/b/c.py", "a/*.py", False),
    ("a/b/c.py", "a/**/*.py", True),
    ("a/c.py", "a/**/*.py", True),
    ("a/b", "a/**", True),
    ("a", "a/**", False),
    ("a/b/c/d", "a/**", True),
    ("a", "**", True),
    (".", "**", True),
    (".", "", True),
    (".", ".", True),
    ("a", "", False),
    (".", "*", False),
    (".hidden/x", "*/x", True),
    (".hidden/x", "**/x", True),
    ("x", "**/x", True),
    ("/x", "**/x", False),
    ("/a/x", "**/x", True),
    ("/", "**", True),
    ("/a", "/**", True),
    ("/", "/**", True),
    ("/", "/*", False),
    ("/a/b", "/*", False),
    ("a/b/a/b", "**/a/**/b", True),
    ("a/b/c/a", "**/b/**/b/**", False),
    ("ab", "a**", True),
    ("a/b", "a**", False),
    ("a/b", "a?b", False),
    ("axb", "a[!b]b", True),
    ("a[b", "a[b", True),
    ("a*", "a[*]", True),
    ("ab", "a[*]", False),
    ("A/B.PY", "a/*.py", os.name == "nt"),
    ("a/b/", "a/b", True),
    ("x\ny", "x*", True),
    ("a/b", "**/**/b", True),
    ("a/b", "**/*/**", True),
    ("a", "**/*/**", False),
]


@pytest.mark.parametrize(("path", "pattern", "expected"), FULL_MATCHES)
def test_full_match(path: str, pattern: str, expected: bool) -> None:
    assert AsyncPath(path).full_match(pattern) is expected
    assert AsyncPath(path).full_match(PurePath(pattern)) is expected
    assert AsyncPath(path).full_match(AsyncPath(pattern)) is expected
    assert Initialised(path).full_match(pattern) is expected


def test_a_set_does_not_match_a_separator() -> None:
    # In early versions of pathlib it does.
    for pattern in "a[!x]b", "a[+-9]b":
        assert not matches("a/b", pattern, separator="/", case_sensitive=True, recursive=True)
        assert matches("a.b", pattern, separator="/", case_sensitive=True, recursive=True)


def test_full_match_with_and_without_case() -> None:
    assert AsyncPath("A/B.PY").full_match("a/*.py", case_sensitive=False)
    assert not AsyncPath("A/B.PY").full_match("a/*.py", case_sensitive=True)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="this pathlib has no full_match to compare with")
@several
@given(SEGMENTS, st.text("ab*?./[]-", max_size=12))
def test_the_matching_is_that_of_pathlib(segments: list[str], pattern: str) -> None:
    # Early versions let a set match a separator.
    assume("[" not in pattern)
    path, wanted = PurePosixPath(*segments), PurePosixPath(pattern)
    for sensitive in True, False:
        assert matches(
            str(path) if path.parts else "",
            str(wanted) if wanted.parts else "",
            separator="/",
            case_sensitive=sensitive,
            recursive=True,
        ) is path.full_match(wanted, case_sensitive=sensitive)


MATCHES = [
    ("a/b.PY", "*.py", False, True),
    ("a/b.PY", "*.py", True, False),
    ("A/b.py", "a/*.py", False, True),
    ("a/b.py", "/a/*.py", True, False),
    ("/a/b.py", "/a/*.py", True, True),
    ("/a/b.py", "a/*.py", True, True),
    ("/c/a/b.py", "/a/*.py", True, False),
    ("a/b/c.py", "a/**/*.py", True, True),
    ("a/c.py", "a/**/*.py", True, False),
    ("/a", "*/a", True, False),
    ("/a", "/*", True, True),
    ("a", "a/", True, True),
]


@pytest.mark.parametrize(("path", "pattern", "sensitive", "expected"), MATCHES)
def test_match_with_and_without_case(path: str, pattern: str, sensitive: bool, expected: bool) -> None:
    assert AsyncPath(path).match(pattern, case_sensitive=sensitive) is expected
    assert AsyncPath(path).match(PurePath(pattern), case_sensitive=sensitive) is expected


def test_match_of_nothing() -> None:
    for pattern in ("", "."):
        with pytest.raises(ValueError, match="empty pattern"):
            AsyncPath("a").match(pattern, case_sensitive=True)


WALKS_UP = [
    ("/a/b", "/a/b", "."),
    ("/a/b", "/a", "b"),
    ("/a/b", "/", "a/b"),
    ("/a/b", "/a/c", "../b"),
    ("/a/b", "/c/d/e", "../../../a/b"),
    ("a/b", "a/c/d", "../../b"),
    ("a", ".", "a"),
    (".", "a/b", "../.."),
]


@pytest.mark.parametrize(("path", "start", "expected"), WALKS_UP)
def test_relative_to_walking_up(path: str, start: str, expected: str) -> None:
    for other in (start, PurePath(start), AsyncPath(start)):
        assert str(AsyncPath(path).relative_to(other, walk_up=True)) == expected


@pytest.mark.parametrize(
    ("path", "start", "message"),
    [
        ("/a", "b", "'/a' and 'b' have different anchors"),
        ("a", "/b", "'a' and '/b' have different anchors"),
        ("/a/b", "/a/../c", "'..' segment in '/a/../c' cannot be walked"),
    ],
)
def test_relative_to_what_cannot_be_walked_up(path: str, start: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        AsyncPath(path).relative_to(start, walk_up=True)
    assert str(caught.value) == message


URIS = [
    ("file:///etc/hosts", "/etc/hosts"),
    ("file:///a%20b", "/a b"),
    ("file:///caf%C3%A9", "/café"),
    ("file:///%FF", "/\udcff"),
    ("file:/etc/hosts", "/etc/hosts"),
    ("file://localhost/etc/hosts", "/etc/hosts"),
]


@pytest.mark.skipif(os.name == "nt", reason="the facts are those of POSIX")
@pytest.mark.parametrize(("uri", "expected"), URIS)
def test_from_uri(uri: str, expected: str) -> None:
    assert str(AsyncPath.from_uri(uri)) == expected
    assert type(Initialised.from_uri(uri)) is Initialised


@pytest.mark.skipif(sys.version_info[:2] == (3, 13), reason="Python 3.13 reads them in its own way")
@pytest.mark.skipif(os.name == "nt", reason="the facts are those of POSIX")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("FILE:///a", "/a"),
        ("file:/a", "/a"),
        ("file:///a?query#fragment", "/a"),
        (f"file://{os.uname().nodename}/a" if hasattr(os, "uname") else "file:///a", "/a"),
    ],
)
def test_from_uri_since_python_3_14(uri: str, expected: str) -> None:
    assert str(AsyncPath.from_uri(uri)) == expected


@pytest.mark.parametrize("uri", ["", "/a", "http://localhost/a", "file:a", "file:", "file"])
def test_from_what_is_no_uri_of_a_path(uri: str) -> None:
    with pytest.raises(ValueError, match=r"URI|URL"):
        AsyncPath.from_uri(uri)


def test_from_the_uri_of_another_host() -> None:
    if sys.version_info[:2] == (3, 13):
        assert str(AsyncPath.from_uri("file://elsewhere/a")) == "//elsewhere/a"
    else:
        with pytest.raises(ValueError, match="localhost"):
            AsyncPath.from_uri("file://elsewhere/a")


@several
@given(SEGMENTS)
def test_uris_lead_back(segments: list[str]) -> None:
    path = AsyncPath("/", *segments)
    assume(not str(path).startswith("//"))
    assume(sys.version_info[:2] != (3, 13) or str(path)[2:3] not in {"", ":", "|"})
    assert AsyncPath.from_uri(path.as_uri()) == path


def test_parser_and_with_segments() -> None:
    assert AsyncPath.parser is os.path
    assert AsyncPath("a").parser is os.path
    assert AsyncPath("a").with_segments("b", PurePath("c")) == AsyncPath("b/c")


@pytest.mark.parametrize("bad", [b"bytes", 3, None, object()])
def test_segments_are_text(bad: Any) -> None:
    for make in (AsyncPath, AsyncPath().joinpath, AsyncPath().with_segments, Initialised("a").joinpath):
        with pytest.raises(TypeError):
            make(bad)
    for kind in AsyncPath, Initialised:
        with pytest.raises(TypeError):
            operator.truediv(kind("a"), bad)
        with pytest.raises(TypeError):
            operator.truediv(bad, kind("a"))


def test_importing_is_light() -> None:
    program = (
        "import sys, threading; before = set(sys.modules); import rapfiles\n"
        "assert threading.active_count() == 1\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {environment['PYTHONPATH']!r})\n{program}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    heavy = {
        "asyncio",
        "trio",
        "anyio",
        "dataclasses",
        "inspect",
        "typing_extensions",
        "socket",
        "ssl",
        "logging",
    }
    assert "rapfiles" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())
