"""What is new since the last tick: events of the assets that conditions look at, and failed runs downstream.

The work of a tick does not grow with the event log: what is new is read after a storage id, the first time only the
newest events are, and of each asset no more than the conditions look back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import dagster as dg

from mlrepro.quality.condition import Condition, needs_of
from mlrepro.quality.memory import Watch
from mlrepro.quality.view import NEWEST, Failure, View

_OVERLAP = 100
"""Storage ids are given before an event is committed: one that was slow may appear behind one that was read."""

_MOST_RUNS = 50
"""Failed runs that are looked at in one tick. What is more waits for the next one."""

_MOST_FAILURES = 20
_MOST_EVENTS = 1000


def look(view: View, watch: Watch, conditions: Sequence[Condition]) -> View:
    """Bring a watch up to date, and hand its readings and failures to the view.

    Args:
        view: The channel as it is.
        watch: What was known of it, is changed.
        conditions: What is going to be judged.

    Returns:
        The view that the conditions are judged by.
    """
    asked = [str(condition) for condition in conditions]
    if asked != watch.asked:
        watch.asked = asked
        watch.forget_events()
    needs = needs_of(conditions)
    for asset, (names, depth) in needs.items():
        position = watch.positions.get(asset)
        after = None if position is None else max(position - _OVERLAP, 0)
        records = view.log.records(asset, max(depth, NEWEST), after=after)
        found = {
            reading.storage_id: replace(
                reading, numbers={name: reading.numbers[name] for name in names if name in reading.numbers}
            )
            for reading in (*watch.readings.get(asset, ()), *view.readings_among(asset, records))
        }
        watch.readings[asset] = [found[number] for number in sorted(found, reverse=True)[:depth]]
        watch.positions[asset] = max(position or 0, records[0].storage_id if records else 0)
    if any(condition.reads_failures for condition in conditions):
        new = _failures(view, watch)
        watch.failures = sorted([*new, *watch.failures], key=lambda each: -each.timestamp)[:_MOST_FAILURES]
    return replace(view, kept={asset: tuple(kept) for asset, kept in watch.readings.items()}, failures=watch.failures)


def _failures(view: View, watch: Watch) -> list[Failure]:
    """What failed downstream in the runs that failed since the last tick."""
    assert view.channel is not None, "a sensor looks at a channel that serves something"
    downstream = view.log.downstream_of(dg.AssetKey(list(view.channel.name.key)))
    first = watch.runs is None
    wanted = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=watch.runs)
    # the first time only the newest matter; later on none may be passed over
    records = view.instance.fetch_run_status_changes(wanted, limit=_MOST_RUNS, ascending=not first).records
    watch.runs = max([watch.runs or 0, *(record.storage_id for record in records)])
    found: list[Failure] = []
    for record in records:
        if view.since is None or record.timestamp > view.since.timestamp():
            found += _failed_steps(view, record.run_id, downstream)
    return found


def _failed_steps(view: View, run_id: str, downstream: frozenset[dg.AssetKey]) -> Iterable[Failure]:
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_FAILURE}
    steps = view.instance.get_records_for_run(run_id, of_type=kinds, limit=_MOST_EVENTS, ascending=False).records
    started: dict[str | None, float] = {}
    failed: dict[str | None, float] = {}
    for record in steps:
        kept = started if record.event_log_entry.dagster_event_type == dg.DagsterEventType.STEP_START else failed
        kept[record.event_log_entry.step_key] = record.timestamp
    since = view.since.timestamp() if view.since is not None else 0.0
    # a step that began before the channel moved was given what it served then
    failed = {step: when for step, when in failed.items() if started.get(step, when) > since}
    if not failed:
        return
    planned = view.instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, limit=_MOST_EVENTS
    ).records
    for record in planned:
        event = record.event_log_entry.dagster_event
        if event is None or event.step_key not in failed or event.asset_key not in downstream:
            continue
        ours = view.log.partition_of(event.asset_key)
        if ours is None or event.partition in (None, ours):
            yield Failure(run_id, event.asset_key, failed[event.step_key])
