"""Who computes, where and from which commit: the facts of a run that a result record keeps."""

import functools
import os
import subprocess
from pathlib import Path
from typing import Final

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.resources.user import USER_TAGS, launched_by

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


def workflow() -> dict[str, str]:
    """Name the workflow version, code bundle and image that this process runs, as far as its environment tells."""
    named = {
        "workflow_version": "MLREPRO_WORKFLOW_VERSION",
        "bundle": "MLREPRO_BUNDLE",
        "image": "DAGSTER_CURRENT_IMAGE",
    }
    return {name: found for name, variable in named.items() if (found := os.environ.get(variable))}
