"""Drawing a tree."""

from pathlib import Path

import pytest

from rapfiles import AsyncPath


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in ("a/b/c", "a/d", ".hidden/e", "z/"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            Path(path).touch()
    Path("z").mkdir(exist_ok=True)
    Path("link").symlink_to("a", target_is_directory=True)
    return tmp_path


async def test_it_is_drawn(top: Path) -> None:
    assert await AsyncPath().tree() == "\n".join(
        [
            ".",
            "├── .hidden/",
            "│   └── e",
            "├── a/",
            "│   ├── b/",
            "│   │   └── c",
            "│   └── d",
            "├── link",
            "└── z/",
        ]
    )
    assert await AsyncPath("a").tree(max_depth=1) == "a\n├── b/\n└── d"
    assert await AsyncPath(top, "z").tree() == str(top / "z")
    assert await AsyncPath().tree(hidden=False, exclude=["b", "link"]) == ".\n├── a/\n│   └── d\n└── z/"


async def test_names_stay_in_their_lines(tmp_path: Path) -> None:
    (tmp_path / "new\nline\udcff").touch()
    assert (await AsyncPath(tmp_path).tree()).splitlines()[1] == "└── new\\nline\\xff"


async def test_links_are_followed_but_not_in_circles(top: Path) -> None:
    (top / "a" / "b" / "up").symlink_to("..", target_is_directory=True)
    drawn = await AsyncPath("a").tree(follow_symlinks=True)
    assert drawn == "a\n├── b/\n│   ├── c\n│   └── up/ [Too many levels of symbolic links]\n└── d"


async def test_links_that_lead_nowhere_are_drawn_as_links(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("missing")
    (tmp_path / "file").touch()
    (tmp_path / "through").symlink_to("file/inside")
    drawn = await AsyncPath(tmp_path).tree(follow_symlinks=True)
    assert drawn.splitlines()[1:] == ["├── circle", "├── dangling", "├── file", "└── through"]


async def test_what_cannot_be_read_says_why(top: Path) -> None:
    errors: list[OSError] = []
    assert await AsyncPath("missing").tree(on_error=errors.append) == "missing [No such file or directory]"
    assert [type(error) for error in errors] == [FileNotFoundError]
    with pytest.raises(ValueError, match="max_depth"):
        await AsyncPath().tree(max_depth=0)


@pytest.mark.one_loop
async def test_a_large_tree_is_drawn_like_a_small_one(tmp_path: Path) -> None:
    expected = [str(tmp_path)]
    # Characters of one, two and four bytes, and more of them than are joined at once.
    long = "ä€😀" + "x" * 90
    for number in range(3):
        (tmp_path / f"{number}" / "empty").mkdir(parents=True)
        before = "    " if number == 2 else "│   "
        expected += ["└── 2/" if number == 2 else f"├── {number}/", f"{before}├── empty/"]
        for name in range(300):
            (tmp_path / f"{number}" / f"f{name:03}{long}").touch()
            expected.append(f"{before}{'└' if name == 299 else '├'}── f{name:03}{long}")
    assert (await AsyncPath(tmp_path).tree()).splitlines() == expected
    # Directories are drawn, whatever is to be included.
    drawn = await AsyncPath(tmp_path, "0").tree(include="f29*")
    assert len(drawn.splitlines()) == 12
    assert "├── empty/" in drawn
