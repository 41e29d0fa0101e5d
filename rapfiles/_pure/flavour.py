"""The lexical half of a path on this platform: what pathlib calls its flavour."""

import sys

if sys.platform == "win32":
    from pathlib import PureWindowsPath as PureFlavour
else:
    from pathlib import PurePosixPath as PureFlavour

__all__ = ["PureFlavour"]
