"""Where a run's pod goes, and what a run may ask of it: the launcher on the double of the Kubernetes API."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from mlrepro.errors import RunRefusedError, TenantsError
from tests.kubernetes.deployment import until
from tests.kubernetes.double import CreatedJob, KubernetesDouble
from tests.kubernetes.node import Node
from tests.tenancy.files import small, team

IMAGE = "registry.example.com/all:1"
TENANTS = small(
    team(
        "pricing",
        """
        namespace: team-pricing
        service_account: {name: pricing-runs}
        placement: {node_selector: {pool: pricing}, tolerations: [{key: pricing, operator: Exists}]}
        secrets: [pricing-keys]
        """,
        quota="{cpu: 8, memory: 32Gi, gpu: 1}",
    ),
    team("forecast"),
    "offers:\n  code_locations: [{name: offers, bundle: true}]\n  quota: {cpu: 8, memory: 32Gi}\n",
)
BUNDLE = {"bundle": "5eed" * 16, "workflow_version": "offers@v3", "number": 3}


@dataclass
class Cluster:
    """Dagster with the launcher, two tenants, and the double.

    Attributes:
        instance: With runs in a folder.
        double: Has the tenants' namespaces, and Dagster's.
        tenants: The file.
    """

    instance: dg.DagsterInstance
    double: KubernetesDouble
    tenants: Path

    def create(
        self,
        location: str | None = "pricing",
        *,
        tags: Mapping[str, Any] | None = None,
        container_context: Mapping[str, Any] | None = None,
        bundle: Mapping[str, Any] | None = None,
        image: str | None = IMAGE,
        select: str = "number",
    ) -> dg.DagsterRun:
        """A run as it lies in the queue; tags that are no text are written as JSON."""
        code = ReconstructableRepository.for_module(
            "tests.tenancy.one_asset",
            "defs",
            container_image=image,
            container_context={
                **({"k8s": container_context} if container_context is not None else {}),
                **({"mlrepro": bundle} if bundle is not None else {}),
            }
            or None,
        ).get_reconstructable_job("__ASSET_JOB")
        origin = location and RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        return self.instance.create_run_for_job(
            code.get_definition().get_subset(asset_selection={dg.AssetKey(select)}),
            asset_selection=frozenset({dg.AssetKey(select)}),
            tags={name: value if isinstance(value, str) else json.dumps(value) for name, value in (tags or {}).items()},
            remote_job_origin=RemoteJobOrigin(origin, "__ASSET_JOB") if origin else None,
            job_code_origin=code.get_python_origin(),
        )

    def look(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run as it stands."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def messages(self, run: dg.DagsterRun) -> list[str]:
        """The run's log."""
        return [entry.message for entry in self.instance.all_logs(run.run_id)]

    def ended(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run, once it has ended."""
        until(lambda: self.look(run).is_finished, timeout=60, what="the run's end")
        return self.look(run)

    def launch(self, *arguments: Any, **options: Any) -> dg.DagsterRun:
        run = self.create(*arguments, **options)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]  # this launcher needs no workspace
        return run

    def refused(self, *arguments: Any, **options: Any) -> str:
        """Why a run is not started; it made no Job, and its log says why it failed."""
        run, before = self.create(*arguments, **options), len(self.double.created)
        with pytest.raises(RunRefusedError) as caught:
            self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        assert len(self.double.created) == before
        assert self.look(run).status is dg.DagsterRunStatus.FAILURE
        assert self.look(run).tags["dagster/max_retries"] == "0"
        errors = [
            entry.dagster_event.engine_event_data.error
            for entry in self.instance.all_logs(run.run_id)
            if entry.dagster_event and entry.dagster_event.is_engine_event
        ]
        assert any(error and str(caught.value) in error.message for error in errors)
        return str(caught.value)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.delenv("MLREPRO_TENANTS", raising=False)
    with made(tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all runs that are refused: they leave nothing behind."""
    with made(tmp_path_factory.mktemp("refused")) as cluster:
        yield cluster


@contextlib.contextmanager
def made(tmp_path: Path) -> Iterator[Cluster]:
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text(TENANTS)
    namespaces = ["dagster", "team-pricing", "forecast", "offers", "kube-system"]
    root = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": root}
    node = Node(labels={"pool": "pricing"})
    with KubernetesDouble(tmp_path / "pods", namespaces=namespaces, environment=environment, node=node) as double:
        double.write_kubeconfig(tmp_path / "kubeconfig", "dagster")
        for namespace in ("team-pricing", "forecast"):
            double.label(namespace, "pod-security.kubernetes.io/enforce", "restricted")
            double.create("configmaps", namespace, {"metadata": {"name": "dagster-pipeline-env"}, "data": {}})
            double.create("secrets", namespace, {"metadata": {"name": "pricing-keys"}, "data": {}})
        home = tmp_path / "home"
        home.mkdir()
        config = {
            "tenants_file": str(tenants),
            "service_account_name": "dagster-daemon",
            "instance_config_map": "dagster-instance",
            "dagster_home": str(home),
            "job_namespace": "dagster",
            "load_incluster_config": False,
            "kubeconfig_file": str(tmp_path / "kubeconfig"),
        }
        launcher = {"module": "mlrepro.tenancy.launcher", "class": "TenantRunLauncher", "config": config}
        coordinator = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
        settings = {"telemetry": {"enabled": False}, "run_launcher": launcher, "run_coordinator": coordinator}
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield Cluster(instance, double, tenants)


def pod_of(job: CreatedJob) -> Any:
    return job.body["spec"]["template"]["spec"]


def test_a_run_is_started_where_its_tenant_belongs_and_ends_well(cluster: Cluster) -> None:
    run = cluster.launch("pricing")
    (job,) = cluster.double.created
    pod = pod_of(job)
    assert job.namespace == "team-pricing"
    assert job.labels["mlrepro/tenant"] == "pricing"
    assert pod["serviceAccountName"] == "pricing-runs"
    assert pod["nodeSelector"] == {"pool": "pricing"}
    assert pod["tolerations"] == [{"key": "pricing", "operator": "Exists"}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    container = pod["containers"][0]
    assert container["image"] == IMAGE
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert {"secretRef": {"name": "pricing-keys"}} in container["envFrom"]
    assert cluster.ended(run).status is dg.DagsterRunStatus.SUCCESS, cluster.messages(run)


def test_another_tenants_run_goes_elsewhere(cluster: Cluster) -> None:
    cluster.launch("forecast")
    (job,) = cluster.double.created
    assert (job.namespace, pod_of(job)["serviceAccountName"]) == ("forecast", "dagster")


def test_a_run_may_ask_for_resources_within_the_quota(cluster: Cluster) -> None:
    asked = {"limits": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": 1}, "requests": {"cpu": "2"}}
    cluster.launch(tags={"dagster-k8s/config": {"container_config": {"resources": asked}}})
    (job,) = cluster.double.created
    assert pod_of(job)["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "16Gi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
    }


def test_a_new_tag_of_the_image_is_no_other_image(cluster: Cluster) -> None:
    cluster.launch(image="registry.example.com/all:2")
    (job,) = cluster.double.created
    assert pod_of(job)["containers"][0]["image"] == "registry.example.com/all:2"


def pod(**spec: Any) -> dict[str, Any]:
    return {"dagster-k8s/config": {"pod_spec_config": spec}}


def container(**spec: Any) -> dict[str, Any]:
    return {"dagster-k8s/config": {"container_config": spec}}


REFUSED = {
    "service account": (pod(service_account_name="default"), "pod_spec_config.service_account_name"),
    "service account, other spelling": (pod(serviceAccountName="default"), "pod_spec_config.serviceAccountName"),
    "host path": (pod(volumes=[{"name": "h", "host_path": {"path": "/"}}]), "pod_spec_config.volumes"),
    "host network": (pod(host_network=True), "pod_spec_config.host_network"),
    "host pid": (pod(host_pid=True), "pod_spec_config.host_pid"),
    "nodes": (pod(node_selector={"pool": "forecast"}), "pod_spec_config.node_selector"),
    "a node by name": (pod(node_name="control-plane"), "pod_spec_config.node_name"),
    "tolerations": (pod(tolerations=[{"operator": "Exists"}]), "pod_spec_config.tolerations"),
    "more containers": (pod(containers=[{"name": "x", "image": "x:1"}]), "pod_spec_config.containers"),
    "init containers": (pod(init_containers=[{"name": "x", "image": "x:1"}]), "pod_spec_config.init_containers"),
    "priority": (pod(priority_class_name="system-node-critical"), "pod_spec_config.priority_class_name"),
    "privileged": (container(security_context={"privileged": True}), "container_config.security_context.privileged"),
    "capabilities": (container(security_context={"capabilities": {"add": ["ALL"]}}), "security_context.capabilities"),
    "another image": (container(image="evil.example.com/all:1"), "container_config.image"),
    "another command": (container(command=["sh"]), "container_config.command"),
    "mounts": (container(volume_mounts=[{"name": "h", "mount_path": "/h"}]), "container_config.volume_mounts"),
    "others' secrets": (container(env_from=[{"secret_ref": {"name": "root"}}]), "container_config.env_from"),
    "environment": (container(env=[{"name": "MLREPRO_SCOPE", "value": "forecast"}]), "container_config.env"),
    "labels": (
        {"dagster-k8s/config": {"pod_template_spec_metadata": {"labels": {"mlrepro/tenant": "forecast"}}}},
        "pod_template_spec_metadata.labels",
    ),
    "namespace in the Job": ({"dagster-k8s/config": {"job_metadata": {"namespace": "forecast"}}}, "job_metadata"),
    "retries of the Job": ({"dagster-k8s/config": {"job_spec_config": {"backoff_limit": 99}}}, "job_spec_config"),
    "a whole Job": ({"dagster-k8s/config": {"job_config": {"kind": "Pod"}}}, "job_config.kind"),
    "what nobody knows yet": ({"dagster-k8s/config": {"namespace": "forecast"}}, "asks for namespace"),
    "container settings in another spelling": (
        {"dagster-k8s/config": {"containerConfig": {"securityContext": {"privileged": True}}}},
        "containerConfig.securityContext.privileged",
    ),
    "resources that are none": (container(resources=["cpu"]), "container_config.resources"),
    "claims": (container(resources={"claims": [{"name": "gpu"}]}), "resources.claims"),
    "too much memory": (container(resources={"limits": {"memory": "64Gi"}}), "whole quota of tenant pricing is 32Gi"),
    "too many requests": (container(resources={"requests": {"cpu": "9"}}), "whole quota of tenant pricing is 8"),
    "too much by the old tag": (
        {"dagster-k8s/resource_requirements": {"limits": {"cpu": "9"}}},
        "whole quota of tenant pricing is 8",
    ),
    "devices without a quota": (container(resources={"limits": {"amd.com/gpu": 1}}), "has no quota"),
    "request above limit": (
        container(resources={"limits": {"cpu": 1}, "requests": {"cpu": 2}}),
        "more than its own limit",
    ),
    "no quantity": (container(resources={"limits": {"cpu": "lots"}}), "'lots' is no quantity"),
    "no limit at all": (container(resources={"limits": {"memory": "0"}}), "'0' leaves nothing"),
    "less than nothing": (container(resources={"requests": {"cpu": "-1"}}), "'-1' is no quantity"),
    "endless JSON": ({"dagster-k8s/config": "[" * 100_000}, "is no JSON object"),
    "no JSON": ({"dagster-k8s/config": "{"}, "is no JSON object"),
    "a list": ({"dagster-k8s/config": []}, "is no JSON object"),
    "another tenant's name": ({"mlrepro/tenant": "forecast"}, "is tagged as tenant forecast's"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_that_asks_for_more_is_refused(untouched: Cluster, case: str) -> None:
    tags, told = REFUSED[case]
    assert told in untouched.refused(tags=tags)


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ("code location intruder is no tenant's", {"location": "intruder"}),
        ("the run says no code location", {"location": None}),
        (
            "namespace 'forecast', tenants.yaml says team-pricing",
            {"container_context": {"namespace": "forecast"}},
        ),
        (
            "asks for service_account_name 'admin', tenants.yaml says pricing-runs",
            {"container_context": {"service_account_name": "admin"}},
        ),
        ("runs the image evil.example.com/all:1", {"image": "evil.example.com/all:1"}),
        (
            "serves code bundles, tenants.yaml says nothing of it",
            {"bundle": {**BUNDLE, "workflow_version": "pricing@v3"}},
        ),
        ("names no code bundle, tenants.yaml says bundle", {"location": "offers"}),
        ("names no code bundle", {"location": "offers", "bundle": {**BUNDLE, "bundle": None}}),
        ("names no code bundle", {"location": "offers", "bundle": {**BUNDLE, "bundle": "../../etc/passwd"}}),
        ("names no code bundle", {"location": "offers", "bundle": {**BUNDLE, "workflow_version": "pricing@v3"}}),
        ("names no code bundle", {"location": "offers", "bundle": {**BUNDLE, "workflow_version": "offers@v3\n"}}),
        ("names no code bundle", {"location": "offers", "bundle": ["5eed"]}),
    ],
)
def test_a_code_server_is_not_believed(untouched: Cluster, told: str, options: dict[str, Any]) -> None:
    assert told in untouched.refused(**options)


def test_a_run_gets_the_bundle_that_it_was_submitted_with_and_nothing_else_that_is_said_of_it(cluster: Cluster) -> None:
    said = {"env": [{"name": "MLREPRO_BUNDLE_CACHE", "value": "/etc"}, {"name": "MLREPRO_SCOPE", "value": "pricing"}]}
    cluster.launch("offers", bundle={**BUNDLE, "LD_PRELOAD": "evil.so"}, container_context=said)
    (job,) = cluster.double.created
    assert job.namespace == "offers"
    env = pod_of(job)["containers"][0]["env"]
    told = [each for each in env if each["name"] in {"MLREPRO_SCOPE", "LD_PRELOAD"} or "BUNDLE" in each["name"]]
    assert {each["name"]: each["value"] for each in told} == {
        "MLREPRO_SCOPE": "offers",
        "MLREPRO_BUNDLE": BUNDLE["bundle"],
        "MLREPRO_BUNDLE_CACHE": f"{cluster.instance.run_launcher.dagster_home}/bundles",  # type: ignore[attr-defined]
    }
    assert len(told) == 3
    assert {"name": "MLREPRO_WORKFLOW_VERSION", "value": "offers@v3"} in env


def test_what_a_code_server_says_besides_is_left_out(cluster: Cluster) -> None:
    said = {
        "namespace": "team-pricing",
        "run_k8s_config": {"pod_spec_config": {"host_network": True, "node_selector": {"pool": "forecast"}}},
        "volumes": [{"name": "h", "host_path": {"path": "/"}}],
        "security_context": {"privileged": True},
        "labels": {"mlrepro/tenant": "forecast"},
    }
    cluster.launch(container_context=said)
    (job,) = cluster.double.created
    made = pod_of(job)
    assert "hostNetwork" not in made
    assert made["nodeSelector"] == {"pool": "pricing"}
    assert not made.get("volumes")
    assert "privileged" not in made["containers"][0]["securityContext"]
    assert job.labels["mlrepro/tenant"] == "pricing"


def test_a_run_is_looked_for_and_ended_in_its_own_namespace(cluster: Cluster) -> None:
    run = cluster.launch("pricing")
    launcher = cluster.instance.run_launcher
    assert "RUNNING" in str(launcher.check_run_worker_health(run)) or "SUCCESS" in str(
        launcher.check_run_worker_health(run)
    )
    cluster.instance.run_launcher.terminate(run.run_id)
    assert not cluster.double.objects("jobs", "team-pricing")


def test_a_tenant_that_moves_is_followed_at_once(cluster: Cluster) -> None:
    cluster.launch("pricing")
    cluster.tenants.write_text(TENANTS.replace("team-pricing", "kube-test"))
    cluster.double.create("namespaces", "", {"metadata": {"name": "kube-test"}})
    cluster.launch("pricing")
    assert [job.namespace for job in cluster.double.created] == ["team-pricing", "kube-test"]


def test_without_a_file_no_run_is_started_and_the_launcher_can_be_made(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher: Any = cluster.instance.run_launcher
    launcher._tenants_path = None
    run = cluster.create()
    with pytest.raises(TenantsError, match="MLREPRO_TENANTS"):
        cluster.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
    monkeypatch.setenv("MLREPRO_TENANTS", str(cluster.tenants))
    cluster.launch()
    assert [job.namespace for job in cluster.double.created] == ["team-pricing"]


SHORT, LONG = 2.0, 4.0


class TestStuck:
    """Runs whose own pod does not run."""

    @pytest.fixture
    def cluster(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
        monkeypatch.setenv("MLREPRO_POD_CHECK_SECONDS", "0.3")
        monkeypatch.setenv("MLREPRO_POD_SHORT_WAIT_SECONDS", str(SHORT))
        monkeypatch.setenv("MLREPRO_POD_WAIT_SECONDS", str(LONG))
        with made(tmp_path) as cluster:
            yield cluster

    def test_an_image_that_is_not_there(self, cluster: Cluster) -> None:
        cluster.tenants.write_text(TENANTS.replace(IMAGE, "registry.invalid/all:1"))
        run = cluster.launch(image="registry.invalid/all:1")
        assert cluster.ended(run).status is dg.DagsterRunStatus.FAILURE
        told = "image 'registry.invalid/all:1' can't be pulled: its registry's name is not known (no such host)"
        said = [message for message in cluster.messages(run) if told in message]
        assert len(said) == 2
        assert said[1] == f"The run's pod does not run: {told} (given up after {SHORT:.0f} s)"
        assert not cluster.double.objects("jobs", "team-pricing")

    def test_a_quota_in_use_and_one_that_is_too_small(self, cluster: Cluster) -> None:
        quota = {"metadata": {"name": "quota"}, "spec": {"hard": {"limits.memory": "1536Mi"}}}
        cluster.double.create("resourcequotas", "forecast", quota)
        first = cluster.launch("forecast", select="endless")
        until(lambda: "endless is at work" in cluster.messages(first), timeout=60, what="the first run to be at work")
        second, third = (
            cluster.launch("forecast"),
            cluster.launch(
                "forecast",
                tags={"dagster-k8s/config": {"container_config": {"resources": {"limits": {"memory": "2Gi"}}}}},
            ),
        )
        assert cluster.ended(third).status is dg.DagsterRunStatus.FAILURE
        assert cluster.messages(third)[-1] == (
            "The run's pod does not run: pod asks for 2Gi memory, the namespace's quota 'quota' allows 1536Mi in all"
        )
        assert cluster.ended(second).status is dg.DagsterRunStatus.FAILURE
        assert cluster.messages(second)[-1].startswith(
            "The run's pod does not run: pod asks for 1Gi memory, the namespace's quota 'quota' allows 1536Mi, of which"
            " 1Gi are in use (given up after"
        )
        assert cluster.instance.run_launcher.terminate(first.run_id)

    def test_a_program_that_ends_before_the_run_starts_tells_its_last_lines(self, cluster: Cluster) -> None:
        cluster.double.environment["DAGSTER_HOME"] = "/nowhere"
        cluster.double.environment["PYTHONPATH"] = "/nowhere"
        cluster.double.environment["PYTHONHOME"] = "/nowhere"
        run = cluster.launch()
        assert cluster.ended(run).status is dg.DagsterRunStatus.FAILURE
        (said,) = [message for message in cluster.messages(run) if "pod ended with exit code" in message]
        assert "It wrote last:\n" in said
        assert "encodings" in said

    def test_run_monitoring_says_why_a_run_died(self, cluster: Cluster) -> None:
        run = cluster.launch(select="endless")
        until(lambda: "endless is at work" in cluster.messages(run), timeout=60, what="the run to be at work")
        launcher: Any = cluster.instance.run_launcher
        until(
            lambda: run.run_id not in launcher._watch._watched,
            timeout=30,
            what="the launcher to see that it has started",
        )
        (job,) = cluster.double.created
        message = "The node was low on resource: memory. "
        cluster.double.disrupt(job.name, namespace="team-pricing", reason="Evicted", message=message)

        def failed() -> Any:
            health = launcher.check_run_worker_health(cluster.look(run))
            return health if health.status.value == "FAILED" else None

        health = until(failed, timeout=30, what="the pod's end")
        assert health.msg is not None
        assert health.msg.endswith("pod was evicted, as its node was low on memory")
        info = launcher.get_run_worker_debug_info(run)
        assert info is not None
        assert info.startswith("pod was evicted, as its node was low on memory\n")

    def test_an_api_that_is_away_ends_no_run(self, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
        run = cluster.launch(select="endless")
        until(lambda: "endless is at work" in cluster.messages(run), timeout=60, what="the run to be at work")
        cluster.double.stop_serving()
        launcher: Any = cluster.instance.run_launcher
        launcher._watch.add(run.run_id, "team-pricing", "any")
        until(lambda: "does not show the run's pods" in caplog.text, timeout=60, what="a warning")
        assert cluster.look(run).status is dg.DagsterRunStatus.STARTED
        assert launcher.check_run_worker_health(cluster.look(run)).status.value == "UNKNOWN"
