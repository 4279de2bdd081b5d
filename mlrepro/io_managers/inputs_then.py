"""Inputs as another run had them: a run that repeats one says where that is written."""

import functools
import json
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from mlrepro.errors import UnknownVersionError
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.upstream import step_of
from mlrepro.store import Origin, Store, StoredValue
from mlrepro.versioning import canonical_json

INPUTS_TAG: Final = "mlrepro/inputs"
"""Run tag: the blob that says what each step has from outside of its run."""

Told = Mapping[str, Mapping[str, tuple[UpstreamVersion, ...]]]
"""By one of the assets that a step makes, and then by argument name."""


def write_inputs(store: Store, inputs: Told) -> str:
    """Write what the steps of a run are to have; what the tag has to name."""
    told = {
        asset: {name: [_to_json(version) for version in versions] for name, versions in each.items()}
        for asset, each in inputs.items()
    }
    return store.write_bytes(canonical_json(told).encode())


def versions_then(context: dg.InputContext, store: Store | None) -> tuple[UpstreamVersion, ...] | None:
    """What an input is in a run that repeats another; None where the run itself makes it, or repeats none.

    Dagster names that version as what the step's outputs were made from.

    Raises:
        UnknownVersionError: If what the run's tag names is not in the own scope.
    """
    step_context = step_of(context)
    digest = step_context.dagster_run.tags.get(INPUTS_TAG) if step_context is not None else None
    if step_context is None or digest is None or store is None:
        return None
    told = _read(store, digest)
    for key in step_context.get_output_asset_keys():
        found = told.get(key.to_user_string(), {}).get(context.name)
        if found is not None:
            known = step_context.maybe_fetch_and_get_input_asset_version_info(context.asset_key)
            if known is not None and len(found) == 1:
                known.data_version = dg.DataVersion(found[0].stored.content_hash)
            return found
    return None


def _read(store: Store, digest: str) -> Told:
    # only who may write to the own scope says whose values are loaded
    if not store.has_blob(digest, scope=store.scope):
        raise UnknownVersionError(
            f"the run repeats another one, and what its steps had then ({INPUTS_TAG} {digest[:12]}) is not in scope"
            f" {store.scope!r} of {store.url}: `mlrepro rerun` writes it"
        )
    return _parse(store.read_bytes(digest))


@functools.lru_cache(maxsize=16)
def _parse(data: bytes) -> Told:
    return {
        asset: {name: tuple(_from_json(version) for version in versions) for name, versions in each.items()}
        for asset, each in json.loads(data).items()
    }


def _to_json(version: UpstreamVersion) -> dict[str, Any]:
    origin = version.stored.origin
    return {
        "asset": version.asset,
        "partition": version.partition,
        "number": version.number,
        "stored": version.stored.to_json(),
        "origin": None if origin is None else [origin.scope, origin.input_hash],
    }


def _from_json(told: Mapping[str, Any]) -> UpstreamVersion:
    origin = None if told["origin"] is None else Origin(*told["origin"])
    return UpstreamVersion(
        told["asset"], told["partition"], told["number"], StoredValue.from_json(told["stored"], origin)
    )
