"""Who computes, where and from which commit: the facts of a run that a result record keeps."""

import functools
import getpass
import os
import subprocess
from pathlib import Path

from mlrepro.dagster_internals import StepExecutionContext

USER_TAGS = ("dagster/user", "user")
"""Run tags that name who launched the run, the first that is set."""


def launched_by(tags: dict[str, str] | None = None) -> str:
    """Name the person on whose behalf this process works.

    A tag of the run comes first, then ``MLREPRO_USER``, then the operating system's user.

    Example:
        >>> launched_by({"user": "ana"})
        'ana'
    """
    for tag in USER_TAGS:
        if name := (tags or {}).get(tag):
            return name
    if name := os.environ.get("MLREPRO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the user database
        return f"uid {os.getuid()}"


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
    return origin.location_name if origin else None


def workflow() -> dict[str, str]:
    """Name the workflow version, code bundle and image that this process runs, as far as its environment tells."""
    named = {
        "workflow_version": "MLREPRO_WORKFLOW_VERSION",
        "bundle": "MLREPRO_BUNDLE",
        "image": "DAGSTER_CURRENT_IMAGE",
    }
    return {name: found for name, variable in named.items() if (found := os.environ.get(variable))}
