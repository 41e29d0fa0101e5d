"""The command line: `python -m rapfiles COMMAND`."""

import signal
import sys


def main() -> int:
    """Run the command and return its exit code; Ctrl-C ends it silently with 130."""
    try:
        from ._commands.parser import run

        code = run(sys.argv[1:])
        _end_by_signals()
    except KeyboardInterrupt:
        _end_by_signals()
        return 130
    return code


def _end_by_signals() -> None:
    """Have Ctrl-C end the process from now on: nothing is left to undo, and a traceback would be noise."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
