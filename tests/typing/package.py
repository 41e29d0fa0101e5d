"""What type checkers know of the parts of the package that are loaded on first use. Nothing is run."""

from typing import assert_type

import rapfiles
from rapfiles import AsyncPath


async def parts() -> None:
    async with rapfiles.tempfile.TemporaryDirectory() as directory:
        assert_type(directory, AsyncPath)
    async with rapfiles.compat.open("a") as file:
        assert_type(await file.read(), str)
    rapfiles.missing  # type: ignore[attr-defined]  # pyright: ignore  # noqa: B018
