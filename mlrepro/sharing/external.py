"""An asset of another team, or what a channel of theirs serves, observed by its content."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg

from mlrepro.catalog.channels import ChannelName, served_pointer
from mlrepro.catalog.history import find_number
from mlrepro.catalog.names import VersionName
from mlrepro.dagster_internals import data_versions_by_partition
from mlrepro.definitions.observed import consumer_computes, log_observation, store_of_consumer
from mlrepro.errors import AssetDefinitionError, UnknownVersionError
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.io_managers.deferred import Deferred, DeferringIOManagerDefinition, UpstreamVersion
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.io_managers.inputs_then import versions_then
from mlrepro.io_managers.upstream import data_version_of, step_of
from mlrepro.resources import ReproStore
from mlrepro.sharing.published import check_readable
from mlrepro.store import Store, loads_as


def external_asset(
    wanted: VersionName,
    scope: str,
    *,
    key: dg.AssetKey | None,
    partitions_def: dg.PartitionsDefinition[Any] | None,
    group_name: str | None,
    description: str | None,
    tags: dict[str, str] | None,
    automation_condition: dg.AutomationCondition[Any] | None,
) -> dg.SourceAsset:
    """Declare an asset of another team as an observable source asset, see `shared_asset`."""
    found_in = _Foreign(wanted, scope)
    described = description or f"{wanted} of scope {scope}."

    def observe(context: dg.OpExecutionContext) -> dg.ObserveResult | dg.DataVersionsByPartition:
        manager = context.resources.io_manager
        store = (manager if isinstance(manager, InputHashIOManager) else InputHashIOManager()).open_store(
            context.instance
        )
        if partitions_def is None:
            newest = found_in.newest(store, None)
            return dg.ObserveResult(
                data_version=dg.DataVersion(newest.stored.content_hash), metadata=found_in.facts(newest)
            )
        keys = partitions_def.get_partition_keys(dynamic_partitions_store=context.instance)
        found = _each(keys, lambda partition: found_in.find(store, partition))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            return dg.DataVersionsByPartition({each.partition: each.stored.content_hash for each in found if each})

    with warnings.catch_warnings():
        # said once here that the seam is beta: whoever calls shared_asset can do nothing about it
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return dg.observable_source_asset(
            key=key if key is not None else dg.AssetKey(list(found_in.path)),
            group_name=group_name,
            description=described,
            tags=tags,
            metadata={"mlrepro/scope": scope},
            partitions_def=partitions_def,
            automation_condition=automation_condition,
            required_resource_keys={"io_manager"},
            io_manager_def=DeferringIOManagerDefinition(SharedAssetIOManager(found_in)),
        )(observe)


class _Foreign:
    """An asset or channel in another scope of the store."""

    def __init__(self, name: VersionName, scope: str) -> None:
        self.name = name
        self.scope = scope
        last = name.channel or (None if name.number is None else f"v{name.number}")
        self.path = (*name.asset, last) if last else name.asset

    def find(self, store: Store, partition: str | None) -> UpstreamVersion | None:
        """What it is now; None where the other team has none.

        Raises:
            AssetDefinitionError: If the store does not read that scope.
        """
        check_readable(store, self.scope, self.name)
        asset = dg.AssetKey(list(self.path)).to_user_string()
        if self.name.channel is None:
            version = find_number(store, self.name.asset, partition, self.name.number, only=self.scope)
            return UpstreamVersion(asset, partition, version.number, version.stored) if version else None
        pointer = served_pointer(store, ChannelName(self.name.asset, self.name.channel, partition), only=self.scope)
        return UpstreamVersion(asset, partition, pointer.number, pointer.stored) if pointer else None

    def newest(self, store: Store, partition: str | None) -> UpstreamVersion:
        """What it is now.

        Raises:
            UnknownVersionError: If the other team has none.
        """
        found = self.find(store, partition)
        if found is None:
            of = f", partition {partition}," if partition else ""
            wanted = "is not" if self.name.number else "has no version"
            raise UnknownVersionError(
                f"{self.name}{of} {wanted} in scope {self.scope!r} of the store {store.url}: its team must"
                f" {'promote one' if self.name.channel else 'materialize it'} first"
            )
        return found

    def facts(self, version: UpstreamVersion) -> dict[str, Any]:
        """What an observation says beside the content."""
        return {"mlrepro/scope": self.scope, "mlrepro/version": version.number}


class SharedAssetIOManager(dg.IOManager):
    """Loads an asset of another scope, or hands over a stand-in that can.

    Args:
        foreign: Where it is.
    """

    def __init__(self, foreign: _Foreign) -> None:
        self.foreign = foreign

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002 -- Dagster's signature
        """Refuse: the other team writes it."""
        raise AssetDefinitionError(
            f"{context.asset_key.to_user_string()} belongs to scope {self.foreign.scope!r}: it is only read"
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Take what the other team's history has now, and tell Dagster if it is not what was observed last.

        Raises:
            UnknownVersionError: If there is nothing.
            AssetDefinitionError: If the store does not read that scope.
        """
        deferred = self.deferred_input(context)
        deferred.confirm()
        return deferred if consumer_computes(context) else deferred.load()

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """Find what the other team's history has now, without loading it.

        Raises:
            UnknownVersionError: If there is nothing.
            AssetDefinitionError: If the store does not read that scope.
        """
        store = store_of_consumer(context) or ReproStore().open(instance_folder=context.instance.root_directory)
        as_type = plain_type(context.dagster_type.typing_type)
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else [None]
        versions = versions_then(context, store) or tuple(
            _each(partitions, lambda partition: self.foreign.newest(store, partition))
        )
        as_mapping = len(partitions) > 1
        kinds = sorted({kind for each in versions if (kind := loads_as(each.stored.format, as_type))})

        def load() -> Any:
            values = {each.partition: store.read_value(each.stored, as_type=as_type) for each in versions}
            return values if as_mapping else next(iter(values.values()), None)

        return Deferred(
            versions=versions,
            as_mapping=as_mapping,
            load=load,
            loaded_as=",".join(kinds) or None,
            confirm=lambda: self._observe(context, versions),
        )

    def _observe(self, context: dg.InputContext, versions: tuple[UpstreamVersion, ...]) -> None:
        """Log an observation where the content is new, so that lineage names what was really read."""
        step_context = step_of(context)
        if step_context is None:
            return
        key = context.asset_key
        partitions = [each.partition for each in versions if each.partition is not None]
        known = data_versions_by_partition(step_context.instance, key, partitions) if partitions else {}
        for each in versions:
            before = data_version_of(step_context, key) if each.partition is None else known.get(each.partition)
            if before != each.stored.content_hash:
                facts = self.foreign.facts(each)
                log_observation(step_context, key, each.stored.content_hash, facts, each.partition)


def _each(partitions: Any, find: Callable[[Any], Any]) -> list[Any]:
    with ThreadPoolExecutor(max_workers=16) as pool:  # one look-up a partition is a round trip each to a bucket
        return list(pool.map(find, partitions))
