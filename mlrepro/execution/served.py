"""A channel's step that has nothing to decide: the newest version is served already, or is not to be promoted."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer, newest_entry
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.promotion import Promotion
from mlrepro.store import Store, StoredValue


def channel_of(outputs: StepOutputs, key: StepKey) -> ChannelName:
    """Name the channel that a step decides about, from the key of its asset: ``churn_model/production``."""
    (asset,) = outputs.step_context.get_output_asset_keys()
    partition = key.partitions[0] if key.partitions else None
    return ChannelName(tuple(asset.path[:-1]), asset.path[-1], partition)


def candidate_of(key: StepKey, name: ChannelName) -> str | None:
    """Data version of the model that a channel's step sees; None if there is none."""
    version = key.parts.dependencies.get(dg.AssetKey(name.asset).to_user_string())
    if isinstance(version, Mapping):
        version = version.get(name.partition) if name.partition is not None else None
    return version or None


def served(outputs: StepOutputs, store: Store, key: StepKey) -> Hit | Miss:
    """Tell what a channel's step yields without asking any gate.

    Returns:
        A hit where the channel stays at what it serves: it is the newest version, or that one is quarantined, or waits
        for approval. Else why the step has to decide.
    """
    name = channel_of(outputs, key)
    candidate = candidate_of(key, name)
    entry = newest_entry(store, name)
    if candidate is None:
        return Miss(f"nothing of {dg.AssetKey(name.asset).to_user_string()} is materialized yet")
    if entry is None or entry.after is None:
        return Miss(f"{name} serves nothing yet")
    stays = f"{name} stays at v{entry.after.number}"
    if candidate == entry.after.data_version:
        return standing(outputs, store, entry, f"{name} serves v{entry.after.number}, the newest version, already")
    for why in entry.quarantined.values():
        if candidate == why.get("data_version"):
            held = f"v{why.get('version')} is quarantined since {why.get('who')} rolled back from it"
            return standing(outputs, store, entry, f"{stays}: {held}")
    # whoever takes the approval out of the channel's definition has the gates alone decide
    waits = isinstance(outputs.computation, Promotion) and outputs.computation.approval
    if waits and entry.proposed is not None and candidate == entry.proposed.data_version:
        return standing(outputs, store, entry, f"{stays}: v{entry.proposed.number} waits for approval")
    return Miss(f"a new version of {dg.AssetKey(name.asset).to_user_string()} is to be judged")


def standing(outputs: StepOutputs, store: Store, entry: ChannelEntry, said: str) -> Hit:
    """What a channel serves, as the hit that its step replays."""
    assert entry.after is not None, "asked for by who knows that it serves something"
    return Hit(_record(outputs, entry), store.scope, kind="served", said=said)


def pointer_of(hit: Hit) -> Pointer:
    """What the channel serves that a hit stands for."""
    (output,) = hit.record["outputs"].values()
    return Pointer(output["points_to"], output["data_version"], StoredValue.from_json(output["stored"]), None)


def _record(outputs: StepOutputs, entry: ChannelEntry) -> dict[str, Any]:
    pointer = entry.after
    assert pointer is not None, "see above"
    (name,) = outputs.assets()
    when = entry.when.isoformat()
    return {
        "outputs": {
            name: {
                "stored": pointer.stored.to_json(),
                "data_version": pointer.data_version,
                "points_to": pointer.number,
                "metadata": {},
                "tags": {},
                "valueless": True,
            }
        },
        "checks": [],
        "skipped": [],
        "code": {"fingerprint": ""},
        "who": entry.who,
        "run_id": entry.run_id or "",
        "started": when,
        "finished": when,
        "seconds": 0.0,
    }
