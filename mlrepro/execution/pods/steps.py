"""A step as its handler knows it: its Job, its namespace, and what the run's log says of it."""

from typing import TYPE_CHECKING, Any, Final

from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.execution.plan.objects import StepFailureData, StepRetryData
from dagster._core.executor.step_delegating import StepHandlerContext
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from dagster_k8s.executor import K8sStepHandler


_STARTS: Final = {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
_ENDS: Final = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY}


class PodStep:
    """One step that runs as a pod.

    Args:
        handler: Who launches it.
        context: What Dagster gave for it.
    """

    def __init__(self, handler: "K8sStepHandler", context: StepHandlerContext) -> None:
        self.context = context
        self.key: str = handler._get_step_key(context)
        self.job: str = handler._get_k8s_step_job_name(context)
        self._handler = handler

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.context.execute_step_args.run_id

    @property
    def namespace(self) -> str:
        """Where its Job is."""
        return str(self._handler._get_container_context(self.context).namespace)

    @property
    def may_retry(self) -> bool:
        """Whether the run's executor allows retries at all."""
        return not self._step_context.retry_mode.disabled

    @property
    def started(self) -> bool:
        """Whether this attempt has come so far as to tell the run of its start.

        Dagster lets nobody retry a step that never started, nor start one that did.
        """
        return self._told(_STARTS) > self._attempts

    @property
    def ended(self) -> bool:
        """Whether this attempt has told the run of its end, be it that the executor has not read it yet."""
        return self._told(_ENDS) > self._attempts

    @property
    def _attempts(self) -> int:
        known = self.context.execute_step_args.known_state
        return int(known.get_retry_state().get_attempt_count(self.key)) if known else 0

    def _told(self, types: set[DagsterEventType]) -> int:
        return sum(entry.step_key == self.key for entry in self.context.instance.all_logs(self.run_id, of_type=types))

    @property
    def _step_context(self) -> Any:
        return self.context.get_step_context(self.key)

    def say(self, text: str) -> None:
        """Write a line into the run's log."""
        DagsterEvent.engine_event(self._step_context, text, EngineEventData())

    def fail(self, why: str) -> None:
        """Fail the step, without the retries that are meant for its code."""
        DagsterEvent.step_failure_event(self._step_context, StepFailureData(error=_error(why), user_failure_data=None))

    def retry(self, why: str) -> None:
        """Have the executor start the step again."""
        DagsterEvent.step_retry_event(self._step_context, StepRetryData(error=_error(why), seconds_to_wait=None))


def _error(why: str) -> SerializableErrorInfo:
    return SerializableErrorInfo(message=why, stack=[], cls_name=None)
