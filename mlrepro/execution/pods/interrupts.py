"""A step whose pod is told to end while its run goes on: its node is drained, or a spot machine taken back."""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.dagster_run import DagsterRunStatus

from mlrepro.execution.pods.trouble import Bounds

_STEP_VARIABLE: Final = "DAGSTER_RUN_STEP_KEY"
"""Set by dagster-k8s in the pod of a step."""


@contextlib.contextmanager
def started_again(step_context: StepExecutionContext) -> Iterator[None]:
    """Ask for another attempt where the pod is ended and nobody ended the run.

    Without it the step would fail with the signal: of a pod that has half a minute left Kubernetes shows nothing any
    more once it has ended, so that nobody could tell later.

    Args:
        step_context: The step that runs.

    Raises:
        RetryRequested: The pod is ended, and the run goes on.
    """
    try:
        yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
        if not _only_the_pod_ends(step_context):
            raise
        policy = step_context.op_retry_policy
        restarts = Bounds.from_environment().restarts
        step_context.log.warning(
            "The step's pod is told to end, while its run goes on: its node is drained or taken back, or the pod made"
            f" room for another. It is started again, at most {restarts} times."
        )
        raise dg.RetryRequested(max_retries=restarts + (policy.max_retries if policy else 0)) from interrupt


def _only_the_pod_ends(step_context: StepExecutionContext) -> bool:
    if os.environ.get(_STEP_VARIABLE) != step_context.step.key:
        return False
    run = step_context.instance.get_run_by_id(step_context.run_id)
    return run is not None and run.status is DagsterRunStatus.STARTED
