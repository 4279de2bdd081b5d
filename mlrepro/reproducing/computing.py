"""Computing a task: an ordinary run of Dagster, in which only the inputs are those of the record."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import DATA_VERSION_TAG
from mlrepro.errors import MlreproError
from mlrepro.execution.loading import one_line
from mlrepro.io_managers.deferred import DeferringIOManagerDefinition
from mlrepro.reproducing.finding import FoundAsset, OtherCodeError, find_asset, strays
from mlrepro.reproducing.likeness import likeness
from mlrepro.reproducing.recorded_inputs import RecordedInputs
from mlrepro.reproducing.task import Answer, Task
from mlrepro.store import Store, StoredValue, open_store
from mlrepro.versioning import digest, environment

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

_QUIET = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
"""What the function logs is printed, and not each of Dagster's events."""


def answer_to(task: Task) -> Answer:
    """Compute a task, and compare what came out with what is recorded."""
    logging.getLogger("dagster").setLevel(logging.WARNING)
    try:
        found = find_asset(task.record, task.sources, task.definitions, task.roots)
    except OtherCodeError as error:
        return Answer("other code", [str(error)])
    if elsewhere := strays(task.sources, task.roots):
        return Answer("other code", [f"{', '.join(elsewhere[:3])} came from outside of the stored code"])
    manager = DeferringIOManagerDefinition(  # one that is there already: as a resource it would be made anew
        RecordedInputs(scratch=task.scratch, recorded=task.store, inputs=task.inputs, folder=task.folder / "inputs")
    )
    resources = {**found.resources, **dict.fromkeys(io_manager_keys(found), manager)}
    if lacking := sorted(set(found.assets.node_def.required_resource_keys) - set(resources)):  # type: ignore[attr-defined]
        several = "s" if len(lacking) > 1 else ""
        why = (
            f"the resource{several} {', '.join(lacking)}, which the function uses and only the Definitions of its code"
            " location have: name their module by --module"
        )
        return Answer("missing", [why])
    try:
        run = run_once(
            found, resources, _data_versions(task), config=task.config, partitions=task.record.get("partitions")
        )
    except dg.DagsterError as error:
        return Answer("failed", [cause(error)])
    except MlreproError as error:
        return Answer("failed", [str(error)])
    except Exception as error:  # noqa: BLE001 -- whatever the user's code raises is what there is to tell
        return Answer("failed", [f"{type(error).__name__}: {one_line(error)}"])
    record = _record_of(task, run)
    if record is None:
        return Answer("failed", ["the run left no result: its function returned nothing that can be stored"])
    scratch = open_store(str(task.scratch), scope="default", read_scopes=[], options={"durable": "false"})
    return Answer(
        "computed",
        record=record,
        sources=json.loads(scratch.read_bytes(record["code"]["sources"])),
        freeze=environment().freeze,
        likeness=dict(_unlike(task, scratch, record)),
        seconds=record["seconds"],
    )


def io_manager_keys(found: FoundAsset) -> set[str]:
    """Keys of the IO managers of an asset's outputs and inputs."""
    keys = {definition.io_manager_key for definition in found.assets.node_def.output_defs}
    chosen = [definition.input_manager_key for definition in found.assets.node_def.input_defs]
    return {"io_manager", *keys, *(key for key in chosen if key)}


def run_once(
    found: FoundAsset,
    resources: Mapping[str, Any],
    upstream: Mapping[str, str],
    *,
    config: Any,
    partitions: Sequence[str] | None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> dg.ExecuteInProcessResult:
    """Run an asset in this process, on an instance that knows nothing but the data versions of its inputs.

    Args:
        found: The asset.
        resources: What it needs, its IO managers among them.
        upstream: Data version of each upstream asset, by key.
        config: Its config.
        partitions: Its partitions, None for an asset without.
        tags: Tags of the run.
        run_id: Id of the run.
    """
    keys = {dg.AssetKey.from_user_string(asset) for asset in upstream} | set(found.assets.keys_by_input_name.values())
    others = [dg.AssetSpec(key) for key in sorted(keys - set(found.assets.keys))]
    definitions = dg.Definitions(assets=[found.assets, *others], resources=dict(resources))
    job = definitions.resolve_implicit_global_asset_job_def()
    name = found.assets.node_def.name
    with dg.DagsterInstance.ephemeral() as instance:
        for asset, data_version in upstream.items():
            known = {DATA_VERSION_TAG: data_version}
            instance.report_runless_asset_event(dg.AssetObservation(dg.AssetKey.from_user_string(asset), tags=known))
        _add_dynamic(instance, found.assets.partitions_def, partitions or ())
        several = partitions if partitions and len(partitions) > 1 else None
        ordered = _in_order(found.assets.partitions_def, several, instance) if several else []
        return job.execute_in_process(
            instance=instance,
            run_config={**_QUIET, **({"ops": {name: {"config": config}}} if config not in (None, {}) else {})},
            asset_selection=list(found.assets.keys),
            partition_key=partitions[0] if partitions and not several else None,
            tags={**(tags or {}), **(dict(zip(_RANGE, (ordered[0], ordered[-1]), strict=True)) if ordered else {})},
            run_id=run_id,
        )


def _data_versions(task: Task) -> dict[str, str]:
    """What Dagster's provenance has to know of the upstream assets, so that the key can be what it was."""
    known = {each.asset: each.given[0].stored.content_hash for each in task.inputs.values() if each.given}
    others = {
        asset: version if isinstance(version, str) else digest(version) for asset, version in task.dependencies.items()
    }
    return {**known, **others}


def _add_dynamic(instance: dg.DagsterInstance, partitions: Any, keys: Any) -> None:
    if isinstance(partitions, dg.DynamicPartitionsDefinition) and partitions.name:
        instance.add_dynamic_partitions(partitions.name, list(keys))
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        for position, dimension in enumerate(sorted(partitions.partitions_defs, key=lambda each: each.name)):
            _add_dynamic(instance, dimension.partitions_def, [str(key).split("|")[position] for key in keys])


def _in_order(partitions: Any, keys: Any, instance: dg.DagsterInstance) -> list[str]:
    known = partitions.get_partition_keys(dynamic_partitions_store=instance)
    return sorted(keys, key=known.index)


def _record_of(task: Task, run: dg.ExecuteInProcessResult) -> Mapping[str, Any] | None:
    scratch = open_store(str(task.scratch), scope="default", read_scopes=[], options={"durable": "false"})
    for event in run.get_asset_materialization_events():
        said = event.materialization.metadata.get("mlrepro/input_hash")
        if said is not None and (found := scratch.get_result(str(said.value))) is not None:
            return found.record
    return None


def _unlike(task: Task, scratch: Store, record: Mapping[str, Any]) -> Any:
    for name, recorded in task.outputs.items():
        output = record["outputs"].get(name) or {}
        made = output.get("partitions") or {None: output.get("stored")}
        for partition, before in recorded.items():
            after = made.get(partition)
            title = name if partition is None else f"{name}[{partition}]"
            if after is None:
                yield title, ("different", ["it did not come out this time"])
            elif (after["content_hash"], after["format"]) != (before.content_hash, before.format):
                yield title, _compared(task, scratch, before, StoredValue.from_json(after))


def _compared(task: Task, scratch: Store, before: StoredValue, after: StoredValue) -> tuple[str, list[str]]:
    try:
        was = task.store.read_value(before)
    except Exception as error:  # noqa: BLE001 -- an old pickle may raise anything
        return "unknown", [f"the recorded value can't be loaded to compare: {type(error).__name__}: {one_line(error)}"]
    return likeness(was, scratch.read_value(after), task.tolerance)


def cause(error: BaseException) -> str:
    """The user's own error under Dagster's."""
    while isinstance(error, dg.DagsterError) and (inner := getattr(error, "user_exception", None) or error.__cause__):
        error = inner
    return f"{type(error).__name__}: {one_line(error)}"
