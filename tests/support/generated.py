"""Trees that are generated from a seed, and everything that can be told of one."""

import hashlib
import os
import random
import stat
from pathlib import Path
from typing import Any

from support.ground import ODD_NAMES


def generate(root: Path, seed: int, *, directories: int = 12, files: int = 40) -> None:
    """Make a tree with odd names, links, sparse and large files, hard links, and permissions."""
    chance = random.Random(seed)
    root.mkdir()
    folders = [root]
    names = [*ODD_NAMES, *(f"name-{number}" for number in range(directories + files))]
    chance.shuffle(names)
    for number in range(directories):
        folder = chance.choice(folders) / names[number % len(names)]
        if not folder.exists():
            folder.mkdir()
            folders.append(folder)
    made: list[Path] = []
    for number in range(files):
        path = chance.choice(folders) / names[(directories + number) % len(names)]
        if os.path.lexists(path):
            continue
        kind = chance.randrange(10)
        if kind == 0:
            path.symlink_to(chance.choice(["nowhere", ".", "..", "name-1", "/absolute/nowhere"]))
        elif kind == 1 and made:
            os.link(chance.choice(made), path)
        elif kind == 2:
            path.touch()
            os.truncate(path, chance.randrange(1, 4 << 20))
            with path.open("r+b") as file:
                for _ in range(chance.randrange(3)):
                    file.seek(chance.randrange(2 << 20))
                    file.write(chance.randbytes(chance.randrange(9000)))
            made.append(path)
        else:
            size = chance.choice([0, 1, 100, 4096, 65536, 65537, 300_000])
            path.write_bytes(chance.randbytes(size))
            path.chmod(chance.choice([0o644, 0o600, 0o444, 0o755, 0o4755]))
            made.append(path)
            if chance.randrange(3) == 0:
                os.setxattr(path, "user.colour", chance.randbytes(5))
    for path in [*made, *folders]:
        os.utime(path, ns=(chance.randrange(10**18), chance.randrange(10**18)))
    for folder in folders[1:]:
        if chance.randrange(4) == 0:
            folder.chmod(0o555)


def description(root: Path, *, metadata: bool = False, modes: bool = True) -> dict[str, Any]:
    """What is in a tree: the kind and the content of everything, and with `metadata` everything else."""
    found: dict[str, Any] = {}

    def describe(path: str) -> None:
        status = os.lstat(path)
        what: list[Any] = [stat.S_IFMT(status.st_mode)]
        if stat.S_ISLNK(status.st_mode):
            what.append(os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                what += [status.st_size, hashlib.blake2b(file.read()).hexdigest()]
        if metadata:
            what += [status.st_mtime_ns, stat.S_IMODE(status.st_mode)]
            what.append(
                {
                    name: os.getxattr(path, name, follow_symlinks=False)
                    for name in os.listxattr(path, follow_symlinks=False)
                }
            )
        elif modes:
            what.append(stat.S_IMODE(status.st_mode))
        found[os.path.relpath(path, root)] = what
        if stat.S_ISDIR(status.st_mode):
            for name in sorted(os.listdir(path)):
                describe(os.path.join(path, name))

    describe(os.fspath(root))
    return found
