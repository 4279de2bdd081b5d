"""Everything that mlrepro imports from Dagster's internals outside `execution/`, `tenancy/` and `web/`.

One place to look when Dagster is upgraded. Each line says why no public name would do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import dagster as dg

# How a run's code location was loaded, by module or by file: a run tells it, no public class reads it.
from dagster._core.code_pointer import FileCodePointer, ModuleCodePointer, PackageCodePointer

# The assets of a code location and how they hang together, which a sensor's context and a run hand over untyped.
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

# Which version of an input an event was made from: the tag's name has changed once already.
from dagster._core.definitions.data_version import INPUT_DATA_VERSION_TAG_PREFIX, read_input_data_version_from_tags

# The parameters of a function that Dagster takes as inputs: the rule (context first, config, resources by
# annotation) must be Dagster's own, or `@ml_asset` and `@asset` would disagree about a signature.
from dagster._core.definitions.decorators.decorator_assets_definition_builder import (
    get_function_params_without_context_or_config_or_resources as input_parameters,
)

# Tells a code location that is loaded from one that is loaded again for a run, and hands a run what the first found.
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

# How a resource is told from an input in a signature; the same reason.
from dagster._core.definitions.resource_annotation import get_resource_args as resource_parameters

# Tells `MaterializeResult()` from `MaterializeResult(value=None)`.
from dagster._core.definitions.utils import NoValueSentinel

# The newest evaluation of an asset check in one partition: the instance's own method knows no partitions.
from dagster._core.event_api import PartitionKeyFilter

# The context of the step that runs. `AssetExecutionContext.get()` raises outside of a step and for plain ops,
# where an asset called directly in a unit test must simply run.
from dagster._core.execution.context.compute import current_execution_context

# `StepExecutionContext` knows the step's input versions, its config and its partitions; the public contexts
# wrap it and show a part.
from dagster._core.execution.context.system import StepExecutionContext

# Turns whatever a function returned (a value, Output, MaterializeResult, a tuple, a generator) into the events
# that `@asset` would make of it.
from dagster._core.execution.plan.compute_generator import (
    validate_and_coerce_op_result_to_iterator as coerce_result_to_events,
)
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
)

# From an annotation to the type that Dagster checks values with.
from dagster._core.types.dagster_type import DagsterTypeKind, resolve_dagster_type

# JSON of MetadataValues, which a result record keeps so that a hit shows what the computation showed.
from dagster._serdes import deserialize_value, serialize_value
from dagster_shared.check import CheckError
from dagster_shared.serdes.errors import DeserializationError

__all__ = [
    "DATA_VERSION_TAG",
    "BaseAssetGraph",
    "DagsterTypeKind",
    "DefinitionsLoadContext",
    "DefinitionsLoadType",
    "DeserializationError",
    "FileCodePointer",
    "ModuleCodePointer",
    "NoValueSentinel",
    "PackageCodePointer",
    "StepExecutionContext",
    "StepOutputHandle",
    "coerce_result_to_events",
    "copy_spec_as",
    "current_execution_context",
    "data_versions_by_partition",
    "deserialize_value",
    "input_parameters",
    "latest_check",
    "named_as_input",
    "newest_checks",
    "read_input_data_version_from_tags",
    "read_inputs_from_tags",
    "repository_of",
    "resolve_dagster_type",
    "resource_parameters",
    "serialize_value",
]

DATA_VERSION_TAG = "dagster/data_version"

Spec = TypeVar("Spec", bound=dg.AssetSpec)


def repository_of(step_context: StepExecutionContext) -> dg.RepositoryDefinition | None:
    """Find the code location's own definitions; None in a run without one (`execute_in_process`, a script)."""
    try:
        return step_context.repository_def
    except CheckError:
        return None


def copy_spec_as(kind: type[Spec], spec: dg.AssetSpec) -> Spec:
    """Copy a spec into a subclass of its own.

    A spec is a record, which is a tuple underneath; its constructor would check and normalize every field again,
    for each asset at each copy.
    """
    return tuple.__new__(kind, tuple.__iter__(spec))  # type: ignore[arg-type, type-var]


def data_versions_by_partition(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, partitions: Sequence[str]
) -> Mapping[str, str]:
    """Take the data version of each partition's newest materialization in one query.

    The public `fetch_materializations` takes one partition, or all events of the asset.
    """
    found: dict[str, str] = {}
    # an asset that somebody else writes is observed rather than materialized
    for event_type in (dg.DagsterEventType.ASSET_OBSERVATION, dg.DagsterEventType.ASSET_MATERIALIZATION):
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            asset_key, event_type, [DATA_VERSION_TAG], asset_partitions=list(partitions)
        )
        found |= {key: known[DATA_VERSION_TAG] for key, known in tags.items() if DATA_VERSION_TAG in known}
    return found


def named_as_input(data_version: str) -> set[str]:
    """What an asset's data version is called by the events that were made from it.

    Of a partitioned input Dagster names the hash of all partitions' versions, even if there is one.
    """
    return {data_version, hashlib.sha256(data_version.encode()).hexdigest()}


def read_inputs_from_tags(tags: Mapping[str, str]) -> list[dg.AssetKey]:
    """The assets that an event names as those that it was made from."""
    prefix = f"{INPUT_DATA_VERSION_TAG_PREFIX}/"
    return [dg.AssetKey.from_user_string(tag.removeprefix(prefix)) for tag in sorted(tags) if tag.startswith(prefix)]


def latest_check(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition: str | None
) -> tuple[dg.AssetCheckEvaluation, float] | None:
    """The newest finished evaluation of an asset check, and when it was; None if there is none.

    Args:
        instance: Dagster's instance.
        check: Key of the check.
        partition: Partition of the check; None for the newest of all.
    """
    log = instance.event_log_storage
    wanted = None if partition is None else PartitionKeyFilter(key=partition)
    # the newest is found by an index; the history is sorted, so it is asked only while a check runs
    newest = log.get_latest_asset_check_execution_by_key([check], wanted).get(check)
    if newest is None:
        return None
    if newest.status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES:
        return _evaluated(newest)
    finished = COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
    history = log.get_asset_check_execution_history(check, 1, status=finished, partition_filter=wanted)
    return _evaluated(history[0]) if history else None


def newest_checks(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, limit: int
) -> list[tuple[dg.AssetCheckEvaluation, float]]:
    """The newest finished evaluations of a check that has no partitions, newest first, and when they were."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        check,
        limit,
        status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
        partition_filter=PartitionKeyFilter(key=None),
    )
    return [found for record in records if (found := _evaluated(record)) is not None]


def _evaluated(record: AssetCheckExecutionRecord) -> tuple[dg.AssetCheckEvaluation, float] | None:
    if record.event is None or record.evaluation is None:
        return None
    return record.evaluation, record.event.timestamp
