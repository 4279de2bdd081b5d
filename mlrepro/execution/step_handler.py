"""Skipping steps before a pod is made: a step handler around the one that makes it.

Executors that start each step elsewhere (`k8s_job_executor`, docker, ECS) ask a step handler to launch a step once all
steps before it have ended. That is the moment when a step can be a hit though its upstream ran: it came out unchanged.
"""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

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
from mlrepro.execution.replay import Replay
from mlrepro.execution.single_flight import take_turn, waits_its_turn
from mlrepro.io_managers.lookup import Hit
from mlrepro.io_managers.modes import VERIFY_TAG
from mlrepro.store import Lease

START_OF_A_POD = 300.0
"""Seconds that a lease lasts which is taken before the pod is there: as long as an image may take to be pulled. The
step takes the lease over when it starts, and extends it from then on."""


LAST_LAUNCH = 20.0
"""Seconds that the end of a run waits for a launch that is under way: less than the 30 that Kubernetes gives a pod."""


@dataclass
class _Wait:
    """A step that waits for its turn.

    Attributes:
        thread: Waits, then launches.
        stop: Set when the step is no longer wanted.
        launched: Whether the other handler was asked to launch the step.
    """

    thread: threading.Thread | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    launched: bool = False

    def pause(self, seconds: float) -> None:
        """Wait, or give up."""
        if self.stop.wait(seconds):
            raise _StoppedError


class CacheFirstStepHandler(StepHandler):
    """Replays a step that is a hit, waits for one that another run computes, and has the rest launched.

    Args:
        inner: Launches steps.
    """

    def __init__(self, inner: StepHandler) -> None:
        self.inner = inner
        self._waiting: dict[str, _Wait] = {}
        self._leases: dict[str, Lease] = {}
        self._events: RunEvents | None = None
        self._writing = threading.Lock()

    @property
    def name(self) -> str:
        """Name in the run's log."""
        return f"cache_first({self.inner.name})"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Launch a step that has to run."""
        plan_context, step = _plan_and_step(step_handler_context)
        if self._events is None:
            # Here, where no step waits yet: this configures Python's logging under a lock that whoever logs needs too,
            # so that a thread that logs at that moment would block both for ever.
            self._events = RunEvents(plan_context)
        outlook = _look_up(plan_context, step)
        known = outlook.known
        replayed = self._replay(outlook)
        if replayed is not None:
            yield from replayed
        elif known is not None and waits_its_turn(known.outputs, known.key, known.found):
            # no pod while it waits, and no other step waits with it
            wait = self._waiting[step.key] = _Wait()
            wait.thread = threading.Thread(
                target=self._wait_and_launch,
                args=(step_handler_context, known, wait),
                name=f"waits: {step.key}",
                daemon=True,
            )
            wait.thread.start()
        else:
            yield from self.inner.launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """A step that waits is well; of others the other handler knows."""
        _, step = _plan_and_step(step_handler_context)
        if step.key in self._waiting:
            return CheckStepHealthResult.healthy()
        health = self.inner.check_step_health(step_handler_context)
        if not health.is_healthy:
            self.give_back(step.key)
        return health

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Stop waiting, and stop what was launched."""
        _, step = _plan_and_step(step_handler_context)
        wait = self._waiting.get(step.key)
        if wait is not None:
            wait.stop.set()
            if wait.thread is not None:
                wait.thread.join(LAST_LAUNCH)  # it may be making a pod at this moment
        if wait is None or wait.launched:
            yield from self.inner.terminate_step(step_handler_context)
        self.give_back(step.key)

    def _wait_and_launch(self, context: StepHandlerContext, known: KnownStep, wait: _Wait) -> None:
        plan_context, step = _plan_and_step(context)
        try:
            turn = self._turn(known, wait)
            if isinstance(turn, Hit):
                if self._replay(_look_up(plan_context, step)) is not None:
                    return  # else one of those hits that only the step itself can replay
            elif turn is not None:
                self._leases[step.key] = turn
            if not wait.stop.is_set():
                wait.launched = True
                list(self.inner.launch_step(context))
        except _StoppedError:
            pass
        except Exception:  # noqa: BLE001 -- nobody else would tell the run that its step never started
            error = serializable_error_info_from_exc_info(sys.exc_info())
            self.give_back(step.key)
            DagsterEvent.step_failure_event(
                context.get_step_context(step.key), StepFailureData(error=error, user_failure_data=None)
            )
        finally:
            if self._waiting.get(step.key) is wait:
                del self._waiting[step.key]

    def _replay(self, outlook: Outlook) -> list[DagsterEvent] | None:
        """The events of a step that is a hit; None where the step has to run."""
        known = outlook.known
        if outlook.verdict != "hit" or known is None:
            return None
        assert self._events is not None, "they are made when the first step is launched"
        with self._writing:
            replay = Replay([known], self._events)
            try:
                return list(replay.run())
            except Exception as error:  # noqa: BLE001 -- a cache problem never fails a run: the step is launched
                if replay.done:  # Dagster knows of it
                    return []
                failed = error
        log = known.outputs.step_context.log
        log.warning(f"launching a step that is a hit, as it can't be replayed: {failed}")
        return None

    def _turn(self, known: KnownStep, wait: _Wait) -> Lease | Hit | None:
        try:
            return take_turn(
                known.outputs,
                known.store,
                known.key,
                lambda: decide(known.outputs, known.store, known.key),
                ttl=START_OF_A_POD,
                pause=wait.pause,
            )
        except _StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 -- a cache problem never fails a run
            known.outputs.step_context.log.warning(f"launching without waiting for others: {error!r}")
            return None

    def give_back(self, step_key: str) -> None:
        """Let others compute at once, where a step ended before it took the lease over: nobody else would tell them."""
        if (lease := self._leases.pop(step_key, None)) is not None:
            lease.release(failed=True)


class _StoppedError(Exception):
    """The run was terminated while a step waited."""


def _look_up(plan_context: PlanOrchestrationContext, step: ExecutionStep) -> Outlook:
    """What a step will do, now that all steps before it have ended."""
    if VERIFY_TAG in plan_context.dagster_run.tags:
        return Outlook(step, "unknown", "it computes on purpose")
    log = plan_context.log.with_tags(**step.logging_tags)  # who reads the step's log alone sees for whom it waits
    try:
        with steps_before_launch(plan_context.plan_data, log) as steps:
            return LookAhead(steps).look_up_one(step)
    except Exception as error:  # noqa: BLE001 -- a cache problem never fails a run: the step looks for itself
        log.warning(f"launching a step that could not be looked up: {error}")
        return Outlook(step, "unknown", "the look-up failed")


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
