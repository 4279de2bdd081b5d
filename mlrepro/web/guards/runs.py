"""Guards of what is done to runs that are there: terminate, delete."""

from collections.abc import Iterable, Sequence

from dagster import DagsterRun, RunsFilter
from dagster._core.workspace.permissions import Permissions

from mlrepro.web.guards.asked import Asked, Refused


def terminate_run(asked: Asked) -> None:
    """The run's code location must be theirs; Dagster looks at its assets' instead, where it is of assets."""
    _need_runs(asked, Permissions.TERMINATE_PIPELINE_EXECUTION, [asked.arguments["runId"]])


def terminate_runs(asked: Asked) -> None:
    """All of them must be theirs, or none is touched; Dagster takes them one by one."""
    _need_runs(asked, Permissions.TERMINATE_PIPELINE_EXECUTION, asked.arguments["runIds"])


def delete_run(asked: Asked) -> None:
    """The run's code location must be theirs."""
    _need_runs(asked, Permissions.DELETE_PIPELINE_RUN, [asked.arguments["runId"]])


def location_of_run(run: DagsterRun) -> str | None:
    """The code location that a run was launched from; None where it was launched without one."""
    return run.remote_job_origin.location_name if run.remote_job_origin else None


def need_run(asked: Asked, permission: str, run: DagsterRun) -> None:
    """A permission that is needed where a run was launched from."""
    asked.need(permission, location_of_run(run))


def _need_runs(asked: Asked, permission: str, ids: Sequence[str]) -> None:
    asked.about("runs", ids)
    found = {run.run_id: run for run in _runs(asked, ids)}
    for run in found.values():
        need_run(asked, permission, run)
    missing = [run_id for run_id in ids if run_id not in found]
    if missing and not asked.context.access.is_admin:
        raise Refused(f"there is no run {missing[0][:100]} here")


def _runs(asked: Asked, ids: Iterable[str]) -> Sequence[DagsterRun]:
    wanted = list(dict.fromkeys(ids))
    return asked.context.instance.get_runs(RunsFilter(run_ids=wanted)) if wanted else []
