"""What a function can read of its step through the context, beside config, inputs and resources."""

from typing import Any

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.io_managers.computation import Computation
from mlrepro.versioning import CodeFingerprint


def surroundings(step_context: StepExecutionContext, computation: Computation, code: CodeFingerprint) -> Any:
    """Collect what a function may learn from its context; None for one that takes none or only logs, say.

    An asset's name is no part of a key, so that teams share results; but a function that asks for its own name gets
    another result under another name.
    """
    if not computation.reads_surroundings(code):
        return None
    assets = step_context.assets_def
    keys = sorted(step_context.get_output_asset_keys(), key=lambda key: key.to_user_string())
    specs = {} if assets is None else {key: spec for key, spec in assets.specs_by_key.items() if key in keys}
    return {
        "assets": [key.to_user_string() for key in keys],
        "metadata": {key.to_user_string(): sorted(map(repr, spec.metadata.items())) for key, spec in specs.items()},
        "asset_tags": {key.to_user_string(): dict(spec.tags) for key, spec in specs.items()},
        "op_tags": {key: str(value) for key, value in step_context.op_def.tags.items()},
        "run_tags": {
            key: value
            for key, value in step_context.dagster_run.tags.items()
            if not key.startswith((".dagster", "dagster/", "mlrepro/")) and key != "user"
        },
        "partitions": _windows(assets.partitions_def if assets else None),
    }


def _windows(partitions: dg.PartitionsDefinition[Any] | None) -> Any:
    """What makes a partition key mean another time: zone, schedule and format."""
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return [partitions.timezone, partitions.cron_schedule, partitions.fmt]
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return {each.name: _windows(each.partitions_def) for each in partitions.partitions_defs}
    return None
