"""Pods that ended and should have run on: out of memory, evicted, preempted, out of time."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrepro.execution.pods.trouble import Ending, Json

_LOW: Final = re.compile(r"The node was low on resource: ([\w.-]*\w)")
_OWN_DISK: Final = re.compile(
    r"ephemeral local storage usage exceeds|exceeded its local ephemeral storage limit|Usage of EmptyDir volume"
)
_SIGNALS: Final = {9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 6: "SIGABRT", 7: "SIGBUS", 4: "SIGILL"}

_DISRUPTIONS: Final = {
    "PreemptionByScheduler": "made room for a pod of higher priority (preemption)",
    "DeletionByTaintManager": "was deleted with its node's other pods, as the node is failing or shutting down",
    "EvictionByEvictionAPI": "was evicted from its node (drained, or somebody asked for it)",
    "DeletionByPodGC": "is gone with its node",
}
_NODE: Final = {
    "Terminated": "its node is shutting down",
    "NodeShutdown": "its node is shutting down",
    "Shutdown": "its node is shutting down",
    "NodeLost": "its node is lost",
    "Preempting": "its node needed the room for a critical pod",
    "NodeAffinity": "its node's labels had changed when it came",
    "UnexpectedAdmissionError": "its node could not give it what it asks for",
    "OutOfcpu": "its node was full when it came (cpu)",
    "OutOfmemory": "its node was full when it came (memory)",
    "OutOfpods": "its node was full when it came (pods)",
}
_EVENTS: Final = {
    "Preempted": "made room for a pod of higher priority (preemption)",
    "TaintManagerEviction": "was deleted with its node's other pods, as the node is failing or shutting down",
    "NodeNotReady": "is gone with its node, which is not ready",
}


def ending(job: Json, pod: Json | None, events: Sequence[Json] = ()) -> Ending:
    """Why a failed Job's pod ended.

    Args:
        job: The Job.
        pod: Its pod as it was seen last; None where nobody ever saw it.
        events: Events of its pods, the newest last.
    """
    if late := _deadline(job):
        return late
    if pod is not None and (told := _of_pod(pod)):
        return told
    for event in reversed(events):
        if why := _EVENTS.get(event.get("reason") or ""):
            return Ending(str(event["reason"]), f"pod {why}", disrupted=True)
        if event.get("reason") == "Evicted":
            return _evicted(event.get("message") or "")
    return Ending("PodGone", "pod is gone before it ended: somebody deleted it, or its node")


def _of_pod(pod: Json) -> Ending | None:
    status = pod.get("status") or {}
    reason, message = status.get("reason") or "", (status.get("message") or "").strip()
    for container, ended in _terminated(pod):
        if ended.get("reason") == "OOMKilled":
            return Ending("OOMKilled", _out_of_memory(container))
    if reason == "DeadlineExceeded":
        seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
        return _too_long(seconds)
    if reason == "Evicted":
        return _evicted(message)
    if disruption := _disruption(pod):
        return disruption
    if reason in _NODE:
        return Ending(reason, f"pod was ended: {_NODE[reason]}", disrupted=True)
    for _, ended in _terminated(pod):
        if ended.get("exitCode"):
            return Ending(ended.get("reason") or "Error", _exit(ended))
    if reason and status.get("phase") == "Failed":
        return Ending(reason, f"pod was ended: {message or reason}")
    return None


def _terminated(pod: Json) -> Iterator[tuple[Json, dict[str, Any]]]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    containers = {each.get("name"): each for part in ("initContainers", "containers") for each in spec.get(part) or []}
    for part in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(part) or []:
            ended = (each.get("state") or {}).get("terminated")
            if ended:
                yield containers.get(each.get("name"), {}), ended


def _out_of_memory(container: Json) -> str:
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    if limit is None:
        return "pod was killed, as its node was out of memory (OOMKilled); it has no memory limit of its own"
    return (
        f"pod was killed for using more memory than its limit, {limit} (OOMKilled): give the asset more, by"
        ' resources={"memory": ...}'
    )


def _deadline(job: Json) -> Ending | None:
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition.get("reason") == "DeadlineExceeded":
            return _too_long((job.get("spec") or {}).get("activeDeadlineSeconds"))
    return None


def _too_long(seconds: Any) -> Ending:
    told = f" of {seconds} s" if seconds else ""
    return Ending("DeadlineExceeded", f"pod was killed, as its time{told} was over (activeDeadlineSeconds)")


def _evicted(message: str) -> Ending:
    if _OWN_DISK.search(message):
        return Ending("Evicted", f"pod wrote more to its disk than it may, and was evicted: {message.rstrip('. ')}")
    if low := _LOW.search(message):
        return Ending("Evicted", f"pod was evicted, as its node was low on {low[1]}", disrupted=True)
    return Ending("Evicted", f"pod was evicted: {message or 'its node does not say why'}", disrupted=True)


def _disruption(pod: Json) -> Ending | None:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            reason = condition.get("reason") or "DisruptionTarget"
            message = (condition.get("message") or "").strip().rstrip(".")
            why = _DISRUPTIONS.get(reason) or f"was ended by its node: {message or reason}"
            return Ending(reason, f"pod {why}", disrupted=True)
    return None


def _exit(ended: Json) -> str:
    code, reason = ended.get("exitCode"), ended.get("reason") or "Error"
    message = (ended.get("message") or "").strip()
    if reason in ("StartError", "ContainerCannotRun", "ContainerStatusUnknown"):
        return f"pod's container could not be started: {message or reason}"
    if isinstance(code, int) and code > 128 and code - 128 in _SIGNALS:
        return f"pod was killed by {_SIGNALS[code - 128]} (exit code {code}) from inside, or by its node"
    return f"pod ended with exit code {code}" + (f": {message}" if message else "")
