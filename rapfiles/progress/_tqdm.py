"""A bar of tqdm's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._bar import Position, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from typing import Never, TextIO

    from tqdm import tqdm

    from .._progress import Progress

__all__ = ["tqdm_progress"]


def tqdm_progress(
    description: str | None = None,
    *,
    file: TextIO | None = None,
    leave: bool = True,
    position: int | None = None,
    disable: bool | None = None,
) -> AbstractContextManager[Callable[[Progress], None]]:
    """Show a bar of [tqdm](https://tqdm.github.io)'s while something takes long.

    It counts bytes, or entries where there are no bytes, as when a tree is removed. Until it is known how
    much there is to do, so without `totals=True` to the end, it shows only how much has been done.

    Args:
        description: What is shown before the bar.
        file: Where to show it; by default on standard error. What takes long to be written there holds up the
            event loop.
        leave: Whether the bar stays at the end.
        position: Which line it has, counted from 0, where several are shown at once.
        disable: Whether nothing is shown; by default, if `file` is no terminal.

    Returns:
        A context manager, for `with`, that gives the function to be passed as `progress=`: to one operation,
        or to several one after the other. It closes the bar in any case.

    Raises:
        ModuleNotFoundError: tqdm is not installed: `pip install 'rapfiles[tqdm]'`.

    ```python
    from rapfiles.progress import tqdm_progress

    await (directory / "photos").mkdir()
    await (directory / "photos" / "one").write_bytes(b"abc")
    with tqdm_progress("Copying") as report:
        await (directory / "photos").copy(directory / "backup", progress=report, totals=True)
    ```
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError as error:
        raise missing("tqdm_progress", "tqdm", error) from error
    bar = tqdm(
        desc=description,
        file=file,
        leave=leave,
        position=position,
        disable=disable,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
    )
    return _shown(bar)


@contextmanager
def _shown(bar: tqdm[Never]) -> Generator[Callable[[Progress], None], None, None]:
    last: Progress | None = None

    def report(progress: Progress) -> None:
        nonlocal last
        begins = last is None or last.counted is not None or progress.elapsed < last.elapsed
        last = progress
        if progress.counted is not None:
            bar.set_postfix_str(f"{progress.counted:,} counted")
            return
        done, total, is_bytes = Position.of(progress)
        bar.unit, bar.unit_divisor = ("B", 1024) if is_bytes else (" entries", 1000)
        if begins:
            # What was done before, such as the counting, says nothing of how long this takes.
            bar.reset(total)
        bar.total = total
        files = f"{progress.files:,}"
        if progress.total_files is not None:
            files += f"/{progress.total_files:,}"
        failed = f", {progress.errors:,} failed" if progress.errors else ""
        bar.set_postfix_str(f"{files} files{failed}", refresh=False)
        bar.update(done - bar.n)
        if progress.current is None:
            bar.refresh()

    with bar:
        yield report
