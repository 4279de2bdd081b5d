"""Computing an upstream asset again because its bytes are gone."""

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext, repository_of
from mlrepro.errors import StoreError
from mlrepro.io_managers.computation import computation_of
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.promotion import CHANNEL, Promotion
from mlrepro.io_managers.upstream import step_of

HEALS_TAG = "mlrepro/heals"
"""Run tag of such a run: the run that needed it."""


def recompute(context: dg.InputContext, version: UpstreamVersion, cause: StoreError) -> None:
    """Materialize an upstream asset in a run of its own, so that it is computed again and its bytes are stored.

    The run is an ordinary one in Dagster's list, with its own log, tagged with the run that needed it.

    Args:
        context: The input that could not be loaded.
        version: What it should have been.
        cause: Why it could not; raised again, with the next step, where the asset can't be computed here.

    Raises:
        BlobMissingError: If the asset isn't an `@ml_asset` of this code location, or computing it failed.
        BlobDamagedError: Likewise.
    """
    key = dg.AssetKey.from_user_string(version.asset)
    step_context = step_of(context)
    what_to_do = f"Materialize {version.asset} again"
    if step_context is not None and _is_channel(step_context, key):
        model = dg.AssetKey(key.path[:-1]).to_user_string()
        what_to_do = (
            f"Compute {model} again as v{version.number} was (mlrepro show {model}@v{version.number}), or have the"
            f" channel serve another version (mlrepro promote {model}@v... --channel {key.path[-1]})"
        )
    advice = f"{version.asset} v{version.number} can't be loaded: {cause}. {what_to_do}"
    if step_context is None:  # a value loaded outside of a run
        raise type(cause)(advice) from cause
    if HEALS_TAG in step_context.dagster_run.tags:
        raise type(cause)(advice) from cause
    job = _job(step_context, key)
    if job is None:
        raise type(cause)(advice) from cause
    result = job.execute_in_process(
        instance=step_context.instance,
        asset_selection=[key],
        partition_key=version.partition,
        tags={HEALS_TAG: step_context.run_id},
        raise_on_error=False,
    )
    if not result.success:
        raise type(cause)(f"{advice}: computing it in run {result.run_id} failed") from cause


def _is_channel(step_context: StepExecutionContext, key: dg.AssetKey) -> bool:
    graph = step_context.job_def.asset_layer.asset_graph
    return graph.has(key) and CHANNEL in graph.get(key).metadata


def _job(step_context: StepExecutionContext, key: dg.AssetKey) -> dg.JobDefinition | None:
    """Find a job that computes an asset; None where it is not an `@ml_asset` that can be computed here."""
    repository = repository_of(step_context)
    own = step_context.job_def
    graph = repository.asset_graph if repository is not None else own.asset_layer.asset_graph
    if not graph.has(key):
        return None
    node = graph.get(key)
    computation = computation_of(node.assets_def.node_def) if node.is_materializable else None
    if computation is None or isinstance(computation, Promotion):  # promoting again makes no bytes
        return None
    return own if repository is None else repository.get_implicit_job_def_for_assets([key])
