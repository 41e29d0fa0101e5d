"""The command line: `python -m rapfiles.compat migrate [--check] PATH...`."""

import sys

from ._migrate.command import run

if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
