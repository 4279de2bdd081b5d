"""What is wrong with a Job that should run, from what Kubernetes shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlrepro.execution.pods.refusals import refusal
from mlrepro.execution.pods.scheduling import unscheduled
from mlrepro.execution.pods.trouble import Json, Patience, Trouble
from mlrepro.execution.pods.waiting import not_starting


@dataclass(frozen=True)
class View:
    """A Job as Kubernetes shows it at one moment.

    Attributes:
        job: The Job.
        pods: Its pods, the newest last.
        events: Warnings about the Job and its pods, the newest last.
    """

    job: Json
    pods: Sequence[Json] = ()
    events: Sequence[Json] = field(default=())

    @property
    def failed(self) -> bool:
        """Whether it ended without success."""
        status = self.job.get("status") or {}
        return bool(status.get("failed")) or any(
            condition.get("type") == "Failed" and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        )

    @property
    def succeeded(self) -> bool:
        """Whether it ended well, as Kubernetes sees it."""
        return bool((self.job.get("status") or {}).get("succeeded"))

    @property
    def pod(self) -> Json | None:
        """The newest of its pods."""
        return self.pods[-1] if self.pods else None

    @property
    def runs(self) -> bool:
        """Whether a pod of it is at work."""
        return self.pod is not None and (self.pod.get("status") or {}).get("phase") == "Running"


def trouble(view: View) -> Trouble | None:
    """Why a Job's pod does not run, None where it does or nothing is known to be wrong."""
    if view.failed or view.succeeded or view.runs:
        return None
    pod = view.pod
    if pod is None:
        return _without_pod(view)
    if "deletionTimestamp" in (pod.get("metadata") or {}):
        return None
    name = (pod.get("metadata") or {}).get("name")
    events = [event for event in view.events if (event.get("involvedObject") or {}).get("name") == name]
    return unscheduled(pod) or not_starting(pod, events)


def _without_pod(view: View) -> Trouble | None:
    if (view.job.get("spec") or {}).get("suspend"):
        return Trouble("Suspended", "the Job is suspended: something else is to let it go on", Patience.LONG)
    for event in reversed(view.events):
        if event.get("reason") == "FailedCreate":
            return refusal(event.get("message") or "")
    return None
