"""pathlib's objects, awaitable: as fast as synchronous code, and never a stall of the event loop."""

from ._engine import Configuration, Stats, configuration, configure, stats
from ._native import __version__
from ._path import AsyncPath

__all__ = ["AsyncPath", "Configuration", "Stats", "__version__", "configuration", "configure", "stats"]
