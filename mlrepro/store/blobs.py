"""Blobs: immutable bytes named by their sha256, written whole or not at all and checked on every read."""

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store import pieces
from mlrepro.store.hashing import Sha256
from mlrepro.store.keys import blob_key, check_sha256, damaged_key, trash_key
from mlrepro.store.local_cache import LocalCache
from mlrepro.store.objects import CHUNK, Buffer, FolderInPlaceError, Objects, Spool
from mlrepro.store.pieces import Opener, Reading

_GATHERED: Final = 256 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob's name and size.

    Attributes:
        digest: sha256 of its bytes, 64 hex digits.
        size: Its length in bytes.
    """

    digest: str
    size: int


class Sink:
    """Where a format writes a value: bytes into one blob, and further blobs beside it.

    Args:
        blobs: The store's blobs, or None to compute hashes only.
        scope: The scope that is written to.
    """

    def __init__(self, blobs: "Blobs | None", scope: str) -> None:
        self._blobs = blobs
        self._scope = scope
        self._hash = Sha256()
        self._gathered = bytearray()
        self._spool: Spool | None = None
        self.blob: Blob | None = None

    def beside(self) -> "Sink":
        """A sink for another blob, not opened yet."""
        return Sink(self._blobs, self._scope)

    @contextlib.contextmanager
    def part(self) -> Iterator["Sink"]:
        """Write another blob beside this one. It is stored when the block ends, and ``blob`` is set."""
        sink = self.beside()
        with sink.opened():
            yield sink

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """The time in which bytes may be written; what was written is stored at its end, unless it failed."""
        try:
            if self._blobs is None:
                yield
                self._flush()
                self.blob = Blob(self._hash.hexdigest(), self._hash.size)
                return
            with self._blobs.objects.spool(self._scope) as self._spool:
                yield
                self._flush()
                self._spool.sync()
                self.blob = Blob(self._hash.hexdigest(), self._hash.size)
                self._blobs.keep(self._spool, self._scope, self.blob)
        finally:
            self._hash.stop()

    def write(self, data: Buffer) -> int:
        """Add bytes to the blob.

        Args:
            data: Anything with a contiguous buffer. It may not change before the blob is stored.

        Returns:
            The number of bytes, as files do.
        """
        view = memoryview(data).cast("B")
        if len(view) < _GATHERED:
            # Gathered, so that a thousand small writes become one write and one turn of the hashing thread.
            self._gathered += view
            if len(self._gathered) >= _GATHERED:
                self._flush()
        else:
            self._flush()
            for start in range(0, len(view), CHUNK):
                self._pass_on(view[start : start + CHUNK])
        return len(view)

    def catch_up(self) -> None:
        """Wait until what was written is hashed. Who makes new memory for every write calls this now and then."""
        self._hash.catch_up()

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self._pass_on(gathered)

    def _pass_on(self, data: Buffer) -> None:
        self._hash.update(data)
        if self._spool is not None:
            self._spool.write(data)


class Source:
    """One blob to read.

    Args:
        blobs: The store's blobs.
        blob: Which one.
        refuses_pickles: Why nothing in it, nor in its parts, may be unpickled; None where that is allowed.
    """

    def __init__(self, blobs: "Blobs", blob: Blob, *, refuses_pickles: str | None = None) -> None:
        self._blobs = blobs
        self.blob = blob
        self.refuses_pickles = refuses_pickles

    def read(self) -> memoryview:
        """All bytes, checked. They lie in memory of the caller's own, which may be changed."""
        return self._blobs.read(self.blob)

    def view(self) -> memoryview:
        """All bytes, checked, and not to be changed. Where the store is a folder they are mapped instead of copied."""
        return self._blobs.view(self.blob)

    def save(self, path: Path) -> None:
        """Write the checked bytes to a new file, in bounded memory."""
        self._blobs.save(self.blob, path)

    def part(self, blob: Blob) -> "Source":
        """Another blob of the same store."""
        return Source(self._blobs, blob, refuses_pickles=self.refuses_pickles)


class Blobs:
    """The blobs of one store as one scope sees them.

    Args:
        objects: Where they live.
        scopes: Scopes that are looked in, in order; the first is the own one.
        cache: Copies on the node's own disk that are read first; None for none.
    """

    def __init__(self, objects: Objects, scopes: Sequence[str], cache: LocalCache | None = None) -> None:
        self.objects = objects
        self._cache = cache
        self._scopes = tuple(scopes)
        self._distrusted: set[tuple[str, str]] = set()

    def keep(self, spool: Spool, scope: str, blob: Blob) -> None:
        """Give spooled bytes their name, unless a blob of that name and size is there already."""
        key = blob_key(scope, blob.digest)
        if (scope, blob.digest) not in self._distrusted and self.objects.renew(key, blob.size):
            return
        try:
            spool.publish(key)
        except FolderInPlaceError:
            # To where damaged blobs go, under a name that is free: a folder cannot replace anything. Where this fails
            # another process may have moved it, and if not, publishing again says what is wrong.
            with contextlib.suppress(StoreError):
                self.objects.move(key, f"{damaged_key(scope, blob.digest)}.{uuid.uuid4().hex[:8]}")
            spool.publish(key)
        self._distrusted.discard((scope, blob.digest))

    def find(self, digest: str, size: int | None = None) -> str | None:
        """The first readable scope that has the blob, with that size where one is given."""
        check_sha256(digest, "content hash")
        for scope in self._scopes:
            if (scope, digest) in self._distrusted:
                continue
            found = self.objects.size(blob_key(scope, digest))
            if found is None and self._take_back(scope, digest):
                found = self.objects.size(blob_key(scope, digest))
            if found is not None and size in {None, found}:
                return scope
        return None

    def size(self, digest: str) -> int | None:
        """The size of a blob in the first readable scope that has it, or None."""
        scope = self.find(digest)
        return None if scope is None else self.objects.size(blob_key(scope, digest))

    def copy_to(self, scope: str, blob: Blob) -> None:
        """Have a blob in a scope too, copied where it lies. What was damaged is found when it is read.

        Raises:
            BlobMissingError: No readable scope has it.
        """
        if self.objects.size(blob_key(scope, blob.digest)) == blob.size:
            return
        found = self.find(blob.digest, blob.size)
        if found is None:
            raise BlobMissingError(
                f"The object {blob.digest} of {blob.size:,} bytes is not in {self.objects.url} "
                f"(looked in scope {', '.join(map(repr, self._scopes))}). It has to be computed or uploaded again"
            )
        if found != scope:  # else it was taken back from the trash just now
            self.objects.copy(blob_key(found, blob.digest), blob_key(scope, blob.digest))

    def read(self, blob: Blob) -> memoryview:
        """A blob's bytes, checked, in memory that the caller may change.

        Raises:
            BlobMissingError: No readable scope has it.
            BlobDamagedError: Every scope that has it has other bytes under its name.
        """
        return self._first_good(blob, pieces.into_memory(max(blob.size, 0)))

    def view(self, blob: Blob) -> memoryview:
        """A blob's bytes, checked, without a copy where that can be had. Raises as ``read``."""
        if self._cache is not None:
            return self.read(blob)
        for scope in self._scopes:
            mapped = self.objects.map(blob_key(scope, blob.digest))
            if mapped is not None:
                if len(mapped) == blob.size and hashlib.sha256(mapped).hexdigest() == blob.digest:
                    return mapped
                break  # Damaged: reading it finds the next good one, and says so where there is none.
        return self.read(blob)

    def read_small(self, digest: str) -> bytes:
        """A blob's bytes where its size is not known. Raises as ``read``."""
        return self._first_good(Blob(digest, -1), pieces.into_bytes)

    def save(self, blob: Blob, path: Path) -> None:
        """Write a blob's checked bytes to a new file, in bounded memory. Raises as ``read``; then there is no file."""
        try:
            self._first_good(blob, pieces.into_file(path))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def verify(self, digest: str) -> None:
        """Read a blob in bounded memory and throw it away. Raises as ``read``."""
        self._first_good(Blob(digest, -1), pieces.away)

    def put_aside(self, digest: str) -> None:
        """Check a blob in every readable scope and move what is damaged out of the way. Raises nothing for damage."""
        for scope in self._scopes:
            with contextlib.suppress(BlobMissingError, BlobDamagedError):
                Blobs(self.objects, (scope,)).verify(digest)

    def _first_good(self, blob: Blob, reading: Reading[_T]) -> _T:
        check_sha256(blob.digest, "content hash")
        if self._cache is None:
            return self._first_good_in_store(blob, reading)
        with contextlib.suppress(StoreError):  # a copy that cannot be read is none
            outcome = reading(self._cache.opener(blob.digest), overlap=False)
            if outcome is not None and outcome[1] == blob.digest and blob.size in {-1, outcome[2]}:
                self._cache.used(blob.digest)
                return outcome[0]
            if outcome is not None:
                self._cache.drop(blob.digest)
        return self._first_good_in_store(blob, reading)

    def _first_good_in_store(self, blob: Blob, reading: Reading[_T]) -> _T:
        damaged: list[str] = []
        for scope in self._scopes:
            with self._copied(partial(self.objects.chunks, blob_key(scope, blob.digest))) as (opener, adopt):
                outcome = self._read_twice(scope, blob, reading, opener)
                if outcome is None:
                    continue
                value, digest, size = outcome
                if digest == blob.digest and blob.size in {-1, size}:
                    adopt(digest)
                    return value
                damaged.append(f"{scope!r} holds {size:,} bytes with sha256 {digest[:12]}…")
                if digest != blob.digest:
                    self._distrust(scope, blob.digest)
        expected = f" of {blob.size:,} bytes" if blob.size >= 0 else ""
        if damaged:
            raise BlobDamagedError(
                f"The object {blob.digest}{expected} in {self.objects.url} is damaged: "
                f"scope {'; scope '.join(damaged)}. It has to be computed or uploaded again"
            )
        raise BlobMissingError(
            f"The object {blob.digest}{expected} is not in {self.objects.url} "
            f"(looked in scope {', '.join(map(repr, self._scopes))}). It has to be computed or uploaded again"
        )

    def _read_twice(self, scope: str, blob: Blob, reading: Reading[_T], opener: Opener) -> tuple[_T, str, int] | None:
        outcome = reading(opener, overlap=self.objects.remote)
        if outcome is None and self._take_back(scope, blob.digest):
            outcome = reading(opener, overlap=self.objects.remote)
        if outcome is not None and outcome[1] != blob.digest:
            # Read again before anything is moved: a line that failed once proves nothing about the blob.
            outcome = reading(opener, overlap=self.objects.remote)
        return outcome

    def _copied(self, opener: Opener) -> AbstractContextManager[tuple[Opener, Callable[[str], None]]]:
        if self._cache is None:
            return contextlib.nullcontext((opener, lambda _digest: None))
        return self._cache.copying(opener)

    def _take_back(self, scope: str, digest: str) -> bool:
        """Put a blob back that garbage collection has set aside: somebody came to need it meanwhile."""
        key = blob_key(scope, digest)
        if self.objects.size(trash_key(key)) is None:
            return False
        # Without the right to write there it stays aside, and counts as missing.
        with contextlib.suppress(StoreError):
            self.objects.copy(trash_key(key), key)
            return True
        return False

    def _distrust(self, scope: str, digest: str) -> None:
        """Move a damaged blob out of the way, so that every process sees that it is missing and a write heals it."""
        self._distrusted.add((scope, digest))
        # Without the right to write there, this process alone knows that the blob is no good.
        with contextlib.suppress(StoreError):
            aside = damaged_key(scope, digest)
            self.objects.move(blob_key(scope, digest), aside)
            moved = pieces.away(partial(self.objects.chunks, aside), overlap=False)
            if moved is not None and moved[1] == digest:
                # Someone healed it between our reading and our moving.
                self.objects.move(aside, blob_key(scope, digest))
            self._distrusted.discard((scope, digest))
