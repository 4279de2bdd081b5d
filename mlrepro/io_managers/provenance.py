"""Who computes, where and from which commit: the facts of a run that a result record keeps."""

import functools
import os
import subprocess
from pathlib import Path
from typing import Final

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.resources.user import USER_TAGS, launched_by
from mlrepro.workflow_names import BUNDLE, WORKFLOW_VERSION, WORKFLOW_VERSION_TAG

__all__ = ["LOCATION_TAG", "USER_TAGS", "code_location", "git_commit", "launched_by", "workflow"]

LOCATION_TAG: Final = "mlrepro/location"
"""Run tag: the code location, where Dagster's own record of a run does not name it."""


@functools.lru_cache(maxsize=256)
def git_commit(folder: Path) -> str | None:
    """Find the commit that a folder is checked out at; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def code_location(step_context: StepExecutionContext) -> str | None:
    """Name the code location that a run was launched from, None for a run without one (a test, a script)."""
    origin = step_context.dagster_run.remote_job_origin
    return origin.location_name if origin else step_context.dagster_run.tags.get(LOCATION_TAG)


def workflow(step_context: StepExecutionContext) -> dict[str, str]:
    """Name the workflow version, code bundle and image that this process runs, as far as it knows."""
    named = {"workflow_version": WORKFLOW_VERSION, "bundle": BUNDLE, "image": "DAGSTER_CURRENT_IMAGE"}
    tagged = step_context.dagster_run.tags.get(WORKFLOW_VERSION_TAG)  # of an image, the variable is not set
    told = {} if tagged is None else {"workflow_version": tagged}
    return told | {name: found for name, variable in named.items() if (found := os.environ.get(variable))}
