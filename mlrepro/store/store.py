"""The store: values, results, histories and leases behind one URL."""

import os
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, BlobMissingError, CacheWarning, UntrustedPickleError
from mlrepro.store import derivations as derivations_
from mlrepro.store import export, leases, results
from mlrepro.store import history as histories_
from mlrepro.store.blobs import Blob, Blobs, Sink, Source
from mlrepro.store.formats import get_format
from mlrepro.store.formats.parts import HAVE_PARTS, parts_of
from mlrepro.store.history import Entry, Make
from mlrepro.store.keys import check_scope
from mlrepro.store.leases import LEASE_TTL, SYSTEM_CLOCK, Claim, Clock, Holder, Lease, LeaseWatch
from mlrepro.store.local_cache import DEFAULT_SIZE, LocalCache
from mlrepro.store.location import open_objects
from mlrepro.store.results import FoundResult, Usable
from mlrepro.store.stored import StoredValue
from mlrepro.store.trust import Trust
from mlrepro.store.vouching import Vouching
from mlrepro.store.writing import write

_checked: Final[set[tuple[Any, ...]]] = set()
_check_lock: Final = threading.Lock()


def open_store(
    url: str,
    *,
    scope: str = "default",
    read_scopes: Sequence[str] = ("shared",),
    options: Mapping[str, str] | None = None,
    trust: Trust | None = None,
    local_cache: str | Path | None = None,
    max_size: int | str | None = None,
) -> "Store":
    """Open a store. Nothing is read or written until it is used.

    Args:
        url: ``file:///folder``, a plain path, ``s3://bucket/prefix``, ``gs://…``, ``az://…``, or ``memory://name``
            (shared by all who open it in one process, and gone when that ends).
        scope: Whose results and histories are written, and looked up first.
        read_scopes: Scopes that are looked in after the own one, in order.
        options: What overrides the environment. A bucket takes obstore's keys: ``endpoint``, ``region``,
            ``access_key_id``, ``secret_access_key``, ``session_token``, …; a folder takes ``durable``: ``"false"``
            leaves out fsync.
        trust: Whose records count, and whose pickles are loaded; by default what the environment says, see
            ``Trust.from_environment``, which is: those of the own scope.
        local_cache: A folder on this machine's own disk that blobs are read through; by default what
            ``MLREPRO_LOCAL_CACHE`` says, else none.
        max_size: Bytes of all that is kept there, or a text such as ``"50GB"``; by default what
            ``MLREPRO_LOCAL_CACHE_SIZE`` says, else 20 GB. The least recently used goes first.

    Returns:
        The store. It can be pickled, and opens itself again in another process.

    Raises:
        StoreError: The URL, a scope or an option is no good.

    Example:
        >>> store = open_store("memory://docs")
        >>> stored = store.write_value([1, "two", (3.0,)])
        >>> store.read_value(stored)
        [1, 'two', (3.0,)]
    """
    folder = local_cache or os.environ.get("MLREPRO_LOCAL_CACHE")
    size = max_size or os.environ.get("MLREPRO_LOCAL_CACHE_SIZE") or DEFAULT_SIZE
    cache = LocalCache.of(folder, size) if folder else None
    return Store(url, scope=scope, read_scopes=read_scopes, options=options, trust=trust, local_cache=cache)


class Store:
    """Values, results, histories and leases behind one URL. See ``open_store``.

    Attributes:
        url: As it was given.
        scope: The own scope.
        read_scopes: Scopes that are looked in after the own one.
        trust: Whose records count, and whose pickles are loaded.
        local_cache: The folder that blobs are read through, or None.
    """

    def __init__(
        self,
        url: str,
        *,
        scope: str = "default",
        read_scopes: Sequence[str] = ("shared",),
        options: Mapping[str, str] | None = None,
        trust: Trust | None = None,
        local_cache: LocalCache | None = None,
    ) -> None:
        self.url = url
        self.scope = check_scope(scope)
        self.read_scopes = tuple(dict.fromkeys(check_scope(name) for name in read_scopes if name != scope))
        self.local_cache = local_cache
        self.trust = Trust.from_environment() if trust is None else trust
        self._options = dict(options or {})
        self._objects = open_objects(url, self._options)
        self._blobs = Blobs(self._objects, (self.scope, *self.read_scopes), local_cache)
        self._vouching = Vouching(
            self.trust,
            self.scope,
            self._blobs,
            lambda input_hash, scope, usable: self.get_result(input_hash, usable=usable, only=scope),
        )

    def __repr__(self) -> str:
        return f"Store({self.url!r}, scope={self.scope!r}, read_scopes={self.read_scopes!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.url, self.scope, self.read_scopes, self._options, self.trust, self.local_cache)

    def check(self, scope: str | None = None) -> None:
        """Find out whether the store can be reached and written, and whether it honours put-if-absent.

        Done once a process before the first write; call it earlier to fail early.

        Args:
            scope: The scope that is to be written; by default the own one.

        Raises:
            NoRightError: The scope may not be written.
            StoreError: It cannot; the message names the cause.
        """
        target = self._own(scope)
        key = (self.url, target, *sorted(self._options.items()))
        with _check_lock:
            if key not in _checked:
                self._objects.check(target)
                _checked.add(key)

    # Values

    def write_value(self, value: object, *, format: str | None = None, scope: str | None = None) -> StoredValue:
        """Store a value in the best format that can hold it.

        Args:
            value: What is to be stored.
            format: Name of the format; by default the value's type chooses.
            scope: Where to; by default the own scope.

        Returns:
            What was stored. Equal values have equal content hashes wherever that can be had.

        Raises:
            UnknownFormatError: There is no such format.
            UnstorableValueError: No format can store the value, or the one asked for cannot. Nothing was written.
            MissingExtraError: The format needs a library that is not installed.
            StoreError: The store failed.

        Example:
            >>> store = open_store("memory://docs")
            >>> store.write_value(b"abc").content_hash[:8]
            'ba7816bf'
        """
        self.check()
        return write(value, Sink(self._blobs, self._own(scope)), format)

    def hash_value(self, value: object, *, format: str | None = None) -> StoredValue:
        """What ``write_value`` would return, without storing anything."""
        return write(value, Sink(None, self.scope), format)

    def read_value(self, stored: StoredValue, *, as_type: type | None = None) -> Any:
        """Read a value; its bytes are checked before they are believed.

        Args:
            stored: What ``write_value`` returned.
            as_type: The type that is wanted. It matters where a format can give several: a frame stored by pandas comes
                back as a polars one, a file as bytes. Otherwise the value comes back as it was stored.

        Returns:
            The value. A file or folder is a read-only copy in a temporary folder of this process.

        Raises:
            BlobMissingError: An object is gone; the message names it and the scopes that were looked in.
            BlobDamagedError: An object's bytes are not those that were stored.
            UnknownFormatError: The value was stored in a format that this version does not know.
            UntrustedPickleError: It is a pickle for which nobody who is trusted vouches.
            StoreError: The store failed.
        """
        wanted = as_type if isinstance(as_type, type) else None
        return get_format(stored.format).read(self._vouching.source(stored), stored, wanted)

    def refused(self, stored: StoredValue) -> str | None:
        """Why a value would not be loaded because it is a pickle, or holds one, that nobody trusted vouches for.

        Args:
            stored: What is to be loaded. Its ``origin`` tells who says that it is stored.

        Returns:
            What to tell the user; None if it may be loaded.

        Raises:
            StoreError: The store failed; a tree's manifest is gone or damaged.
        """
        return self._vouching.refused(stored)

    def _source(self, stored: StoredValue) -> Source:
        return Source(self._blobs, Blob(stored.content_hash, stored.size))

    def has_blob(self, digest: str, size: int | None = None, scope: str | None = None) -> bool:
        """Whether an object exists in a readable scope, and has that size where one is given. Its bytes are not read.

        Args:
            digest: sha256 of its bytes.
            size: Bytes (a ``StoredValue``'s ``size``).
            scope: The only scope to look in; by default all readable ones.
        """
        blobs = self._blobs if scope is None else Blobs(self._objects, (check_scope(scope),))
        return blobs.find(digest, size) is not None

    def blob_size(self, digest: str) -> int | None:
        """Size of an object in the first readable scope that has it; None if none has. Its bytes are not read.

        Example:
            >>> store = open_store("memory://docs-size")
            >>> store.blob_size(store.write_bytes(b"four"))
            4
        """
        return self._blobs.size(digest)

    def has_value(self, stored: StoredValue) -> bool:
        """Whether a value's blob, and for folders and trees each of their parts, exists with the right size."""
        if not self.has_blob(stored.content_hash, stored.size):
            return False
        if stored.format not in HAVE_PARTS:
            return True
        try:
            parts = parts_of(self._source(stored), stored)
            return all(self.has_blob(part.digest, part.size) for part in parts)
        except (BlobMissingError, BlobDamagedError):
            return False

    def keep_value(self, stored: StoredValue, *, scope: str | None = None) -> None:
        """Have a value in the own scope too, so that it does not depend on what others keep of theirs.

        The blobs are copied where they lie, and only those that the scope lacks.

        Args:
            stored: What ``write_value`` returned, in any readable scope.
            scope: Where to; by default the own scope.

        Raises:
            BlobMissingError: A blob of it is in no readable scope.
            UntrustedPickleError: It is a pickle for which nobody who is trusted vouches.
            NoRightError: Nothing may be written there.
            StoreError: The store failed.

        Example:
            >>> theirs = open_store("memory://docs-keep", scope="shared")
            >>> stored = theirs.write_value([1, 2])
            >>> ours = open_store("memory://docs-keep", scope="team")
            >>> ours.keep_value(stored)
            >>> ours.has_blob(stored.content_hash, scope="team")
            True
        """
        self.check()
        if (why := self.refused(stored)) is not None:
            raise UntrustedPickleError(why)
        target = self._own(scope)
        if stored.format in HAVE_PARTS:
            for part in parts_of(self._source(stored), stored):
                self._blobs.copy_to(target, Blob(part.digest, part.size))
        self._blobs.copy_to(target, Blob(stored.content_hash, stored.size))

    def verify_blob(self, digest: str) -> None:
        """Read an object and check its bytes.

        Raises:
            BlobMissingError: It is gone.
            BlobDamagedError: Its bytes are not those that were stored. It was moved out of the way.
        """
        self._blobs.verify(digest)

    def write_bytes(self, data: bytes, *, scope: str | None = None) -> str:
        """Store bytes; their sha256, by which ``read_bytes`` finds them."""
        return self.write_value(data, format="bytes", scope=scope).content_hash

    def read_bytes(self, digest: str) -> bytes:
        """Bytes that were stored, checked.

        Raises:
            BlobMissingError: They are gone.
            BlobDamagedError: They are not those that were stored.
        """
        return self._blobs.read_small(digest)

    def export_value(self, stored: StoredValue, path: Path) -> Path:
        """Write a value's stored bytes to a file, or a folder's files to a folder.

        Args:
            stored: What ``write_value`` returned.
            path: Where to. An existing file is replaced once the bytes are checked; an existing folder is refused,
                unless it is empty.

        Returns:
            The path.

        Raises:
            StoreError: The path is taken or cannot be written.
            BlobMissingError: An object is gone.
            BlobDamagedError: An object's bytes are not those that were stored.
        """
        return export.export_value(self._source(stored), stored, path)

    # Results

    def put_result(
        self, input_hash: str, record: Mapping[str, Any], *, scope: str | None = None, sign: bool = True
    ) -> tuple[dict[str, Any], bool]:
        """Store a result unless there is one under this input hash; the first record wins.

        Args:
            input_hash: 64 hex digits.
            record: JSON. The blobs it names should be stored before it is.
            scope: Where to; by default the own scope.
            sign: Whether to sign it where there is a key; otherwise it keeps the signature that it has.

        Returns:
            The record that stands now, and whether it is the one given.
        """
        self.check()
        signed = self.trust.sign(input_hash, record) if sign else record
        return results.put(self._objects, self._own(scope), input_hash, signed, self._vouching.refusal(input_hash))

    def get_result(
        self,
        input_hash: str,
        *,
        usable: Usable | None = None,
        replaced: Collection[str] | None = None,
        only: str | None = None,
        to_load: bool = False,
        refused: list[str] | None = None,
    ) -> FoundResult | None:
        """Look a result up in the own scope, then in the others. A miss is one request a scope, a hit two.

        Args:
            input_hash: 64 hex digits.
            usable: Says whether a record will do (its blobs are there, it is not too old). The newest replacement is
                asked first, then the older ones, the first record, and the next scope.
            replaced: What ``replaced_results`` returned, where many are looked up: a hit is one request then.
            only: The only scope to look in; by default all readable ones.
            to_load: Whether its values are to be loaded: then a pickle for which nobody trusted vouches is refused.
            refused: Gets why records were passed over: not signed as they should be, or not to be loaded. By default
                that is warned of.

        Returns:
            The record and where it was, or None. A damaged, forged or altered record is a miss, with a warning, and so
            is an unsigned one where signatures are required.
        """
        scopes = (self.scope, *self.read_scopes) if only is None else (check_scope(only),)
        why: list[str] = []
        refusal = self._vouching.refusal(input_hash, to_load=to_load)
        found = results.get(self._objects, scopes, input_hash, usable, replaced, refusal, why)
        if refused is not None:
            refused += why
        else:
            for each in why:
                warnings.warn(each, CacheWarning, stacklevel=2)
        return found

    def is_vouched(self, input_hash: str | None, record: Mapping[str, Any] | None, scope: str) -> bool:
        """Whether somebody who is trusted vouches for a record of a scope, so that its pickles may be loaded.

        Without a record: whether all that is in the scope is trusted.
        """
        return self._vouching.is_vouched(input_hash, record, scope)

    def replaced_results(self) -> frozenset[str]:
        """Input hashes of all results that were ever replaced, in the readable scopes: a request a scope, or few.

        Example:
            >>> store = open_store("memory://docs-replaced")
            >>> _ = store.put_result("5eed" * 16, {"value": 1})
            >>> _ = store.replace_result("5eed" * 16, {"value": 2})
            >>> store.replaced_results() == {"5eed" * 16}
            True
        """
        return results.replaced(self._objects, (self.scope, *self.read_scopes))

    def replace_result(
        self, input_hash: str, record: Mapping[str, Any], *, lost: Sequence[str] = (), scope: str | None = None
    ) -> dict[str, Any]:
        """Store a record that stands in for the one that was found so far, in this scope or another.

        For a result whose blobs are gone and whose recomputation gave something else, one that became too old, or one
        that someone wanted afresh. The first record stays, but ``get_result`` finds the newest replacement from now on.

        Args:
            input_hash: 64 hex digits.
            record: The new record.
            lost: Digests that the standing record names and that could not be read. Those that are damaged are moved
                out of the way, so that ``has_blob`` sees in every process that they are gone.
            scope: Where to; by default the own scope.

        Returns:
            The record.
        """
        self.check()
        for digest in lost:
            self._blobs.put_aside(digest)
        return results.replace(self._objects, self._own(scope), input_hash, self.trust.sign(input_hash, record))

    def note_deviation(self, input_hash: str, record: Mapping[str, Any], *, scope: str | None = None) -> None:
        """Note a computation that gave something else than the standing result of its input."""
        self.check()
        results.note_deviation(self._objects, self._own(scope), input_hash, record)

    def deviations(self, input_hash: str, *, only: str | None = None) -> list[dict[str, Any]]:
        """What ``note_deviation`` noted in any readable scope, or in only one, newest first."""
        scopes = (self.scope, *self.read_scopes) if only is None else (check_scope(only),)
        return results.deviations(self._objects, scopes, input_hash)

    # Derivations

    def note_derivation(
        self, name: tuple[str, ...], input_hash: str, mark: Mapping[str, Any], *, scope: str | None = None
    ) -> None:
        """Note that an input hash gave content that a version has already, unless that is noted: one request.

        Args:
            name: Of the asset's history, as in ``versions``: its key and partition.
            input_hash: 64 hex digits.
            mark: JSON: which version.
            scope: Whose; by default the own scope's.

        Example:
            >>> store = open_store("memory://docs-derivations")
            >>> store.note_derivation(("model", "_"), "5eed" * 16, {"version": 1})
            >>> store.note_derivation(("model", "_"), "5eed" * 16, {"version": 2})
            >>> [store.derivation(("model", "_"), each) for each in store.derivations(("model", "_"), limit=10)]
            [{'version': 1}]
        """
        self.check()
        derivations_.note(self._objects, self._own(scope), tuple(name), input_hash, mark)

    def derivations(self, name: tuple[str, ...], *, limit: int, scope: str | None = None) -> list[str]:
        """Input hashes that ``note_derivation`` noted last, newest first, at most ``limit``: one listing."""
        return derivations_.latest(self._objects, self._own(scope), tuple(name), limit)

    def derivation(self, name: tuple[str, ...], input_hash: str, scope: str | None = None) -> dict[str, Any] | None:
        """The mark of an input hash, None where there is none. A damaged one counts as missing, with a warning."""
        return derivations_.read(self._objects, self._own(scope), tuple(name), input_hash)

    # Leases

    def acquire_lease(
        self,
        input_hash: str,
        claim: Claim,
        *,
        watch: LeaseWatch | None = None,
        ttl: float = LEASE_TTL,
        scope: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Lease | Holder:
        """Take the lease to compute an input hash, or learn who has it. Never waits for it.

        It is free where nobody took it, its holder gave it back, failed, or died, where the claim's own holder has it
        (which takes it over from that holder's earlier lease), and where its newest entry is damaged, with a warning.
        A holder is dead when its entry stands unchanged for the entry's ttl under one watch, or is hours past it.

        Args:
            input_hash: 64 hex digits.
            claim: Who wants it.
            watch: One for all tries of a caller that waits; without one, only long-dead holders are replaced.
            ttl: Seconds that the lease lasts at first. It is extended every third of it.
            scope: Whose lease; by default the own scope's. It should be the one that the result goes to.
            clock: Where the time is taken from.

        Returns:
            The lease, or the facts of who has it now.

        Raises:
            StoreError: The store cannot be reached or written, or an argument is no good.

        Example:
            >>> store = open_store("memory://docs-leases")
            >>> ada = Claim(holder="run1/train", who="ada", run_id="run1", step="train")
            >>> bob = Claim(holder="run2/train", who="bob", run_id="run2", step="train")
            >>> with store.acquire_lease("5eed" * 16, ada) as lease:
            ...     print("bob waits for", store.acquire_lease("5eed" * 16, bob).who)
            bob waits for ada
            >>> store.acquire_lease("5eed" * 16, bob).holder.who
            'bob'
        """
        self.check()
        return leases.acquire(self._objects, self._own(scope), input_hash, claim, watch=watch, ttl=ttl, clock=clock)

    # Histories

    def append(self, history: tuple[str, ...], make: Make, *, scope: str | None = None) -> Entry | None:
        """Append to a history. Of several writers each gets a number of its own, without gaps.

        Args:
            history: Its name, such as ``("versions", "churn_model", "_")``.
            make: Called with the newest entry (None at the beginning, or if it cannot be read, which is warned of);
                returns the next body, or None to append nothing. It is called again after each lost race.
            scope: Whose history; by default the own scope's.

        Returns:
            The new entry, or None.

        Raises:
            StoreError: The store failed, or others were faster for two minutes.

        Example:
            >>> store = open_store("memory://docs-append")
            >>> store.append(("versions", "a", "_"), lambda newest: {"by": "ada"})
            Entry(number=1, body={'by': 'ada'})
        """
        self.check()
        return histories_.append(self._objects, self._own(scope), tuple(history), make)

    def newest(self, history: tuple[str, ...], scope: str | None = None) -> Entry | None:
        """The newest readable entry of a history, or None. Its cost does not grow with the history."""
        return histories_.newest(self._objects, self._own(scope), tuple(history))

    def entry(self, history: tuple[str, ...], number: int, scope: str | None = None) -> Entry:
        """One entry of a history.

        Raises:
            UnknownVersionError: There is none of that number.
            StoreError: It is there but cannot be read.
        """
        return histories_.read(self._objects, self._own(scope), tuple(history), number)

    def entries(
        self, history: tuple[str, ...], *, limit: int | None = None, scope: str | None = None
    ) -> Iterator[Entry]:
        """Entries of a history, newest first, at most ``limit``. Damaged ones are left out, with a warning."""
        return histories_.entries(self._objects, self._own(scope), tuple(history), limit)

    def histories(self, prefix: tuple[str, ...], scope: str | None = None) -> Iterator[tuple[str, ...]]:
        """Names of the histories that begin with the prefix, such as ``("versions",)``."""
        return histories_.histories(self._objects, self._own(scope), tuple(prefix))

    def _own(self, scope: str | None) -> str:
        return self.scope if scope is None else check_scope(scope)


def _reopen(
    url: str,
    scope: str,
    read_scopes: tuple[str, ...],
    options: dict[str, str],
    trust: Trust,
    local_cache: LocalCache | None,
) -> Store:
    return Store(url, scope=scope, read_scopes=read_scopes, options=options, trust=trust, local_cache=local_cache)
