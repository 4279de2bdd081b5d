"""Guards of launches: of runs, and of runs that are executed again."""

from collections.abc import Mapping
from typing import Any, Final

from dagster import DagsterRun
from dagster._core.definitions.selector import JobSelector
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._core.workspace.permissions import Permissions

from mlrepro.web.guards.asked import Asked, Refused, key_of, location_of
from mlrepro.web.guards.runs import location_of_run, need_run
from mlrepro.web.guards.tags import checked

_RUN_TAGS: Final = (PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG)


def launch_run(asked: Asked) -> None:
    """The job's code location must be theirs, the run it follows as well, and its tags."""
    asked.arguments["executionParams"] = _launch(
        asked, asked.arguments["executionParams"], Permissions.LAUNCH_PIPELINE_EXECUTION
    )


def launch_runs(asked: Asked) -> None:
    """Each of them, or none is launched."""
    asked.arguments["executionParamsList"] = [
        _launch(asked, params, Permissions.LAUNCH_PIPELINE_EXECUTION)
        for params in asked.arguments["executionParamsList"]
    ]


def launch_again(asked: Asked) -> None:
    """As a launch; or by the earlier run alone, whose code location must be theirs."""
    if params := asked.arguments.get("executionParams"):
        asked.arguments["executionParams"] = _launch(asked, params, Permissions.LAUNCH_PIPELINE_REEXECUTION)
    if params := asked.arguments.get("reexecutionParams"):
        asked.arguments["reexecutionParams"] = _again(asked, params)
    if not asked.needs:
        raise Refused("neither executionParams nor reexecutionParams say what to execute again")


def job_tags(asked: Asked, job: JobSelector) -> Mapping[str, str]:
    """The tags that a job's own code gives its runs."""
    return asked.context.get_full_job(job).tags if asked.context.has_job(job) else {}


def _launch(asked: Asked, params: Mapping[str, Any], permission: str) -> dict[str, Any]:
    selector = params["selector"]
    location = location_of(selector)
    job = JobSelector(
        location_name=location,
        repository_name=selector["repositoryName"],
        job_name=str(selector.get("pipelineName") or selector.get("jobName") or ""),
    )
    asked.about("location", location)
    asked.about("job", job.job_name)
    asked.about("assets", [key_of(key).to_user_string() for key in selector.get("assetSelection") or ()])
    asked.need(permission, location)
    metadata = params.get("executionMetadata") or {}
    tags = {tag["key"]: tag["value"] for tag in metadata.get("tags") or ()}
    followed = _followed(asked, metadata, tags)

    def inherited() -> dict[str, str]:
        return {**job_tags(asked, job), **(followed.tags if followed else {})}

    stamped = checked(asked, metadata.get("tags"), location=location, inherited=inherited)
    return {**params, "executionMetadata": {**metadata, "tags": stamped}}


def _again(asked: Asked, params: Mapping[str, Any]) -> dict[str, Any]:
    run = _run(asked, str(params["parentRunId"]))
    asked.about("location", location_of_run(run))
    asked.about("job", run.job_name)
    stamped = checked(asked, params.get("extraTags"), location=location_of_run(run), inherited=lambda: run.tags)
    return {**params, "extraTags": stamped}


def _followed(asked: Asked, metadata: Mapping[str, Any], tags: Mapping[str, str]) -> DagsterRun | None:
    parent, root = metadata.get("parentRunId"), metadata.get("rootRunId")
    named = [parent, *(tags[tag] for tag in _RUN_TAGS if tag in tags), root]
    runs: dict[str, DagsterRun] = {}
    for run_id in dict.fromkeys(name for name in named if name):
        # the first run of a group may have been deleted: the one that followed it still names it
        if parent in runs and run_id == runs[parent].root_run_id:
            continue
        runs[run_id] = _run(asked, run_id)
    return runs.get(parent) if parent else None


def _run(asked: Asked, run_id: str) -> DagsterRun:
    asked.about("follows", [run_id])
    run = asked.context.instance.get_run_by_id(run_id)
    if run is None:
        raise Refused(f"there is no run {run_id[:100]} here")
    need_run(asked, Permissions.LAUNCH_PIPELINE_REEXECUTION, run)
    return run
