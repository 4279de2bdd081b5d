"""`InputHashIOManager`: values go to the store by content, and come from it by version."""

import os
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
from pydantic import PrivateAttr

from mlrepro.catalog.derivations import note_derivation
from mlrepro.catalog.history import Version, append_version
from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.errors import BlobDamagedError, BlobMissingError, UnknownVersionError
from mlrepro.io_managers.computation import computation_of
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.io_managers.deferred import Deferred, Replayed, UpstreamVersion
from mlrepro.io_managers.descriptions import describe, metrics
from mlrepro.io_managers.healing import recompute
from mlrepro.io_managers.inputs_then import versions_then
from mlrepro.io_managers.provenance import code_location, launched_by
from mlrepro.io_managers.upstream import upstream_versions
from mlrepro.resources import ReproStore
from mlrepro.store import Store, StoredValue, loads_as
from mlrepro.versioning import canonical_json

_VARIABLES = (
    "MLREPRO_STORE",
    "MLREPRO_SCOPE",
    "MLREPRO_READ_SCOPES",
    "DAGSTER_HOME",
    "MLREPRO_TRUSTED_SCOPES",
    "MLREPRO_TRUSTED_KEYS",
    "MLREPRO_REQUIRE_SIGNATURES",
    "MLREPRO_SIGNING_KEY",
    "MLREPRO_LOCAL_CACHE",
    "MLREPRO_LOCAL_CACHE_SIZE",
)
"""What tells where the store is and whom it trusts, beside the resource."""

_stored_outputs: WeakKeyDictionary[StepExecutionContext, set[str]] = WeakKeyDictionary()


def mark_stored(step_context: StepExecutionContext, output_name: str) -> None:
    """Note that an output is in the store and in its history already: `handle_output` has nothing left to do."""
    _stored_outputs.setdefault(step_context, set()).add(output_name)


class InputHashIOManager(dg.ConfigurableIOManager):
    """Stores every value once, under the hash of its content, and appends it to its asset's version history.

    It serves plain `@asset`s and ops as well as `@ml_asset`s, and the content hash is the data version, so that
    Dagster's own "unsynced" marks are right. For an `@ml_asset` an input is handed over as a stand-in that is
    loaded only if the function really runs.

    Args:
        store: The store. Default: the one that the environment names, see `ReproStore`.

    Example:
        >>> @dg.asset
        ... def numbers() -> list[int]:
        ...     return [1, 2, 3]
        >>> manager = InputHashIOManager(store=ReproStore(url="memory://io-manager-example"))
        >>> dg.materialize([numbers], resources={"io_manager": manager}).success
        True
    """

    store: ReproStore
    _opened: dict[tuple[str | None, ...], Store] = PrivateAttr(default_factory=dict)

    def __init__(self, store: ReproStore | None = None, **data: Any) -> None:
        # Dagster passes None for a nested resource that is not given, and so never reaches a field's default
        super().__init__(**{**data, "store": store or ReproStore()})

    def open_store(self, instance: dg.DagsterInstance | None = None) -> Store:
        """Open the store; a Dagster instance tells the folder where nothing else does."""
        folder = instance.root_directory if instance else None
        # a client of a bucket takes milliseconds to make, and brings connections of its own
        asked = (folder, *map(os.environ.get, _VARIABLES))
        if (opened := self._opened.get(asked)) is None:
            opened = self._opened[asked] = self.store.open(instance_folder=folder)
        return opened

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store a value, append it to its asset's history, and make its content hash the data version."""
        if isinstance(obj, Replayed) or context.name in _stored_outputs.get(context.step_context, ()):
            return
        store = self.open_store(context.step_context.instance)
        if not context.has_asset_key:
            store.append(_op_output(context), lambda _: {"output": store.write_value(obj).to_json()})
            return
        if context.has_asset_partitions and len(context.asset_partition_keys) != 1:
            made = {
                partition: self._store_version(context, store, value, partition)
                for partition, value in _by_partition(context, obj).items()
            }
            # one data version for the range: the hash of a blob that tells each partition's content
            contents = {partition: version.stored.content_hash for partition, version in made.items()}
            manifest = store.write_bytes(canonical_json(contents).encode())
            for version in made.values():  # which keeps the blob for as long as one of them is kept
                note_derivation(store, version, manifest, version.body)
            context.step_context.set_data_version(context.asset_key, dg.DataVersion(manifest))
            return
        partition = str(context.asset_partition_keys[0]) if context.has_asset_partitions else None
        stored = self._store_version(context, store, obj, partition).stored
        if obj is not None:
            context.step_context.set_data_version(context.asset_key, dg.DataVersion(stored.content_hash))
        context.add_output_metadata(
            {
                **describe(obj, stored.summary),
                "mlrepro/size": stored.size + stored.parts_size,
                "mlrepro/format": stored.format,
                "mlrepro/content_hash": stored.content_hash,
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an input, or for an `@ml_asset` hand over a stand-in that can.

        Raises:
            UnknownVersionError: If the upstream asset is not in the store.
            BlobMissingError: If its bytes are gone and the asset can't be computed again here.
            BlobDamagedError: Likewise, if they are damaged.
        """
        if not context.has_asset_key:
            as_type = plain_type(context.dagster_type.typing_type)
            return self._load_op_output(context, self.open_store(_instance(context)), as_type)
        deferred = self.deferred_input(context)
        return deferred if computation_of(_consumer(context)) is not None else deferred.load()

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """Find what an input that is an asset stands for, without loading it.

        Raises:
            UnknownVersionError: If the upstream asset is not in the store.
        """
        store = self.open_store(_instance(context))
        as_type = plain_type(context.dagster_type.typing_type)
        versions = versions_then(context, store) or upstream_versions(context, store)
        return Deferred(
            versions=versions,
            as_mapping=_is_mapping(context),
            load=lambda: _load(context, store, versions, as_type),
            loaded_as=_loaded_as(versions, as_type),
        )

    def _store_version(self, context: dg.OutputContext, store: Store, value: Any, partition: str | None) -> Version:
        stored = store.write_value(value)
        step_context = context.step_context
        body = {
            "data_version": stored.content_hash,
            "input_hash": None,
            "metrics": metrics(value),
            "who": launched_by(dict(step_context.dagster_run.tags)),
            "run_id": step_context.run_id,
            "code_location": code_location(step_context),
        }
        return append_version(store, context.asset_key.path, partition, stored, body)[0]

    def _load_op_output(self, context: dg.InputContext, store: Store, as_type: type | None) -> Any:
        upstream = context.upstream_output
        assert upstream is not None, "an input that is not an asset comes from an output"
        entry = store.newest(_op_output(upstream))
        if entry is None:
            raise UnknownVersionError(
                f"output {upstream.name!r} of step {upstream.step_key} in run {upstream.run_id} is not in the"
                f" store {store.url}: run that step again"
            )
        return store.read_value(StoredValue.from_json(entry.body["output"]), as_type=as_type)


def _is_mapping(context: dg.InputContext) -> bool:
    """Whether several partitions are loaded. None at all (the day before the first) load as None, as in Dagster."""
    return context.has_asset_partitions and len(context.asset_partition_keys) > 1


def _load(context: dg.InputContext, store: Store, versions: tuple[UpstreamVersion, ...], as_type: type | None) -> Any:
    values = {version.partition: _read(context, store, version, as_type) for version in versions}
    return values if _is_mapping(context) else next(iter(values.values()), None)


def _read(context: dg.InputContext, store: Store, version: UpstreamVersion, as_type: type | None) -> Any:
    try:
        return store.read_value(version.stored, as_type=as_type)
    except (BlobMissingError, BlobDamagedError) as error:
        where = f"{version.asset} v{version.number}" + (f", partition {version.partition}" if version.partition else "")
        context.log.warning(f"{where} can't be loaded and is computed again: {error}")
        recompute(context, version, error)
        try:
            return store.read_value(version.stored, as_type=as_type)
        except (BlobMissingError, BlobDamagedError) as still:
            raise type(still)(
                f"{where} can't be had any more: {still}. Computing {version.asset} again gave another result, which is"
                " its newest version now: run this step again to use it"
            ) from error


def _loaded_as(versions: tuple[UpstreamVersion, ...], as_type: type | None) -> str | None:
    kinds = {loads_as(version.stored.format, as_type) for version in versions}
    return ",".join(sorted(kind for kind in kinds if kind)) or None


def _by_partition(context: dg.OutputContext, obj: Any) -> Mapping[str, Any]:
    keys = list(context.asset_partition_keys)
    if isinstance(obj, Mapping) and set(obj) == set(keys):
        return obj
    raise dg.DagsterInvariantViolationError(
        f"{context.asset_key.to_user_string()} was computed for {len(keys)} partitions at once: return a dict with"
        f" one value for each partition key ({', '.join(keys[:3])}...), not a {type(obj).__name__}"
    )


def _op_output(context: dg.OutputContext) -> tuple[str, ...]:
    return ("runs", *context.get_identifier())


def _instance(context: dg.InputContext) -> dg.DagsterInstance | None:
    try:
        return context.instance
    except dg.DagsterInvariantViolationError:  # a context built by hand, without one
        return None


def _consumer(context: dg.InputContext) -> Any:
    try:
        return context.step_context.op_def
    except dg.DagsterInvariantViolationError:
        return None
