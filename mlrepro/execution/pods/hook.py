"""Where stuck pods get to speak: the step handler of `k8s_job_executor`."""

import math
import sys

from dagster._core.executor.step_delegating import StepDelegatingExecutor, StepHandler


def speaking(executor: StepDelegatingExecutor) -> StepHandler:
    """The executor's step handler, made to speak of stuck pods where its steps are pods.

    It is then asked more often than every 20 seconds, which is Dagster's own pace: one look at the cluster is for all
    steps of a run together.

    Args:
        executor: Launches steps.
    """
    handler: StepHandler = executor._step_handler
    if "dagster_k8s.executor" not in sys.modules:  # nobody pays for its import who has no pods
        return handler
    from dagster_k8s.executor import K8sStepHandler

    if not isinstance(handler, K8sStepHandler):
        return handler
    from mlrepro.execution.pods.speaking import SpeakingStepHandler

    made = SpeakingStepHandler(handler)
    executor._check_step_health_interval_seconds = min(
        executor._check_step_health_interval_seconds, math.ceil(made.bounds.every)
    )
    return made
