"""Parsing the command line and running a command."""

import argparse
import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from .. import __version__
from .console import BROKEN_PIPE, Console, OutputError, discard_output, prepare_streams

_COMMANDS: Final = {
    "doctor": "show what the engine can use here, and how AsyncPath does on your own files",
    "find": "print what is wanted of one or several trees",
    "du": "print how much room files and trees take",
    "tree": "draw trees",
    "copy": "copy files and trees",
    "move": "move files and trees, also to another file system",
    "rm": "remove files and trees",
}


def run(arguments: Sequence[str]) -> int:
    """Run `python -m rapfiles` with the given arguments and return its exit code."""
    # Only the command that is meant is imported.
    name = next((argument for argument in arguments if argument in _COMMANDS), None)
    command = None if name is None else _module(name)
    options = _parser(name, command).parse_args(arguments)
    assert command is not None
    prepare_streams()
    if name == "doctor":
        return int(command.run(options))
    end = b"\0" if getattr(options, "null", False) else b"\n"
    console = Console(options.command, as_json=options.json, end=end)
    try:
        code = int(asyncio.run(command.run(options, console)))
        console.flush()
    except KeyboardInterrupt:
        if (clear_up := getattr(command, "clear_up", None)) is not None:
            clear_up()
        raise
    except ValueError as error:
        # An argument that has no meaning; what is said of it is the method's.
        console.say(str(error))
        return 2
    except LookupError as error:
        if type(error) is not LookupError:
            raise
        # There is no user of that name.
        console.say(str(error))
        return 2
    except BrokenPipeError:
        discard_output()
        return BROKEN_PIPE
    except OutputError as error:
        console.say(str(error))
        discard_output()
        return 1
    finally:
        console.status.clear()
    return code


def _module(name: str) -> Any:
    return import_module("rapfiles.doctor.command" if name == "doctor" else f"rapfiles._commands.{name}")


def _parser(name: str | None, command: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rapfiles", description="Asynchronous pathlib.")
    parser.add_argument("--version", action="version", version=f"rapfiles {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for each, purpose in _COMMANDS.items():
        of_command = commands.add_parser(
            each, help=purpose, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if each == name:
            of_command.description = command.DESCRIPTION
            of_command.epilog = command.EPILOG
            command.add_arguments(of_command)
    return parser
