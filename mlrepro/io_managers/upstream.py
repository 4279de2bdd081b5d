"""From an input of a step to the versions that it stands for."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from mlrepro.catalog.channels import ChannelName, Pointer, served_pointer, served_with
from mlrepro.catalog.history import find_version, newest_version
from mlrepro.dagster_internals import DATA_VERSION_TAG, StepExecutionContext, data_versions_by_partition
from mlrepro.errors import UnknownVersionError
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.promotion import CHANNEL
from mlrepro.store import Origin, Store
from mlrepro.store.keys import is_sha256
from mlrepro.store.results import value_in

ALLOW_MISSING_PARTITIONS = "allow_missing_partitions"
"""Input metadata by which Dagster's own file IO managers skip partitions that are not there yet."""

Ahead = Mapping[tuple[dg.AssetKey, str | None], tuple[str, UpstreamVersion | None]]
"""What hits of this run will replay and Dagster's event log does not have yet.

By asset and partition: the data version, and what is stored for it (None for an output without a value)."""

_ahead: WeakKeyDictionary[StepExecutionContext, Ahead] = WeakKeyDictionary()


def look_ahead_of_log(step_context: StepExecutionContext, ahead: Ahead) -> None:
    """Let a step's inputs be what hits of the same run will have replayed when it starts."""
    _ahead[step_context] = ahead


def ahead_of_log(step_context: StepExecutionContext | None) -> Ahead:
    """What was told by `look_ahead_of_log`; nothing for a step that really runs."""
    return _ahead.get(step_context, {}) if step_context is not None else {}


def upstream_versions(context: dg.InputContext, store: Any) -> tuple[UpstreamVersion, ...]:
    """Find the versions that an input loads, newest materialization first.

    In a step these are the materializations that Dagster's own provenance names, so that key, value and lineage
    speak of the same version.

    Args:
        context: The input.
        store: The store that their histories are in.

    Returns:
        One version for an asset without partitions, else one a partition, in Dagster's order.

    Raises:
        UnknownVersionError: If the asset, or one of its partitions, is not in the store.
    """
    key = context.asset_key
    replays = ahead_of_log(step_of(context))
    if not context.has_asset_partitions:
        _, replayed = replays.get((key, None), (None, None))
        return (replayed or _version(context, store, None, _data_version(context, key)),)
    partitions = [str(each) for each in context.asset_partition_keys]
    ahead = {each: replays[key, each][1] for each in partitions if (key, each) in replays}
    in_log = [partition for partition in partitions if partition not in ahead]
    known = data_versions_by_partition(context.instance, key, in_log) if in_log and _has_instance(context) else {}
    allow_missing = bool((context.definition_metadata or {}).get(ALLOW_MISSING_PARTITIONS))

    def find(partition: str) -> UpstreamVersion | None:
        if (replayed := ahead.get(partition)) is not None:
            return replayed
        try:
            return _version(context, store, partition, known.get(partition))
        except UnknownVersionError:
            if not allow_missing:
                raise
            return None

    with ThreadPoolExecutor(max_workers=16) as pool:  # one look-up a partition is a round trip each to a bucket
        found = list(pool.map(find, partitions))
    return tuple(version for version in found if version is not None)


def dependency_version(step_context: StepExecutionContext, key: dg.AssetKey) -> str | dict[str, str] | None:
    """Data version of an upstream asset that is not an argument, by partition where it has partitions.

    Dagster's own provenance joins the versions of many partitions into one, and from 100 partitions on takes only the
    newest event's; a key must tell each of them apart.

    Returns:
        The version, or one a partition; None if nothing tells when the asset changed.
    """
    name = step_context.job_def.asset_layer.get_node_input_name(step_context.node_handle, key)
    if name is None or not step_context.has_asset_partitions_for_input(name):
        return data_version_of(step_context, key)
    return dict(partition_versions(step_context, key, name)) or None


def partition_versions(step_context: StepExecutionContext, key: dg.AssetKey, input_name: str) -> dict[str, str]:
    """Data version of each partition of an upstream asset that a step depends on."""
    subset = step_context.asset_partitions_subset_for_input(input_name, require_valid_partitions=False)
    ahead = ahead_of_log(step_context)
    partitions = [str(each) for each in subset.get_partition_keys()]
    versions = {each: ahead[key, each][0] for each in partitions if (key, each) in ahead}
    in_log = [each for each in partitions if each not in versions]
    return versions | dict(data_versions_by_partition(step_context.instance, key, in_log) if in_log else {})


def data_version_of(step_context: StepExecutionContext, key: dg.AssetKey) -> str | None:
    """Data version of an asset's newest materialization or observation, as the step's provenance has it."""
    info = step_context.maybe_fetch_and_get_input_asset_version_info(key)
    return info.data_version.value if info and info.data_version else None


def _version(context: dg.InputContext, store: Any, partition: str | None, data_version: str | None) -> UpstreamVersion:
    path: Sequence[str] = context.asset_key.path
    asset = context.asset_key.to_user_string()
    if _is_channel(context) and (served := _served(store, path, partition, data_version)) is not None:
        return UpstreamVersion(asset, partition, served.number, served.stored)
    if data_version is None:
        found = newest_version(store, path, partition)
    else:
        found = find_version(store, path, partition, data_version)
        if found is None and (content := _content_hash_in_event(context, partition)):
            found = find_version(store, path, partition, content)
    # a channel of another code location does not tell that it is one
    if found is None and (served := _served(store, path, partition, data_version)) is not None:
        return UpstreamVersion(asset, partition, served.number, served.stored)
    if found is None and data_version is not None and (shared := _published(context, store, partition, data_version)):
        return shared
    if found is None:
        where = f"{asset}, partition {partition}," if partition else asset
        raise UnknownVersionError(
            f"{where} has no version{' ' + data_version[:12] if data_version else ''} in the store"
            f" {store.url} (scopes {', '.join((store.scope, *store.read_scopes))}): materialize it first,"
            " or give it the IO manager that it was stored with"
        )
    return UpstreamVersion(asset, partition, found.number, found.stored)


def _is_channel(context: dg.InputContext) -> bool:
    step_context = step_of(context)
    graph = step_context.job_def.asset_layer.asset_graph if step_context is not None else None
    return graph is not None and graph.has(context.asset_key) and CHANNEL in graph.get(context.asset_key).metadata


def _served(store: Any, path: Sequence[str], partition: str | None, data_version: str | None) -> Pointer | None:
    """What a channel served under a data version, where the asset is one; it has no versions of its own."""
    if len(path) < 2:
        return None
    name = ChannelName(tuple(path[:-1]), path[-1], partition)
    if data_version is not None:
        return served_with(store, name, data_version)
    return served_pointer(store, name)


def _data_version(context: dg.InputContext, key: dg.AssetKey) -> str | None:
    step_context = step_of(context)
    if step_context is not None and step_context.is_sda_step:
        return data_version_of(step_context, key)
    if not _has_instance(context):
        return None
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _content_hash_in_event(context: dg.InputContext, partition: str | None) -> str | None:
    """Read what our IO manager wrote on the event, for a data version that the user chose."""
    materialization = _newest_materialization(context, partition)
    value = materialization.metadata.get("mlrepro/content_hash") if materialization else None
    return str(value.value) if value else None


def _published(
    context: dg.InputContext, store: Store, partition: str | None, data_version: str
) -> UpstreamVersion | None:
    """What another team published, whose history is not to be read: its event names the result, the store has that."""
    materialization = _newest_materialization(context, partition)
    if materialization is None or (materialization.tags or {}).get(DATA_VERSION_TAG) != data_version:
        return None
    said = {name: materialization.metadata.get(f"mlrepro/{name}") for name in ("input_hash", "content_hash", "version")}
    input_hash, content_hash, number = (value.value if value else None for value in said.values())
    if not is_sha256(input_hash) or not is_sha256(content_hash) or not isinstance(number, int):
        return None  # an event that somebody else wrote
    found = store.get_result(input_hash)
    stored = value_in(found.record, content_hash, Origin(found.scope, input_hash)) if found else None
    return UpstreamVersion(context.asset_key.to_user_string(), partition, number, stored) if stored else None


def _newest_materialization(context: dg.InputContext, partition: str | None) -> dg.AssetMaterialization | None:
    if not _has_instance(context):
        return None
    chosen: Any = (
        context.asset_key
        if partition is None
        else dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[partition])
    )
    records = context.instance.fetch_materializations(chosen, limit=1).records
    return records[0].asset_materialization if records else None


def step_of(context: dg.InputContext) -> StepExecutionContext | None:
    """Find the step that loads an input; None where a value is loaded outside of a run."""
    try:
        return context.step_context
    except dg.DagsterInvariantViolationError:  # a context built outside of a run
        return None


def _has_instance(context: dg.InputContext) -> bool:
    try:
        return context.instance is not None
    except dg.DagsterInvariantViolationError:
        return False
