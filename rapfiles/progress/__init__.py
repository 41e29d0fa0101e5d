"""Progress bars for what takes long: of rich and of tqdm, which are not installed with rapfiles."""

from .._progress import ProgressCallback
from .._public import belong_to as _belong_to
from ._rich import rich_progress
from ._tqdm import tqdm_progress

__all__ = ["ProgressCallback", "rich_progress", "tqdm_progress"]

_belong_to(globals())
