"""`transaction()` and `recover()`: changes of several files of a directory, of which all happen or none."""

# pyright: reportUnnecessaryIsInstance=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import os
import sys
from io import BufferedWriter, text_encoding
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

import rapfiles._native as _native

from ._arguments import in_one_piece, path_text
from ._lock import warn_of_lock
from ._mounted import STAGED, explained
from ._text import checked_codec, encode, mark_length
from ._unsupported import UnsupportedOperation

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from ._arguments import StrPath

__all__ = ["Recovery", "Transaction", "recover", "transaction"]

_LOGS: Final = ".rapfiles"


class Recovery(NamedTuple):
    """What [`recover()`][rapfiles.recover] has done with transactions, by their ids, and with files.

    Later versions may add fields, so access them by name.
    """

    finished: list[str]
    """Transactions that were committed: all of their changes have been made."""
    undone: list[str]
    """Transactions that were not committed: none of their changes has been made."""
    skipped: list[str]
    """Transactions that are going on."""
    removed: list[str]
    """Names of files that an atomic write or a copy had left, and that have been removed."""


class Transaction:
    """Changes of files in one directory, of which all are made or none. `transaction()` makes it.

    Its methods stage changes: nobody else sees anything of them. When the block ends, all are made; if it
    ends with an exception, none.

    A name is a path relative to the directory, or one that begins with the path of the directory. It cannot
    lead out of it: `..` is refused, and directories in it that are links are not followed. A method sees what
    was staged before, under the names that it has then. What several tasks stage at the same time counts in
    the order in which it is completed.
    """

    __slots__ = ("_directory", "_durable", "_ended", "_native", "_prefix", "_swap")

    def __init__(self, directory: StrPath, durable: bool, swap: bool) -> None:
        self._directory = path_text("directory", directory)
        plain = os.sep == "/" and self._directory[-1:] not in {"", "/"}
        self._prefix = f"{self._directory}/" if plain else ""
        self._durable = durable
        self._swap = swap
        self._native: _native.Transaction | None = None
        self._ended = False

    @property
    def committed(self) -> bool:
        """Whether the changes are made, or will be by [`recover()`][rapfiles.recover].

        For a task that was cancelled while the block ended, the answer may come a little later.
        """
        return self._native is not None and self._native.committed

    async def __aenter__(self) -> Self:
        if self._native is not None or self._ended:
            raise RuntimeError("a transaction cannot be entered twice")
        self._ended = True  # until it has begun
        self._native = await _native.begin_transaction(self._directory, self._durable, self._swap)
        self._ended = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        native = self._begun()
        self._ended = True
        if error is not None:
            await self._undo(native, error)
            return
        try:
            await explained(native.commit(self._directory), STAGED)
        except Exception:
            raise
        except BaseException:
            native.abandon()
            raise

    async def _undo(self, native: _native.Transaction, error: BaseException) -> None:
        try:
            if _native.in_trio_task():
                import trio

                # Without it, a cancelled task could not wait.
                with trio.CancelScope(shield=True):
                    await native.undo(self._directory)
            else:
                await native.undo(self._directory)
        except Exception as failure:
            error.add_note(f"What was staged could not be removed: {failure}. recover() will remove it.")
        except BaseException:
            native.abandon()
            raise

    def _begun(self) -> _native.Transaction:
        if self._native is None:
            raise RuntimeError("the transaction has not begun: use 'async with'")
        if self._ended:
            raise RuntimeError("the transaction has ended")
        return self._native

    def _named(self, argument: str, name: StrPath) -> tuple[str, str]:
        """The name as the engine takes it, and the path for errors."""
        text = path_text(argument, name)
        if self._prefix:
            within = text.removeprefix(self._prefix) if text[:1] == "/" else text
            if _is_plain(within):
                return within, self._prefix + within
        path = PurePath(text)
        if path.is_absolute():
            try:
                path = path.relative_to(self._directory)
            except ValueError:
                raise ValueError(f"{argument} is not in the directory of the transaction: {text!r}") from None
        parts = path.parts
        if not parts or path.anchor or ".." in parts:
            raise ValueError(
                f"{argument} must be a path in the directory of the transaction without '..', not {text!r}"
            )
        if parts[0].lower() == _LOGS:
            raise ValueError(f"{argument} is where transactions are logged: {text!r}")
        return "/".join(parts), os.path.join(self._directory, path)

    async def write_bytes(self, name: StrPath, data: Buffer) -> int:
        """Replace the content of a file, or create it.

        The new file keeps the permissions of the old one, and its owner and attributes, as far as that is
        permitted. A link is refused.

        Args:
            name: The file.
            data: A bytes-like object, contiguous in memory.

        Returns:
            The number of bytes in `data`.

        Raises:
            OSError: The data cannot be staged, or the file cannot be replaced.

        ```python
        from rapfiles import transaction

        async with transaction(directory) as t:
            assert await t.write_bytes("data", b"abc") == 3
        assert await (directory / "data").read_bytes() == b"abc"
        ```
        """
        native = self._begun()
        in_one_piece(data)
        named = self._named("name", name)
        await warn_of_lock(named[1])
        return await explained(native.write_bytes(*named, data), STAGED)

    async def write_text(
        self,
        name: StrPath,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        """Replace the content of a file with text, or create it.

        Args:
            name: The file.
            data: The text.
            encoding: As for `open`.
            errors: As for `open`.
            newline: As for `open`.

        Returns:
            The number of characters in `data`.

        Raises:
            OSError: As for `write_bytes`.
            UnicodeEncodeError: The encoding cannot represent some character.
        """
        return await self._text(name, data, text_encoding(encoding), errors, newline, append=False)

    async def append_bytes(self, name: StrPath, data: Buffer) -> int:
        """Extend a file, or create it.

        The data goes to where the end of the file is when the transaction is committed. The file stays the
        same one, unless the directory is exchanged (`swap=True`).

        Args:
            name: The file.
            data: A bytes-like object, contiguous in memory.

        Returns:
            The number of bytes in `data`.

        Raises:
            OSError: The data cannot be staged, or the file cannot be written to.
        """
        native = self._begun()
        in_one_piece(data)
        named = self._named("name", name)
        await self._warn_of_append(named[1])
        return await explained(native.append_bytes(*named, data, 0), STAGED)

    async def append_text(
        self,
        name: StrPath,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        """Extend a file with text, or create it.

        Args:
            name: The file.
            data: The text.
            encoding: As for `open`.
            errors: As for `open`.
            newline: As for `open`.

        Returns:
            The number of characters in `data`.

        Raises:
            OSError: As for `append_bytes`.
            UnicodeEncodeError: The encoding cannot represent some character.
        """
        return await self._text(name, data, text_encoding(encoding), errors, newline, append=True)

    async def _text(
        self,
        name: StrPath,
        text: str,
        encoding: str,
        errors: str | None,
        newline: str | None,
        *,
        append: bool,
    ) -> int:
        native = self._begun()
        named = self._named("name", name)
        if not isinstance(text, str):
            raise TypeError(f"data must be str, not {type(text).__name__}")
        await (self._warn_of_append if append else warn_of_lock)(named[1])
        codec = checked_codec(encoding, errors, newline, BufferedWriter)
        if codec is not None:
            written = native.write_text(*named, text, codec, newline, append)
            if await explained(written, STAGED) is not None:
                return len(text)
        mark = mark_length(text[:1], encoding, errors) if append else 0
        # See `_text.write`.
        within = mark < 0 and await native.length(*named) > 0
        content = await encode(text, encoding, errors, newline, within=within)
        if append:
            await explained(native.append_bytes(*named, content, max(mark, 0)), STAGED)
        else:
            await explained(native.write_bytes(*named, content), STAGED)
        return len(text)

    async def _warn_of_append(self, path: str) -> None:
        # A file that is extended stays the same one, unless the directory is exchanged.
        if self._swap:
            await warn_of_lock(path)

    async def rename(self, name: StrPath, target: StrPath) -> None:
        """Rename a file or a link, over an existing one.

        Args:
            name: The file. It is the one that has the name when the transaction is committed.
            target: The new name.

        Raises:
            OSError: There is no such file, or it is a directory, or `target` is one.
        """
        native = self._begun()
        named = self._named("target", target)
        await warn_of_lock(named[1])
        await explained(native.rename(*self._named("name", name), *named), STAGED)

    async def copy(self, name: StrPath, target: StrPath) -> None:
        """Copy the content of a file, as it is now, over an existing one.

        Args:
            name: The file.
            target: The name of the copy. If it exists, it keeps its permissions.

        Raises:
            OSError: There is no such file, or it cannot be read, or `target` cannot be replaced.
        """
        native = self._begun()
        named = self._named("target", target)
        await warn_of_lock(named[1])
        await explained(native.copy(*self._named("name", name), *named), STAGED)

    async def remove(self, name: StrPath, *, missing_ok: bool = False) -> None:
        """Remove a file or a link.

        Args:
            name: The file.
            missing_ok: Whether a missing file is not an error.

        Raises:
            OSError: There is no such file, or it is a directory.
        """
        native = self._begun()
        await explained(native.remove(*self._named("name", name), bool(missing_ok)), STAGED)

    async def mkdir(self, name: StrPath) -> None:
        """Create a directory, for the files that the transaction creates in it.

        Args:
            name: The directory.

        Raises:
            OSError: It exists, if only as a file that the transaction removes or renames, or the directory
                that it is to be in does not.
        """
        native = self._begun()
        await native.mkdir(*self._named("name", name))


def _is_plain(name: str) -> bool:
    """Whether `PurePath`, which takes a third of the time of staging a file, would leave a name as it is."""
    return name[:1] not in {"", "/", "."} and name[-1] != "/" and "//" not in name and "/." not in name


def transaction(directory: StrPath, *, durable: bool = True, swap: bool = False) -> Transaction:
    """Change several files of a directory: all of it happens, or nothing.

    ```python
    from rapfiles import transaction

    async with transaction(directory) as t:
        await t.write_text("settings", "colour = blue\\n")
        await t.append_text("log", "settings changed\\n")
        await t.remove("settings.old", missing_ok=True)
    assert await (directory / "log").read_text() == "settings changed\\n"
    ```

    Nobody sees anything of it before the end of the block, and if the block ends with an exception or is
    cancelled, nothing has changed. If the process or the machine crashes, [`recover()`][rapfiles.recover]
    makes all changes if the transaction was committed, and none otherwise. [Transactions](transactions.md)
    says what is guaranteed, and what others see while the changes are made.

    Args:
        directory: The directory. Until the end there is a directory `.rapfiles` in it.
        durable: Whether the device has all changes when the block has been left. Without it, a power cut may
            take back the transaction, unless it extends a file or exchanges the directory.
        swap: Exchange the whole directory at the end for a copy of it with the changes, in one step, so that
            others see all of them at once. It takes time for each file in the directory, and the directory is
            a new one then. [When the directory is
            exchanged](transactions.md#when-the-directory-is-exchanged) says what that means.

    Returns:
        What `async with` enters, once.

    Raises:
        OSError: On entering, the directory cannot be opened or changed. At the end, a change is not possible;
            none is made then. With `swap=True`, it may be that the directory cannot be copied or exchanged.
            The transaction also ends with an error if another one has exchanged the directory meanwhile.
        NotImplementedError: `swap=True` on Windows.
        TransactionError: At the end, the transaction was committed, but not all changes could be made.
            `recover()` will make them.

    Cancellation:
        Before the end of the block: nothing changes. While the block ends: either all changes are made, or
        none; `committed` says which.
    """
    if swap and sys.platform == "win32":
        raise UnsupportedOperation("transaction(swap=True) is unsupported on this system")
    return Transaction(directory, bool(durable), bool(swap))


async def recover(directory: StrPath) -> Recovery:
    """Finish or undo the transactions in a directory that a crash has interrupted.

    For the start of a program, before it reads what is in the directory. The next transaction that is
    committed does the same, and transactions that are going on are left alone, also those of other processes.

    Files that interrupted atomic writes and copies have left in the directory under temporary names are
    removed, not those in directories in it. What another process is writing is locked, and stays; so does
    what cannot be locked or removed by this user, and, on Windows, everything.

    Args:
        directory: The directory.

    Returns:
        What was done.

    Raises:
        OSError: A transaction cannot be finished or undone. Its log is kept. Or it cannot be found out
            whether a file was left, or such a file cannot be removed although this user may. The others
            have been dealt with.

    ```python
    from rapfiles import recover

    recovery = await recover(directory)
    assert not recovery.finished  # no transaction was interrupted
    ```
    """
    return Recovery(*await _native.recover(path_text("directory", directory)))
