"""Looking at many Jobs at once, on the double of the Kubernetes API."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client, config
from urllib3.exceptions import HTTPError

from mlrepro.execution.pods import observing
from mlrepro.execution.pods.diagnosis import trouble
from mlrepro.execution.pods.observing import Observer
from tests.kubernetes.deployment import until
from tests.kubernetes.double import KubernetesDouble

pytestmark = [pytest.mark.slow, pytest.mark.kubernetes]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[KubernetesDouble]:
    with KubernetesDouble(tmp_path / "pods", namespaces=["here"]) as double:
        yield double


@pytest.fixture
def api(double: KubernetesDouble, tmp_path: Path) -> Any:
    double.write_kubeconfig(tmp_path / "kubeconfig", "here")
    made = config.new_client_from_config(str(tmp_path / "kubeconfig"))
    return SimpleNamespace(batch_api=client.BatchV1Api(made), core_api=client.CoreV1Api(made))


def create(api: Any, code: str, **container: Any) -> str:
    name = f"job-{uuid.uuid4().hex[:8]}"
    containers = [{"name": "main", "image": "any", "command": [sys.executable, "-c", code], **container}]
    labels = {"app": "test"}
    template = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": containers}}
    api.batch_api.create_namespaced_job(
        "here", {"metadata": {"name": name, "labels": labels}, "spec": {"backoffLimit": 0, "template": template}}
    )
    return name


def test_many_jobs_are_seen_in_three_lists(double: KubernetesDouble, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [create(api, "pass", image="registry.invalid/team/project:1") for _ in range(8)]
    observer = Observer(api, "here", "app=test")

    def seen() -> bool:
        return all(trouble(view) for view in observer.look().values()) and len(observer.look()) == len(jobs)

    until(seen, timeout=60, what="all Jobs to be in trouble")
    before = double.lists.total()
    assert set(observer.look()) == set(jobs)
    assert double.lists.total() - before == 3
    monkeypatch.setattr(observing, "_PAGE", 3)
    assert {name: trouble(view) is not None for name, view in observer.look().items()} == dict.fromkeys(jobs, True)


def test_what_ended_well_is_not_seen_and_what_runs_needs_no_events(double: KubernetesDouble, api: Any) -> None:
    observer = Observer(api, "here", "app=test")
    done, running = create(api, "pass"), create(api, "import time; time.sleep(60)")
    until(lambda: set(observer.look()) == {running}, timeout=60, what=f"{done} to end")
    until(lambda: observer.look()[running].runs, timeout=60, what=f"{running} to run")
    before = double.lists["events"]
    assert observer.look()[running].runs
    assert double.lists["events"] == before


def test_a_look_that_failed_is_not_repeated_for_each_step(double: KubernetesDouble, api: Any) -> None:
    observer = Observer(api, "here", "app=test")
    double.stop_serving()
    errors = []
    for job in ("a", "b", "c"):
        with pytest.raises(HTTPError) as caught:
            observer.view(job, newer_than=float("inf"))
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 1
