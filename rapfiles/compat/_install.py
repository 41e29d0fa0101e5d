"""`install`: makes this package importable as `aiofiles`, for code that cannot be changed."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

_THEIRS: Final = "aiofiles"
_OURS: Final = "rapfiles.compat"
# Each module of aiofiles.
_MODULES: Final = (
    "",
    ".base",
    ".os",
    ".ospath",
    ".tempfile",
    ".tempfile.temptypes",
    ".threadpool",
    ".threadpool.binary",
    ".threadpool.text",
    ".threadpool.utils",
)

# What had the names before; `None` before `install`.
_replaced: dict[str, ModuleType] | None = None


def install(*, force: bool = False) -> None:
    """Make `import aiofiles`, anywhere in this process, import `rapfiles.compat`.

    Call it before anything imports aiofiles, best as the first thing in the program. Whether aiofiles itself
    is installed makes no difference. Calling it again does nothing.

    Args:
        force: Whether to install it even if aiofiles has been imported already. Modules that have imported it
            keep it; later imports get `rapfiles.compat`.

    Raises:
        RuntimeError: aiofiles has been imported already, and `force` is false.

    ```python
    import rapfiles.compat

    rapfiles.compat.install()

    import aiofiles.os

    assert aiofiles.open is rapfiles.compat.open
    ```
    """
    global _replaced
    ours = {_THEIRS + name: importlib.import_module(_OURS + name) for name in _MODULES}
    if sys.modules.get(_THEIRS) is ours[_THEIRS]:
        return
    theirs = {
        name: module
        for name, module in sys.modules.items()
        if name == _THEIRS or name.startswith(f"{_THEIRS}.")
    }
    if theirs and not force:
        raise RuntimeError(
            "aiofiles has been imported already, and modules that hold it would go on using it: "
            "call rapfiles.compat.install() earlier, or with force=True"
        )
    for name in theirs:
        del sys.modules[name]
    sys.modules.update(ours)
    _replaced = theirs


def uninstall() -> None:
    """Undo `install`: `import aiofiles` imports aiofiles again, if there is one.

    Modules that have imported `rapfiles.compat` under that name keep it. Does nothing where `install` has not
    been called.

    ```python
    import sys

    import rapfiles.compat

    rapfiles.compat.install()
    rapfiles.compat.uninstall()
    assert "aiofiles" not in sys.modules
    ```
    """
    global _replaced
    if _replaced is None:
        return
    for name in _MODULES:
        module = sys.modules.get(_THEIRS + name)
        if module is not None and module is sys.modules.get(_OURS + name):
            del sys.modules[_THEIRS + name]
    sys.modules.update(_replaced)
    _replaced = None
