"""A step handler around dagster-k8s' own that says what keeps a step's pod from running, and does not wait for ever."""

import time
from collections.abc import Iterator
from typing import Any, Final

from dagster._core.events import DagsterEvent
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext
from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError
from dagster_k8s.executor import K8sStepHandler
from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from mlrepro.execution.pods.answers import told_by
from mlrepro.execution.pods.diagnosis import View, trouble
from mlrepro.execution.pods.endings import ending
from mlrepro.execution.pods.last_lines import last_lines
from mlrepro.execution.pods.observing import Observer
from mlrepro.execution.pods.outage import Outage
from mlrepro.execution.pods.steps import PodStep
from mlrepro.execution.pods.trouble import Bounds, Json
from mlrepro.execution.pods.waits import Wait

_CONFLICT: Final = 409
_SILENT: Final = 60.0
"""Seconds after its pod has ended well that the end of a step may take to get into the run's log."""

_AWAY: Final = (HTTPError, DagsterK8sAPIRetryLimitExceeded, ApiException, ValueError)
"""The API can't be reached, does not answer, or answers nonsense."""


class SpeakingStepHandler(StepHandler):
    """Writes into the run's log why a step's pod does not run, and ends a step that never will.

    A trouble is told when it is seen, and again when it changes. A step whose pod was disrupted - preempted, evicted,
    its node gone - is started again, a few times. A step that runs is left alone while the API can't be reached.

    Args:
        inner: dagster-k8s' own.
        bounds: How long troubles may last. Default: as the environment says.
    """

    def __init__(self, inner: K8sStepHandler, bounds: Bounds | None = None) -> None:
        self.inner = inner
        self.bounds = bounds or Bounds.from_environment()
        self._observers: dict[str, Observer] = {}
        self._launched: dict[str, float] = {}  # by Job, as all below that are not by step
        self._waits: dict[str, Wait] = {}
        self._pods: dict[str, Json] = {}  # as they were seen last
        self._silent: dict[str, float] = {}
        self._over: set[str] = set()
        self._to_launch: dict[str, str | None] = {}  # once the Job with this uid is gone
        self._restarts: dict[str, int] = {}  # by step
        self._outage = Outage()

    @property
    def name(self) -> str:
        """The other's: so the run's log names it."""
        return str(self.inner.name)

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Launch a step. What the API refuses fails the step, not the run; an API that is away is waited for."""
        step = PodStep(self.inner, step_handler_context)
        try:
            yield from self.inner.launch_step(step_handler_context)
        except DagsterK8sUnrecoverableAPIError as error:
            if getattr(error.k8s_api_exception, "status", None) != _CONFLICT:
                self._over.add(step.job)
                step.fail(f"Kubernetes refuses the step's Job: {told_by(error.k8s_api_exception)}")
        except (DagsterK8sAPIRetryLimitExceeded, HTTPError) as error:
            self._to_launch[step.job] = None
            self._wait(step).note("the Kubernetes API can't be reached")
            step.say(f"The step's Job can't be made yet, as the Kubernetes API can't be reached: {told_by(error)}")
        finally:
            self._launched[step.job] = time.monotonic()

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """See how a step's pod is, and say so where it is not well."""
        step = PodStep(self.inner, step_handler_context)
        if step.job in self._over:
            return CheckStepHealthResult.healthy()  # the executor has not read of its end yet
        try:
            if step.job in self._to_launch:
                return self._launch_again(step)
            view = self._view(step)
            health = self._without_view(step) if view is None else self._of(step, view)
        except _AWAY as error:
            if said := self._outage.away(told_by(error)):
                step.say(said)
            return CheckStepHealthResult.healthy()
        if said := self._outage.back():
            step.say(said)
        return health

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Delete a step's Job."""
        self._to_launch.pop(PodStep(self.inner, step_handler_context).job, None)
        yield from self.inner.terminate_step(step_handler_context)

    def _view(self, step: PodStep) -> View | None:
        namespace = step.namespace
        if namespace not in self._observers:
            labels = f"dagster/run-id={step.run_id},app.kubernetes.io/component=step_worker"
            self._observers[namespace] = Observer(self.inner._api_client, namespace, labels)
        # one look serves all steps that are asked for in one go
        newer = max(self._launched.get(step.job, 0.0), time.monotonic() - self.bounds.every / 2)
        view = self._observers[namespace].view(step.job, newer_than=newer)
        if view is not None and view.pod is not None:
            self._pods[step.job] = view.pod
        return view

    def _without_view(self, step: PodStep) -> CheckStepHealthResult:
        """Of a Job that is gone, or that has ended well: the step should be heard of soon."""
        try:
            health = self.inner.check_step_health(step.context)
        except DagsterK8sUnrecoverableAPIError as error:
            raise ValueError(told_by(error.k8s_api_exception)) from error
        if not health.is_healthy or step.ended:
            return health
        since = self._silent.setdefault(step.job, time.monotonic())
        if time.monotonic() - since < _SILENT:
            return health
        return CheckStepHealthResult.unhealthy(
            "its pod ended well, but the step's end never came into the run's log: see the pod's own log"
        )

    def _of(self, step: PodStep, view: View) -> CheckStepHealthResult:
        self._silent.pop(step.job, None)
        if view.failed:
            return self._ended(step, view)
        found = trouble(view)
        if found is None:
            if view.runs and (wait := self._waits.pop(step.job, None)):
                step.say(f"The step's pod runs now, after {wait.seconds:.0f} s of waiting.")
            return CheckStepHealthResult.healthy()
        wait = self._wait(step)
        if wait.note(found.sentence):
            step.say(f"The step's pod does not run: {found.sentence}.{_bound(self.bounds.seconds(found.patience))}")
        lasted = wait.lasted(found.patience)
        if lasted >= self.bounds.seconds(found.patience) and self._still(step):
            after = f" (given up after {lasted:.0f} s)" if lasted >= 1 else ""
            self._give_up(step, f"{found.sentence}{after}")
        return CheckStepHealthResult.healthy()

    def _still(self, step: PodStep) -> bool:
        """Whether it is so at this moment: a pod that has just started must not be ended for what was before."""
        view = self._observers[step.namespace].view(step.job, newer_than=time.monotonic())
        return view is not None and trouble(view) is not None

    def _wait(self, step: PodStep) -> Wait:
        return self._waits.setdefault(step.job, Wait())

    def _give_up(self, step: PodStep, why: str) -> None:
        """End a step that never started. Its Job goes, or it would start when nobody wants it any more."""
        self._over.add(step.job)
        self._waits.pop(step.job, None)
        try:
            for _ in self.inner.terminate_step(step.context):
                pass
        except Exception as error:  # noqa: BLE001 -- the step has failed all the same
            if getattr(error, "status", None) != 404:
                step.say(f"The step's Job {step.job} could not be deleted: {told_by(error)}")
        step.fail(why)

    def _ended(self, step: PodStep, view: View) -> CheckStepHealthResult:
        if step.ended:
            return CheckStepHealthResult.healthy()
        pod = view.pod or self._pods.get(step.job)
        found = ending(view.job, pod, self._observers[step.namespace].events_of(view) if view.pod is None else ())
        started = step.started
        restarts = self._restarts.get(step.key, 0)
        if found.disrupted and restarts < self.bounds.restarts and (not started or step.may_retry):
            self._restarts[step.key] = restarts + 1
            again = f"{found.sentence}: started again ({restarts + 1} of {self.bounds.restarts})"
            if started:
                self._over.add(step.job)
                step.retry(again)
            else:  # Dagster retries nothing that has not started: it is the same attempt
                step.say(f"The step's {again}")
                self._to_launch[step.job] = view.job["metadata"]["uid"]
                self._pods.pop(step.job, None)
                for _ in self.inner.terminate_step(step.context):
                    pass
            return CheckStepHealthResult.healthy()
        why = found.sentence + (f" ({restarts} times before)" if found.disrupted and restarts else "")
        if not found.told_in_full:
            why += last_lines(self.inner._api_client, step.namespace, pod)
        if started:
            return CheckStepHealthResult.unhealthy(why)
        self._over.add(step.job)
        step.fail(why)
        return CheckStepHealthResult.healthy()

    def _launch_again(self, step: PodStep) -> CheckStepHealthResult:
        """Make a Job that could not be made, or whose namesake is still going."""
        uid = self._to_launch[step.job]
        api = self.inner._api_client.batch_api
        there: Any = None
        try:
            there = api.read_namespaced_job_status(step.job, step.namespace, _request_timeout=5).metadata.uid
        except ApiException as error:
            if error.status != 404:
                raise
        except HTTPError as error:
            wait = self._wait(step)
            if wait.seconds >= self.bounds.long:
                self._give_up(step, f"the Kubernetes API can't be reached for {wait.seconds:.0f} s: {told_by(error)}")
                return CheckStepHealthResult.healthy()
            raise
        if there is None:
            del self._to_launch[step.job]
            list(self.launch_step(step.context))
        elif there != uid:
            del self._to_launch[step.job]  # it was made, only the answer was lost
        return CheckStepHealthResult.healthy()


def _bound(seconds: float) -> str:
    return f" It is waited for, for at most {seconds:.0f} s." if seconds else ""
