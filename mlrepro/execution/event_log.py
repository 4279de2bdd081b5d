"""Writing many events of a run at once.

Dagster commits each event by itself, which is nearly all that a replayed step costs. Here the events of many steps go
into a transaction or two, through the statements of Dagster's own storages; a storage that is not known to keep rows in
that way gets its events one by one.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

import dagster as dg
from dagster._core.definitions.events import AssetKey
from dagster._core.events import ASSET_CHECK_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry, construct_event_record
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.types import _EventListenerLogHandler
from dagster._core.log_manager import DagsterLogManager, get_log_record_metadata
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._utils.log import StructuredLoggerMessage

ROWS = 500
"""Events in a statement: below the number of parameters that SQLite takes."""


class RunEvents:
    """The events of a run, held back and written together.

    Args:
        plan_context: The run.

    Attributes:
        after_write: Called when all that was held back is written.
        failed: Whether the last write failed; what it should have written is lost.
    """

    def __init__(self, plan_context: PlanOrchestrationContext) -> None:
        self._instance = plan_context.instance
        self._collector = _Collector()
        self._context = PlanOrchestrationContext(
            plan_data=plan_context.plan_data,
            log_manager=_with_handler(plan_context, self._collector),
            executor=plan_context.executor,
            output_capture=None,
        )
        self._storage_ids: dict[AssetKey, int] = {}
        self._unwritten: set[AssetKey] = set()
        self._writes = 0
        self.failed = False
        self.after_write: Callable[[], None] = lambda: None

    def for_step(self, step: ExecutionStep) -> IStepContext:
        """A context of a step whose events are held back."""
        return self._context.for_step(step)

    @property
    def waiting(self) -> int:
        """Number of events that are held back."""
        return len(self._collector.entries)

    def will_materialize(self, asset: AssetKey) -> None:
        """Note that a materialization of an asset is among the events held back."""
        self._unwritten.add(asset)

    def place_of(self, asset: AssetKey) -> int | None:
        """Place in the event log of an asset's newest materialization here; None if it has none."""
        if asset in self._unwritten:
            self.write()
        return self._storage_ids.get(asset)

    def write(self) -> None:
        """Write what is held back, in its order."""
        entries, self._collector.entries = self._collector.entries, []
        self._unwritten.clear()
        self._writes += 1
        self.failed = True
        for start in range(0, len(entries), ROWS):
            self._storage_ids |= _store(self._instance, entries[start : start + ROWS])
        self.failed = False
        self.after_write()

    def mark(self) -> tuple[int, int]:
        """A place among the events, to forget them from."""
        return self._writes, self.waiting

    def forget_from(self, mark: tuple[int, int]) -> None:
        """Drop the events since a mark that are not written yet."""
        writes, start = mark
        del self._collector.entries[start if writes == self._writes else 0 :]


class _Collector(logging.Handler):
    """Takes the place of the handler by which Dagster stores each event at once."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[EventLogEntry] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = StructuredLoggerMessage(
            name=record.name,
            message=record.msg,
            level=record.levelno,
            meta=get_log_record_metadata(record),
            record=record,
        )
        self.entries.append(construct_event_record(message))


def _with_handler(plan_context: PlanOrchestrationContext, collector: _Collector) -> DagsterLogManager:
    """The run's own loggers and handlers, but for the one that stores events."""
    others = [
        handler for handler in plan_context.instance.get_handlers() if not isinstance(handler, _EventListenerLogHandler)
    ]
    loggers = plan_context.log._dagster_handler._loggers
    manager = DagsterLogManager.create(
        loggers=loggers, handlers=[collector, *others], dagster_run=plan_context.dagster_run
    )
    manager.setLevel(plan_context.log.level)
    return manager


def _store(instance: dg.DagsterInstance, entries: Sequence[EventLogEntry]) -> dict[AssetKey, int]:
    """Store events; return the place of each asset's newest materialization among them."""
    storage = instance.event_log_storage
    if instance._subscribers[entries[0].run_id] or not _keeps_rows(storage):
        return _store_one_by_one(instance, entries)
    places: dict[AssetKey, int] = {}
    for together, alone in _runs_of(entries):
        if together:
            places |= _store_rows(storage, together)
        if alone is not None:
            instance.handle_new_event(alone)
    return places


def _keeps_rows(storage: object) -> TypeGuard[SqlEventLogStorage]:
    # by name: dagster-postgres need not be installed. A subclass may store otherwise
    return f"{type(storage).__module__}.{type(storage).__name__}" in (
        "dagster._core.storage.event_log.sqlite.sqlite_event_log.SqliteEventLogStorage",
        "dagster_postgres.event_log.event_log.PostgresEventLogStorage",
    )


def _runs_of(entries: Sequence[EventLogEntry]) -> Iterator[tuple[list[EventLogEntry], EventLogEntry | None]]:
    """Split events at asset check evaluations, which Dagster keeps in tables of their own."""
    together: list[EventLogEntry] = []
    for entry in entries:
        if entry.is_dagster_event and entry.dagster_event_type in ASSET_CHECK_EVENTS:
            yield together, entry
            together = []
        else:
            together.append(entry)
    yield together, None


def _store_rows(storage: SqlEventLogStorage, entries: Sequence[EventLogEntry]) -> dict[AssetKey, int]:
    of_assets = [entry for entry in entries if _materialized(entry) is not None]
    run_id = entries[0].run_id
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster keeps a run's events in a file of the run's own, and those of assets once more in a common one. The
        # common one first: a process that is killed in between leaves a run that looks unfinished and is made good by
        # the next, not one that looks finished without its assets.
        ids = _store_in_index(storage, of_assets)
        with storage.run_connection(run_id) as connection:
            connection.execute(storage.prepare_insert_event_batch(entries))
    else:
        # One statement, as Dagster's own batches are: the places of its rows become visible together, so that a sensor
        # that reads on from the last place it saw misses none.
        with storage.run_connection(run_id) as connection:
            statement = storage.prepare_insert_event_batch(entries).returning(_id_column())
            places = [int(row[0]) for row in connection.execute(statement).fetchall()]
        ids = [place for place, entry in zip(places, entries, strict=True) if _materialized(entry) is not None]
        if of_assets:
            with storage.index_transaction() as connection:
                _note_assets(storage, connection, of_assets, ids)
    return {key: place for entry, place in zip(of_assets, ids, strict=True) if (key := _materialized(entry))}


def _store_in_index(storage: SqliteEventLogStorage, entries: Sequence[EventLogEntry]) -> list[int]:
    if not entries:
        return []
    with storage.index_transaction() as connection:
        inserted: list[Any] = [connection.execute(storage.prepare_insert_event(entry)) for entry in entries]
        ids = [int(result.inserted_primary_key[0]) for result in inserted]
        _note_assets(storage, connection, entries, ids)
    return ids


def _note_assets(
    storage: SqlEventLogStorage, connection: Any, entries: Sequence[EventLogEntry], ids: Sequence[int]
) -> None:
    """Note tags and the newest materialization of assets, in the tables that the UI reads them from."""
    storage._store_asset_event_tags(connection, entries, ids)
    newest = {_materialized(entry): (entry, place) for entry, place in zip(entries, ids, strict=True)}
    for entry, place in newest.values():
        storage._store_asset_event(connection, entry, place)


def _store_one_by_one(instance: dg.DagsterInstance, entries: Sequence[EventLogEntry]) -> dict[AssetKey, int]:
    for entry in entries:
        instance.handle_new_event(entry)
    keys = {key for entry in entries if (key := _materialized(entry))}
    records = instance.get_asset_records(list(keys))
    return {
        record.asset_entry.asset_key: event.storage_id
        for record in records
        if (event := record.asset_entry.last_materialization_record) is not None
    }


def _materialized(entry: EventLogEntry) -> AssetKey | None:
    event = entry.dagster_event
    return event.asset_key if event and event.event_type == DagsterEventType.ASSET_MATERIALIZATION else None


def _id_column() -> object:
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

    return SqlEventLogStorageTable.c.id
