"""The temporary folder of one reproduction: gone when it ends, and after a kill when the next one begins."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "mlrepro-reproduce-"


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Make a folder that is removed in the end, and remove those whose process was killed.

    A lock on the folder says that its process lives: the system lets go of it whatever ends the process.
    """
    _sweep(Path(tempfile.gettempdir()))
    with contextlib.ExitStack() as held:
        folder = _made(held)
        try:
            yield folder
        finally:
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder and what is in it, that of code bundles too, which is read-only."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _made(held: contextlib.ExitStack) -> Path:
    """Make a folder and lock it; another one where somebody swept it away in between."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(OSError):
            held.enter_context(_locked(folder))
            if folder.exists():
                return folder


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(folder):
            remove(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of one's own folder; OSError if it is not there, locked, or somebody else's."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
