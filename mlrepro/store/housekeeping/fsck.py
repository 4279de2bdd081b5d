"""Checking a store: every record, every blob, and that each history is whole.

A writer or a collection that was killed leaves nothing that counts as a problem here: remains in ``tmp/``, blobs that
no record names and what lies in the trash are counted only.
"""

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

from mlrepro.store import pieces, records
from mlrepro.store.housekeeping import store_clock
from mlrepro.store.housekeeping.gc import HISTORY, Amount
from mlrepro.store.housekeeping.inventory import Inventory, Progress, Row, inventory
from mlrepro.store.housekeeping.marking import Notes, mark
from mlrepro.store.housekeeping.naming import entry_in
from mlrepro.store.housekeeping.places import place_of
from mlrepro.store.housekeeping.records_read import NUMBERED, Reading
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.housekeeping.side_by_side import BLOBS_AT_ONCE, SMALL, side_by_side
from mlrepro.store.keys import (
    blob_key,
    check_scope,
    damaged_key,
    entry_name,
    history_folder,
    replaced_key,
    result_key,
    trash_key,
)
from mlrepro.store.store import Store

_MOST_MISSING: Final = 1000
"""Numbers that may be missing in a history before it is taken for something else than a gap."""

_BY: Final = "mlrepro fsck"
_SCHEMA: Final = 1


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        what: What is wrong, in a few words.
        key: The object.
        of: What it belongs to: ``churn_model@v3``, a channel, a result.
        said: What was found.
        advice: What to do.
        repaired: What was done about it; empty if nothing.
    """

    what: str
    key: str
    of: str
    said: str
    advice: str
    repaired: str = ""


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        url: The store.
        scope: The scope.
        quick: Whether bytes were left unread, and only sizes compared.
        problems: What is not as it should be.
        records: Records that were read.
        blobs: Blobs that were checked.
        no_longer_kept: Blobs of old versions and results that retention removed. Not a problem.
        orphans: Blobs that no record names: of writers that were killed or are at work. Not a problem.
        tmp: Remains of killed writers, or the scratch files of those at work.
        damaged: What was put aside as damaged before.
        trash: What garbage collection has set aside.
        foreign: What mlrepro did not write.
    """

    url: str
    scope: str
    quick: bool
    problems: tuple[Problem, ...]
    records: int
    blobs: Amount
    no_longer_kept: int
    orphans: Amount
    tmp: Amount
    damaged: Amount
    trash: Amount
    foreign: Amount

    @property
    def clean(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {"clean": self.clean, **dataclasses.asdict(self)}


def check(
    store: Store,
    *,
    repair: bool = False,
    quick: bool = False,
    scope: str | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Check a scope of a store.

    Args:
        store: The store.
        repair: Whether to put damaged blobs and result records aside, so that they are computed again, to put missing
            marks back, and to fill gaps in histories with entries that say so.
        quick: Whether to compare the sizes of blobs only, not their bytes.
        scope: Which one; by default the own one.
        progress: Told now and then what is being done.

    Returns:
        What was found.

    Raises:
        StoreError: The store failed.

    Example:
        >>> from mlrepro.store import open_store
        >>> store = open_store("memory://docs-fsck")
        >>> _ = store.write_value([1, 2])
        >>> check(store).clean
        True
    """
    scope = store.scope if scope is None else check_scope(scope)
    if repair:
        store.check()
    with inventory(store._objects, scope, progress) as found:
        return _Check(store, found, repair=repair, quick=quick, progress=progress).run()


class _Check:
    def __init__(self, store: Store, found: Inventory, *, repair: bool, quick: bool, progress: Progress | None) -> None:
        self._store = store
        self._objects = store._objects
        self._found = found
        self._scope = found.scope
        self._scopes = tuple(dict.fromkeys((found.scope, store.scope, *store.read_scopes)))
        self._repair = repair
        self._quick = quick
        self._progress = progress
        self._problems: list[Problem] = []
        self._no_longer_kept = 0
        self._damaged: set[str] = set()

    def run(self) -> Checked:
        reading = Reading(self._found, self._scopes, self._progress)
        for row, said in reading.run():
            self._unreadable(row, said)
        self._gaps()
        self._marks()
        self._sizes()
        if not self._quick:
            self._bytes()
        self._missing()
        return Checked(
            url=self._store.url,
            scope=self._scope,
            quick=self._quick,
            problems=tuple(self._problems),
            records=reading.count,
            blobs=self._amount("kind = 'blob' AND NOT trash"),
            no_longer_kept=self._no_longer_kept,
            orphans=self._amount("kind = 'blob' AND NOT trash AND name NOT IN (SELECT digest FROM mentioned)"),
            tmp=self._amount("kind = 'tmp' AND NOT trash"),
            damaged=self._amount("kind = 'damaged' AND NOT trash"),
            trash=self._amount("trash"),
            foreign=self._amount("kind = 'foreign' AND NOT trash"),
        )

    def _amount(self, where: str) -> Amount:
        sql = f"SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE {where}"  # noqa: S608 - the conditions above
        count, size = self._found.one(sql) or (0, 0)
        return Amount(count, size)

    def _report(self, what: str, path: str, of: str, said: str, advice: str, repaired: str = "") -> None:
        self._problems.append(Problem(what, f"{self._scope}/{path}", of, said, advice, repaired))

    def _unreadable(self, row: Row, said: str) -> None:
        repaired = ""
        if row.kind == "result":
            advice = "its step computes again; --repair puts the record aside"
            if self._repair:
                target = f"{self._scope}/damaged/results/{row.name}.json"
                self._objects.move(result_key(self._scope, row.name), target)
                repaired = f"moved to {target}"
        elif row.kind == "derivation":
            advice = "delete it: the next run that needs it puts it anew"
        else:
            advice = "restore it from a backup; until then it is passed over"
        self._report(f"damaged {_WORDS[row.kind]}", row.path, _of(row), said, advice, repaired)

    def _gaps(self) -> None:
        kinds = ", ".join(f"'{kind}'" for kind in NUMBERED)
        sql = (
            f"SELECT rtrim(rtrim(path, '0123456789.json'), '/') AS folder, count(*), max(number) FROM objects"  # noqa: S608 - our own kinds
            f" WHERE NOT trash AND kind IN ({kinds}) GROUP BY folder HAVING count(*) != max(number)"
        )
        for folder, count, newest in list(self._found.ask(sql)):
            if newest - count > _MOST_MISSING:
                said = f"{count} entries, but the newest has number {newest}"
                path = f"{folder}/{entry_name(newest)}"
                self._report("gap in a history", path, folder, said, "move away what does not belong there")
                continue
            there = {row.number for row in self._found.rows("NOT trash AND path GLOB ?", f"{_literal(folder)}/*")}
            for number in sorted(set(range(1, newest)) - there):
                self._gap(folder, number, newest)

    def _gap(self, folder: str, number: int, newest: int) -> None:
        path = f"{folder}/{entry_name(number)}"
        if self._objects.size(f"{self._scope}/{path}") is not None:
            return  # written while the scope was listed
        repaired = ""
        if self._repair and (name := self._name_of(folder)) is not None:
            body = {"lost": True, "noted": dt.datetime.now(dt.UTC).isoformat(), "by": _BY}
            record = {"schema": _SCHEMA, "history": list(name), "number": number, "entry": body}
            self._objects.create(f"{self._scope}/{path}", records.sealed(record))
            repaired = "filled with an entry that says it is lost"
        said = f"entry {number} of {newest} is missing"
        advice = "restore it from a backup, or have --repair fill its place with an entry that says it is lost"
        self._report("gap in a history", path, folder, said, advice, repaired)

    def _name_of(self, folder: str) -> tuple[str, ...] | None:
        """A history's name, as its entries know it."""
        rows = self._found.rows("NOT trash AND path GLOB ? ORDER BY number DESC", f"{_literal(folder)}/*")
        for row in islice(rows, _MOST_MISSING):
            data = self._found.read(row)
            try:
                name, _ = entry_in(data or b"", self._scope, folder, row.number)
            except ValueError:
                continue
            return name
        return None

    def _marks(self) -> None:
        """A replacement that no mark tells of is not found by who looks many results up at once."""
        names = self._found.ask(
            "SELECT DISTINCT name FROM objects o WHERE kind = 'replacement' AND NOT trash AND NOT EXISTS"
            " (SELECT 1 FROM objects p WHERE p.kind = 'replaced' AND p.name = o.name AND NOT p.trash)"
        )
        for (name,) in list(names):
            key = replaced_key(self._scope, name)
            if self._objects.size(key) is not None:
                continue
            repaired = ""
            if self._repair:
                self._objects.create(key, b"{}\n")
                repaired = "put back"
            self._report(
                "missing mark of a replaced result",
                key.partition("/")[2],
                f"result {name[:12]}",
                "the result was replaced, and its mark is missing, so that runs may find the old one",
                "have --repair put it back",
                repaired,
            )

    def _sizes(self) -> None:
        rows = self._found.ask(
            "SELECT o.name, o.size, max(n.size) FROM objects o JOIN named n ON n.digest = o.name"
            " WHERE o.kind = 'blob' AND NOT o.trash AND n.size IS NOT NULL AND n.size != o.size GROUP BY o.name"
        )
        for name, there, expected in list(rows):
            self._damaged_blob(name, f"{there:,} bytes instead of {expected:,}")

    def _bytes(self) -> None:
        blobs = self._found.rows("kind = 'blob' AND NOT trash")
        for done, (row, said) in enumerate(side_by_side(self._said_of_bytes, blobs, at_once=BLOBS_AT_ONCE), 1):
            if said and row.name not in self._damaged:
                self._damaged_blob(row.name, said)
            if self._progress:
                self._progress(f"blobs read in scope {self._scope}", done)

    def _said_of_bytes(self, row: Row) -> str:
        found = self._sha256(row)
        if found not in {None, row.name}:
            found = self._sha256(row)  # read again: a line that failed once proves nothing
        return "" if found is None or found == row.name else f"its bytes have sha256 {found[:12]}…"

    def _sha256(self, row: Row) -> str | None:
        """sha256 of a blob's bytes; None where it is gone since the listing."""
        key = row.key(self._scope)
        if row.size <= SMALL:
            data = self._objects.get(key)
            return None if data is None else hashlib.sha256(data).hexdigest()
        read = pieces.away(partial(self._objects.chunks, key), overlap=False)
        return None if read is None else read[1]

    def _owner(self, digest: str) -> tuple[str, str]:
        """The path of a record that names a blob, and what that is: a version rather than a result."""
        found = self._found.one("SELECT path, of FROM named WHERE digest = ? ORDER BY path DESC LIMIT 1", digest)
        return (found[0], found[1]) if found else ("no record", "no record")

    def _damaged_blob(self, digest: str, said: str) -> None:
        self._damaged.add(digest)
        key = blob_key(self._scope, digest)
        repaired = ""
        if self._repair:
            self._objects.move(key, damaged_key(self._scope, digest))
            repaired = f"moved to {damaged_key(self._scope, digest)}"
        advice = "materialize what it belongs to again; --repair puts it aside, so that nothing counts on it until then"
        self._report("damaged blob", key.partition("/")[2], self._owner(digest)[1], said, advice, repaired)

    def _missing(self) -> None:
        rows = self._found.ask(
            "SELECT digest, max(size), min(modified), max(here) FROM named n WHERE NOT EXISTS"
            " (SELECT 1 FROM objects o WHERE o.kind = 'blob' AND o.name = n.digest AND NOT o.trash) GROUP BY digest"
        )
        removed: _Removed | None = None
        for (digest, size, modified, here), there in side_by_side(self._is_there, rows):
            if there:
                continue
            removed = removed or _Removed(self._store, self._found, self._scopes)
            if removed.by_retention(digest, modified, here=bool(here)):
                self._no_longer_kept += 1
                continue
            path, of = self._owner(digest)
            said = f"{path} names it ({size:,} bytes)" if size is not None else f"{path} names it"
            advice = "materialize it again, or restore the blob from a backup"
            self._report("missing blob", blob_key(self._scope, digest).partition("/")[2], of, said, advice)

    def _is_there(self, named: tuple[Any, ...]) -> bool:
        """Whether a blob can be had after all: written since, in another scope, or from the trash."""
        for scope in self._scopes:
            key = blob_key(scope, named[0])
            if self._objects.size(key) is not None or self._objects.size(trash_key(key)) is not None:
                return True
        return False


class _Removed:
    """What garbage collection removed, as far as its history tells."""

    def __init__(self, store: Store, found: Inventory, scopes: tuple[str, ...]) -> None:
        self._found = found
        own = list(_collections(store, found.scope))
        self._own = max((when for when, _ in own), default=0.0)
        others = (when for scope in scopes if scope != found.scope for when, _ in _collections(store, scope))
        self._others = max(others, default=0.0)
        if own:
            policies = [policy for _, policy in own]
            strictest = Policy(
                keep_versions=min(each.keep_versions for each in policies),
                keep_promotions=min(each.keep_promotions for each in policies),
                younger_than=min(each.younger_than for each in policies),
                grace=min(each.grace for each in policies),
            )
            found.db.execute("DELETE FROM manifests")
            now = store_clock.now(store._objects, found.scope, write=False)
            mark(found, strictest, now, scopes, Notes())

    def by_retention(self, digest: str, named: float, *, here: bool) -> bool:
        """Whether a blob is missing because no policy kept it.

        Args:
            digest: The blob.
            named: When the oldest record that names it was written.
            here: Whether it was stored in this scope, as far as can be told.
        """
        if named <= self._own and self._found.one("SELECT 1 FROM marks WHERE digest = ?", digest) is None:
            return True
        return not here and named <= self._others


def _collections(store: Store, scope: str) -> Iterator[tuple[float, Policy]]:
    """When blobs were removed from a scope, by the clock of the place, and by which policy."""
    folder = history_folder(scope, HISTORY)
    for item in store._objects.walk(folder):
        number = place_of(item.key.partition("/")[2]).number
        data = store._objects.get(item.key)
        try:
            _, body = entry_in(data or b"", scope, folder.partition("/")[2], number)
            if any("blob" in body[act] for act in ("deleted", "set_aside")):
                yield item.modified, Policy.from_json(body["policy"])
        except (ValueError, KeyError, TypeError):
            continue


_WORDS: Final = {
    "result": "result record",
    "replacement": "replacement of a result",
    "deviation": "noted deviation of a result",
    "version": "version entry",
    "channel": "channel entry",
    "pin": "entry of the pins",
    "location": "workflow version",
    "gc": "entry of the garbage collections",
    "derivation": "mark of a derivation",
}


def _of(row: Row) -> str:
    return f"entry {row.number} of {row.name}" if row.kind in NUMBERED and len(row.name) != 64 else row.name


def _literal(folder: str) -> str:
    """A folder's name as a pattern of GLOB that means nothing but itself."""
    return folder.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
