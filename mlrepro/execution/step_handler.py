"""Skipping steps before a pod is made: a step handler around the one that makes it.

Executors that start each step elsewhere (`k8s_job_executor`, docker, ECS) ask a step handler to launch a step once all
steps before it have ended. That is the moment when a step can be a hit though its upstream ran: it came out unchanged.
"""

import sys
import threading
from collections.abc import Iterator

from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext
from dagster._utils.error import serializable_error_info_from_exc_info

from mlrepro.execution.before_launch import steps_before_launch
from mlrepro.execution.decision import decide
from mlrepro.execution.event_log import RunEvents
from mlrepro.execution.look_ahead import KnownStep, LookAhead, Outlook
from mlrepro.execution.replay import replay
from mlrepro.execution.single_flight import take_turn, waits_its_turn
from mlrepro.io_managers.lookup import Hit

START_OF_A_POD = 300.0
"""Seconds that a lease lasts which is taken before the pod is there: as long as an image may take to be pulled. The
step takes the lease over when it starts, and extends it from then on."""


class CacheFirstStepHandler(StepHandler):
    """Replays a step that is a hit, waits for one that another run computes, and has the rest launched.

    Args:
        inner: Launches steps.
    """

    def __init__(self, inner: StepHandler) -> None:
        self.inner = inner
        self._waiting: dict[str, threading.Event] = {}

    @property
    def name(self) -> str:
        """Name in the run's log."""
        return f"cache_first({self.inner.name})"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Launch a step that has to run."""
        plan_context, step = _plan_and_step(step_handler_context)
        try:
            with steps_before_launch(plan_context.plan_data, plan_context.log) as steps:
                outlook = LookAhead(steps).look_up_one(step)
        except Exception:  # noqa: BLE001 -- a cache problem never fails a run: the step looks for itself
            outlook = Outlook(step, "unknown", "the look-up failed")
        known = outlook.known
        if outlook.verdict == "hit" and known is not None:
            yield from replay([known], RunEvents(plan_context))
        elif known is not None and waits_its_turn(known.outputs, known.key, known.found):
            # no pod while it waits, and no other step waits with it
            stop = self._waiting[step.key] = threading.Event()
            thread = threading.Thread(
                target=self._wait_and_launch, args=(step_handler_context, known, stop), name=f"waits: {step.key}"
            )
            thread.daemon = True
            thread.start()
        else:
            yield from self.inner.launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """A step that waits is well; of others the other handler knows."""
        _, step = _plan_and_step(step_handler_context)
        if step.key in self._waiting:
            return CheckStepHealthResult.healthy()
        return self.inner.check_step_health(step_handler_context)

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Stop waiting, or stop what was launched."""
        _, step = _plan_and_step(step_handler_context)
        if (stop := self._waiting.get(step.key)) is not None:
            stop.set()
        else:
            yield from self.inner.terminate_step(step_handler_context)

    def _wait_and_launch(self, context: StepHandlerContext, known: KnownStep, stop: threading.Event) -> None:
        plan_context, step = _plan_and_step(context)

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise _StoppedError

        try:
            turn = take_turn(
                known.outputs,
                known.store,
                known.key,
                lambda: decide(known.outputs, known.store, known.key),
                ttl=START_OF_A_POD,
                pause=pause,
            )
            if isinstance(turn, Hit):
                hit = KnownStep(known.outputs, known.store, known.key, known.inputs, turn)
                list(replay([hit], RunEvents(plan_context)))
            else:
                list(self.inner.launch_step(context))
        except _StoppedError:
            pass
        except Exception:  # noqa: BLE001 -- nobody else would tell the run that its step never started
            error = serializable_error_info_from_exc_info(sys.exc_info())
            DagsterEvent.step_failure_event(
                context.get_step_context(step.key), StepFailureData(error=error, user_failure_data=None)
            )
        finally:
            del self._waiting[step.key]


class _StoppedError(Exception):
    """The run was terminated while a step waited."""


def _plan_and_step(context: StepHandlerContext) -> tuple[PlanOrchestrationContext, ExecutionStep]:
    """The plan as it stands now, and the step; the handler's context shows neither."""
    plan_context = context._plan_context
    (step,) = context._steps_by_key.values()  # Dagster launches one at a time
    plan = plan_context.execution_plan
    known_state = context.execute_step_args.known_state or plan.known_state
    now = PlanOrchestrationContext(
        plan_data=plan_context.plan_data._replace(execution_plan=plan._replace(known_state=known_state)),
        log_manager=plan_context.log,
        executor=plan_context.executor,
        output_capture=None,
    )
    return now, step
