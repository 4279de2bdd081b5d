"""The run tag with the workflow version that executes a run, set by the process that does."""

import os
from typing import Final

from dagster._core.execution.context.system import PlanOrchestrationContext

from mlrepro.catalog import find_store
from mlrepro.catalog.workflows import image_version
from mlrepro.workflow_names import WORKFLOW_VERSION, WORKFLOW_VERSION_TAG

_IMAGE: Final = "DAGSTER_CURRENT_IMAGE"
_UNKNOWN: Final = "-"


def stamp(context: PlanOrchestrationContext) -> None:
    """Tag a run with what this process executes: the version that it was started with, or that its image was pushed as.

    Nothing is looked up where the process knows neither, and nothing that fails here fails the run.

    Args:
        context: Of the run.
    """
    run = context.dagster_run
    try:
        name = os.environ.get(WORKFLOW_VERSION) or _of_image(context)
        if name is None and WORKFLOW_VERSION_TAG in run.tags:
            name = _UNKNOWN  # the tag is that of the run that this one executes again
        if name is not None and run.tags.get(WORKFLOW_VERSION_TAG) != name:
            context.instance.add_run_tags(run.run_id, {WORKFLOW_VERSION_TAG: name})
    except Exception as error:  # noqa: BLE001 -- the run does without
        context.log.warning(f"Which workflow version this is can't be found: {error}")


def _of_image(context: PlanOrchestrationContext) -> str | None:
    run = context.dagster_run
    code = run.job_code_origin.repository_origin if run.job_code_origin is not None else None
    # a pod is started from the image that the code server named
    image = os.environ.get(_IMAGE) or (code.container_image if code is not None else None)
    if not image or run.remote_job_origin is None:
        return None
    version = image_version(find_store(), run.remote_job_origin.location_name, image)
    return None if version is None else version.name
