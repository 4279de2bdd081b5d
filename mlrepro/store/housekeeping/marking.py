"""Marking what a retention policy keeps: garbage collection removes nothing that is marked.

A record that is kept keeps every digest that occurs in it, whatever its schema, as a blob and as the input hash of a
result; a result that is kept so keeps what its own records name.
"""

import itertools
import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, BlobMissingError
from mlrepro.store import records
from mlrepro.store.formats.parts import HAVE_PARTS
from mlrepro.store.housekeeping.inventory import Inventory, Progress, Row
from mlrepro.store.housekeeping.naming import digests_in, entry_in, inputs_in, parts_found, values_in
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.housekeeping.side_by_side import side_by_side
from mlrepro.store.stored import StoredValue

MOST_NOTES: Final = 1000
"""Notes that are kept; more are only counted."""


_FAMILIES: Final = """
    INSERT INTO families
    SELECT name, max(CASE WHEN trash THEN 0 ELSE modified END), max(NOT trash), 0 FROM objects
    WHERE kind IN ('result', 'replacement', 'deviation') GROUP BY name
"""
_NEWEST: Final = """
    SELECT path, kind, name, number, size, modified, trash FROM (
        SELECT *, row_number() OVER (PARTITION BY name ORDER BY number DESC) AS place FROM objects
        WHERE kind = ? AND NOT trash)
    WHERE place <= ? ORDER BY name, number DESC
"""


@dataclass
class Notes:
    """What a person should know of, as far as it fits.

    Attributes:
        said: The notes.
        more: How many did not fit.
    """

    said: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, text: str) -> None:
        """Note something."""
        if len(self.said) < MOST_NOTES:
            self.said.append(text)
        else:
            self.more += 1


def mark(
    inventory: Inventory,
    policy: Policy,
    now: float,
    scopes: tuple[str, ...],
    notes: Notes,
    progress: Progress | None = None,
) -> None:
    """Fill the inventory's marks.

    Args:
        inventory: The scope, listed.
        policy: What is kept.
        now: Seconds since 1970, by the clock of the place.
        scopes: Where manifests are looked for.
        notes: Takes what could not be read.
        progress: Told how many records were read.

    Raises:
        StoreError: The store failed, so that it is not known what is kept.
    """
    _Marking(inventory, policy, now, scopes, notes, progress).run()


class _Marking:
    def __init__(
        self,
        inventory: Inventory,
        policy: Policy,
        now: float,
        scopes: tuple[str, ...],
        notes: Notes,
        progress: Progress | None,
    ) -> None:
        self._inventory = inventory
        self._policy = policy
        self._now = now
        self._scopes = scopes
        self._notes = notes
        self._progress = progress
        self._count = 0

    def run(self) -> None:
        self._histories("version", self._policy.keep_versions)
        self._histories("channel", self._policy.keep_promotions)
        self._histories("pin", 1)
        self._histories("location", None)
        self._histories("run", None)  # outputs of ops: a run that is executed again from its failure loads them
        self._derivations()
        self._inventory.db.execute(_FAMILIES)
        self._young_results()
        self._named_results()
        self._manifests()

    def _histories(self, kind: str, wanted: int | None) -> None:
        """Mark what the newest entries of each history name; those that cannot be read do not count."""
        newest = (Row(*each) for each in self._inventory.ask(_NEWEST, kind, 2**62 if wanted is None else wanted))
        missing: Counter[str] = Counter()
        for row, data in side_by_side(self._inventory.read, newest):
            missing[row.name] += not self._entry(row, data)
        if wanted is None:
            return
        for name, count in (+missing).items():
            # further back, one by one: there are few such histories
            older = self._inventory.rows(
                "kind = ? AND name = ? AND NOT trash ORDER BY number DESC LIMIT -1 OFFSET ?", kind, name, wanted
            )
            readable = (row for row in older if self._entry(row, self._inventory.read(row)))
            deque(itertools.islice(readable, count), maxlen=0)

    def _entry(self, row: Row, data: bytes | None) -> bool:
        """Mark what an entry names; whether it counts."""
        self._told()
        if data is None:
            return False
        try:
            name, body = entry_in(data, self._inventory.scope, row.name, row.number)
        except ValueError as error:
            self._notes.add(f"{row.key(self._inventory.scope)} is damaged, so that what it names may go: {error}")
            return False
        if body.get("lost") is True:
            return False
        if row.kind == "version":
            self._inventory.add("kept_versions", [(row.name, row.number)])
            self._owned(body, ["/".join(name[1:-1])])
        self._keep(data, body)
        return True

    def _derivations(self) -> None:
        """Keep the marks that stand beside a version that is kept, and the results that they tell of."""
        rows = self._inventory.rows("kind = 'derivation'")
        for row, data in side_by_side(self._inventory.read, rows):
            self._told()
            folder = row.path.rpartition("/")[0].replace("derivations/", "versions/", 1)
            try:
                mark = records.from_bytes(data or b"")
            except ValueError as error:
                if data is None:
                    continue
                self._notes.add(f"{row.key(self._inventory.scope)} is damaged and stays where it is: {error}")
                self._inventory.add("kept_derivations", [(row.path,)])
                continue
            number = mark.get("version")
            kept = "SELECT 1 FROM kept_versions WHERE name = ? AND number = ?"
            if type(number) is int and self._inventory.one(kept, folder, number):
                self._inventory.add("kept_derivations", [(row.path,)])
                self._keep(data or b"", mark)
                self._inventory.add("marks", [(row.name,)])

    def _young_results(self) -> None:
        """Read every result that is in its place: those that are young, or not as old as they may get, are kept."""
        rows = self._inventory.rows(
            "kind IN ('result', 'replacement', 'deviation') AND NOT trash ORDER BY name, kind, number"
        )
        for row, data in side_by_side(self._inventory.read, rows):
            self._told()
            found = self._inventory.one("SELECT modified FROM families WHERE name = ?", row.name)
            age = self._now - (found[0] if found else row.modified)
            body = self._body(row, data)
            if body is not None and row.kind == "result":
                self._owned(body, _assets(body))
            limit = max(self._policy.younger_than, self._policy.grace).total_seconds()
            limit = max(limit, _max_age(body))
            # what cannot be read might be needed
            if age < limit or (body is None and data is not None):
                self._inventory.add("marks", [(row.name,)])

    def _named_results(self) -> None:
        """Mark what results name that are marked, until there is none left."""
        marked = "SELECT name FROM families WHERE NOT kept AND name IN (SELECT digest FROM marks) LIMIT 1000"
        while names := [each[0] for each in self._inventory.ask(marked)]:
            for row, data in side_by_side(self._inventory.read, self._members(names)):
                self._told()
                body = self._body(row, data, say=False)
                if body is not None and data is not None:
                    self._keep(data, body)
            self._inventory.db.executemany("UPDATE families SET kept = 1 WHERE name = ?", ((each,) for each in names))

    def _members(self, names: list[str]) -> Iterator[Row]:
        for name in names:
            for kind in ("result", "replacement", "deviation"):
                yield from self._inventory.rows("kind = ? AND name = ?", kind, name)

    def _body(self, row: Row, data: bytes | None, *, say: bool = True) -> dict[str, Any] | None:
        if data is None:
            return None
        try:
            if row.kind == "result":
                return records.from_bytes(data)
            return entry_in(data, self._inventory.scope, row.path.rpartition("/")[0], row.number)[1]
        except ValueError as error:
            if say:
                self._notes.add(f"{row.key(self._inventory.scope)} is damaged and stays where it is: {error}")
            return None

    def _keep(self, data: bytes, body: dict[str, Any]) -> None:
        self._inventory.add("marks", ((each,) for each in digests_in(data)))
        several = [value for value in values_in(body) if value.format in HAVE_PARTS]
        # a folder that was an input is kept whole, so that the result can be computed again
        several += [value for value in inputs_in(body) if value.format in HAVE_PARTS and self._is_here(value)]
        self._inventory.add("manifests", ((each.content_hash, json.dumps(each.to_json())) for each in several))

    def _is_here(self, value: StoredValue) -> bool:
        """Whether a value is in this scope: inputs of what was published here need not be."""
        return (
            self._inventory.one("SELECT 1 FROM objects WHERE kind = 'blob' AND name = ?", value.content_hash)
            is not None
        )

    def _owned(self, body: dict[str, Any], assets: list[str]) -> None:
        """What a record stores belongs to its assets, for the report."""
        digests = {value.content_hash for value in values_in(body)}
        self._inventory.add("owners", ((digest, asset) for digest in digests for asset in assets))

    def _manifests(self) -> None:
        """Mark the parts of folders and trees."""
        rows = self._inventory.ask("SELECT stored FROM manifests")
        stored = (StoredValue.from_json(json.loads(each[0])) for each in rows)
        for value, parts in side_by_side(self._parts, stored):
            self._told()
            if isinstance(parts, str):
                self._notes.add(f"{parts}, so that its parts may go too: its versions have to be computed again")
            else:
                self._inventory.add("marks", ((part.digest,) for part in parts))
                self._pass_on(value.content_hash, [part.digest for part in parts])

    def _parts(self, value: StoredValue) -> "list[Any] | str":
        try:
            return list(parts_found(self._inventory.objects, self._scopes, value))
        except (BlobMissingError, BlobDamagedError) as error:
            return str(error)

    def _pass_on(self, manifest: str, parts: list[str]) -> None:
        """Parts belong to the asset that their manifest belongs to."""
        owner = self._inventory.one("SELECT asset FROM owners WHERE digest = ?", manifest)
        if owner is not None:
            self._inventory.add("owners", ((part, owner[0]) for part in parts))

    def _told(self) -> None:
        self._count += 1
        if self._progress:
            self._progress(f"records read in scope {self._inventory.scope}", self._count)


def _assets(record: dict[str, Any]) -> list[str]:
    assets = record.get("assets")
    return [each for each in assets if isinstance(each, str)] if isinstance(assets, list) else []


def _max_age(record: dict[str, Any] | None) -> float:
    seconds = (record or {}).get("max_age")
    try:
        return float(seconds) if isinstance(seconds, int | float) else 0.0
    except OverflowError:
        return 0.0
