"""A folder on the node's own disk that blobs are read through, so that a pod does not fetch what its neighbour had.

Blobs never change, so a copy is as good as the original; it is checked like every other read, and dropped where it is
damaged. Nothing else is kept here. (diskcache, which does the same for any value, unpickles what it finds in its
folder, and has had no release for years.)
"""

import contextlib
import fcntl
import os
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ByteSize, TypeAdapter, ValidationError

from mlrepro.errors import CacheWarning, StoreError
from mlrepro.store.local import read_file
from mlrepro.store.pieces import Opener

DEFAULT_SIZE: Final = "20GB"

_AFTER_EVICTION: Final = 0.9
"""Share of the bound that is left after an eviction, so that not every new blob causes one."""

_ABANDONED: Final = 24 * 3600.0
"""Seconds after which an unfinished file belongs to a process that was killed."""


@dataclass(frozen=True)
class LocalCache:
    """Copies of blobs in a folder, the least recently used of which go first. Safe between processes.

    Attributes:
        folder: The folder; made where it is missing, for its owner alone: who can read it can read the blobs.
        max_size: Bytes of all copies together.

    Example:
        >>> import tempfile
        >>> LocalCache.of(tempfile.mkdtemp(), "50MB").max_size
        50000000
    """

    folder: Path
    max_size: int

    @classmethod
    def of(cls, folder: str | Path, max_size: int | str) -> "LocalCache":
        """A cache in a folder.

        Args:
            folder: The folder.
            max_size: Bytes, or a text such as ``"20GB"`` or ``"500MiB"``.

        Raises:
            StoreError: The size is none.
        """
        try:
            size = int(TypeAdapter(ByteSize).validate_python(max_size))
        except ValidationError as error:
            raise StoreError(f"max_size={max_size!r} is no size: write bytes, or a text such as '20GB'") from error
        if size <= 0:
            raise StoreError(f"max_size={max_size!r} must be more than nothing")
        return cls(Path(os.path.abspath(Path(folder).expanduser())), size)  # noqa: PTH100 - links may move later

    def make(self) -> None:
        """Make the folder where it is missing."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Where the copy of a blob is, if there is one."""
        return self.folder / "blobs" / digest[:2] / digest

    def opener(self, digest: str) -> Opener:
        """Opens the copy as a store's object is opened: pieces, or None where there is none."""

        def chunks(into: memoryview | None = None) -> Iterator[memoryview] | None:
            try:
                file = self.path(digest).open("rb", buffering=0)
            except OSError:
                return None
            return read_file(file, into)

        return chunks

    def used(self, digest: str) -> None:
        """Note that a copy was used just now."""
        with contextlib.suppress(OSError):
            os.utime(self.path(digest))

    def drop(self, digest: str) -> None:
        """Remove a copy that is damaged."""
        with contextlib.suppress(OSError), self._locked() as total:
            path = self.path(digest)
            size = path.stat().st_size
            path.unlink()
            total.add(-size)

    @contextlib.contextmanager
    def copying(self, opener: Opener) -> Iterator[tuple[Opener, Callable[[str], None]]]:
        """Copy an object while it is read.

        Args:
            opener: Opens the object in the store.

        Yields:
            An opener that reads the same, and what to call with the digest once the bytes are known to be right.
        """
        copy = _Copy(self, opener)
        try:
            yield copy.open, copy.adopt
        finally:
            copy.close()

    def adopt(self, file: Path, digest: str, size: int) -> None:
        """Take a finished copy in, after making room for it."""
        target = self.path(digest)
        if size > self.max_size:
            return
        with self._locked() as total:
            if target.exists():
                return
            if total.value + size > self.max_size:
                total.set(self._evict(size))
            target.parent.mkdir(parents=True, exist_ok=True)
            # the total first: a kill in between makes the next eviction come too early, and that counts anew
            total.add(size)
            file.replace(target)

    def _evict(self, needed: int) -> int:
        """Remove the least recently used copies, and what killed processes left; the bytes that stay."""
        copies = []
        for path in (self.folder / "blobs").glob("*/*"):
            with contextlib.suppress(OSError):
                found = path.stat()
                copies.append((found.st_mtime, found.st_size, path))
        left = sum(size for _, size, _ in copies)
        room = min(int(self.max_size * _AFTER_EVICTION), self.max_size - needed)
        for _, size, path in sorted(copies):
            if left <= room:
                break
            path.unlink(missing_ok=True)
            left -= size
        for path in (self.folder / "tmp").glob("*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()
        return left

    @contextlib.contextmanager
    def _locked(self) -> Iterator["_Total"]:
        self.make()
        descriptor = os.open(self.folder / "total", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield _Total(descriptor)
        finally:
            os.close(descriptor)  # which unlocks it, too


class _Total:
    """Bytes of all copies, in a file that is locked while this lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        self.value = int(text) if text.isdigit() else 0

    def add(self, size: int) -> None:
        """Count a copy more, or less."""
        self.set(max(0, self.value + size))

    def set(self, value: int) -> None:
        """Replace the count."""
        self.value = value
        os.pwrite(self._descriptor, f"{value:>20}\n".encode(), 0)


class _Copy:
    """One object on its way through. A disk that fails costs the copy, not the read."""

    def __init__(self, cache: LocalCache, opener: Opener) -> None:
        self._cache = cache
        self._opener = opener
        self._path = cache.folder / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex}"
        self._descriptor: int | None = None
        self._size = 0

    def open(self, into: memoryview | None = None) -> Iterator[memoryview] | None:
        pieces = self._opener(into) if into is not None else self._opener()
        if pieces is None:
            return None
        self.close()
        self._size = 0
        with self._or_without():
            self._cache.make()
            self._path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return self._passing(pieces)

    def _passing(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            self._size += len(piece)
            if self._size > self._cache.max_size:
                self.close()
            with self._or_without():
                view = piece.cast("B")
                while view and self._descriptor is not None:
                    view = view[os.write(self._descriptor, view) :]
            yield piece

    def adopt(self, digest: str) -> None:
        if self._descriptor is not None:
            with self._or_without():
                self._cache.adopt(self._path, digest, self._size)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            warnings.warn(
                f"The local cache in {self._cache.folder} could not be written, and is left out: {error.strerror}",
                CacheWarning,
                stacklevel=2,
            )
