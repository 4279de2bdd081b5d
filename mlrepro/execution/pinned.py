"""A pinned asset: its materializations replay the version that somebody holds it at, whatever its key says."""

from collections.abc import Mapping
from typing import Any

from mlrepro.catalog.history import find_number
from mlrepro.catalog.pins import Pin, Pinned, pins
from mlrepro.errors import ChannelError
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.key import StepKey, partitions_of
from mlrepro.io_managers.lookup import Hit, well_formed
from mlrepro.store import Store


def is_pinned(outputs: StepOutputs, held: Pinned) -> bool:
    """Whether any asset that a step computes in this run is pinned."""
    return bool(held) and bool(_pins_of(outputs, held))


def pinned(outputs: StepOutputs, store: Store, key: StepKey, held: Pinned | None = None) -> Hit | None:
    """Find what a pin says that a step yields; None where none of its assets is pinned.

    Args:
        outputs: The step's outputs.
        store: Where pins and results are.
        key: The step's key.
        held: All pins, where they are known.

    Raises:
        ChannelError: If pins contradict one another, or the step computes more than one partition at once, or the
            record of what is pinned is gone and the pin alone does not tell all outputs.
        StoreError: If the store can't be read.
    """
    found = _pins_of(outputs, pins(store) if held is None else held)
    if not found:
        return None
    first = next(iter(found.values()))
    if key.partitions is not None and len(key.partitions) > 1:
        raise ChannelError(
            f"{first}. It can't be computed in one run with {len(key.partitions) - 1} other partitions: materialize one"
            f" partition a run, or release it (mlrepro release {_name(first)} --partition {first.partition})"
        )
    if len({pin.pointer.input_hash for pin in found.values()}) > 1:
        raise ChannelError(
            "assets of one step are pinned at versions of different computations: "
            + "; ".join(str(pin) for pin in found.values())
            + ". Release one of them (mlrepro release)"
        )
    record = _record(store, first)
    outputs_then = dict(record["outputs"])
    if lacking := set(outputs.selected()) - set(outputs_then) - set(found):
        raise ChannelError(
            f"{first}, but the record of that computation is gone, and with it {', '.join(sorted(lacking))} that the"
            f" same step computes: release it (mlrepro release {_name(first)})"
        )
    for name, pin in found.items():
        output = {each: value for each, value in outputs_then.get(name, {}).items() if each != "partitions"}
        outputs_then[name] = {
            "tags": {},
            "metadata": {},
            **output,
            "stored": pin.pointer.stored.to_json(),
            "data_version": pin.pointer.data_version,
        }
    # the checks are those of the computation that the outputs are from
    return Hit(
        {**record, "outputs": outputs_then}, store.scope, kind="pinned", said="; ".join(map(str, found.values()))
    )


def _pins_of(outputs: StepOutputs, held: Pinned) -> dict[str, Pin]:
    """The pin of each output, by output name."""
    context = outputs.step_context
    layer = context.job_def.asset_layer
    partitions = partitions_of(context) or (None,)
    return {
        name: pin
        for name in outputs.selected()
        if (asset := layer.get_asset_key_for_node_output(context.node_handle, name)) is not None
        for partition in partitions
        if (pin := held.get((tuple(asset.path), partition))) is not None
    }


def _record(store: Store, pin: Pin) -> Mapping[str, Any]:
    """The record of what is pinned; where it is gone, what the asset's history tells of it."""
    content = pin.pointer.stored.content_hash

    def holds(record: Mapping[str, Any]) -> bool:
        return content in str(record.get("outputs"))

    found = store.get_result(str(pin.pointer.input_hash), usable=holds, to_load=True)
    if found is not None and well_formed(found.record):
        return found.record
    version = find_number(store, pin.asset, pin.partition, pin.pointer.number)
    body = version.body if version is not None else {}
    made = str(body.get("created", pin.when.isoformat()))
    return {
        "input_hash": str(pin.pointer.input_hash),
        "outputs": {},
        "checks": [],
        "skipped": [],
        "code": {"fingerprint": str(body.get("code", ""))},
        "who": str(body.get("who", "")),
        "run_id": str(body.get("run_id", "")),
        "code_location": body.get("code_location"),
        "started": made,
        "finished": made,
        "seconds": float(body.get("seconds", 0.0)),
    }


def _name(pin: Pin) -> str:
    return "/".join(pin.asset)
