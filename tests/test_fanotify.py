"""Who is asked before a file is opened cannot be foreseen, but does not hold up the loop again and again."""

import threading
from pathlib import Path

import pytest

import rapfiles
import rapfiles._native as _native
from rapfiles import AsyncPath
from support import mounts, scanner
from support.loops import SELECTOR


@pytest.mark.parametrize("way", ["read_bytes", "open"])
def test_a_scanner_holds_up_the_loop_twice_at_once(way: str, tmp_path: Path) -> None:
    """And a third time only after minutes: the unit tests of the engine have the time for that."""
    if (reason := scanner.missing()) is not None:
        pytest.skip(reason)

    async def main() -> list[int]:
        with scanner.scanning(root, 0.03) as asked:
            for number in range(30):
                path = AsyncPath(root, str(number))
                if way == "read_bytes":
                    await path.read_bytes()
                else:
                    async with rapfiles.open(path, "rb") as file:
                        await file.read()
            resting = await _native.inspect(AsyncPath(root))
            assert "rests" in (resting["reason"] or "")
            return asked.asked_by()

    with mounts.mounted("ext4", tmp_path) as root:
        for number in range(30):
            (root / str(number)).write_bytes(b"content")
            mounts.settle(root / str(number))
        asked = SELECTOR.run(main)
    assert len(asked) == 30
    # The first one may be the machine's; the second one is seen to have waited.
    assert asked.count(threading.get_native_id()) == 2
