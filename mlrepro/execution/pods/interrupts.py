"""A step whose pod is told to end while its run goes on: its node is drained, or a spot machine taken back."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.dagster_run import DagsterRunStatus

from mlrepro.execution.pods.asking import CONFIG_TAG
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
        Failure: The same, for the last time; or the pod's own time was over.
    """
    try:
        yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
        if not _only_the_pod_ends(step_context):
            raise
        if deadline := _deadline(step_context.step.tags):
            raise dg.Failure(
                f"the step's pod was told to end, as its time of {deadline} s (active_deadline_seconds) was over"
            ) from interrupt
        policy = step_context.op_retry_policy
        allowed = Bounds.from_environment().restarts + (policy.max_retries if policy else 0)
        told = "the step's pod was told to end, while its run goes on: its node is drained or taken back, or needs room"
        if step_context.previous_attempt_count >= allowed:
            raise dg.Failure(f"{told} (in attempt {allowed + 1}, the last)", allow_retries=False) from interrupt
        step_context.log.warning(f"{told}. It is started again (attempt {step_context.previous_attempt_count + 2})")
        raise dg.RetryRequested(max_retries=allowed) from interrupt


def _deadline(tags: Mapping[str, str]) -> object:
    """The step's own, which Kubernetes keeps by the same signal."""
    try:
        spec = json.loads(tags.get(CONFIG_TAG, "{}")).get("job_spec_config") or {}
        return spec.get("active_deadline_seconds") or spec.get("activeDeadlineSeconds")
    except (ValueError, AttributeError):
        return None


def _only_the_pod_ends(step_context: StepExecutionContext) -> bool:
    if os.environ.get(_STEP_VARIABLE) != step_context.step.key:
        return False
    run = step_context.instance.get_run_by_id(step_context.run_id)
    return run is not None and run.status is DagsterRunStatus.STARTED
