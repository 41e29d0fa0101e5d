"""rmtree beside a process that exchanges directories for links: nothing outside of the tree is touched.

`RAPFILES_SOAK=60` lets it run for this many seconds; CVE-2022-21658 is one of its moves.
"""

from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support.exchanges import attack
from support.generated import description


@pytest.mark.one_loop
async def test_nothing_outside_is_touched(tmp_path: Path) -> None:
    with attack(tmp_path) as attacker:
        before = description(tmp_path / "canary", metadata=True)
        for _ in attacker.rounds(least=8):
            await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)
            assert description(tmp_path / "canary", metadata=True) == before, attacker.seed
