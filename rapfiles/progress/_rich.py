"""A bar of rich's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._commands.console import printable
from ._bar import Position, amount, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.progress import Progress as Bars

    from .._progress import Progress

__all__ = ["rich_progress"]


def rich_progress(
    description: str = "",
    *,
    bars: Bars | None = None,
    console: Console | None = None,
    transient: bool = False,
) -> AbstractContextManager[Callable[[Progress], None]]:
    """Show a bar of [rich](https://rich.readthedocs.io)'s while something takes long.

    The bar moves to and fro until it is known how much there is to do, so without `totals=True` to the end.

    Args:
        description: What is shown before the bar; may have rich's markup.
        bars: Where the bar is added, with columns of your own, to show several at once. It has to be started,
            and keeps the bar. By default the bar has a display to itself.
        console: Where to show it; by default rich's own, standard output.
        transient: Whether the bar is removed at the end.

    Returns:
        A context manager, for `with`, that gives the function to be passed as `progress=`: to one operation,
        or to several one after the other. It leaves the bar as it is if the block ends with an exception.

    Raises:
        ModuleNotFoundError: rich is not installed: `pip install 'rapfiles[rich]'`.

    ```python
    from rapfiles.progress import rich_progress

    await (directory / "photos").mkdir()
    await (directory / "photos" / "one").write_bytes(b"abc")
    with rich_progress("Copying") as report:
        await (directory / "photos").copy(directory / "backup", progress=report, totals=True)
    ```
    """
    try:
        import rich.progress
    except ModuleNotFoundError as error:
        raise missing("rich_progress", "rich", error) from error
    if bars is not None:
        return _shown(bars, description)
    bars = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[amount]}", markup=False),
        rich.progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=transient,
    )
    return _displayed(bars, description)


@contextmanager
def _displayed(bars: Bars, description: str) -> Generator[Callable[[Progress], None], None, None]:
    with bars, _shown(bars, description) as report:
        yield report


@contextmanager
def _shown(bars: Bars, description: str) -> Generator[Callable[[Progress], None], None, None]:
    task = bars.add_task(description, total=None, amount="", current="")
    last: Progress | None = None

    def report(progress: Progress) -> None:
        nonlocal last
        begins = last is None or last.counted is not None or progress.elapsed < last.elapsed
        last = progress
        done, total, _ = Position.of(progress)
        if begins:
            # What was done before, such as the counting, says nothing of how long this takes.
            bars.reset(task, total=total)
        current = "" if progress.current is None else printable(progress.current)
        # rich leaves a total as it is where it is given none.
        bars.update(task, completed=done, total=total, amount=amount(progress), current=current)

    yield report
    if last is not None and Position.of(last).total is None:
        done = max(Position.of(last).done, 1)
        bars.update(task, total=done, completed=done)
