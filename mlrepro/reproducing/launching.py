"""Launching a run again by the code server that has its code: a run in the queue, and in the UI, like any other."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli.workspace.cli_target import get_workspace_from_cli_opts
from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.workspace.context import WorkspaceRequestContext
from dagster_shared.cli import WorkspaceOpts

from mlrepro.bundles.code_server import submitted_with
from mlrepro.bundles.version_server import CONTEXT
from mlrepro.catalog.workflows import workflow_version
from mlrepro.errors import MlreproError
from mlrepro.execution.loading import one_line
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.inputs_then import INPUTS_TAG, write_inputs
from mlrepro.reproducing.recipe import Recipe
from mlrepro.resources.user import launched_by
from mlrepro.store import Store

_LOOK = 1.0
_SAY = 10.0


class NotServedError(MlreproError):
    """No code server can launch a run with the code that it had, and why."""


class RunDeletedError(MlreproError):
    """A run that was launched is not there any more."""


def launch(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    recipes: Sequence[Recipe],
    store: Store,
    workspace: Path,
    tags: Mapping[str, str],
) -> tuple[str, str]:
    """Launch a run again, with the workflow version that its record names.

    Args:
        instance: Dagster's instance.
        run: The run.
        recipes: What each of its functions was computed from.
        store: Takes a note of what the steps had.
        workspace: The workspace file.
        tags: Tags of the new run.

    Returns:
        The new run's id, and the name of the workflow version.

    Raises:
        NotServedError: Its code is not served.
    """
    origin, number = run.remote_job_origin, submitted_with(run)
    if origin is None or number is None:
        raise NotServedError("it was not launched by `mlrepro code-server`, so that nothing tells which version it had")
    location = origin.location_name
    try:
        version = workflow_version(store, location, number)
    except MlreproError as error:
        raise NotServedError(str(error)) from error
    if version.bundle is None or not store.has_blob(version.bundle.content_hash):
        raise NotServedError(f"the code bundle of {version.name} is not in {store.url} any more")
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(
                get_workspace_from_cli_opts(instance, dg.__version__, WorkspaceOpts(workspace=(str(workspace),)))
            )
        except Exception as error:
            raise NotServedError(f"the workspace {workspace} does not load: {one_line(error)}") from error
        served = _served(opened, location)
        new = _create(instance, run, served, {**tags, INPUTS_TAG: write_inputs(store, _inputs(recipes))})
        instance.submit_run(new.run_id, opened)
    return new.run_id, version.name


def wait(instance: dg.DagsterInstance, run_id: str, waiting: Callable[[str], None]) -> bool:
    """Wait until a run has ended; whether it succeeded.

    Raises:
        RunDeletedError: Somebody deleted it.
    """
    started = said = time.monotonic()
    while True:
        run = instance.get_run_by_id(run_id)
        if run is None:
            # it was launched: nobody is to execute it once more in its place
            raise RunDeletedError(f"run {run_id} was deleted while it was waited for")
        if run.is_finished:
            return run.is_success
        if time.monotonic() - said > _SAY:
            said = time.monotonic()
            waiting(f"run {run_id} is {run.status.value.lower()} for {said - started:.0f} s")
        time.sleep(_LOOK)


def _served(opened: WorkspaceRequestContext, location: str) -> CodeLocation:
    """The code location, where it is served by our code server: that one keeps to what a run's record names."""
    if not opened.has_code_location(location):
        error = opened.get_code_location_error(location) if location in opened.code_location_names else None
        why = f"does not load: {one_line(Exception(error.message))}" if error else "is not in the workspace"
        raise NotServedError(f"the code location {location} {why}")
    served = opened.get_code_location(location)
    contexts = [
        repository.handle.get_python_origin().container_context or {}
        for repository in served.get_repositories().values()
    ]
    if not any(CONTEXT in context for context in contexts):
        raise NotServedError(f"the code location {location} is not served by `mlrepro code-server`")
    return served


def _create(
    instance: dg.DagsterInstance, run: dg.DagsterRun, served: CodeLocation, tags: Mapping[str, str]
) -> dg.DagsterRun:
    assert run.remote_job_origin is not None, "it was looked at before"
    name = run.remote_job_origin.repository_origin.repository_name
    snapshot: Any = instance.get_job_snapshot(run.job_snapshot_id) if run.job_snapshot_id else None
    parent = instance.get_job_snapshot(snapshot.lineage_snapshot.parent_snapshot_id) if _is_part(snapshot) else None
    plan = run.execution_plan_snapshot_id
    return instance.create_run(
        job_name=run.job_name,
        run_id=None,
        run_config=run.run_config,
        status=None,
        tags={"user": launched_by(), **tags},
        root_run_id=run.root_run_id or run.run_id,
        parent_run_id=run.run_id,
        step_keys_to_execute=run.step_keys_to_execute,
        execution_plan_snapshot=instance.get_execution_plan_snapshot(plan) if plan else None,
        job_snapshot=snapshot,
        parent_job_snapshot=parent,
        asset_selection=run.asset_selection,
        asset_check_selection=run.asset_check_selection,
        resolved_op_selection=run.resolved_op_selection,
        op_selection=run.op_selection,
        remote_job_origin=run.remote_job_origin,
        # it names the workflow version, which the code server goes by
        job_code_origin=run.job_code_origin,
        asset_graph=served.get_repository(name).asset_graph,
    )


def _is_part(snapshot: Any) -> bool:
    return snapshot is not None and snapshot.lineage_snapshot is not None


def _inputs(recipes: Sequence[Recipe]) -> dict[str, dict[str, tuple[UpstreamVersion, ...]]]:
    """What each function had from outside of the run; what the run itself made is taken as it comes out now."""
    made = {asset for recipe in recipes for asset in recipe.record["assets"]}
    return {
        recipe.record["assets"][0]: {
            name: tuple(
                UpstreamVersion(each.asset, value.partition, value.number, value.stored) for value in each.given
            )
            for name, each in recipe.inputs.items()
            if each.asset not in made
        }
        for recipe in recipes
    }
