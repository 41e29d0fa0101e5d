"""Compares AsyncPath with pathlib as a user without privileges: `python -c "..." FOLDER`, started as root.

Root may read and write everything, so only someone else meets permission errors. The interpreter may live
where this user cannot read, hence everything is imported before the privileges are given up.
"""

import encodings
import importlib
import json
import os
import pkgutil
import random
import sys
from pathlib import Path

import rapfiles
from support import differential, effort, ground
from support.loops import LOOPS

UID = 65534


def import_all() -> None:
    """Import what the package and the tests may ask for later."""
    for package in (rapfiles, encodings):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name not in ("rapfiles.__main__", "encodings.mbcs", "encodings.oem"):
                importlib.import_module(module.name)
    standard = ("pwd", "grp", "ipaddress", "traceback", "concurrent.futures.thread")
    for name in (*standard, "anyio", "uvloop", "trio"):
        importlib.import_module(name)


def main() -> None:
    """Print the differences as a JSON list of texts."""
    folder = Path(sys.argv[1])
    seed, rounds = int(sys.argv[2]), int(sys.argv[3])
    import_all()
    trees = [ground.build_varied(folder / "of-root")]
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.chdir(folder)
    trees.append(ground.build_varied(folder / "own"))
    print("ready", flush=True)

    # What somebody is refused does not depend on the loop: they take turns with the paths, and each plays its
    # share of the sequences.
    turns = effort.times(len(LOOPS), everything=1)
    differences = []
    for number, loop in enumerate(LOOPS):
        turn = number % turns
        for tree in trees:
            paths = differential.spellings(tree)
            paths += differential.random_paths(tree, 200, random.Random(seed))
            paths = paths[turn::turns]
            others = ["small", "secret-dir/inside", f"{tree.root}/hard-link", "missing"]
            calls = differential.reading_calls(others)
            differences += loop.run(differential.compare_reading, tree, paths, calls)
        differences += loop.run(
            differential.compare_changing,
            seed,
            range(rounds * turn // turns, rounds * (turn + 1) // turns),
            folder / "own",
            folder / "of-root" / "foreign",
        )
    json.dump(differences, sys.stdout)


if __name__ == "__main__":
    main()
