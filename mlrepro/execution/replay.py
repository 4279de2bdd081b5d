"""Hits as Dagster events: what the log, the UI, sensors and a later re-execution read of a step that ran."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DEFAULT_DATA_VERSION, DataVersion
from dagster._core.definitions.partitions.utils import MultiPartitionKey, get_tags_from_multi_partition_key
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, DagsterEventType, generate_event_batch_id
from dagster._core.execution.context.data_version_cache import InputAssetVersionInfo
from dagster._core.execution.context.system import IStepContext
from dagster._core.execution.plan.execute_step import _build_data_version_tags, _InputProvenanceData
from dagster._core.execution.plan.objects import StepSuccessData, TypeCheckData
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
from dagster._core.storage.dagster_run import assets_are_externally_managed

from mlrepro.catalog.history import Version
from mlrepro.execution.before_launch import confirm
from mlrepro.execution.event_log import RunEvents
from mlrepro.execution.look_ahead import NOT_IN_LOG, KnownStep
from mlrepro.io_managers.commit import append_versions, metadata_from_json
from mlrepro.io_managers.facts import hit_facts

CONCURRENT_HISTORIES = 16
"""Histories read and appended to at a time."""

EVENTS_AT_ONCE = 1000
"""Events held back at most: what a process that is killed loses, and what the UI has to wait for."""


@dataclass(frozen=True)
class _Ready:
    """A hit whose versions are in their histories: nothing is left but to tell Dagster.

    Attributes:
        known: The hit.
        versions: The version of each output.
        provenance: Data version and place in the event log of each upstream asset.
    """

    known: KnownStep
    versions: Mapping[str, Version]
    provenance: Mapping[dg.AssetKey, tuple[DataVersion, int | None]]


class Replay:
    """Appends the versions that hits make, then writes their events.

    Args:
        hits: The hits, each after those that it depends on.
        events: Writes them.

    Attributes:
        done: The hits that Dagster was told of in full. Where that fails for one, it and those after it are left.
    """

    def __init__(self, hits: Sequence[KnownStep], events: RunEvents) -> None:
        self.done: list[KnownStep] = []
        self._hits = hits
        self._events = events
        self._complete: list[tuple[KnownStep, list[DagsterEvent]]] = []
        self._written: list[DagsterEvent] = []
        events.after_write = self._note_written

    def run(self) -> Iterator[DagsterEvent]:
        """Replay the hits.

        Yields:
            The events, once they are written.

        Raises:
            StoreError: If a history can't be read or written.
            Exception: Whatever Dagster's event log raises.
        """
        complete = self._events.mark()
        try:
            for ready in _ready(self._hits):
                self._complete.append((ready.known, list(_events_of_step(ready, self._events))))
                complete = self._events.mark()
                if self._events.waiting >= EVENTS_AT_ONCE:
                    self._events.write()
                    yield from self._take()
            self._events.write()
            yield from self._take()
        except Exception:
            self._events.forget_from(complete)
            if not self._events.failed:
                self._events.write()
                yield from self._take()
            raise

    def _note_written(self) -> None:
        for known, told in self._complete:
            self.done.append(known)
            self._written += told
        self._complete.clear()

    def _take(self) -> list[DagsterEvent]:
        taken, self._written = self._written, []
        return taken


def ready_outputs(hits: Sequence[KnownStep]) -> set[StepOutputHandle]:
    """The outputs that steps after the hits can load."""
    return {
        StepOutputHandle(hit.outputs.step_context.step.key, name)
        for hit in hits
        for name in (*_outputs(hit), *hit.outputs.check_outputs())
    }


def _ready(hits: Sequence[KnownStep]) -> Iterator[_Ready]:
    """Store what hits add to histories, many at a time, before Dagster hears of them."""
    _confirm_inputs(hits)
    with ThreadPoolExecutor(max_workers=CONCURRENT_HISTORIES) as pool:
        appended = pool.map(
            lambda hit: append_versions(
                hit.outputs.step_context, hit.store, hit.key, hit.hit.record, pinned=hit.hit.kind == "pinned"
            ),
            hits,
        )
        for hit, versions in zip(hits, appended, strict=True):
            yield _Ready(hit, versions, _provenance(hit))


def _confirm_inputs(hits: Sequence[KnownStep]) -> None:
    """Say of each source what was read; Dagster learns of a file that changed once, not once a step."""
    observed: dict[dg.AssetKey, InputAssetVersionInfo | None] = {}
    for hit in hits:
        context = hit.outputs.step_context
        known = context._data_version_cache.input_asset_version_info  # what provenance is read from
        known.update({key: info for key, info in observed.items() if key in known})
        before = set(known)
        confirm(hit.inputs)
        for key in before - set(known):
            observed[key] = context.maybe_fetch_and_get_input_asset_version_info(key)


def _provenance(hit: KnownStep) -> dict[dg.AssetKey, tuple[DataVersion, int | None]]:
    context = hit.outputs.step_context
    layer = context.job_def.asset_layer
    own = context.get_output_asset_keys()
    # an asset that depends on its own earlier partitions was made by an earlier run, unlike others of the same step
    parents = {parent for key in own for parent in layer.get(key).parent_keys if parent == key or parent not in own}
    found = {}
    for parent in parents:
        info = context.maybe_fetch_and_get_input_asset_version_info(parent)
        version = (info.data_version if info else None) or DEFAULT_DATA_VERSION
        found[parent] = (version, info.storage_id if info else None)
    return found


def _outputs(hit: KnownStep) -> dict[str, Any]:
    recorded = hit.hit.record["outputs"]
    return {name: recorded[name] for name in hit.outputs.selected() if name in recorded}


def _events_of_step(ready: _Ready, events: RunEvents) -> Iterator[DagsterEvent]:
    started = time.perf_counter()
    hit = ready.known
    step = events.for_step(hit.outputs.step_context.step)
    record = hit.hit.record
    attempts = hit.outputs.step_context.previous_attempt_count
    yield DagsterEvent.step_restarted_event(step, attempts) if attempts else DagsterEvent.step_start_event(step)
    for name, output in _outputs(hit).items():
        facts = hit_facts(hit.key, hit.hit, output, ready.versions.get(name))
        # what a person looks for first stands first
        metadata = {**facts, **metadata_from_json(output["metadata"]), **facts}
        yield _output_event(hit, step, name, metadata)
        yield from _materializations(ready, step, events, name, output, metadata)
    for check in record["checks"]:
        if hit.outputs.is_selected(check):
            yield from _check_events(hit, step, events, check)
    milliseconds = (time.perf_counter() - started) * 1000
    yield DagsterEvent.from_step(
        DagsterEventType.STEP_SUCCESS,
        step,
        StepSuccessData(duration_ms=milliseconds),
        message=f'Finished execution of step "{step.step.key}" without running it: {hit.hit.describe()}.',
    )


def _output_event(hit: KnownStep, step: IStepContext, name: str, metadata: Mapping[str, Any]) -> DagsterEvent:
    kind = hit.outputs.step_context.op_def.output_def_named(name).dagster_type.display_name
    return DagsterEvent.from_step(
        DagsterEventType.STEP_OUTPUT,
        step,
        StepOutputData(
            step_output_handle=StepOutputHandle(step.step.key, name),
            # what stands in the store was checked when it was made
            type_check_data=TypeCheckData(success=True, label=name),
            metadata=metadata,
        ),
        message=f'Yielded output "{name}" of type "{kind}" from the cache.',
    )


def _materializations(
    ready: _Ready,
    step: IStepContext,
    events: RunEvents,
    name: str,
    output: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> Iterator[DagsterEvent]:
    context = ready.known.outputs.step_context
    layer = context.job_def.asset_layer
    asset = layer.get_asset_key_for_node_output(context.node_handle, name)
    if asset is None or assets_are_externally_managed(context.dagster_run):
        return
    inside = {
        layer.get_asset_key_for_node_output(context.node_handle, each): each for each in ready.known.outputs.selected()
    }
    provenance: dict[dg.AssetKey, _InputProvenanceData] = {}
    for parent in layer.get(asset).parent_keys:
        version, place = ready.provenance.get(parent, (DEFAULT_DATA_VERSION, None))
        if parent in inside and parent != asset:  # made by the same step
            version = DataVersion(ready.known.hit.record["outputs"][inside[parent]]["data_version"])
            place = events.place_of(parent)
        elif place == NOT_IN_LOG:
            place = events.place_of(parent)
        provenance[parent] = {"data_version": version, "storage_id": place}
    tags = {
        **_build_data_version_tags(
            DataVersion(output["data_version"]),
            layer.get(asset).code_version or context.run_id,
            provenance,
            data_version_is_user_provided=not output.get("derived"),
        ),
        **(output.get("tags") or {}),
    }
    batch = generate_event_batch_id()
    partitions = _partitions(ready.known, name)
    for partition in partitions:
        of_dimensions = get_tags_from_multi_partition_key(partition) if isinstance(partition, MultiPartitionKey) else {}
        yield DagsterEvent.asset_materialization(
            step,
            dg.AssetMaterialization(
                asset_key=asset, partition=partition, metadata=metadata, tags={**tags, **of_dimensions}
            ),
            DagsterEventBatchMetadata(batch, partition == partitions[-1]) if partition is not None else None,
        )
    events.will_materialize(asset)


def _partitions(hit: KnownStep, name: str) -> Sequence[str | None]:
    context = hit.outputs.step_context
    if not context.has_asset_partitions_for_output(name):
        return [None]
    return list(context.get_output_context(StepOutputHandle(context.step.key, name)).asset_partition_keys)


def _check_events(
    hit: KnownStep, step: IStepContext, events: RunEvents, check: Mapping[str, Any]
) -> Iterator[DagsterEvent]:
    context = hit.outputs.step_context
    events.write()  # an evaluation names the materialization that it is about
    result = hit.outputs.check_result(check)
    if result.asset_key is not None:
        context.wipe_input_asset_version_info(result.asset_key)
    evaluation = result.to_asset_check_evaluation(context)
    definition = context.assets_def
    assert definition is not None, "only an asset's function makes checks"
    output = definition.get_output_name_for_asset_check_key(evaluation.asset_check_key)
    yield _output_event(hit, step, output, {})
    yield DagsterEvent.asset_check_evaluation(step, evaluation)
