"""What the store needs of the place that holds its objects: a folder, a bucket or memory."""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from mlrepro.errors import NoRightError, StoreError

Buffer: TypeAlias = bytes | bytearray | memoryview

CHUNK = 4 * 1024 * 1024
"""Bytes that are read, hashed and written at a time."""

STORE_SCHEMA = 1
"""Version of the layout; a store with a higher one is refused."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it.

    Attributes:
        key: Its name, from the store's root.
        size: Its length in bytes.
        modified: When it was last written, renewed or moved, in seconds since 1970 by the clock of the place.
    """

    key: str
    size: int
    modified: float


class Spool(Protocol):
    """Bytes on their way into the store, under no name yet."""

    def write(self, data: Buffer) -> None:
        """Add bytes; they are neither changed nor kept after the call."""

    def sync(self) -> None:
        """Make the bytes survive a power cut where that can be done before they have a name."""

    def publish(self, key: str) -> None:
        """Make all bytes appear under the key at once, replacing the object that may be there.

        Raises:
            FolderInPlaceError: It is a folder that is there; after it is moved away, this can be called again.
        """


class Objects(Protocol):
    """A flat set of named, whole objects. Every method raises StoreError where the place itself fails.

    Attributes:
        url: The root, as a person would write it.
        remote: Whether reading waits for a network.
        ordered: Whether ``names`` lists a folder in text order, so that its first is the newest entry.
    """

    url: str
    ordered: bool
    remote: bool

    def check(self, scope: str) -> None:
        """Raise StoreError unless the scope can be written and put-if-absent holds."""

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None."""

    def create(self, key: str, data: bytes) -> bool:
        """Put-if-absent; whether it was ours that was stored. Durable on return."""

    def size(self, key: str) -> int | None:
        """The object's size in bytes, or None."""

    def chunks(self, key: str, into: memoryview | None = None) -> Iterator[memoryview] | None:
        """The object's bytes piece by piece, or None where there is no such object.

        Args:
            key: The object.
            into: Memory of the expected size that the bytes are to be put in; the pieces are then slices of it.
                What does not fit is still yielded, so that the caller sees that the size is wrong.
        """

    def map(self, key: str) -> memoryview | None:
        """The object's bytes as they lie on the disk, without a copy; None where it is missing, empty or not local."""

    def spool(self, scope: str) -> AbstractContextManager[Spool]:
        """Begin an object whose name is not known yet. What is not published is removed on exit."""

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store."""

    def move(self, source: str, target: str) -> None:
        """Give an object another name, replacing what may have had it. It then counts as written now."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""

    def renew(self, key: str, size: int) -> bool:
        """Have an object count as written now, so that garbage collection spares it.

        Returns:
            Whether it is there, with that size, and counts as new. If not, it has to be written again.
        """

    def names(self, folder: str) -> Iterator[str]:
        """Names of the objects directly in a folder."""

    def latest(self, folder: str, suffix: str, limit: int) -> list[str]:
        """Names of the objects directly in a folder that end so, the ones written last first, at most so many."""

    def folders(self, folder: str) -> tuple[list[str], bool]:
        """Names of the folders in a folder, sorted, and whether it holds objects itself."""

    def walk(self, folder: str) -> Iterator[Listed]:
        """All objects below a folder, at any depth, in bounded memory and no promised order."""

    def local_path(self, key: str) -> Path | None:
        """The file that holds an object, where the store is a local folder."""


class FolderInPlaceError(StoreError):
    """A folder stands where an object is to be stored."""


def failed(doing: str, where: str, cause: BaseException) -> StoreError:
    """A StoreError that says what was tried, where, and what the place answered."""
    reason = getattr(cause, "strerror", None) or str(cause).split("\n\nDebug source", maxsplit=1)[0].strip()
    refused = isinstance(cause, OSError) and cause.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
    return (NoRightError if refused else StoreError)(f"Could not {doing} {where}: {reason or type(cause).__name__}")
