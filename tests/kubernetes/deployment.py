"""A Dagster deployment on any Kubernetes cluster, as tests see it: launch a run, wait for it, look at its Jobs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
import pytest

from tests.kubernetes.double import KubernetesDouble

if TYPE_CHECKING:
    from dagster._core.execution.plan.plan import ExecutionPlan
    from kubernetes.client import BatchV1Api, CoreV1Api, V1Job, V1Pod

T = TypeVar("T")
POLL = 0.2
STEP = "app.kubernetes.io/component=step_worker"
RUN = "app.kubernetes.io/component=run_worker"


def until(condition: Callable[[], T | None], *, timeout: float, what: str) -> T:
    """Ask again and again, until the answer is true, and return it; fail the test when the time is over."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s in vain: {what}")
        time.sleep(POLL)
    return answer


@dataclass(frozen=True)
class Cluster:
    """A cluster, real or the double.

    Attributes:
        kubeconfig: The file with which to reach it, from here and, under the same path, from its pods.
        namespace: Where the tests' Jobs go.
        image: What the pods run.
        service_account: As whom the pods run: who may create and delete Jobs and Pods, and list Events.
        launcher_config: What ``K8sRunLauncher`` must give every pod besides, so that it finds this code.
        double: The double, None on a real cluster.
    """

    kubeconfig: Path
    namespace: str
    image: str
    service_account: str
    launcher_config: Mapping[str, Any]
    double: KubernetesDouble | None

    @cached_property
    def batch(self) -> "BatchV1Api":
        """Kubernetes' own client for Jobs."""
        from kubernetes import client, config

        return client.BatchV1Api(config.new_client_from_config(str(self.kubeconfig)))

    @cached_property
    def core(self) -> "CoreV1Api":
        """Kubernetes' own client for Pods, their logs, and Events."""
        from kubernetes import client, config

        return client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig)))

    def jobs(self, selector: str) -> "list[V1Job]":
        """The Jobs in the namespace that have these labels, the oldest first. Those that were deleted are gone."""
        found: list[V1Job] = self.batch.list_namespaced_job(self.namespace, label_selector=selector).items
        return sorted(found, key=lambda job: job.metadata.creation_timestamp)

    def pods_of(self, job: str) -> "list[V1Pod]":
        """The Pods of a Job."""
        found: list[V1Pod] = self.core.list_namespaced_pod(self.namespace, label_selector=f"job-name={job}").items
        return found

    def written_by(self, pod: "V1Pod") -> str:
        """What a Pod that has started wrote to its output."""
        name, namespace = pod.metadata.name, pod.metadata.namespace
        # the client's own conversion makes "b'...'" of it
        answer = self.core.read_namespaced_pod_log(name, namespace, _preload_content=False)
        return str(answer.data.decode(errors="replace"))


class Deployment:
    """Dagster with ``K8sRunLauncher`` on a cluster, its storage in a database of its own.

    Attributes:
        instance: The instance, as the webserver and the daemon would have it.
        cluster: Where the runs go.
        store: The URL of a place that is this deployment's own, which every step finds in MLREPRO_TEST_STORE.
        launched: The ids of the runs launched so far.
    """

    def __init__(self, instance: dg.DagsterInstance, cluster: Cluster, store: str) -> None:
        self.instance = instance
        self.cluster = cluster
        self.store = store
        self.launched: list[str] = []

    def launch(
        self,
        module: str = "tests.kubernetes.location",
        *,
        select: Sequence[str] | None = None,
        job: str = "__ASSET_JOB",
        run_config: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        code_location: str | None = None,
        again: str | None = None,
    ) -> str:
        """Launch a run of a module's ``defs``, and return its id without waiting.

        Args:
            module: A module of this folder, by its full name. Its ``defs`` must have ``k8s_job_executor``.
            select: The keys of the assets to materialize, with slashes; all by default.
            job: A job's name, for other than the assets.
            run_config: The run's configuration.
            tags: The run's tags.
            code_location: Where it says that it comes from.
            again: A failed run of this module, to be executed again from its failure; ``select`` is that run's own.
        """
        from dagster._core.definitions.reconstruct import ReconstructableRepository
        from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

        code = ReconstructableRepository.for_module(module, "defs").get_reconstructable_job(job)
        location = RegisteredCodeLocationOrigin(code_location) if code_location else None
        assets = frozenset(map(dg.AssetKey.from_user_string, select)) if select is not None else None
        if again:
            assets = self.look(again).asset_selection
        definition = code.get_definition().get_subset(asset_selection=assets) if assets else code.get_definition()
        run = self.instance.create_run_for_job(
            definition,
            execution_plan=self._rest_of(again, definition, run_config) if again else None,
            asset_selection=assets,
            run_config=run_config,
            tags={**(tags or {}), **({"dagster/is_resume_retry": "true"} if again else {})},
            parent_run_id=again,
            root_run_id=again,
            remote_job_origin=location and RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job),
            job_code_origin=code.get_python_origin(),
        )
        self.launched.append(run.run_id)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]  # K8sRunLauncher needs no workspace
        return run.run_id

    def _rest_of(
        self, run_id: str, definition: dg.JobDefinition, run_config: Mapping[str, object] | None
    ) -> "ExecutionPlan":
        """The plan of what a failed run left to do, as Dagster's own "re-execute from failure" has it."""
        from dagster._core.execution.api import create_execution_plan
        from dagster._core.execution.plan.state import KnownExecutionState

        steps, known_state = KnownExecutionState.build_resume_retry_reexecution(self.instance, self.look(run_id))
        return create_execution_plan(
            definition, run_config, step_keys_to_execute=steps, known_state=known_state, instance_ref=None
        )

    def wait(self, run_id: str, *, timeout: float = 180) -> dg.DagsterRun:
        """Wait for a run's end. The test fails with the run's log when there is none in time."""
        try:
            until(lambda: self.look(run_id).is_finished, timeout=timeout, what=f"the end of the run {run_id}")
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n{self.log(run_id)}")
        return self.look(run_id)

    def wait_for_message(self, run_id: str, text: str, *, timeout: float = 120) -> None:
        """Wait for a message in a run's log that has this text. The test fails when the run ends without it."""

        def found() -> bool:
            finished = self.look(run_id).is_finished
            if any(text in message for message in self.messages(run_id)):
                return True
            if finished:
                pytest.fail(f"the run {run_id} ended without the message {text!r}\n{self.log(run_id)}")
            return False

        until(found, timeout=timeout, what=f"{text!r} in the log of the run {run_id}")

    def run(self, module: str = "tests.kubernetes.location", **options: Any) -> dg.DagsterRun:
        """Launch a run and wait for its end: ``launch``'s arguments."""
        return self.wait(self.launch(module, **options))

    def terminate(self, run_id: str) -> bool:
        """Terminate a run, as the UI's button does."""
        return bool(self.instance.run_launcher.terminate(run_id))

    def look(self, run_id: str) -> dg.DagsterRun:
        """The run as it stands."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None, f"no run {run_id}"
        return run

    def run_jobs(self, run_id: str) -> "list[V1Job]":
        """The Kubernetes Jobs of the run's worker: one, or more when the run was resumed."""
        return self.cluster.jobs(f"dagster/run-id={run_id},{RUN}")

    def step_jobs(self, run_id: str) -> "dict[str, V1Job]":
        """The Kubernetes Jobs of the run's steps, by step key, in the order of their creation."""
        return {job.metadata.labels["dagster/op"]: job for job in self.cluster.jobs(f"dagster/run-id={run_id},{STEP}")}

    def messages(self, run_id: str) -> list[str]:
        """The messages in the run's log."""
        return [
            f"{entry.step_key}: {entry.message}" if entry.step_key else entry.message
            for entry in self.instance.all_logs(run_id)
        ]

    def log(self, run_id: str) -> str:
        """All there is to read about a run: its log, and what its Pods wrote that still exist. For failing tests."""
        parts = self.messages(run_id)
        for job in self.cluster.jobs(f"dagster/run-id={run_id}"):
            for pod in self.cluster.pods_of(job.metadata.name):
                parts.append(f"--- {pod.metadata.name}: {pod.status.phase}")
                if pod.status.phase in ("Running", "Succeeded", "Failed"):
                    parts.append(self.cluster.written_by(pod))
        return "\n".join(parts)

    def delete_jobs(self) -> None:
        """Delete all Jobs of the launched runs, with their Pods."""
        for run_id in self.launched:
            self.cluster.batch.delete_collection_namespaced_job(
                self.cluster.namespace,
                label_selector=f"dagster/run-id={run_id}",
                propagation_policy="Background",
                grace_period_seconds=0,
            )
