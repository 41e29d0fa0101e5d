"""Remove directories with everything in them, with a bar for each: `python clear_out.py DIRECTORY …`.

Needs tqdm: `pip install 'rapfiles[tqdm]'`. What cannot be removed is reported and left.
"""

import asyncio
import sys

from rapfiles import AsyncPath
from rapfiles.progress import tqdm_progress


async def main(directories: list[str]) -> int:
    errors: list[Exception] = []

    def note(function: object, path: str, error: Exception) -> None:
        errors.append(error)

    for directory in map(AsyncPath, directories):
        with tqdm_progress(directory.name) as report:
            await directory.rmtree(onexc=note, progress=report, totals=True)
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
