"""The API of aiofiles on rapfiles' engine: `import rapfiles.compat as aiofiles`."""

from . import base as base
from . import os as os
from . import ospath as ospath
from . import tempfile as tempfile
from . import threadpool as threadpool
from ._install import install as install
from ._install import uninstall as uninstall
from .threadpool import open, stderr, stderr_bytes, stdin, stdin_bytes, stdout, stdout_bytes

# As with aiofiles, so that `from rapfiles.compat import *` binds no other names.
__all__ = ["open", "stderr", "stderr_bytes", "stdin", "stdin_bytes", "stdout", "stdout_bytes", "tempfile"]
