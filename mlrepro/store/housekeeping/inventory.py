"""What lies in a scope, as a table on disk: housekeeping asks it instead of holding a million names in memory."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.store.housekeeping.places import Kind, place_of
from mlrepro.store.objects import Objects

Progress = Callable[[str, int], None]
"""Told now and then what is being done, and how many are done."""

_AT_ONCE: Final = 1000
_TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -8000;
    CREATE TABLE objects (
        path TEXT, kind TEXT, name TEXT, number INTEGER, size INTEGER, modified REAL, trash INTEGER);
    CREATE TABLE marks (digest TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE manifests (digest TEXT PRIMARY KEY, stored TEXT) WITHOUT ROWID;
    CREATE TABLE families (name TEXT PRIMARY KEY, modified REAL, here INTEGER, kept INTEGER) WITHOUT ROWID;
    CREATE TABLE kept_versions (name TEXT, number INTEGER, PRIMARY KEY (name, number)) WITHOUT ROWID;
    CREATE TABLE kept_derivations (path TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE owners (digest TEXT, asset TEXT, PRIMARY KEY (digest, asset)) WITHOUT ROWID;
    CREATE TABLE mentioned (digest TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE named (digest TEXT, size INTEGER, path TEXT, of TEXT, modified REAL, here INTEGER);
    CREATE TABLE actions (phase INTEGER, unit TEXT, step INTEGER, act TEXT, kind TEXT, path TEXT, size INTEGER,
        name TEXT);
"""
_INDEX: Final = "CREATE INDEX objects_by_name ON objects (kind, name, number)"


@dataclass(frozen=True, slots=True)
class Row:
    """An object of the scope.

    Attributes:
        path: Its path below the scope, also where it lies in the trash: that of its place.
        kind: What it is.
        name: See ``Place``.
        number: See ``Place``.
        size: Bytes.
        modified: When it was last written, in seconds since 1970 by the clock of the place.
        trash: Whether it lies in the trash.
    """

    path: str
    kind: Kind
    name: str
    number: int
    size: int
    modified: float
    trash: int

    def key(self, scope: str) -> str:
        """Its name from the store's root."""
        return f"{scope}/trash/{self.path}" if self.trash else f"{scope}/{self.path}"


class Inventory:
    """A table of all objects of a scope, with room for what is found out about them.

    Args:
        objects: The store's objects.
        scope: The scope.
        db: An empty database.
    """

    def __init__(self, objects: Objects, scope: str, db: sqlite3.Connection) -> None:
        self.objects = objects
        self.scope = scope
        self.db = db

    def take(self, progress: Progress | None) -> None:
        """List the scope."""
        self.db.executescript(_TABLES)
        self.db.execute("BEGIN")  # never ended: nobody needs the database afterwards
        count = 0
        for rows in _batches(self._listed()):
            self.db.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            count += len(rows)
            if progress:
                progress(f"listed in scope {self.scope}", count)
        self.db.execute(_INDEX)

    def _listed(self) -> Iterator[tuple[Any, ...]]:
        start = len(self.scope) + 1
        for item in self.objects.walk(self.scope):
            path = item.key[start:]
            trash = path.startswith("trash/")
            path = path.removeprefix("trash/") if trash else path
            place = place_of(path)
            yield path, place.kind, place.name, place.number, item.size, item.modified, trash

    def rows(self, where: str, *values: object) -> Iterator[Row]:
        """Objects that a condition chooses; other tables may change meanwhile."""
        cursor = self.db.execute(
            f"SELECT path, kind, name, number, size, modified, trash FROM objects o WHERE {where}",  # noqa: S608 - ours
            values,
        )
        while found := cursor.fetchmany(_AT_ONCE):
            yield from (Row(*each) for each in found)

    def ask(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows of any question; other tables may change meanwhile."""
        cursor = self.db.execute(sql, values)
        while found := cursor.fetchmany(_AT_ONCE):
            yield from found

    def one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a question, or None."""
        found: tuple[Any, ...] | None = self.db.execute(sql, values).fetchone()
        return found

    def add(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to a table, each once."""
        for batch in _batches(rows):
            places = ", ".join("?" * len(batch[0]))
            self.db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", batch)  # noqa: S608 - ours

    def has(self, path: str, *, trash: bool = False) -> Row | None:
        """The object at a path when the scope was listed, or None."""
        place = place_of(path)
        found = self.rows("kind = ? AND name = ? AND trash = ? AND path = ?", place.kind, place.name, trash, path)
        return next(found, None)

    def read(self, row: Row) -> bytes | None:
        """An object's bytes, wherever it lies now; None where it is gone."""
        there, other = row.key(self.scope), f"{self.scope}/{'' if row.trash else 'trash/'}{row.path}"
        data = self.objects.get(there)
        # set aside, put back or deleted since the listing
        return self.objects.get(other) if data is None else data


@contextlib.contextmanager
def inventory(objects: Objects, scope: str, progress: Progress | None = None) -> Iterator[Inventory]:
    """List a scope into a temporary database, which is removed at the end.

    Raises:
        StoreError: The store failed, or this machine's temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        db = sqlite3.connect(Path(folder, "inventory.sqlite"), isolation_level=None)
        try:
            found = Inventory(objects, scope, db)
            found.take(progress)
            yield found
        except sqlite3.OperationalError as error:
            advice = "free space there, or set TMPDIR to another folder"
            raise StoreError(f"The temporary database in {folder} failed ({error}): {advice}") from error
        finally:
            db.close()


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
