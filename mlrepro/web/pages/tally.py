"""What the cache saved, counted as events come in: a page must not read the whole event log each time."""

import contextlib
import datetime as dt
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from dagster import DagsterEventType, DagsterInstance, EventLogEntry, EventLogRecord
from dagster._core.event_api import EventRecordsFilter

from mlrepro.execution.savings import Saved
from mlrepro.io_managers.facts import PREFIX

WEEK: Final = 7
_PAGE: Final = 500
_HITS: Final = frozenset({"hit", "pinned", "served"})
_REMEMBERED_RUNS: Final = 2_000
_PATIENCE: Final = 0.3

_logger = logging.getLogger("mlrepro")


@dataclass
class _Sums:
    hits: int = 0
    steps: int = 0
    saved: float = 0.0
    spent: float = 0.0

    def add(self, hit: bool, saved: float, spent: float) -> None:
        self.hits += hit
        self.steps += 1
        self.saved += saved
        self.spent += spent


@dataclass
class _Asset:
    ever: _Sums = field(default_factory=_Sums)
    days: dict[int, _Sums] = field(default_factory=dict)


class Tally:
    """Hits and what they saved, by asset: of all time, and of the last days.

    The event log is read once from its beginning, in the background; from then on only what is new. A step that made
    several assets counts for the first of them, so that sums over assets count it once.

    Args:
        instance: Whose event log.
    """

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._assets: dict[str, _Asset] = {}
        self._runs: OrderedDict[str, set[str]] = OrderedDict()
        self._cursor: int | None = None
        self._caught_up = threading.Event()

    def catch_up(self, seconds: float = _PATIENCE) -> bool:
        """Read what is new; whether all of it was read in this time. The rest is read in the background."""
        self._caught_up.clear()
        threading.Thread(target=self._read, name="mlrepro-tally", daemon=True).start()
        return self._caught_up.wait(seconds)

    def saved(self, assets: Collection[str] | None = None, *, days: int | None = None) -> Saved:
        """Add up what was counted so far.

        Args:
            assets: Keys as Dagster writes them; None for all.
            days: Only so many days back; None for all time.
        """
        first = _day(dt.datetime.now(dt.UTC)) - days + 1 if days is not None else None
        total = _Sums()
        with self._lock:
            chosen = (
                list(self._assets.values())
                if assets is None
                else [found for name in assets if (found := self._assets.get(name)) is not None]
            )
            for each in chosen:
                for sums in [each.ever] if first is None else [s for day, s in each.days.items() if day >= first]:
                    total.hits += sums.hits
                    total.steps += sums.steps
                    total.saved += sums.saved
                    total.spent += sums.spent
        return Saved(total.hits, total.steps, total.saved, total.spent)

    def _read(self) -> None:
        if not self._reading.acquire(blocking=False):
            return  # another thread reads already, and tells when it is through
        caught_up = False
        try:
            while True:
                page = self._instance.event_log_storage.get_event_records(
                    EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION, after_cursor=self._cursor),
                    limit=_PAGE,
                    ascending=True,
                )
                with self._lock:
                    for record in page:
                        self._add(record)
                if len(page) < _PAGE:
                    caught_up = True
                    break
        except Exception:
            # the database may be away, or slow: the next page goes on from here
            _logger.exception("what the cache saved could not be counted")
        finally:
            self._reading.release()
            if caught_up:
                self._caught_up.set()

    def _add(self, record: EventLogRecord) -> None:
        self._cursor = record.storage_id
        entry: EventLogEntry = record.event_log_entry
        materialization = entry.asset_materialization
        outcome = getattr(materialization.metadata.get(f"{PREFIX}cache"), "value", None) if materialization else None
        if materialization is None or outcome is None or self._counted(entry.run_id, entry.step_key or ""):
            return
        said = materialization.metadata
        hit = outcome in _HITS
        saved, spent = (_number(said, name) for name in ("seconds_saved", "seconds"))
        asset = self._assets.setdefault(materialization.asset_key.to_user_string(), _Asset())
        day = _day(dt.datetime.fromtimestamp(entry.timestamp, dt.UTC))
        for sums in (asset.ever, asset.days.setdefault(day, _Sums())):
            sums.add(hit, saved, 0.0 if hit else spent)
        for old in [each for each in asset.days if each < day - WEEK]:
            del asset.days[old]

    def _counted(self, run_id: str, step: str) -> bool:
        # events of a step follow each other closely, so the newest runs are enough
        steps = self._runs.setdefault(run_id, set())
        self._runs.move_to_end(run_id)
        while len(self._runs) > _REMEMBERED_RUNS:
            self._runs.popitem(last=False)
        if step in steps:
            return True
        steps.add(step)
        return False


def _day(when: dt.datetime) -> int:
    return when.toordinal()


def _number(said: object, name: str) -> float:
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        return float(said.get(PREFIX + name).value)  # type: ignore[attr-defined]
    return 0.0
