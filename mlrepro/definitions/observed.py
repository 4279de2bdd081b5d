"""What source assets have in common that are looked at by the steps that use them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import DATA_VERSION_TAG, StepExecutionContext, StepOutputHandle
from mlrepro.io_managers.computation import computation_of
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.io_managers.upstream import step_of
from mlrepro.store import Store


def consumer_computes(context: dg.InputContext) -> bool:
    """Whether the step that uses an input is mlrepro's, and so can be handed a stand-in for the value."""
    step_context = step_of(context)
    return step_context is not None and computation_of(step_context.op_def) is not None


def store_of_consumer(context: dg.InputContext) -> Store | None:
    """Find the store that the step's own outputs go to; None if they go somewhere else."""
    step_context = step_of(context)
    if step_context is None:
        return None
    for output in step_context.step.step_outputs:
        manager = step_context.get_io_manager(StepOutputHandle(step_context.step.key, output.name))
        if isinstance(manager, InputHashIOManager):
            return manager.open_store(step_context.instance)
    return None


def log_observation(
    step_context: StepExecutionContext,
    key: dg.AssetKey,
    data_version: str,
    metadata: Mapping[str, Any],
    partition: str | None = None,
) -> None:
    """Log what a step found, so that lineage names what was really read."""
    step_context.instance.report_runless_asset_event(
        dg.AssetObservation(key, partition=partition, metadata=metadata, tags={DATA_VERSION_TAG: data_version})
    )
    step_context.wipe_input_asset_version_info(key)
