"""Ways to read an object piece by piece, each with the sha256 of what was read."""

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, TypeVar

from mlrepro.store.hashing import Sha256
from mlrepro.store.objects import failed

_T_co = TypeVar("_T_co", covariant=True)

_SMALL: Final = 1024 * 1024
_LARGE: Final = 32 * 1024 * 1024
_HELD: Final = 8


class Opener(Protocol):
    """Opens one object, or returns None where it is missing. See ``Objects.chunks``."""

    def __call__(self, into: memoryview | None = None) -> Iterator[memoryview] | None:
        """Begin to read."""


class Reading(Protocol[_T_co]):
    """A way to read: what was read, its sha256 and its size, or None where the object is missing."""

    def __call__(self, opener: Opener, *, overlap: bool) -> tuple[_T_co, str, int] | None:
        """Read the object; ``overlap`` says whether to hash in a second thread."""


def into_memory(size: int) -> Reading[memoryview]:
    """Read into fresh memory of this size, which may be changed afterwards."""

    def read(opener: Opener, *, overlap: bool) -> tuple[memoryview, str, int] | None:
        memory = _memory(size)
        pieces = opener(memory)
        # The memory is held in any case, so the hash may lag behind as far as it likes.
        return None if pieces is None else (memory, *digest(pieces, overlap=overlap or size >= _LARGE, hold=True))

    return read


def into_file(path: Path) -> Reading[None]:
    """Write what is read to a new file, in bounded memory."""

    def written(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        try:
            with path.open("wb", buffering=0) as file:
                for piece in pieces:
                    rest = piece
                    while rest:
                        rest = rest[file.write(rest) :]
                    yield piece
        except OSError as error:
            raise failed("write", str(path), error) from error

    def read(opener: Opener, *, overlap: bool) -> tuple[None, str, int] | None:
        pieces = opener()
        return None if pieces is None else (None, *digest(written(pieces), overlap=overlap))

    return read


def into_bytes(opener: Opener, *, overlap: bool) -> tuple[bytes, str, int] | None:
    """Read all bytes of an object whose size is not known."""
    pieces = opener()
    if pieces is None:
        return None
    data = b"".join(pieces)
    return data, *digest(iter([memoryview(data)]), overlap=overlap)


def away(opener: Opener, *, overlap: bool) -> tuple[None, str, int] | None:
    """Read for the sha256 alone, in bounded memory."""
    pieces = opener()
    return None if pieces is None else (None, *digest(pieces, overlap=overlap))


def digest(pieces: Iterator[memoryview], *, overlap: bool, hold: bool = False) -> tuple[str, int]:
    """sha256 and size of all pieces; ``hold`` allows that many of them wait to be hashed."""
    sha256 = Sha256(overlap=overlap)
    try:
        for number, piece in enumerate(pieces):
            sha256.update(piece)
            if number % _HELD == 0 and not hold:
                sha256.catch_up()
        return sha256.hexdigest(), sha256.size
    finally:
        sha256.stop()


def _memory(size: int) -> memoryview:
    """Fresh memory; much of it comes from the system directly, in huge pages, which saves filling it with zeros."""
    if size < _SMALL:
        return memoryview(bytearray(size))
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
