"""Steps whose pods can't run, or are ended: what the run's log says, and after how long the step fails."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from tabulate import tabulate

from tests.kubernetes.deployment import Deployment, until

pytestmark = [pytest.mark.slow, pytest.mark.kubernetes]

STUCK = "tests.kubernetes.stuck"
NEVER, SHORT, LONG = 0.0, 4.0, 6.0
SLACK = 20.0
"""Seconds more than the bound that a step may take to fail: the looks at the cluster, on a busy machine."""


@pytest.fixture
def pod_environment() -> dict[str, str]:
    return {
        "MLREPRO_POD_CHECK_SECONDS": "1",
        "MLREPRO_POD_SHORT_WAIT_SECONDS": str(SHORT),
        "MLREPRO_POD_WAIT_SECONDS": str(LONG),
        "MLREPRO_POD_RESTARTS": "2",
    }


class Log:
    """What a run's log says of its steps."""

    def __init__(self, deployment: Deployment, run_id: str) -> None:
        self.entries = deployment.instance.all_logs(run_id)

    def told(self, step: str) -> list[str]:
        """The lines about a step that are neither its own nor of its start."""
        kinds = (DagsterEventType.ENGINE_EVENT, DagsterEventType.STEP_UP_FOR_RETRY)
        return [
            entry.message
            for entry in self.entries
            if entry.step_key == step and entry.dagster_event and entry.dagster_event.event_type in kinds
        ]

    def failure(self, step: str) -> str:
        """Why the step failed."""
        errors = [
            entry.dagster_event.step_failure_data.error
            for entry in self.entries
            if entry.step_key == step and entry.dagster_event and entry.dagster_event.is_step_failure
        ]
        assert len(errors) == 1, (step, errors)
        assert errors[0] is not None
        return errors[0].message

    def seconds(self, step: str) -> float:
        """From the launch of a step's pod to its failure."""
        times = {
            kind: next(
                entry.timestamp
                for entry in self.entries
                if entry.step_key == step and entry.dagster_event and entry.dagster_event.event_type is kind
            )
            for kind in (DagsterEventType.STEP_WORKER_STARTING, DagsterEventType.STEP_FAILURE)
        }
        return times[DagsterEventType.STEP_FAILURE] - times[DagsterEventType.STEP_WORKER_STARTING]


def shown(log: Log, steps: dict[str, Any]) -> None:
    """Print what was measured: `pytest -s` shows it."""
    rows = [(step, log.failure(step).splitlines()[0], f"{log.seconds(step):.1f} s") for step in steps]
    print("\n" + tabulate(rows, headers=("step", "the step's failure", "after"), maxcolwidths=[None, 90, None]))


@contextlib.contextmanager
def limited(deployment: Deployment, kind: str, spec: dict[str, Any]) -> Iterator[str]:
    """A ResourceQuota or LimitRange of the namespace, while the block runs."""
    api, namespace = deployment.cluster.core, deployment.cluster.namespace
    name = f"mlrepro-test-{uuid.uuid4().hex[:6]}"
    getattr(api, f"create_namespaced_{kind}")(namespace, {"metadata": {"name": name}, "spec": spec})
    try:
        yield name
    finally:
        with contextlib.suppress(Exception):
            getattr(api, f"delete_namespaced_{kind}")(name, namespace)


CASES = {
    "no_image": (
        "image 'registry.invalid/team/project:1' can't be pulled: its registry's name is not known (no such host)",
        SHORT,
    ),
    "no_image_name": ("image 'Team/Project:1' is not the name of one", NEVER),
    "no_node": ("not match the node selector mlrepro-test/pool=nowhere", LONG),
    "no_gpu": ("less than 8 nvidia.com/gpu free", LONG),
    "no_secret": ("Secret 'no-such-secret', which the pod's environment comes from, is not in its namespace", SHORT),
    "no_program": ("pod's container could not be started", NEVER),
}


def test_what_keeps_a_pod_from_running_is_said_and_ends_the_step(deployment: Deployment) -> None:
    double = deployment.cluster.double
    before = double.lists["pods"] if double else 0
    run = deployment.run(STUCK, select=list(CASES))
    assert run.status is dg.DagsterRunStatus.FAILURE
    log = Log(deployment, run.run_id)
    shown(log, CASES)
    if double:
        # a look each second for all six steps, and two lists for each of the Jobs that are deleted
        looked = double.lists["pods"] - before
        assert looked <= 1.5 * max(map(log.seconds, CASES)) + 2 * len(CASES), looked
    for step, (sentence, bound) in CASES.items():
        assert sentence in log.failure(step), deployment.log(run.run_id)
        assert bound <= log.seconds(step) < bound + SLACK, step
        if step != "no_program":  # that one was started, if not for long
            said = [line for line in log.told(step) if sentence in line]
            assert len(said) == 1, said
    assert deployment.step_jobs(run.run_id).keys() <= {"no_program"}, "nothing is left to start later"


def test_a_quota_that_is_in_use_is_waited_for_and_one_that_is_too_small_is_not(deployment: Deployment) -> None:
    with limited(deployment, "resource_quota", {"hard": {"limits.memory": "4Gi"}}) as quota:
        run = deployment.run(STUCK, select=["large", "far_too_large"])
    log = Log(deployment, run.run_id)
    shown(log, {"large": LONG, "far_too_large": NEVER})
    assert log.failure("large").startswith(
        f"pod asks for 3500Mi memory, the namespace's quota '{quota}' allows 4Gi, of which 1Gi are in use (given up"
    )
    assert LONG <= log.seconds("large") < LONG + SLACK
    assert log.failure("far_too_large") == (
        f"pod asks for 900Gi memory, the namespace's quota '{quota}' allows 4Gi in all"
    )
    assert log.seconds("far_too_large") < SLACK
    assert not deployment.step_jobs(run.run_id)


def test_a_step_runs_when_the_quota_allows_it(deployment: Deployment, pod_environment: dict[str, str]) -> None:
    with limited(deployment, "resource_quota", {"hard": {"limits.memory": "4Gi"}}) as quota:
        run_id = deployment.launch(STUCK, select=["large"])
        deployment.wait_for_message(run_id, "The step's pod does not run: pod asks for 3500Mi memory")
        deployment.cluster.core.delete_namespaced_resource_quota(quota, deployment.cluster.namespace)
        run = deployment.wait(run_id)
    assert run.status is dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
    assert Log(deployment, run_id).told("large")[-1].startswith("The step's pod runs now, after ")


def test_a_limit_range(deployment: Deployment) -> None:
    limits = [{"type": "Container", "max": {"memory": "2Gi"}}]
    with limited(deployment, "limit_range", {"limits": limits}):
        run = deployment.run(STUCK, select=["large"])
    log = Log(deployment, run.run_id)
    shown(log, {"large": NEVER})
    assert log.failure("large") == "container may use 3500Mi memory, the namespace's limit range allows 2Gi"
    assert log.seconds("large") < SLACK


def test_a_pod_that_is_killed_says_by_which_limit(deployment: Deployment) -> None:
    run = deployment.run(STUCK, select=["hungry", "slow"])
    log = Log(deployment, run.run_id)
    shown(log, {"hungry": None, "slow": None})
    assert "killed for using more memory than its limit, 600Mi (OOMKilled)" in log.failure("hungry")
    assert log.seconds("hungry") < 60
    assert "its time of 20 s (active_deadline_seconds) was over" in log.failure("slow")


def test_a_job_that_the_api_refuses_fails_its_step(deployment: Deployment) -> None:
    config = {"execution": {"config": {"job_namespace": "no-such-namespace"}}}
    run = deployment.run(STUCK, select=["interrupted"], run_config=config)
    assert run.status is dg.DagsterRunStatus.FAILURE
    failure = Log(deployment, run.run_id).failure("interrupted")
    assert failure.startswith("Kubernetes refuses the step's Job: ")
    assert "no-such-namespace" in failure


def test_an_api_that_is_away_ends_no_step_and_the_next_is_launched_when_it_is_back(deployment: Deployment) -> None:
    double = deployment.cluster.double
    if double is None:
        pytest.skip("needs an API of its own")
    run_id = deployment.launch(STUCK, select=["steady", "after_steady"])
    deployment.wait_for_message(run_id, "steady is at work")
    with double.out_of_reach():
        deployment.wait_for_message(run_id, "The Kubernetes API does not show the run's pods")
        deployment.wait_for_message(run_id, "The step's Job can't be made yet, as the Kubernetes API can't be reached")
    run = deployment.wait(run_id)
    assert run.status is dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
    said = [message for message in deployment.messages(run_id) if "Kubernetes API" in message]
    assert len(said) <= 4, said
    assert any("shows the run's pods again, after" in message for message in said), said


class TestDisruptions:
    """Pods that are ended for others' sake: their steps are started again."""

    def at_work(self, deployment: Deployment, step: str = "interrupted", attempt: int = 0) -> tuple[str, str]:
        """A run whose step is at work, and the step's Job."""
        run_id = deployment.launch(STUCK, select=[step, *(["after"] if step == "interrupted" else [])])
        return run_id, self.job(deployment, run_id, step)

    def job(self, deployment: Deployment, run_id: str, step: str, count: int = 1) -> str:
        def working() -> bool:
            said = [message for message in deployment.messages(run_id) if f"{step} is at work" in message]
            return len(said) == count

        until(working, timeout=120, what=f"{step} to be at work for the {count}. time")
        jobs = deployment.cluster.jobs(f"dagster/run-id={run_id},dagster/op={step}")
        return str(jobs[-1].metadata.name)

    def test_a_drained_node(self, deployment: Deployment) -> None:
        run_id, job = self.at_work(deployment)
        (pod,) = deployment.cluster.pods_of(job)
        body = {"metadata": {"name": pod.metadata.name, "namespace": pod.metadata.namespace}}
        deployment.cluster.core.create_namespaced_pod_eviction(pod.metadata.name, pod.metadata.namespace, body)
        run = deployment.wait(run_id)
        assert run.status is dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
        assert any("told to end, while its run goes on" in message for message in deployment.messages(run_id))

    @pytest.mark.parametrize(
        ("reason", "condition", "message", "sentence"),
        [
            ("", "PreemptionByScheduler", "preempting", "pod made room for a pod of higher priority (preemption)"),
            ("Evicted", "TerminationByKubelet", "The node was low on resource: memory. ", "its node was low on memory"),
            (
                "Terminated",
                "",
                "Pod was terminated in response to imminent node shutdown.",
                "its node is shutting down",
            ),
        ],
        ids=["preempted", "evicted", "shut down"],
    )
    def test_a_node_that_ends_it(
        self, deployment: Deployment, reason: str, condition: str, message: str, sentence: str
    ) -> None:
        double = deployment.cluster.double
        if double is None:
            pytest.skip("needs a node of its own")
        run_id, job = self.at_work(deployment)
        namespace = deployment.cluster.namespace
        double.disrupt(job, namespace=namespace, reason=reason, condition=condition, message=message)
        run = deployment.wait(run_id)
        assert run.status is dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
        retries = [
            entry.dagster_event.step_retry_data.error.message
            for entry in deployment.instance.all_logs(run_id)
            if entry.dagster_event and entry.dagster_event.event_type is DagsterEventType.STEP_UP_FOR_RETRY
        ]
        assert len(retries) == 1
        assert sentence in retries[0]
        assert retries[0].endswith("started again (1 of 2)")

    def test_before_the_step_has_started_it_is_the_same_attempt(self, deployment: Deployment) -> None:
        double, namespace = deployment.cluster.double, deployment.cluster.namespace
        if double is None:
            pytest.skip("needs a node of its own")
        run_id = deployment.launch(STUCK, select=["large"])

        def disrupted() -> bool:
            jobs = deployment.cluster.jobs(f"dagster/run-id={run_id},dagster/op=large")
            if not jobs or not double.started(jobs[0].metadata.name, namespace=namespace):
                return False
            double.disrupt(jobs[0].metadata.name, namespace=namespace, reason="", condition="PreemptionByScheduler")
            return True

        until(disrupted, timeout=120, what="the step's pod")
        run = deployment.wait(run_id)
        assert run.status is dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
        told = Log(deployment, run_id).told("large")
        assert any(
            line.endswith("room for a pod of higher priority (preemption): started again (1 of 2)") for line in told
        )
        assert not any("requested a retry" in line for line in told)

    def test_there_is_an_end_to_it(self, deployment: Deployment) -> None:
        double = deployment.cluster.double
        if double is None:
            pytest.skip("needs a node of its own")
        run_id, job = self.at_work(deployment, "always_interrupted")
        for count in (1, 2, 3):
            job = self.job(deployment, run_id, "always_interrupted", count)
            double.disrupt(job, namespace=deployment.cluster.namespace, reason="", condition="PreemptionByScheduler")
        run = deployment.wait(run_id)
        assert run.status is dg.DagsterRunStatus.FAILURE
        failure = Log(deployment, run_id).failure("always_interrupted")
        assert "pod made room for a pod of higher priority (preemption) (2 times before)" in failure

    def test_a_run_that_is_terminated_is_not_started_again(self, deployment: Deployment) -> None:
        run_id, _ = self.at_work(deployment)
        assert deployment.terminate(run_id)
        assert deployment.wait(run_id).status is dg.DagsterRunStatus.CANCELED
        log = Log(deployment, run_id)
        assert not any(
            entry.dagster_event and entry.dagster_event.event_type is DagsterEventType.STEP_UP_FOR_RETRY
            for entry in log.entries
        )
