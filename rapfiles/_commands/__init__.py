"""The command line: `python -m rapfiles COMMAND`."""
