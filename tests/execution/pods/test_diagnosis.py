"""What Kubernetes says of a Job that does not run, and what the run's log makes of it.

The messages are Kubernetes' own, of 1.30 and later.
"""

from typing import Any

import pytest

from mlrepro.execution.pods.diagnosis import View, trouble
from mlrepro.execution.pods.refusals import refusal
from mlrepro.execution.pods.trouble import Patience

JOB: dict[str, Any] = {"metadata": {"name": "dagster-step-1", "uid": "u"}, "spec": {}, "status": {"active": 1}}
POD = "dagster-step-1-x7k2p"
NEVER, SHORT, LONG = Patience.NEVER, Patience.SHORT, Patience.LONG


def forbidden(rest: str) -> str:
    return f'Error creating: pods "{POD}" is forbidden: {rest}'


REFUSALS = {
    "quota in use": (
        forbidden(
            "exceeded quota: quota, requested: limits.memory=6Gi,requests.memory=6Gi,"
            " used: limits.memory=4Gi,requests.memory=4Gi, limited: limits.memory=8Gi,requests.memory=8Gi"
        ),
        "pod asks for 6Gi memory, the namespace's quota 'quota' allows 8Gi, of which 4Gi are in use",
        LONG,
    ),
    "quota smaller than the pod": (
        forbidden(
            "exceeded quota: quota, requested: limits.memory=16Gi,requests.cpu=1, used: limits.memory=4Gi,"
            "requests.cpu=4, limited: limits.memory=8Gi,requests.cpu=4"
        ),
        "pod asks for 16Gi memory, the namespace's quota 'quota' allows 8Gi in all",
        NEVER,
    ),
    "requests and limits differ": (
        forbidden(
            "exceeded quota: q, requested: limits.cpu=2,requests.cpu=1, used: limits.cpu=3,requests.cpu=1500m,"
            " limited: limits.cpu=4,requests.cpu=2"
        ),
        (
            "pod asks for 2 cpu, the namespace's quota 'q' allows 4, of which 3 are in use; and for 1 cpu, the"
            " namespace's quota 'q' allows 2, of which 1500m are in use"
        ),
        LONG,
    ),
    "gpus": (
        forbidden(
            "exceeded quota: q, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=1,"
            " limited: requests.nvidia.com/gpu=1"
        ),
        "pod asks for 1 nvidia.com/gpu, the namespace's quota 'q' allows 1, of which 1 is in use",
        LONG,
    ),
    "number of pods": (
        forbidden("exceeded quota: q, requested: pods=1, used: pods=20, limited: pods=20"),
        "pod asks for a place, the namespace's quota 'q' allows 20, of which 20 are in use",
        LONG,
    ),
    "quota, and nothing asked for": (
        forbidden(
            "failed quota: quota: must specify limits.cpu for: dagster; limits.memory for: dagster; requests.cpu for:"
            " dagster"
        ),
        (
            "pod does not say its limits.cpu, limits.memory, requests.cpu, and the namespace's quota 'quota' wants it"
            " of every pod: give the asset resources=, or the namespace a LimitRange with defaults"
        ),
        NEVER,
    ),
    "limit range, too much": (
        forbidden(
            "[maximum memory usage per Container is 1Gi, but limit is 2Gi, maximum cpu usage per Container is 1, but"
            " limit is 4]"
        ),
        (
            "container may use 2Gi memory, the namespace's limit range allows 1Gi; and container may use 4 cpu, the"
            " namespace's limit range allows 1"
        ),
        NEVER,
    ),
    "limit range, too little": (
        forbidden("minimum memory usage per Container is 256Mi, but request is 100Mi"),
        "container asks for 100Mi memory, the namespace's limit range wants 256Mi at least",
        NEVER,
    ),
    "limit range, no limit": (
        forbidden("maximum memory usage per Container is 1Gi, but no limit is specified"),
        "container may use any amount of memory, the namespace's limit range allows 1Gi",
        NEVER,
    ),
    "limit range, ratio": (
        forbidden("cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"),
        "container may use 4 times the cpu that it asks for, the namespace's limit range allows 2 times",
        NEVER,
    ),
    "pod security": (
        forbidden(
            'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "dagster" must set'
            " securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true"
        ),
        (
            "pod breaks the namespace's Pod Security standard 'restricted:latest': allowPrivilegeEscalation != false"
            ' (container "dagster" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true'
        ),
        NEVER,
    ),
    "service account": (
        forbidden('error looking up service account pricing/dagster: serviceaccount "dagster" not found'),
        "service account 'dagster' is not in the namespace 'pricing'",
        SHORT,
    ),
    "priority class": (
        forbidden("no PriorityClass with name urgent was found"),
        "the cluster has no priority class 'urgent'",
        SHORT,
    ),
    "webhook": (
        'Error creating: admission webhook "images.example.com" denied the request: image evil:1 is not signed',
        "the cluster's admission policy 'images.example.com' denies the pod: image evil:1 is not signed",
        NEVER,
    ),
    "invalid": (
        (
            f'Error creating: Pod "{POD}" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must'
            " be less than or equal to cpu limit of 1"
        ),
        (
            'Kubernetes takes the pod for invalid: spec.containers[0].resources.requests: Invalid value: "2": must be'
            " less than or equal to cpu limit of 1"
        ),
        NEVER,
    ),
    "a webhook that is down": (
        'Error creating: Internal error occurred: failed calling webhook "x.example.com": connection refused',
        (
            'Kubernetes refuses the pod: Internal error occurred: failed calling webhook "x.example.com": connection'
            " refused"
        ),
        LONG,
    ),
    "what is new": (forbidden("no pods on Sundays"), "Kubernetes refuses the pod: no pods on Sundays", LONG),
    "quantities of another kind": (
        forbidden("exceeded quota: q, requested: x.example.com/y=1e3, used: x.example.com/y=0, limited: y=5"),
        "pod asks for 1e3 x.example.com/y, the namespace's quota 'q' allows nothing, of which 0 are in use",
        LONG,
    ),
    "an empty message": ("", "Kubernetes refuses the pod: ", LONG),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_pods_that_are_not_let_in(case: str) -> None:
    message, sentence, patience = REFUSALS[case]
    told = refusal(message)
    assert (told.sentence, told.patience) == (sentence, patience)
    assert POD not in told.sentence


def test_a_job_without_pod_is_told_by_its_newest_event() -> None:
    about = {"kind": "Job", "name": "dagster-step-1"}
    events = [
        {
            "reason": "FailedCreate",
            "message": forbidden("exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9"),
            "involvedObject": about,
        },
        {
            "reason": "FailedCreate",
            "message": forbidden("exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"),
            "involvedObject": about,
        },
    ]
    found = trouble(View(JOB, (), events))
    assert found is not None
    assert found.sentence == "pod asks for a place, the namespace's quota 'q' allows 5, of which 5 are in use"


def test_a_job_that_something_holds_back() -> None:
    found = trouble(View({**JOB, "spec": {"suspend": True}}))
    assert found is not None
    assert (found.reason, found.patience) == ("Suspended", LONG)


SPEC: dict[str, Any] = {
    "nodeSelector": {"pool": "gpu"},
    "containers": [
        {"name": "dagster", "image": "team/project:1", "resources": {"requests": {"memory": "16Gi", "cpu": "2"}}}
    ],
}


def pod(status: dict[str, Any], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": POD}, "spec": spec or SPEC, "status": {"phase": "Pending", **status}}


def unscheduled(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod({"conditions": [condition]})


SCHEDULING = {
    "memory, taints and labels": (
        (
            "0/5 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint"
            " {node-role.kubernetes.io/control-plane: }, 3 node(s) didn't match Pod's node affinity/selector."
            " preemption: 0/5 nodes are available: 1 No preemption victims found for incoming pod, 4"
            " Preemption is not helpful for scheduling."
        ),
        (
            "no node can take the pod (0/5 nodes are available): 1 has less than 16Gi memory free; 1 has the taint"
            " node-role.kubernetes.io/control-plane, which the pod does not tolerate; 3 do not match the node selector"
            " pool=gpu"
        ),
    ),
    "a taint with a value": (
        "0/2 nodes are available: 2 node(s) had untolerated taint {team: pricing}.",
        (
            "no node can take the pod (0/2 nodes are available): 2 have the taint team=pricing, which the pod does not"
            " tolerate"
        ),
    ),
    "a resource that nobody has": (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        "no node can take the pod (0/1 nodes are available): 1 has too little nvidia.com/gpu",
    ),
    "full and cordoned": (
        "0/3 nodes are available: 1 Too many pods, 2 node(s) were unschedulable. no new claims to deallocate",
        "no node can take the pod (0/3 nodes are available): 1 has all the pods that a node takes; 2 are cordoned",
    ),
    "no nodes": (
        "no nodes available to schedule pods",
        "no node can take the pod: no nodes available to schedule pods",
    ),
    "an empty cluster": (
        "0/0 nodes are available",
        "no node can take the pod (0/0 nodes are available): there are none",
    ),
    "what is new": (
        "0/1 nodes are available: 1 node(s) didn't like it.",
        "no node can take the pod (0/1 nodes are available): 1 didn't like it",
    ),
    "nothing": ("", "no node can take the pod: the scheduler does not say why"),
}


@pytest.mark.parametrize("case", SCHEDULING)
def test_pods_without_a_node(case: str) -> None:
    message, sentence = SCHEDULING[case]
    found = trouble(View(JOB, [unscheduled(message)]))
    assert found is not None
    assert (found.sentence, found.patience) == (sentence, LONG)


def test_a_pod_that_is_gated() -> None:
    found = trouble(View(JOB, [unscheduled("", reason="SchedulingGated")]))
    assert found is not None
    assert found.reason == "SchedulingGated"


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod({"containerStatuses": [{"name": "dagster", "image": "docker.io/team/project:1", "state": state}]})


def pulled(message: str) -> list[dict[str, Any]]:
    about = {"kind": "Pod", "name": POD}
    return [
        {"reason": "Failed", "message": f'Failed to pull image "team/project:1": {message}', "involvedObject": about}
    ]


BACK_OFF = 'Back-off pulling image "team/project:1"'
STARTING: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str, Patience]] = {
    "no such image": (
        waiting("ImagePullBackOff", BACK_OFF),
        pulled(
            'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/team/project:1": failed to'
            ' resolve reference "docker.io/team/project:1": docker.io/team/project:1: not found'
        ),
        "image 'team/project:1' can't be pulled: its registry has no such image",
        SHORT,
    ),
    "no such image, newer form": (
        waiting("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: docker.io/team/project:1: not found"),
        [],
        "image 'team/project:1' can't be pulled: its registry has no such image",
        SHORT,
    ),
    "no credentials": (
        waiting("ErrImagePull"),
        pulled(
            "failed to resolve reference: pull access denied, repository does not exist or may require authorization:"
            " server message: insufficient_scope: authorization failed"
        ),
        "image 'team/project:1' can't be pulled: there is none, or its registry wants credentials (image pull secrets)",
        SHORT,
    ),
    "no such registry": (
        waiting("ErrImagePull"),
        pulled("dial tcp: lookup registry.invalid on 10.96.0.10:53: no such host"),
        "image 'team/project:1' can't be pulled: its registry's name is not known (no such host)",
        SHORT,
    ),
    "a limited registry": (
        waiting("ErrImagePull", "429 Too Many Requests - Server message: toomanyrequests"),
        [],
        "image 'team/project:1' can't be pulled: its registry has had too many requests for now",
        SHORT,
    ),
    "an unknown answer": (
        waiting("ErrImagePull", "the registry is on strike"),
        [],
        "image 'team/project:1' can't be pulled: the registry is on strike",
        SHORT,
    ),
    "no image's name": (
        waiting("InvalidImageName", "couldn't parse image name"),
        [],
        "image 'team/project:1' is not the name of one",
        NEVER,
    ),
    "not on the node": (
        waiting("ErrImageNeverPull"),
        [],
        "image 'team/project:1' is not on the node, and its pull policy is Never",
        SHORT,
    ),
    "no secret": (
        waiting("CreateContainerConfigError", 'secret "keys" not found'),
        [],
        "Secret 'keys', which the pod's environment comes from, is not in its namespace",
        SHORT,
    ),
    "no key": (
        waiting("CreateContainerConfigError", "couldn't find key password in Secret pricing/keys"),
        [],
        "Secret 'keys', which the pod's environment comes from, has no key password".replace("password", "'password'"),
        SHORT,
    ),
    "root": (
        waiting("CreateContainerConfigError", 'container has runAsNonRoot and image will run as root (pod: "x")'),
        [],
        "the image runs as root, which the pod forbids (runAsNonRoot): build it with a numeric USER",
        NEVER,
    ),
    "no such user": (
        waiting("CreateContainerError", "unable to find user app: no matching entries in passwd file"),
        [],
        "its container can't be started: unable to find user app: no matching entries in passwd file",
        SHORT,
    ),
    "a volume's ConfigMap": (
        waiting("ContainerCreating"),
        [
            {
                "reason": "FailedMount",
                "message": 'MountVolume.SetUp failed for volume "settings" : configmap "settings" not found',
                "involvedObject": {"kind": "Pod", "name": POD},
            }
        ],
        "volume 'settings' can't be mounted: ConfigMap 'settings' is not in its namespace",
        SHORT,
    ),
    "no network": (
        waiting("ContainerCreating"),
        [
            {
                "reason": "FailedCreatePodSandBox",
                "message": "Failed to create pod sandbox: no IP addresses available",
                "involvedObject": {"kind": "Pod", "name": POD},
            }
        ],
        "its node can't start it: Failed to create pod sandbox: no IP addresses available",
        LONG,
    ),
}


@pytest.mark.parametrize("case", STARTING)
def test_pods_that_do_not_start(case: str) -> None:
    seen, events, sentence, patience = STARTING[case]
    found = trouble(View(JOB, [seen], events))
    assert found is not None
    assert (found.sentence, found.patience) == (sentence, patience)


@pytest.mark.parametrize(
    "view",
    [
        View(JOB),
        View(JOB, [pod({})]),
        View(JOB, [waiting("ContainerCreating")]),
        View(JOB, [waiting("PodInitializing")]),
        View(JOB, [pod({"phase": "Running"})]),
        View({**JOB, "status": {"succeeded": 1}}),
        View({**JOB, "status": {"failed": 1}}),
        View(JOB, [{**unscheduled("0/1 nodes are available"), "metadata": {"deletionTimestamp": "now"}}]),
        View({"metadata": {"name": "x"}}),
        View({"metadata": {"name": "x"}}, [{"metadata": {"name": "x-1"}}]),
        View({"metadata": {"name": "x"}, "status": None, "spec": None}, [{"metadata": {}, "status": None}]),
    ],
    ids=str,
)
def test_nothing_is_wrong_with_a_pod_that_is_on_its_way(view: View) -> None:
    assert trouble(view) is None


def test_what_was_mended_is_not_told_again() -> None:
    events = [
        {"reason": "FailedMount", "message": "x", "involvedObject": {"name": POD}},
        {"reason": "Pulling", "message": "y", "involvedObject": {"name": POD}},
    ]
    assert trouble(View(JOB, [waiting("ContainerCreating")], events)) is None
