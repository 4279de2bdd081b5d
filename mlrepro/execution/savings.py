"""What the cache saved: read from the materializations in Dagster's event log."""

import contextlib
import dataclasses
import datetime as dt
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.instance.config import is_dagster_home_set

from mlrepro.io_managers.facts import PREFIX

_PAGE: Final = 500
_TOP: Final = 10
_TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -8000;
    CREATE TABLE steps (run TEXT, step TEXT, hit INTEGER, saved REAL, spent REAL, PRIMARY KEY (run, step))
        WITHOUT ROWID;
    CREATE TABLE assets (run TEXT, step TEXT, asset TEXT, PRIMARY KEY (asset, run, step)) WITHOUT ROWID;
    CREATE VIEW overall AS
        SELECT coalesce(sum(hit), 0), count(*), coalesce(sum(saved), 0), coalesce(sum(spent), 0) FROM steps;
    CREATE VIEW by_asset AS
        SELECT asset, sum(hit), count(*), sum(saved) AS s, sum(spent) FROM assets JOIN steps USING (run, step)
        GROUP BY asset ORDER BY s DESC, asset;
"""


@dataclass(frozen=True, slots=True)
class Saved:
    """Hits and what they saved.

    Attributes:
        hits: Steps whose result came from the cache, replays of pinned and promoted versions among them.
        steps: Steps, hits among them.
        seconds_saved: Seconds that the hits' computations took when they were made.
        seconds_spent: Seconds that the other steps took.
    """

    hits: int = 0
    steps: int = 0
    seconds_saved: float = 0.0
    seconds_spent: float = 0.0

    @property
    def hit_rate(self) -> float | None:
        """Hits among the steps, from 0 to 1; None without steps."""
        return self.hits / self.steps if self.steps else None

    def to_json(self) -> dict[str, Any]:
        """The numbers as a JSON object."""
        return {**dataclasses.asdict(self), "hit_rate": self.hit_rate}


@dataclass(frozen=True)
class Savings:
    """What the cache saved.

    Attributes:
        since: Materializations from here on count; None for all.
        overall: All steps. A step that made several assets, or partitions, counts once.
        by_asset: The steps of each asset, by its key as Dagster writes it, the most saved first.
    """

    since: dt.datetime | None
    overall: Saved
    by_asset: Mapping[str, Saved]

    def top(self) -> Mapping[str, Saved]:
        """The assets for which most was saved."""
        saved = [(asset, each) for asset, each in self.by_asset.items() if each.hits]
        return dict(saved[:_TOP])

    def to_json(self) -> dict[str, Any]:
        """The savings as a JSON object."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "overall": self.overall.to_json(),
            "by_asset": {asset: each.to_json() for asset, each in self.by_asset.items()},
        }


def savings(
    instance: dg.DagsterInstance,
    *,
    since: dt.datetime | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Savings:
    """Add up what the cache saved, in memory that does not grow with the event log.

    Args:
        instance: Whose event log is read.
        since: Only materializations from here on; by default all.
        progress: Told how many were read.

    Example:
        >>> savings(dg.DagsterInstance.ephemeral()).overall.hit_rate is None
        True
    """
    with _database() as db:
        for count, (asset, entry) in enumerate(_materializations(instance, since), 1):
            _add(db, asset, entry)
            if progress:
                progress("materializations read", count)
        overall = db.execute("SELECT * FROM overall").fetchone()
        rows = db.execute("SELECT * FROM by_asset")
        return Savings(since, Saved(*overall), {asset: Saved(*sums) for asset, *sums in rows})


def savings_at_home(
    last: dt.timedelta | None = None, progress: Callable[[str, int], None] | None = None
) -> Savings | None:
    """Add up what the cache saved by the event log of DAGSTER_HOME; None where that is not set.

    Args:
        last: Only materializations of this long; by default all.
        progress: Told how many were read.
    """
    if not is_dagster_home_set():
        return None
    with dg.DagsterInstance.get() as instance:
        return savings(instance, since=dt.datetime.now(dt.UTC) - last if last else None, progress=progress)


@contextlib.contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        db = sqlite3.connect(Path(folder, "savings.sqlite"), isolation_level=None)
        try:
            db.executescript(_TABLES)
            db.execute("BEGIN")
            yield db
        finally:
            db.close()


def _materializations(
    instance: dg.DagsterInstance, since: dt.datetime | None
) -> Iterator[tuple[str, dg.EventLogEntry]]:
    after = since.timestamp() if since else None
    for key in instance.get_asset_keys():
        wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=after)
        cursor = None
        while True:
            page = instance.fetch_materializations(wanted, limit=_PAGE, cursor=cursor)
            for record in page.records:
                yield key.to_user_string(), record.event_log_entry
            if not page.has_more:
                break
            cursor = page.cursor


def _add(db: sqlite3.Connection, asset: str, entry: dg.EventLogEntry) -> None:
    materialization = entry.asset_materialization
    said = materialization.metadata if materialization else {}
    outcome = getattr(said.get(f"{PREFIX}cache"), "value", None)
    if outcome is None:
        return  # not an asset of mlrepro, or a channel that was moved
    step = (entry.run_id, entry.step_key or "")
    hit = outcome in {"hit", "pinned", "served"}
    spent = 0.0 if hit else _number(said, "seconds")
    db.execute(
        "INSERT OR IGNORE INTO steps VALUES (?, ?, ?, ?, ?)", (*step, hit, _number(said, "seconds_saved"), spent)
    )
    db.execute("INSERT OR IGNORE INTO assets VALUES (?, ?, ?)", (*step, asset))


def _number(said: Mapping[str, Any], name: str) -> float:
    value = getattr(said.get(PREFIX + name), "value", None)
    return float(value) if isinstance(value, int | float) else 0.0
