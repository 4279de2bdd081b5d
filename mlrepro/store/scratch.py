"""A folder for files that values are loaded into; it is removed when the process ends."""

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Final

_lock: Final = threading.Lock()
_folders: Final[dict[int, Path]] = {}


def scratch_folder() -> Path:
    """A new, empty folder of this process."""
    process = os.getpid()
    with _lock:
        if process not in _folders:
            _folders[process] = Path(tempfile.mkdtemp(prefix="mlrepro-"))
            atexit.register(_remove, process)
        root = _folders[process]
    return Path(tempfile.mkdtemp(dir=root))


def _remove(process: int) -> None:
    # A forked child inherits the registration but not the folder.
    if os.getpid() == process:
        shutil.rmtree(_folders.pop(process), ignore_errors=True)
