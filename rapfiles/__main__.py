"""The command line: `python -m rapfiles COMMAND`."""

import sys


def main() -> int:
    """Run the command and return its exit code; Ctrl-C ends it silently with 130."""
    try:
        from ._commands.parser import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
