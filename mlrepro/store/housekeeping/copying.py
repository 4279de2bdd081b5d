"""Copying a store to another place: blobs first, each checked on its way, then what names them."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.store import records
from mlrepro.store.housekeeping.gc import Amount
from mlrepro.store.housekeeping.inventory import Inventory, Progress, Row, inventory
from mlrepro.store.housekeeping.naming import entry_in
from mlrepro.store.housekeeping.places import Kind
from mlrepro.store.housekeeping.side_by_side import BLOBS_AT_ONCE, SMALL, side_by_side
from mlrepro.store.housekeeping.usage import scopes_of
from mlrepro.store.keys import check_scope
from mlrepro.store.objects import Buffer
from mlrepro.store.store import Store

_MARKS: Final = ("replaced", "derivation")
_HISTORIES: Final = ("replacement", "deviation", "version", "channel", "pin", "location", "gc")


@dataclass(frozen=True)
class NotCopied:
    """An object that was not copied.

    Attributes:
        key: Its name.
        conflict: Whether another one lies in its place; otherwise it is damaged.
        said: Why it was left.
    """

    key: str
    conflict: bool
    said: str


@dataclass(frozen=True)
class Copied:
    """What was copied.

    Attributes:
        source: URL of the source.
        target: URL of the target.
        scopes: The scopes.
        copied: What was copied, by kind.
        skipped: What was there already, by kind.
        left: What was left, and why.
    """

    source: str
    target: str
    scopes: tuple[str, ...]
    copied: Mapping[str, Amount]
    skipped: Mapping[str, Amount]
    left: tuple[NotCopied, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return dataclasses.asdict(self)


def copy(
    source: Store, target: Store, *, scopes: Sequence[str] | None = None, progress: Progress | None = None
) -> Copied:
    """Copy what a store holds. What is there already is skipped, so that a copy that was cut off can be run again.

    Blobs come first, then results, marks and histories, so that the target can be read from at any time. Leases,
    scratch files, what is damaged and the trash are not copied.

    Args:
        source: From here; nothing in it changes.
        target: To there.
        scopes: Which scopes; by default all that the source has.
        progress: Told now and then what is being done.

    Returns:
        What was copied, and what was left because it is damaged, or because something else lies in its place.

    Raises:
        StoreError: One of the two failed, and what was copied is whole: run it again. Or the source holds nothing, or
            one of the two lies in the other.

    Example:
        >>> from mlrepro.store import open_store
        >>> here, there = open_store("memory://docs-copy-a"), open_store("memory://docs-copy-b")
        >>> stored = here.write_value([1, 2])
        >>> copy(here, there).copied["blob"].count
        1
        >>> there.read_value(stored)
        [1, 2]
    """
    _check_apart(source, target)
    chosen = tuple(check_scope(scope) for scope in scopes) if scopes else tuple(scopes_of(source))
    if not chosen:
        raise StoreError(f"There is nothing to copy: no scope of a store is in {source.url}. Check the URL")
    copying = _Copying(source, target, progress)
    for scope in chosen:
        copying.scope(scope)
    return Copied(
        source=source.url,
        target=target.url,
        scopes=chosen,
        copied=_amounts(copying.copied),
        skipped=_amounts(copying.skipped),
        left=tuple(copying.left),
    )


def _check_apart(source: Store, target: Store) -> None:
    one, other = (
        store.url.rstrip("/") if (folder := store._objects.local_path("")) is None else str(folder.resolve())
        for store in (source, target)
    )
    if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
        raise StoreError(
            f"{source.url} and {target.url} are one store, or one lies in the other: copy to another place"
        )


class _Copying:
    def __init__(self, source: Store, target: Store, progress: Progress | None) -> None:
        self.copied: Counter[tuple[Kind, str]] = Counter()
        self.skipped: Counter[tuple[Kind, str]] = Counter()
        self.left: list[NotCopied] = []
        self._source = source._objects
        self._target = target._objects
        self._progress = progress
        self._done = 0

    def scope(self, scope: str) -> None:
        """Copy a scope."""
        self._target.check(scope)
        with inventory(self._source, scope, self._progress) as found:
            with inventory(self._target, scope, self._progress) as there:
                self._blobs(found, there)
            self._records(found, "kind = 'result' AND NOT trash")
            for kind in _MARKS:
                self._records(found, f"kind = '{kind}' AND NOT trash")
            self._histories(found)

    def _blobs(self, found: Inventory, there: Inventory) -> None:
        def wanted() -> Iterator[Row]:
            for row in found.rows("kind = 'blob' AND NOT trash"):
                held = there.has(row.path)
                if held is not None and held.size == row.size:
                    self._count(self.skipped, row)
                else:
                    yield row

        for row, said in side_by_side(lambda row: self._blob(found.scope, row), wanted(), at_once=BLOBS_AT_ONCE):
            self._outcome(row, said)

    def _blob(self, scope: str, row: Row) -> "NotCopied | None":
        key = row.key(scope)
        digest = ""
        for _ in range(2):  # a line that failed once proves nothing
            pieces = self._pieces(key, row.size)
            if pieces is None:
                return NotCopied(key, conflict=False, said="it is gone since the source was listed")
            sha256 = hashlib.sha256()
            with self._target.spool(scope) as spool:
                for piece in pieces:
                    sha256.update(piece)
                    spool.write(piece)
                digest = sha256.hexdigest()
                if digest == row.name:
                    spool.sync()
                    spool.publish(key)
                    return None
        return NotCopied(key, conflict=False, said=f"it is damaged in the source: its bytes have sha256 {digest[:12]}…")

    def _pieces(self, key: str, size: int) -> Iterable[Buffer] | None:
        if size > SMALL:
            return self._source.chunks(key)
        data = self._source.get(key)
        return None if data is None else [data]

    def _records(self, found: Inventory, where: str) -> None:
        for row, outcome in side_by_side(lambda row: self._record(found, row), found.rows(where)):
            self._outcome(row, outcome)

    def _histories(self, found: Inventory) -> None:
        kinds = ", ".join(f"'{kind}'" for kind in _HISTORIES)
        rows = found.rows(f"NOT trash AND kind IN ({kinds}) ORDER BY kind, name, number")
        histories = (list(entries) for _, entries in groupby(rows, key=lambda row: row.path.rpartition("/")[0]))
        for entries, outcomes in side_by_side(lambda entries: self._history(found, entries), histories):
            for row, outcome in zip(entries, outcomes, strict=True):
                self._outcome(row, outcome)

    def _history(self, found: Inventory, entries: list[Row]) -> "list[NotCopied | bool]":
        """Copy a history, the oldest entry first; after a conflict no more: two histories must not become one."""
        outcomes: list[NotCopied | bool] = []
        conflict = ""
        for row in entries:
            if conflict:
                said = f"entry {conflict} before it is another one in the target"
                outcomes.append(NotCopied(row.key(found.scope), conflict=True, said=said))
                continue
            outcome = self._record(found, row)
            if isinstance(outcome, NotCopied) and outcome.conflict:
                conflict = str(row.number)
            outcomes.append(outcome)
        return outcomes

    def _record(self, found: Inventory, row: Row) -> "NotCopied | bool":
        """Copy a record; whether it was there already, or why it was left."""
        key = row.key(found.scope)
        data = self._source.get(key)
        if data is None:
            return NotCopied(key, conflict=False, said="it is gone since the source was listed")
        try:
            if row.kind in _HISTORIES:
                entry_in(data, found.scope, row.path.rpartition("/")[0], row.number)
            else:
                records.from_bytes(data)
        except ValueError as error:
            return NotCopied(key, conflict=False, said=f"it is damaged in the source: {error}")
        if self._target.create(key, data):
            return False
        # a target that is collected by itself has its own history of that
        if row.kind == "gc" or self._target.get(key) == data:
            return True
        return NotCopied(key, conflict=True, said="the target has another one in its place")

    def _outcome(self, row: Row, outcome: "NotCopied | bool | None") -> None:
        if isinstance(outcome, NotCopied):
            self.left.append(outcome)
            self._told()
        else:
            self._count(self.skipped if outcome else self.copied, row)

    def _count(self, counter: Counter[tuple[Kind, str]], row: Row) -> None:
        counter[row.kind, "count"] += 1
        counter[row.kind, "bytes"] += row.size
        self._told()

    def _told(self) -> None:
        self._done += 1
        if self._progress:
            self._progress("objects copied or found there", self._done)


def _amounts(counter: Counter[tuple[Kind, str]]) -> dict[str, Amount]:
    return {
        kind: Amount(counter[kind, "count"], counter[kind, "bytes"]) for kind in sorted({each for each, _ in counter})
    }
