"""Plain Dagster, without mlrepro, on a cluster, and the double alone, so that it can stand for one."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kubernetes import client
from kubernetes.client.rest import ApiException

from tests.kubernetes.deployment import Cluster, Deployment, until
from tests.kubernetes.double import KubernetesDouble

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


class TestRuns:
    """On any cluster."""

    def test_each_step_is_a_job(self, deployment: Deployment) -> None:
        run = deployment.run(select=["numbers", "doubled", "total"])
        assert run.status == dg.DagsterRunStatus.SUCCESS, deployment.log(run.run_id)
        assert len(deployment.run_jobs(run.run_id)) == 1
        assert list(deployment.step_jobs(run.run_id)) == ["numbers", "doubled", "total"]
        event = deployment.instance.get_latest_materialization_event(dg.AssetKey("total"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["total"].value == 12
        if deployment.cluster.double:
            assert len([job for job in deployment.cluster.double.created if run.run_id in job.labels.values()]) == 4

    def test_a_failing_step_fails_the_run_and_not_its_jobs(self, deployment: Deployment) -> None:
        run = deployment.run(select=["broken", "after_broken"])
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert "broken on purpose" in deployment.log(run.run_id)
        steps = deployment.step_jobs(run.run_id)
        assert list(steps) == ["broken"]
        name = steps["broken"].metadata.name
        status = until(lambda: _finished(deployment.cluster, name), timeout=30, what="the step's Job to end")
        assert (status.succeeded, status.failed) == (1, None)

    def test_terminating_a_run_deletes_its_step_job_and_ends_its_process(self, deployment: Deployment) -> None:
        run_id = deployment.launch(select=["endless"])
        deployment.wait_for_message(run_id, "the endless step is at work")
        (job,) = deployment.step_jobs(run_id).values()
        assert deployment.terminate(run_id)
        assert deployment.wait(run_id).status == dg.DagsterRunStatus.CANCELED
        assert deployment.run_jobs(run_id) == []
        assert deployment.step_jobs(run_id) == {}
        until(lambda: not deployment.cluster.pods_of(job.metadata.name), timeout=60, what="the step's Pod to be gone")
        if deployment.cluster.double:
            process = deployment.cluster.double.process(job.metadata.name, namespace=deployment.cluster.namespace)
            assert process.poll() is not None


class Api:
    """A double of the test's own, and Kubernetes' client for it."""

    def __init__(self, double: KubernetesDouble, kubeconfig: Path) -> None:
        from kubernetes import config

        double.write_kubeconfig(kubeconfig, "here")
        self.double = double
        self.batch = client.BatchV1Api(config.new_client_from_config(str(kubeconfig)))
        self.core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))

    def create(self, *command: str, namespace: str = "here", **container: Any) -> str:
        """Create a Job that runs this command, and return its name."""
        name = f"job-{uuid.uuid4().hex[:8]}"
        containers = [{"name": "main", "image": "any", "command": list(command), **container}]
        spec = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
        body = {"metadata": {"name": name, "labels": {"team": "a", "job": name}}, "spec": spec}
        self.batch.create_namespaced_job(namespace, body)
        return name

    def python(self, code: str, **options: Any) -> str:
        """Create a Job that runs this Python."""
        return self.create(sys.executable, "-c", code, **options)

    def pod(self, job: str) -> client.V1Pod:
        """The Job's Pod, once it has started."""

        def started() -> client.V1Pod | None:
            pods = self.core.list_namespaced_pod("here", label_selector=f"job-name={job}").items
            return next((pod for pod in pods if pod.status.container_statuses), None)

        return until(started, timeout=60, what="the Pod to start")

    def finish(self, job: str) -> client.V1JobStatus:
        """The Job's status, once it has ended."""
        return until(lambda: _ended(self.batch.read_namespaced_job_status(job, "here")), timeout=60, what="its end")

    def log(self, job: str) -> str:
        """What the Job's Pod wrote."""
        answer = self.core.read_namespaced_pod_log(self.pod(job).metadata.name, "here", _preload_content=False)
        return str(answer.data.decode())


def _ended(job: client.V1Job) -> client.V1JobStatus | None:
    return job.status if any(c.type in ("Complete", "Failed") for c in job.status.conditions or []) else None


def _finished(cluster: Cluster, name: str) -> client.V1JobStatus | None:
    return _ended(cluster.batch.read_namespaced_job_status(name, cluster.namespace))


class TestApi:
    """The double alone, through Kubernetes' own client."""

    @pytest.fixture
    def api(self, tmp_path: Path) -> Iterator[Api]:
        with KubernetesDouble(tmp_path / "pods", namespaces=["here", "there"]) as double:
            yield Api(double, tmp_path / "kubeconfig")

    def test_a_command_that_succeeds_completes_its_job(self, api: Api) -> None:
        job = api.python("print('hello')")
        status = api.finish(job)
        assert (status.active, status.succeeded, status.failed) == (None, 1, None)
        pod = api.pod(job)
        assert pod.status.phase == "Succeeded"
        assert pod.status.container_statuses[0].state.terminated.exit_code == 0
        assert api.log(job) == "hello\n"

    def test_a_command_that_fails_fails_its_job(self, api: Api) -> None:
        job = api.python("raise SystemExit(3)")
        status = api.finish(job)
        assert (status.active, status.succeeded, status.failed) == (None, None, 1)
        assert status.conditions[-1].reason == "BackoffLimitExceeded"
        pod = api.pod(job)
        assert pod.status.phase == "Failed"
        assert pod.status.container_statuses[0].state.terminated.exit_code == 3

    def test_a_running_job_is_active(self, api: Api) -> None:
        job = api.python("import time; time.sleep(60)")
        assert api.pod(job).status.container_statuses[0].state.running is not None
        assert api.batch.read_namespaced_job(job, "here").status.active == 1

    def test_a_signal_is_an_exit_code(self, api: Api) -> None:
        job = api.python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert api.finish(job).failed == 1
        assert api.pod(job).status.container_statuses[0].state.terminated.exit_code == 137

    def test_a_program_that_is_not_there_fails_its_job(self, api: Api) -> None:
        job = api.create("no-such-program")
        assert api.finish(job).failed == 1
        assert api.pod(job).status.container_statuses[0].state.terminated.reason == "StartError"

    def test_programs_beside_this_python_are_on_path(self, api: Api) -> None:
        job = api.create(Path(sys.executable).name, "-c", "import sys; print(sys.executable)")
        api.finish(job)
        assert Path(api.log(job).strip()).parent == Path(sys.executable).parent

    def test_the_environment_is_the_containers_own(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OF_THE_TEST", "1")
        api.core.create_namespaced_config_map("here", {"metadata": {"name": "settings"}, "data": {"COLOUR": "red"}})
        api.core.create_namespaced_secret("here", {"metadata": {"name": "keys"}, "stringData": {"token": "s3cret"}})
        job = api.python(
            "import os; print(*map(os.environ.get, ['PLAIN', 'COLOUR', 'TOKEN', 'WHERE', 'OF_THE_TEST']))",
            envFrom=[{"configMapRef": {"name": "settings"}}],
            env=[
                {"name": "PLAIN", "value": "1"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ],
        )
        api.finish(job)
        assert api.log(job) == "1 red s3cret here None\n"

    def test_a_missing_secret_keeps_the_pod_waiting(self, api: Api) -> None:
        job = api.python("pass", envFrom=[{"secretRef": {"name": "missing"}}])
        pod = api.pod(job)
        assert pod.status.phase == "Pending"
        assert pod.status.container_statuses[0].state.waiting.reason == "CreateContainerConfigError"
        with pytest.raises(ApiException) as caught:
            api.log(job)
        assert caught.value.status == 400

    def test_every_job_ever_created_is_remembered(self, api: Api) -> None:
        job = api.python("pass", env=[{"name": "A", "value": "1"}])
        api.batch.delete_namespaced_job(job, "here")
        (created,) = api.double.created
        assert (created.name, created.namespace, created.labels["team"]) == (job, "here", "a")
        assert created.command == [sys.executable, "-c", "pass"]
        assert created.env == {"A": "1"}

    @pytest.mark.parametrize("policy", ["Background", "Foreground"])
    def test_deleting_a_job_with_its_pods_kills_all_their_processes(self, api: Api, policy: str) -> None:
        child = "import time; time.sleep(60)"
        job = api.python(
            "import subprocess, sys, time\n"
            f"print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True)\n"
            "time.sleep(60)"
        )
        api.pod(job)
        pid = int(until(lambda: api.log(job), timeout=60, what="the child to start"))
        api.batch.delete_namespaced_job(job, "here", propagation_policy=policy)
        until(lambda: not api.core.list_namespaced_pod("here").items, timeout=60, what="the Pod to be gone")
        assert api.double.process(job, namespace="here").poll() is not None
        until(lambda: not _alive(pid), timeout=60, what="the child to end")
        assert api.batch.list_namespaced_job("here").items == []

    def test_deleting_a_job_alone_leaves_its_pod(self, api: Api) -> None:
        job = api.python("import time; time.sleep(60)")
        pod = api.pod(job)
        api.batch.delete_namespaced_job(job, "here")
        with pytest.raises(ApiException) as caught:
            api.batch.read_namespaced_job(job, "here")
        assert caught.value.status == 404
        assert api.double.process(job, namespace="here").poll() is None
        api.core.delete_namespaced_pod(pod.metadata.name, "here")
        until(lambda: not api.core.list_namespaced_pod("here").items, timeout=60, what="the Pod to be gone")

    def test_a_job_whose_pod_is_deleted_fails(self, api: Api) -> None:
        job = api.python("import time; time.sleep(60)")
        api.core.delete_namespaced_pod(api.pod(job).metadata.name, "here")
        assert api.finish(job).failed == 1

    def test_a_process_that_ignores_sigterm_is_killed_when_its_time_is_over(self, api: Api) -> None:
        job = api.python(
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('set', flush=True)\n"
            "time.sleep(60)"
        )
        api.pod(job)
        until(lambda: api.log(job), timeout=60, what="the process to be up")
        api.core.delete_namespaced_pod(api.pod(job).metadata.name, "here", grace_period_seconds=1)
        assert api.pod(job).metadata.deletion_timestamp is not None
        assert api.double.process(job, namespace="here").wait(10) == -9

    def test_a_pod_that_is_deleted_twice_gets_one_sigterm(self, api: Api) -> None:
        job = api.python(
            "import signal, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
            "print('up', flush=True)\n"
            "for _ in range(10): time.sleep(0.1)"
        )
        name = api.pod(job).metadata.name
        until(lambda: api.log(job), timeout=60, what="the process to be up")
        for _ in range(2):
            api.core.delete_namespaced_pod(name, "here")
        process = api.double.process(job, namespace="here")
        assert process.wait(10) == 0
        assert (api.double.folder / "logs" / name).read_text() == "up\nasked\n"

    def test_what_an_owner_owns_goes_with_it(self, api: Api) -> None:
        first = api.python("pass")
        api.finish(first)
        owner = api.pod(first).metadata
        second = api.python("pass")
        api.finish(second)
        reference = {"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid}
        body = {"metadata": {"name": "owned", "ownerReferences": [reference]}, "data": {}}
        api.core.create_namespaced_config_map("here", body)
        api.batch.delete_collection_namespaced_job("here", propagation_policy="Background")
        assert api.core.list_namespaced_config_map("here").items == []
        assert api.core.list_namespaced_pod("here").items == []

    def test_namespaces_do_not_see_one_another(self, api: Api) -> None:
        here, there = api.python("pass"), api.python("pass", namespace="there")
        assert [job.metadata.name for job in api.batch.list_namespaced_job("here").items] == [here]
        assert [job.metadata.name for job in api.batch.list_namespaced_job("there").items] == [there]
        assert {job.metadata.name for job in api.batch.list_job_for_all_namespaces().items} == {here, there}
        with pytest.raises(ApiException) as caught:
            api.batch.read_namespaced_job(there, "here")
        assert caught.value.status == 404

    def test_selectors(self, api: Api) -> None:
        first, second = api.python("pass"), api.python("pass")

        def names(**selector: str) -> list[str]:
            return [job.metadata.name for job in api.batch.list_namespaced_job("here", **selector).items]

        assert names(label_selector=f"team=a,job={first}") == [first]
        assert names(label_selector=f"job!={first}") == [second]
        assert names(label_selector="!team") == []
        assert names(field_selector=f"metadata.name={second}") == [second]
        with pytest.raises(ApiException) as caught:
            names(label_selector="team in (a, b)")
        assert caught.value.status == 400

    def refused(self, api: Api, job: str) -> str:
        """What the Job controller says, once it was refused a Pod."""

        def said() -> str | None:
            events = api.core.list_namespaced_event("here", field_selector=f"involvedObject.name={job}").items
            return next((event.message for event in events if event.reason == "FailedCreate"), None)

        message = until(said, timeout=60, what="a refusal")
        assert not api.core.list_namespaced_pod("here", label_selector=f"job-name={job}").items
        assert api.batch.read_namespaced_job(job, "here").status.active is None
        return message

    def test_a_quota_refuses_pods_and_not_jobs_until_there_is_room(self, api: Api) -> None:
        spec = {"hard": {"limits.memory": "1Gi", "pods": "5"}}
        api.core.create_namespaced_resource_quota("here", {"metadata": {"name": "quota"}, "spec": spec})
        small, large = ({"limits": {"memory": size}} for size in ("600Mi", "700Mi"))
        first = api.python("import time; time.sleep(60)", resources=small)
        api.pod(first)
        second = api.python("pass", resources=large)
        assert self.refused(api, second).endswith(
            " is forbidden: exceeded quota: quota, requested: limits.memory=700Mi, used: limits.memory=600Mi,"
            " limited: limits.memory=1Gi"
        )
        unsaid = api.python("pass")
        assert self.refused(api, unsaid).endswith("failed quota: quota: must specify limits.memory for: main")
        api.batch.delete_namespaced_job(first, "here", propagation_policy="Background", grace_period_seconds=0)
        assert api.finish(second).succeeded == 1

    def test_a_limit_range_gives_defaults_and_refuses_what_is_too_large(self, api: Api) -> None:
        limits = [{"type": "Container", "default": {"memory": "1Gi"}, "max": {"memory": "2Gi"}}]
        api.core.create_namespaced_limit_range("here", {"metadata": {"name": "r"}, "spec": {"limits": limits}})
        job = api.python("pass")
        resources = api.pod(job).spec.containers[0].resources
        assert (resources.requests, resources.limits) == ({"memory": "1Gi"}, {"memory": "1Gi"})
        large = api.python("pass", resources={"limits": {"memory": "3Gi"}})
        assert self.refused(api, large).endswith("maximum memory usage per Container is 2Gi, but limit is 3Gi")

    def test_pod_security_refuses_what_is_not_restricted(self, api: Api) -> None:
        api.double.label("here", "pod-security.kubernetes.io/enforce", "restricted")
        told = self.refused(api, api.python("pass"))
        assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "main"' in told
        context = {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert api.finish(api.python("pass", securityContext=context)).succeeded == 1

    def test_a_pod_that_no_node_takes_waits(self, api: Api) -> None:
        job = api.python("pass", resources={"requests": {"nvidia.com/gpu": "1"}})

        def condition() -> str | None:
            pods = api.core.list_namespaced_pod("here", label_selector=f"job-name={job}").items
            conditions = [each for pod in pods for each in pod.status.conditions or []]
            return next((each.message for each in conditions if each.reason == "Unschedulable"), None)

        told = until(condition, timeout=60, what="the scheduler's word")
        assert told.startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: ")

    def test_an_image_in_invalid_is_not_found(self, api: Api) -> None:
        job = api.python("pass", image="registry.invalid/team/project:1")
        seen: set[str] = set()

        def backs_off() -> bool:
            seen.add(api.pod(job).status.container_statuses[0].state.waiting.reason)
            return seen == {"ErrImagePull", "ImagePullBackOff"}

        until(backs_off, timeout=60, what="both states of an image that is not there")
        assert api.pod(job).status.phase == "Pending"

    def test_who_uses_more_than_its_limit_is_killed(self, api: Api) -> None:
        code = "import time; a = bytearray(200_000_000); a[::4096] = b'x' * len(a[::4096]); time.sleep(60)"
        job = api.python(code, resources={"limits": {"memory": "100Mi"}})
        assert api.finish(job).failed == 1
        ended = api.pod(job).status.container_statuses[0].state.terminated
        assert (ended.exit_code, ended.reason) == (137, "OOMKilled")

    def test_a_pod_that_is_evicted_says_so_while_it_ends(self, api: Api) -> None:
        job = api.python(
            "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: time.sleep(2))\n"
            "print('up', flush=True)\ntime.sleep(60)"
        )
        name = api.pod(job).metadata.name
        until(lambda: api.log(job), timeout=60, what="the process to be up")
        api.core.create_namespaced_pod_eviction(name, "here", {"metadata": {"name": name, "namespace": "here"}})
        found = {condition.type: condition.reason for condition in api.pod(job).status.conditions}
        assert found["DisruptionTarget"] == "EvictionByEvictionAPI"

    def test_a_job_that_takes_too_long_fails(self, api: Api) -> None:
        body = {
            "metadata": {"name": "late"},
            "spec": {
                "activeDeadlineSeconds": 1,
                "template": {"spec": {"containers": [{"name": "main", "image": "any", "command": ["sleep", "60"]}]}},
            },
        }
        api.batch.create_namespaced_job("here", body)
        assert api.finish("late").conditions[-1].reason == "DeadlineExceeded"
        until(lambda: not api.core.list_namespaced_pod("here").items, timeout=60, what="the Pod to be gone")

    def test_events_tell_what_happened(self, api: Api) -> None:
        job = api.python("raise SystemExit(1)")
        api.finish(job)
        events = api.core.list_namespaced_event("here", field_selector=f"involvedObject.name={job}").items
        assert [event.reason for event in events] == ["SuccessfulCreate", "BackoffLimitExceeded"]
        assert [event.type for event in events] == ["Normal", "Warning"]

    @pytest.mark.parametrize(
        ("call", "code", "reason", "message"),
        [
            (lambda api: api.batch.read_namespaced_job("x", "here"), 404, "NotFound", 'jobs.batch "x" not found'),
            (lambda api: api.batch.delete_namespaced_job("x", "here"), 404, "NotFound", 'jobs.batch "x" not found'),
            (lambda api: api.core.read_namespaced_pod("x", "here"), 404, "NotFound", 'pods "x" not found'),
            (lambda api: api.python("pass", namespace="gone"), 404, "NotFound", 'namespaces "gone" not found'),
            (lambda api: api.batch.create_namespaced_job("here", {}), 422, "Invalid", "needs a name"),
            (lambda api: api.core.list_node(), 404, "NotFound", "could not find the requested resource"),
        ],
    )
    def test_errors_are_kubernetes_own(self, api: Api, call: Any, code: int, reason: str, message: str) -> None:
        with pytest.raises(ApiException) as caught:
            call(api)
        assert caught.value.status == code
        assert f'"reason": "{reason}"' in caught.value.body
        assert message in caught.value.body.replace("\\", "")

    def test_a_name_is_given_once(self, api: Api) -> None:
        job = api.python("pass")
        body = api.batch.read_namespaced_job(job, "here")
        with pytest.raises(ApiException) as caught:
            api.batch.create_namespaced_job("here", body)
        assert caught.value.status == 409
        assert "AlreadyExists" in caught.value.body


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a process that nobody waits for stays as a zombie
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
