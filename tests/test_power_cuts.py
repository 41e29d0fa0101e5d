"""After a power cut a file is as before or complete, and what was acknowledged as durable is there.

Some states of one file system: `scripts/test-power-cuts` is for thousands, of ext4, XFS and btrfs.
"""

from pathlib import Path

import pytest

from support import mounts
from support.power import disk, states
from support.power.trial import Trial

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(disk.missing("ext4") is not None, reason=str(disk.missing("ext4"))),
]


def _problems(trial: Trial, most: int, folder: Path) -> list[str]:
    """What is wrong in the states of a trial. They are in memory, where flushes cost nothing."""
    with mounts.mounted("tmpfs", folder, size=1 << 30) as memory:
        chosen = states.choose(trial.record(memory), trial.seed, most)
        assert len(chosen) == most
        findings = trial.findings(memory, chosen)
        return [f"{state}: {finding.problem}" for state, finding in findings if finding.problem]


@pytest.mark.parametrize(
    "workload", ["create", "durable-replace", "transactions", "durable-transactions", "durable-swap"]
)
def test_old_or_new(workload: str, tmp_path: Path) -> None:
    assert _problems(Trial("ext4", workload, seed=1), 40, tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "workload"),
    [
        ("no-file-sync", "durable-create"),
        ("no-directory-sync", "durable-create"),
        ("name-before-content", "durable-create"),
        ("commit-before-content", "durable-transactions"),
        ("no-directory-sync", "durable-swap"),
    ],
)
def test_a_mistake_is_found(fault: str, workload: str, tmp_path: Path) -> None:
    assert _problems(Trial("ext4", workload, seed=1, fault=fault), 24, tmp_path) != []
