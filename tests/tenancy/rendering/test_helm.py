"""Helm values: what the charts take, and the pods that Dagster makes of them."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from dagster._config import process_config
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher

from mlrepro.bundles import bundle_cache
from mlrepro.cli.bundles import code_server_command
from mlrepro.tenancy import Named, Tenants
from mlrepro.tenancy.coordinator import TenantRunCoordinator
from mlrepro.tenancy.rendering import render
from tests.tenancy.files import EXAMPLE, read, small
from tests.tenancy.rendering import chart
from tests.tenancy.rendering.documents import ISOLATED, SHARED, check, load, manifests, webserver

BOTH = pytest.mark.parametrize("tenants", [SHARED, ISOLATED], ids=["shared", "isolated"])

LAUNCHER = {
    "dagster_home": "/opt/dagster/dagster_home",
    "instance_config_map": "dagster-instance",
    "postgres_password_secret": "dagster-postgresql-secret",
    "job_image": None,
}


def values(tenants: Tenants) -> dict[str, Any]:
    return {path: load(tenants, path) for path in render(tenants) if path.startswith("helm/")}


@BOTH
def test_they_are_values_of_the_charts(tenants: Tenants) -> None:
    for path, found in values(tenants).items():
        jsonschema.validate(found, chart.CODE if path.endswith(".code.yaml") else chart.INSTANCE)


@pytest.mark.skipif(chart.FOLDER is None, reason="needs the chart: MLREPRO_TEST_DAGSTER_CHART=its folder")
@BOTH
def test_the_charts_own_schema_takes_them(tenants: Tenants) -> None:
    import yaml

    def merged(base: Any, over: Any) -> Any:
        if not (isinstance(base, dict) and isinstance(over, dict)):
            return over
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}

    for path, found in values(tenants).items():
        folder = Path(chart.FOLDER or "") / (chart.CODE_FOLDER if path.endswith(".code.yaml") else "")
        whole = merged(yaml.safe_load((folder / "values.yaml").read_text()), found)
        jsonschema.validate(whole, chart.own_schema(folder))


def instances(tenants: Tenants) -> list[dict[str, Any]]:
    return [found for path, found in values(tenants).items() if path.endswith("dagster.yaml")]


@BOTH
def test_dagster_takes_coordinator_and_launcher_as_the_chart_hands_them_on(tenants: Tenants) -> None:
    for found in instances(tenants):
        launcher = found["runLauncher"]["config"]["customRunLauncher"]
        coordinator = found["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
        config = dict(launcher["config"])
        assert config.pop("tenants_file") == coordinator["config"]["tenants_file"]
        assert process_config(K8sRunLauncher.config_type(), config).success
        made = ConfigurableClassData(coordinator["module"], coordinator["class"], json.dumps(coordinator["config"]))
        assert isinstance(made.rehydrate(TenantRunCoordinator), TenantRunCoordinator)


@BOTH
def test_the_daemon_reads_the_tenants_where_the_manifests_put_them(tenants: Tenants) -> None:
    for found in instances(tenants):
        daemon = found["dagsterDaemon"]
        (mount,), (volume,), (variable,) = daemon["volumeMounts"], daemon["volumes"], daemon["env"]
        assert variable == {"name": "MLREPRO_TENANTS", "value": f"{mount['mountPath']}/tenants.yaml"}
        assert "subPath" not in mount, "or a change of the ConfigMap would not arrive"
        assert volume == {"name": mount["name"], "configMap": {"name": "mlrepro-tenants"}}
    everywhere = [manifests(tenants, tenant.name) for tenant in tenants] if tenants.isolated else [webserver(tenants)]
    for documents in everywhere:
        (own,) = (each for each in documents if each["metadata"]["name"] == "mlrepro-tenants")
        assert read(own["data"]["tenants.yaml"])


@BOTH
def test_the_charts_own_webserver_is_not_started(tenants: Tenants) -> None:
    assert {found["dagsterWebserver"]["replicaCount"] for found in instances(tenants)} == {0}


@BOTH
def test_the_charts_daemon_watches_and_retries_runs_as_a_machines(tenants: Tenants) -> None:
    def as_the_chart_hands_it_on(told: dict[str, Any]) -> dict[str, Any]:
        return {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name): value for name, value in told.items()}

    for path, found in values(tenants).items():
        if path.endswith("dagster.yaml"):
            folder = f"machine/{path.removeprefix('helm/').removesuffix('dagster.yaml').replace('.', '/')}"
            machine = load(tenants, f"{folder}dagster.yaml")
            assert as_the_chart_hands_it_on(found["dagsterDaemon"]["runRetries"]) == machine["run_retries"]
            assert as_the_chart_hands_it_on(found["dagsterDaemon"]["runMonitoring"]) == machine["run_monitoring"]


def test_names_are_those_that_the_chart_makes() -> None:
    text = EXAMPLE.read_text().replace("instance:\n", "instance:\n  release: ml\n")
    config = load(read(text), "helm/dagster.yaml")["runLauncher"]["config"]["customRunLauncher"]["config"]
    assert config["instance_config_map"] == "ml-dagster-instance"
    names = {each["metadata"]["name"] for each in manifests(read(text), "delay") if each["kind"] == "ConfigMap"}
    assert names == {"ml-dagster-instance", "ml-dagster-pipeline-env"}


def test_the_webserver_finds_the_code_servers_in_the_tenants_namespaces() -> None:
    servers = load(SHARED, "helm/dagster.yaml")["dagsterWebserver"]["workspace"]["servers"]
    assert [server["host"] for server in servers] == [
        "aircraft.team-aircraft.svc.cluster.local",
        "delay.delay.svc.cluster.local",
    ]


def test_isolated_tenants_have_a_database_and_a_place_for_logs_each() -> None:
    found = [load(ISOLATED, f"helm/{name}.dagster.yaml") for name in ("pricing", "forecast")]
    assert [each["postgresql"]["postgresqlDatabase"] for each in found] == ["dagster_pricing", "dagster_forecast"]
    logs = [each["computeLogManager"]["config"]["s3ComputeLogManager"]["prefix"] for each in found]
    assert logs == ["dagster/pricing", "dagster/forecast"]
    assert [len(each["dagsterWebserver"]["workspace"]["servers"]) for each in found] == [3, 1]


def test_a_code_server_of_bundles_is_told_by_its_environment_what_to_serve_and_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offers = next(each for each in load(ISOLATED, "helm/pricing.code.yaml")["deployments"] if each["name"] == "offers")
    assert "dagsterApiGrpcArgs" not in offers, "the image's own command starts it"
    for variable in offers["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    given = code_server_command.make_context("code-server", []).params
    assert (given["location"], given["host"], given["port"]) == ("offers", "0.0.0.0", offers["port"])
    assert json.loads(given["container_context"])["k8s"]["namespace"] == "pricing"
    assert str(bundle_cache()) == "/opt/dagster/dagster_home/bundles"


def run_worker(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    """The Job that dagster-k8s makes of a run of a tenant's first code location."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    deployment = load(tenants, f"helm/{tenant.name}.code.yaml")["deployments"][0]
    variables = {variable["name"]: variable["value"] for variable in deployment["env"]}
    context = K8sContainerContext.create_from_config(json.loads(variables["DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"]))
    assert context.namespace == tenant.namespace
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config("registry/image:1", run_launcher=SimpleNamespace(**LAUNCHER)),
        args=["dagster"],
        job_name="run",
        user_defined_k8s_config=context.run_k8s_config,
    )
    made: dict[str, Any] = ApiClient().sanitize_for_serialization(job)
    return made


@BOTH
def test_a_run_is_a_pod_in_the_tenants_place_that_its_namespace_admits(tenants: Tenants) -> None:
    for tenant in tenants:
        job = run_worker(tenants, tenant)
        check(job)
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["serviceAccountName"] == tenant.service_account
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"]["memory"] == tenant.tenant.step.memory
        assert {"name": "MLREPRO_SCOPE", "value": tenant.scope} in container["env"]
        assert {"name": "MLREPRO_EXECUTOR", "value": "kubernetes"} in container["env"]


def test_a_run_reads_the_scopes_that_the_tenant_may_read() -> None:
    told = {tenant.name: run_worker(SHARED, tenant)["spec"]["template"]["spec"]["containers"][0] for tenant in SHARED}
    scopes = {
        name: each["value"]
        for name, container in told.items()
        for each in container["env"]
        if each["name"] == "MLREPRO_READ_SCOPES"
    }
    assert scopes == {"aircraft": "shared,delay", "delay": "shared"}


def test_a_run_goes_to_the_nodes_and_gets_the_secrets_that_the_tenant_says() -> None:
    (delay,) = (tenant for tenant in SHARED if tenant.name == "delay")
    pod = run_worker(SHARED, delay)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "machine-learning"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "weather-service"}}]


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("r.example.com:5000/a/b:1.10", "r.example.com:5000/a/b", "1.10"),
        (f"r/a@sha256:{'0' * 64}", "r/a@sha256", "0" * 64),
        (f"r:5/a:1@sha256:{'0' * 64}", "r:5/a@sha256", "0" * 64),
    ],
)
def test_images(image: str, repository: str, tag: str) -> None:
    location = f"{{name: a, image: '{image}'}}"
    tenants = read(small(f"a:\n  code_locations: [{location}]\n  quota: {{cpu: 8, memory: 32Gi}}"))
    (deployment,) = load(tenants, "helm/a.code.yaml")["deployments"]
    assert (deployment["image"]["repository"], deployment["image"]["tag"]) == (repository, tag)


def test_a_commit_that_looks_like_a_number_stays_a_text() -> None:
    location = "{name: a, image: 'r/a:1234567e8', args: [-m, a], git_ref: '12345e6'}"
    files = render(read(small(f"a:\n  code_locations: [{location}]\n  quota: {{cpu: 8, memory: 32Gi}}")))
    assert "    tag: '1234567e8'\n" in files["helm/a.code.yaml"]
    assert "    mlrepro/git-ref: '12345e6'\n" in files["helm/a.code.yaml"]
