"""Helm itself reads what is rendered, and renders Dagster's charts with it: what each part names, another makes."""

import functools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner
from dagster._config import process_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.coordinator import TenantRunCoordinator
from mlrepro.tenancy.launcher import TenantRunLauncher
from mlrepro.tenancy.rendering import render
from mlrepro.tenancy.rendering.text import as_yaml
from tests.tenancy.rendering import chart
from tests.tenancy.rendering.documents import ISOLATED, SHARED, check
from tests.tenancy.test_plain_text import AS_TEXT, OTHERWISE

Chart: Any = pytest.importorskip("helm_python.chart", reason="needs Helm: pip install helm-python-sdk").Chart

BOTH = pytest.mark.parametrize("tenants", [SHARED, ISOLATED], ids=["shared", "isolated"])
WITH_CHART = pytest.mark.skipif(
    chart.FOLDER is None or not Path(chart.FOLDER, "templates").is_dir(),
    reason="needs the chart and its templates: MLREPRO_TEST_DAGSTER_CHART=its folder",
)
BY_HAND = {"dagster-postgresql-secret", "mlrepro-identity", "weather-service"}
"""Secrets, which nothing renders."""


class Made(NamedTuple):
    """Where an object is, what it is, and its name."""

    namespace: str | None
    kind: str
    name: str


def read_by_helm(folder: Path, text: str) -> Any:
    """What Helm makes of a file of values."""
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: any\nversion: 1.0.0\n")
    (folder / "values.yaml").write_text(text)
    return Chart.load(folder).values


@BOTH
def test_helm_reads_what_was_written(tenants: Tenants, tmp_path: Path) -> None:
    words = {"words": [*AS_TEXT, *OTHERWISE]}
    assert read_by_helm(tmp_path, as_yaml(words)) == words
    for path, text in render(tenants).items():
        for document in text.split("\n---\n") if path.endswith(".yaml") else ():
            assert read_by_helm(tmp_path, f"{document}\n") == yaml.safe_load(f"{document}\n"), path


@functools.cache
def charts() -> tuple[Any, Any]:
    """The charts of instance and code servers. Helm holds values to their schemas when it renders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "dagster")
        shutil.copytree(chart.FOLDER or "", folder)
        code = folder / chart.CODE_FOLDER
        for each in (folder, code):
            (each / "values.schema.json").write_text(json.dumps(chart.own_schema(each)))
        return Chart.load(folder), Chart.load(code)


def by_the_chart(path: str, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What Helm makes of a file of values, by the command in its head: namespace and manifest."""
    *_, release, _, _, namespace, _, _ = text.splitlines()[1].split()
    its = charts()[path.endswith(".code.yaml")]
    rendered = its.render(yaml.safe_load(text), name=release, namespace=namespace, is_install=True)
    for name, manifests in rendered.items():
        if name.endswith(".yaml"):
            yield from ((namespace, manifest) for manifest in yaml.safe_load_all(manifests) if manifest)


def on_the_cluster(tenants: Tenants) -> dict[Made, dict[str, Any]]:
    """All that is there when everything is applied; nothing is made twice."""
    objects: dict[Made, dict[str, Any]] = {}
    for path, text in render(tenants).items():
        if path.startswith("helm/"):
            found = list(by_the_chart(path, text))
        elif path.startswith("kubernetes/"):
            found = [(manifest["metadata"].get("namespace"), manifest) for manifest in yaml.safe_load_all(text)]
        else:
            continue
        for namespace, manifest in found:
            metadata = manifest["metadata"]
            made = Made(metadata.get("namespace", namespace), manifest["kind"], metadata["name"])
            if made.kind == "Namespace":
                made = made._replace(namespace=None)
            assert made not in objects, f"{made} is made twice"
            objects[made] = manifest
    return objects


def named_by_pod(namespace: str, pod: Mapping[str, Any]) -> Iterator[Made]:
    """What a pod does not start without."""
    yield Made(namespace, "ServiceAccount", pod["serviceAccountName"])
    sources = [(volume, "configMap", "ConfigMap") for volume in pod.get("volumes") or ()]
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        sources += [(each, "configMapRef", "ConfigMap") for each in container.get("envFrom") or ()]
        sources += [(each, "secretRef", "Secret") for each in container.get("envFrom") or ()]
        sources += [(each.get("valueFrom", {}), "secretKeyRef", "Secret") for each in container.get("env") or ()]
    for source, field, kind in sources:
        if field in source and not source[field].get("optional"):
            yield Made(namespace, kind, source[field]["name"])


def workspace(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The code servers that a ConfigMap names."""
    for key, text in (manifest.get("data") or {}).items():
        if key.endswith("workspace.yaml"):
            yield from (each["grpc_server"] for each in yaml.safe_load(text)["load_from"])


def named(tenants: Tenants) -> Iterator[Made]:
    """What the objects need that others are to make."""
    for made, manifest in on_the_cluster(tenants).items():
        if made.namespace is not None:
            yield Made(None, "Namespace", made.namespace)
        if made.kind == "Deployment" and made.namespace is not None:
            yield from named_by_pod(made.namespace, manifest["spec"]["template"]["spec"])
        if made.kind == "RoleBinding":
            yield Made(made.namespace, "Role", manifest["roleRef"]["name"])
            for subject in manifest["subjects"]:
                yield Made(subject.get("namespace", made.namespace), "ServiceAccount", subject["name"])
        for server in workspace(manifest):
            service, namespace, *_ = server["host"].split(".")
            yield Made(namespace, "Service", service)
        for key, text in (manifest.get("data") or {}).items():
            if key == "dagster.yaml":
                pods = yaml.safe_load(text)["run_launcher"]["config"]
                for tenant in tenants:
                    if not tenants.isolated or tenant.namespace == made.namespace:
                        for name in (pods["instance_config_map"], *pods["env_config_maps"]):
                            yield Made(tenant.namespace, "ConfigMap", name)
                        yield Made(tenant.namespace, "ServiceAccount", tenant.service_account)


@WITH_CHART
@BOTH
def test_kubernetes_takes_what_the_charts_make_and_all_that_is_named_is_there(tenants: Tenants) -> None:
    there = on_the_cluster(tenants)
    for manifest in there.values():
        check(manifest)
    missing = {made for made in named(tenants) if made not in there}
    assert {(made.kind, made.name) for made in missing} <= {("Secret", name) for name in BY_HAND}


@WITH_CHART
@BOTH
def test_services_and_policies_find_the_pods(tenants: Tenants) -> None:
    there = on_the_cluster(tenants)

    def found(namespace: str | None, selector: Mapping[str, str]) -> set[str]:
        return {
            made.name
            for made, manifest in there.items()
            if (made.namespace, made.kind) == (namespace, "Deployment")
            and selector.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
        }

    for made, manifest in there.items():
        if made.kind == "Service":
            assert len(found(made.namespace, manifest["spec"]["selector"])) == 1, made
        for server in workspace(manifest):
            service, namespace, *_ = server["host"].split(".")
            (port,) = there[Made(namespace, "Service", service)]["spec"]["ports"]
            assert server["port"] == port["port"]
    for tenant in tenants:
        policy = there[Made(tenant.namespace, "NetworkPolicy", "code-servers")]["spec"]
        servers = {f"code-dagster-user-deployments-{location.name}" for location in tenant.locations}
        assert found(tenant.namespace, policy["podSelector"]["matchLabels"]) == servers
        ports = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        for location in tenant.locations:
            (port,) = there[Made(tenant.namespace, "Service", location.name)]["spec"]["ports"]
            assert port["port"] == location.port
            assert port["port"] in ports


@WITH_CHART
@BOTH
def test_the_webserver_of_the_chart_does_not_start_and_its_daemon_does(tenants: Tenants) -> None:
    there = on_the_cluster(tenants)
    replicas = {made: made_of["spec"]["replicas"] for made, made_of in there.items() if made.kind == "Deployment"}
    assert {count for made, count in replicas.items() if made.name.endswith("dagster-webserver")} == {0}
    assert {count for made, count in replicas.items() if made.name == "dagster-daemon"} == {1}


@WITH_CHART
@BOTH
def test_dagster_loads_the_instance_that_the_chart_makes(
    tenants: Tenants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "secret")
    instances = [text for text in render(tenants) if text.endswith("dagster.yaml") and text.startswith("helm/")]
    assert instances
    for path in instances:
        maps = {manifest["metadata"]["name"]: manifest for _, manifest in by_the_chart(path, render(tenants)[path])}
        (tmp_path / "dagster.yaml").write_text(maps["dagster-instance"]["data"]["dagster.yaml"])
        (tmp_path / "workspace.yaml").write_text(maps["dagster-workspace-yaml"]["data"]["workspace.yaml"])
        found = InstanceRef.from_dir(str(tmp_path))
        assert isinstance(found.run_coordinator, TenantRunCoordinator)
        for data, kind in (
            (found.run_storage_data, PostgresRunStorage),
            (found.event_storage_data, PostgresEventLogStorage),
            (found.schedule_storage_data, PostgresScheduleStorage),
            (found.run_launcher_data, TenantRunLauncher),
        ):
            assert data is not None
            assert data.class_name == kind.__name__
            assert process_config(kind.config_type(), data.config_dict).success
        logs = found.compute_logs_data
        assert logs is not None
        assert logs.class_name == "S3ComputeLogManager"
        told = yaml.safe_load(render(tenants)[path])["computeLogManager"]["config"]["s3ComputeLogManager"]
        assert (logs.config_dict["bucket"], logs.config_dict["prefix"]) == (told["bucket"], told["prefix"])
        machine = yaml.safe_load(render(tenants)[path.replace("helm/", "machine/").replace(".dagster", "/dagster")])
        for part in ("run_monitoring", "run_retries"):
            assert machine[part].items() <= found.settings[part].items()
        told = yaml.safe_load(render(tenants)[path])["dagsterWebserver"]["workspace"]["servers"]
        origins = location_origins_from_yaml_paths([str(tmp_path / "workspace.yaml")])
        assert [(each.location_name, each.host, each.port) for each in origins] == [
            (server["name"], server["host"], server["port"]) for server in told
        ]


@WITH_CHART
@BOTH
def test_code_servers_are_commands_that_dagster_has(tenants: Tenants) -> None:
    from dagster._cli.api import grpc_command

    for made, manifest in on_the_cluster(tenants).items():
        if made.kind == "Deployment" and made.name.startswith("code-"):
            pod = manifest["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            variables = [variable["name"] for variable in container["env"]]
            assert len(variables) == len(set(variables))
            assert "DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT" in variables
            assert container["resources"]["limits"]["memory"]
            args = container.get("args")
            if args is None:  # the image starts it
                continue
            assert args[:3] == ["dagster", "api", "grpc"]
            with CliRunner().isolation():
                understood = grpc_command.make_context("grpc", args[3:]).params
            assert (understood["host"], understood["module_name"]) == ("0.0.0.0", args[-1])
