"""Change a setting in a JSON file that others change, too: `python edit_settings.py FILE KEY VALUE`.

No change of another process is lost, and who reads the file meanwhile sees it as it was or as it is, also
after a crash.
"""

import asyncio
import json
import sys
from typing import Any

from rapfiles import AsyncPath


async def edit(settings: AsyncPath, key: str, value: Any) -> Any:
    """Set the key, and return the value that it had."""
    # The lock is a file beside it: one on the file itself would stay with the old file when that is replaced.
    async with settings.with_name(f"{settings.name}.lock").lock(timeout=10):
        try:
            content = json.loads(await settings.read_text(encoding="utf-8"))
        except FileNotFoundError:
            content = {}
        before = content.get(key)
        content[key] = value
        await settings.write_text(json.dumps(content, indent=2), encoding="utf-8", atomic=True, durable=True)
    return before


async def main(name: str, key: str, value: str) -> None:
    before = await edit(AsyncPath(name), key, json.loads(value))
    print(f"{key}: {before!r} is now {value}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
