"""Keeping what a step computed, in the order that survives a kill: blobs, result, version, Dagster event."""

import contextlib
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dagster as dg

from mlrepro.catalog.derivations import note_derivation
from mlrepro.catalog.history import Version, append_version
from mlrepro.dagster_internals import (
    DeserializationError,
    StepExecutionContext,
    deserialize_value,
    serialize_value,
)
from mlrepro.io_managers.code_record import code_record
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.descriptions import describe, metrics
from mlrepro.io_managers.json_values import from_json, to_json
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.key_record import key_record
from mlrepro.io_managers.provenance import code_location, git_commit, launched_by, workflow
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import canonical_json, environment

RECORD_SCHEMA = 1


@dataclass(frozen=True)
class ComputedOutput:
    """One output as the function returned it.

    Attributes:
        name: Name of the output.
        value: The value; None with `has_value` False for an output without one.
        has_value: Whether there is a value to store.
        metadata: What the user attached.
        tags: Tags that the user attached to the materialization.
        data_version: The data version that the user chose, or None.
        format: The format that the author chose, or None.
    """

    name: str
    value: Any
    has_value: bool
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    data_version: str | None
    format: str | None


def store_output(store: Store, output: ComputedOutput, key: StepKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write an output's blobs.

    Returns:
        The output's part of the result record, and metadata that describes the value.

    Raises:
        UnstorableValueError: If no format takes the value.
        StoreError: If the store does not.
    """
    user_metadata = {**output.metadata}
    entry: dict[str, Any] = {"tags": dict(output.tags)}
    described: dict[str, Any] = {}
    if not output.has_value:
        entry["stored"] = store.write_value(None).to_json()
        entry["valueless"] = True
        entry["data_version"] = output.data_version or key.input_hash
    elif key.partitions is not None and len(key.partitions) > 1:
        by_partition = _by_partition(output, key.partitions)
        entry["partitions"] = {
            partition: store.write_value(value, format=output.format).to_json()
            for partition, value in by_partition.items()
        }
        entry["partition_metrics"] = {
            partition: numbers for partition, value in by_partition.items() if (numbers := metrics(value))
        }
        manifest = {partition: stored["content_hash"] for partition, stored in entry["partitions"].items()}
        # a range has one data version in Dagster: the hash of a blob that tells each partition's content
        entry["data_version"] = store.write_bytes(canonical_json(manifest).encode())
        described["mlrepro/size"] = sum(
            stored["size"] + stored["parts_size"] for stored in entry["partitions"].values()
        )
    else:
        stored = store.write_value(output.value, format=output.format)
        entry["stored"] = stored.to_json()
        # None is the same bytes whatever was done to get it, so its inputs stand for it
        without_content = output.value is None
        entry["data_version"] = output.data_version or (key.input_hash if without_content else stored.content_hash)
        described = describe(output.value, stored.summary)
        described["mlrepro/size"] = stored.size + stored.parts_size
        entry["metrics"] = metrics(output.value)
    entry["metadata"] = metadata_to_json({**described, **user_metadata})
    return entry, described


def _by_partition(output: ComputedOutput, partitions: Sequence[str]) -> Mapping[str, Any]:
    value = output.value
    if isinstance(value, Mapping) and set(value) == set(partitions):
        return value
    given = f"keys {sorted(map(str, value))[:5]}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    raise dg.DagsterInvariantViolationError(
        f"output {output.name!r} covers the {len(partitions)} partitions {partitions[0]}...{partitions[-1]}:"
        f" return a dict with one value for each partition key, not {given}"
    )


def result_record(
    step_context: StepExecutionContext,
    store: Store,
    computation: Computation,
    key: StepKey,
    *,
    outputs: Mapping[str, Mapping[str, Any]],
    skipped: Sequence[str],
    checks: Sequence[dict[str, Any]],
    started: dt.datetime,
    seconds: float,
) -> dict[str, Any]:
    """Write the result record: what was computed, from what, by whom, with which code and libraries.

    Args:
        step_context: The step.
        store: Takes the closure's sources and the list of distributions, as blobs.
        computation: The step's function.
        key: The step's key.
        outputs: What `store_output` returned for each output.
        skipped: Names of optional outputs that the function did not return.
        checks: Results of the asset checks that the function ran.
        started: When the function started.
        seconds: How long it took, inputs loaded.
    """
    where = environment()
    described = key_record(key)
    return {
        **described,
        "schema": RECORD_SCHEMA,
        "outputs": outputs,
        "skipped": list(skipped),
        "checks": list(checks),
        "code": {
            **described["code"],
            **code_record(step_context, store, computation, key),
        },
        "environment": {
            "python": where.python,
            "platform": where.platform,
            "local": list(where.local),
            "freeze": store.write_bytes(where.freeze.encode()),
        },
        "who": launched_by(dict(step_context.dagster_run.tags)),
        "run_id": step_context.run_id,
        "code_location": code_location(step_context),
        "git_commit": git_commit(_folder(computation)),
        **workflow(step_context),
        "assets": sorted(asset.to_user_string() for asset in step_context.get_output_asset_keys()),
        "started": started.isoformat(),
        "finished": dt.datetime.now(dt.UTC).isoformat(),
        "seconds": round(seconds, 6),
        "max_age": computation.cache.max_age.total_seconds() if computation.cache.max_age else None,
    }


def append_versions(
    step_context: StepExecutionContext,
    store: Store,
    key: StepKey,
    record: Mapping[str, Any],
    *,
    nondeterministic: bool = False,
    pinned: bool = False,
) -> dict[str, Version]:
    """Append the versions that a step's outputs make, those of a hit as well.

    Where the newest version has that content already, but by another input hash, that is noted beside the history.

    Args:
        step_context: The step.
        store: The store.
        key: The step's key.
        record: The result record.
        nondeterministic: Whether the same key gave something else before.
        pinned: Whether the record stands for the asset because somebody pinned it, whatever its key.

    Returns:
        The version that each output is, by output name; of a range of partitions, the last one's.

    Raises:
        StoreError: If the store fails.
    """
    who = launched_by(dict(step_context.dagster_run.tags))
    appended = {}
    for name, output in record["outputs"].items():
        asset = step_context.job_def.asset_layer.get_asset_key_for_node_output(step_context.node_handle, name)
        if asset is None:
            continue
        if "points_to" in output:  # a channel has no versions of its own
            stored = StoredValue.from_json(output["stored"])
            partition = key.partitions[0] if key.partitions else None
            appended[name] = Version(tuple(asset.path), partition, output["points_to"], stored, output)
            continue
        by_partition = (
            output["partitions"]
            if output.get("partitions")
            else {key.partitions[0] if key.partitions else None: output["stored"]}
        )
        for partition, stored in by_partition.items():
            body = {
                "data_version": stored["content_hash"] if output.get("partitions") else output["data_version"],
                # what is pinned came from its own inputs, not from those that the step would have now
                "input_hash": record["input_hash"] if pinned else key.input_hash,
                "code": record["code"]["fingerprint"],
                "metrics": output.get("partition_metrics", {}).get(partition, {})
                if output.get("partitions")
                else output.get("metrics", {}),
                "who": who,
                "run_id": step_context.run_id,
                "code_location": code_location(step_context),
                "seconds": record["seconds"],
                "nondeterministic": nondeterministic,
            }
            version, is_new = append_version(store, asset.path, partition, StoredValue.from_json(stored), body)
            # a pin says nothing of what these inputs give, and of a key without result nothing tells the inputs
            if not (is_new or pinned or key.uncacheable or version.input_hash == key.input_hash):
                note_derivation(store, version, key.input_hash, body)
            appended[name] = version
    return appended


def metadata_to_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Write Dagster metadata as JSON, each value as Dagster itself writes it."""
    event = dg.AssetMaterialization("metadata", metadata=metadata)
    return {name: to_json(json.loads(serialize_value(cast("Any", value)))) for name, value in event.metadata.items()}


def metadata_from_json(written: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `metadata_to_json` wrote; what this Dagster does not know is left out."""
    metadata = {}
    for name, value in written.items():
        with contextlib.suppress(DeserializationError):
            metadata[name] = deserialize_value(json.dumps(from_json(value)))
    return metadata


def _folder(computation: Computation) -> Path:
    file = getattr(getattr(computation.fn, "__code__", None), "co_filename", "")
    return Path(file).parent if file and Path(file).exists() else Path.cwd()
