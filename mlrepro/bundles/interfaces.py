"""What it takes to define an asset without its code: so another team can put it into its own code location.

The code itself is in the bundle. What is told here is what Dagster asks of a definition, and what a step's key is made
of before the function is called. No workflow digest covers it, as all of it follows from what one covers.
"""

import contextlib
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.partitions.snap import PartitionsSnap
from dagster._core.definitions.partitions.utils import get_builtin_partition_mapping_types
from dagster._serdes import serialize_value

from mlrepro.bundles.config_types import write_field
from mlrepro.errors import BundleError, MlreproError
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.store.stored import type_name
from mlrepro.versioning import CodeFingerprint, FingerprintSession, reference

SCHEMA: Final = 1


def interface_of(assets: dg.AssetsDefinition, computation: Computation, code: CodeFingerprint) -> dict[str, Any]:
    """Describe a function and its assets.

    Args:
        assets: What Dagster has of them.
        computation: The function.
        code: Its fingerprint.

    Returns:
        JSON. Under ``obstacle`` stands why it can't be defined elsewhere, where something can't be told.
    """
    op = assets.node_def
    assert isinstance(op, dg.OpDefinition), "an @ml_asset is no graph"
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "op": op.name,
        "function": reference(computation.fn),
        "code": {
            "fingerprint": code.digest,
            "declared": computation.declared_version,
            "distributions": dict(code.distributions),
            "sees_partition": computation.sees_partition(code),
            "reads_surroundings": computation.reads_surroundings(code),
        },
        "cache": _cache(computation),
        "seed": computation.seed,
        "declared": {name: [each.type, each.format] for name, each in computation.outputs.items()},
        "outputs": {name: _output(assets, op, name) for name in assets.node_keys_by_output_name},
        "inputs": {name: _input(assets, op, name) for name in assets.node_keys_by_input_name},
        "checks": [
            {"name": spec.name, "asset": spec.asset_key.to_user_string(), "blocking": spec.blocking}
            for spec in assets.check_specs
        ],
        "tags": dict(op.tags),
        "pool": op.pool,
        "resources": sorted(op.required_resource_keys),
        "backfill": None if assets.backfill_policy is None else _written(assets.backfill_policy),
    }
    if computation.taken_from is not None:
        told["obstacle"] = f"it is run from {computation.taken_from} of another team, which is where to take it from"
        return told
    try:
        told["config"] = _config(op)
        told["partitions"] = _partitions(assets)
        told["mappings"] = _mappings(assets)
    except BundleError as error:
        told["obstacle"] = str(error)
    return told


def identities_of(modules: Iterable[str], session: FingerprintSession) -> dict[str, str]:
    """Fingerprint the classes and functions of modules, as the key of a step has them that takes a pickle of theirs.

    Args:
        modules: Names of modules that are imported.
        session: Walks what several of them share only once.
    """
    found = {}
    for name in sorted(set(modules) & sys.modules.keys()):
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, type | types.FunctionType) and value.__module__ == name:
                with contextlib.suppress(MlreproError):
                    found[reference(value)] = session.fingerprint(value).digest
    return found


def _cache(computation: Computation) -> dict[str, Any]:
    cache = computation.cache
    return {
        "enabled": cache.enabled,
        "serialize": cache.serialize,
        "salt": cache.salt,
        "max_age": None if cache.max_age is None else cache.max_age.total_seconds(),
        "ignore_config": list(cache.ignore_config),
    }


def _output(assets: dg.AssetsDefinition, op: dg.OpDefinition, name: str) -> dict[str, Any]:
    key = assets.node_keys_by_output_name[name]
    spec, definition = assets.specs_by_key[key], op.output_def_named(name)
    return {
        "asset": key.to_user_string(),
        "required": definition.is_required,
        "nothing": definition.dagster_type.is_nothing,
        "group": spec.group_name,
        "description": spec.description,
        "kinds": sorted(spec.kinds),
        "tags": {tag: value for tag, value in spec.tags.items() if not tag.startswith("dagster/kind/")},
        "owners": list(spec.owners),
        "metadata": {title: _metadata(value) for title, value in spec.metadata.items()},
        "upstream": sorted(each.to_user_string() for each in assets.asset_deps[key]),
    }


def _input(assets: dg.AssetsDefinition, op: dg.OpDefinition, name: str) -> dict[str, Any]:
    definition = op.input_def_named(name)
    as_type = plain_type(definition.dagster_type.typing_type)
    nothing = definition.dagster_type.is_nothing
    return {
        "asset": assets.node_keys_by_input_name[name].to_user_string(),
        "type": None if as_type is None or nothing else type_name(as_type),
        "nothing": nothing,
        "metadata": {title: value for title, value in definition.metadata.items() if isinstance(value, str | bool)},
    }


def _config(op: dg.OpDefinition) -> Any:
    field = op.config_schema.as_field() if op.config_schema is not None else None
    return None if field is None else write_field(field)


def _partitions(assets: dg.AssetsDefinition) -> str | None:
    if assets.partitions_def is None:
        return None
    try:
        return _written(PartitionsSnap.from_def(assets.partitions_def))
    except dg.DagsterError as error:
        kind = type(assets.partitions_def).__name__
        raise BundleError(f"its partitions are of the project's own kind, {kind}") from error


def _mappings(assets: dg.AssetsDefinition) -> Mapping[str, str]:
    told = {}
    for key in assets.node_keys_by_input_name.values():
        mapping = assets.get_partition_mapping(key)
        if mapping is None:
            continue
        if not isinstance(mapping, get_builtin_partition_mapping_types()):
            kind = type(mapping).__name__
            raise BundleError(f"the partition mapping to {key.to_user_string()} is of the project's own kind, {kind}")
        told[key.to_user_string()] = _written(mapping)
    return told


def _metadata(value: Any) -> Any:
    """Metadata as it was given, as far as it can be written: a function that looks at its own has it in its key."""
    if type(value) in (bool, int, float, str):
        return value
    return {"serialized": _written(value)} if isinstance(value, dg.MetadataValue) else {"text": str(value)}


def _written(value: Any) -> str:
    """As Dagster writes it, which reads it as one of its own classes or not at all."""
    return serialize_value(value)
