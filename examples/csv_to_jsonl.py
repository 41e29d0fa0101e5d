"""Turn a table into one JSON object per line: `python csv_to_jsonl.py TABLE.csv OUT.jsonl`.

`csv` and `json` are synchronous and know nothing of files that are awaited. They need not: they are given
lines and texts. Batches of lines keep the number of awaits small.
"""

import asyncio
import csv
import json
import sys

from rapfiles import AsyncPath


async def convert(table: AsyncPath, target: AsyncPath) -> int:
    """Convert, and return the number of rows."""
    rows = 0
    # csv wants to see the line ends as they are.
    async with (
        table.open(encoding="utf-8-sig", newline="") as reader,
        target.open("w", encoding="utf-8") as writer,
    ):
        names = next(csv.reader([await reader.readline()]))
        rest: list[str] = []
        async for batch in reader.lines():
            rest += batch
            # A quoted field may go on in the next batch: what has an odd number of quotes waits for its end.
            if "".join(rest).count('"') % 2:
                continue
            objects = [dict(zip(names, row, strict=False)) for row in csv.reader(rest) if row]
            await writer.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
            rows += len(objects)
            rest = []
    return rows


async def main(table: str, target: str) -> None:
    print(await convert(AsyncPath(table), AsyncPath(target)), "rows")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
