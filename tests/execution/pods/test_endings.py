"""Why a pod ended that should have run on: what Kubernetes shows, and what the run's log says."""

from typing import Any

import pytest

from mlrepro.execution.pods.endings import ending

FAILED: dict[str, Any] = {"metadata": {"name": "job"}, "spec": {}, "status": {"failed": 1}}


def pod(terminated: dict[str, Any] | None = None, *, limit: str | None = "512Mi", **status: Any) -> dict[str, Any]:
    resources = {"limits": {"memory": limit}} if limit else {}
    statuses = [{"name": "dagster", "state": {"terminated": terminated}}] if terminated else []
    return {
        "metadata": {"name": "job-abcde"},
        "spec": {"containers": [{"name": "dagster", "resources": resources}]},
        "status": {"phase": "Failed", "containerStatuses": statuses, **status},
    }


def disrupted(reason: str, message: str = "") -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    return pod({"exitCode": 143, "reason": "Error"}, conditions=[condition])


ENDINGS: dict[str, tuple[dict[str, Any] | None, str, str, bool]] = {
    "out of memory": (
        pod({"exitCode": 137, "reason": "OOMKilled"}),
        "OOMKilled",
        (
            "pod was killed for using more memory than its limit, 512Mi (OOMKilled): give the asset more, by"
            ' resources={"memory": ...}'
        ),
        False,
    ),
    "out of memory, no limit": (
        pod({"exitCode": 137, "reason": "OOMKilled"}, limit=None),
        "OOMKilled",
        "pod was killed, as its node was out of memory (OOMKilled); it has no memory limit of its own",
        False,
    ),
    "killed": (
        pod({"exitCode": 137, "reason": "Error"}),
        "Error",
        "pod was killed by SIGKILL (exit code 137) from inside, or by its node",
        False,
    ),
    "an error": (pod({"exitCode": 3, "reason": "Error"}), "Error", "pod ended with exit code 3", False),
    "no such program": (
        pod(
            {
                "exitCode": 128,
                "reason": "StartError",
                "message": 'exec: "dagster": executable file not found in $PATH: unknown',
            }
        ),
        "StartError",
        'pod\'s container could not be started: exec: "dagster": executable file not found in $PATH: unknown',
        False,
    ),
    "node low on memory": (
        pod(
            reason="Evicted",
            message="The node was low on resource: memory. Threshold quantity: 100Mi, available: 51Mi. Container"
            " dagster was using 3Gi, request is 1Gi, has larger consumption of memory. ",
        ),
        "Evicted",
        "pod was evicted, as its node was low on memory",
        True,
    ),
    "its own disk": (
        pod(reason="Evicted", message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "),
        "Evicted",
        (
            "pod wrote more to its disk than it may, and was evicted: Pod ephemeral local storage usage exceeds the"
            " total limit of containers 1Gi"
        ),
        False,
    ),
    "preempted": (
        disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
        "PreemptionByScheduler",
        "pod made room for a pod of higher priority (preemption)",
        True,
    ),
    "tainted": (
        disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
        "DeletionByTaintManager",
        "pod was deleted with its node's other pods, as the node is failing or shutting down",
        True,
    ),
    "drained": (
        disrupted("EvictionByEvictionAPI", "Eviction API: evicting"),
        "EvictionByEvictionAPI",
        "pod was evicted from its node (drained, or somebody asked for it)",
        True,
    ),
    "node gone": (
        disrupted("DeletionByPodGC", "PodGC: node no longer exists"),
        "DeletionByPodGC",
        "pod is gone with its node",
        True,
    ),
    "by the kubelet": (
        disrupted("TerminationByKubelet", "Pod was terminated in response to imminent node shutdown."),
        "TerminationByKubelet",
        "pod was ended by its node: Pod was terminated in response to imminent node shutdown",
        True,
    ),
    "node shut down": (
        pod(reason="Terminated", message="Pod was terminated in response to imminent node shutdown."),
        "Terminated",
        "pod was ended: its node is shutting down",
        True,
    ),
    "a node that was full": (
        pod(reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
        "OutOfcpu",
        "pod was ended: its node was full when it came (cpu)",
        True,
    ),
    "its own time": (
        {**pod(reason="DeadlineExceeded"), "spec": {"activeDeadlineSeconds": 60, "containers": []}},
        "DeadlineExceeded",
        "pod was killed, as its time of 60 s was over (activeDeadlineSeconds)",
        False,
    ),
    "what is new": (pod(reason="Bored", message="nothing to do"), "Bored", "pod was ended: nothing to do", False),
    "never seen": (None, "PodGone", "pod is gone before it ended: somebody deleted it, or its node", False),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_why_a_pod_ended(case: str) -> None:
    seen, reason, sentence, again = ENDINGS[case]
    told = ending(FAILED, seen)
    assert (told.reason, told.sentence, told.disrupted) == (reason, sentence, again)


def test_a_jobs_deadline() -> None:
    conditions = [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]
    job = {**FAILED, "spec": {"activeDeadlineSeconds": 90}, "status": {"failed": 1, "conditions": conditions}}
    assert ending(job, None).sentence == "pod was killed, as its time of 90 s was over (activeDeadlineSeconds)"


@pytest.mark.parametrize(
    ("reason", "message", "sentence"),
    [
        ("Preempted", "Preempted by pod x on node y", "pod made room for a pod of higher priority (preemption)"),
        (
            "TaintManagerEviction",
            "Marking for deletion Pod ns/x",
            "pod was deleted with its node's other pods, as the node is failing or shutting down",
        ),
        ("NodeNotReady", "Node is not ready", "pod is gone with its node, which is not ready"),
        (
            "Evicted",
            "The node was low on resource: ephemeral-storage.",
            "pod was evicted, as its node was low on ephemeral-storage",
        ),
    ],
)
def test_a_pod_that_is_gone_is_told_by_its_events(reason: str, message: str, sentence: str) -> None:
    told = ending(FAILED, None, [{"reason": reason, "message": message}, {"reason": "Killing", "message": "Stopping"}])
    assert (told.sentence, told.disrupted) == (sentence, True)
