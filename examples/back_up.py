"""Copy directories into another one, all at once, each with a bar: `python back_up.py DIRECTORY … TARGET`.

Needs rich: `pip install 'rapfiles[rich]'`. What cannot be copied is left out and reported at the end.
"""

import asyncio
import sys

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from rapfiles import AsyncPath
from rapfiles.progress import rich_progress


async def main(sources: list[str], target: str) -> int:
    errors: list[OSError] = []
    into = AsyncPath(target)
    await into.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()

    async def back_up(source: AsyncPath) -> None:
        with rich_progress(source.name, bars=bars) as report:
            await source.copy_into(
                into,
                follow_symlinks=False,
                preserve_metadata=True,
                merge=True,
                on_error=errors.append,
                progress=report,
                totals=True,
            )

    with Progress(*columns, TimeRemainingColumn()) as bars:
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(back_up(AsyncPath(source)))
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:-1], sys.argv[-1])))
