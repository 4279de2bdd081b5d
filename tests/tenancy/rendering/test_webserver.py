"""The webserver's manifests: what Kubernetes takes, and what the pod finds there."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.workspace.load import location_origins_from_yaml_paths

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering.settings import environment
from mlrepro.web.pages.token import VARIABLE as PAGES_SECRET
from tests.tenancy.rendering.documents import ISOLATED, SHARED, check, webserver
from tests.tenancy.rendering.test_machine import settings

BOTH = pytest.mark.parametrize("tenants", [SHARED, ISOLATED], ids=["shared", "isolated"])


def found(tenants: Tenants, kind: str, name: str | None = None) -> Any:
    (one,) = (each for each in webserver(tenants) if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return one


def container(tenants: Tenants) -> Any:
    (only,) = found(tenants, "Deployment")["spec"]["template"]["spec"]["containers"]
    return only


def home(tenants: Tenants, folder: Path) -> Path:
    """The home as the pod has it."""
    pod = found(tenants, "Deployment")["spec"]["template"]["spec"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "home")
    data = found(tenants, "ConfigMap", volume["configMap"]["name"])["data"]
    for item in volume["configMap"]["items"]:
        file = folder / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data[item["key"]])
    assert len(volume["configMap"]["items"]) == len(data)
    return folder


@BOTH
def test_kubernetes_schemas_take_every_manifest(tenants: Tenants) -> None:
    for manifest in webserver(tenants):
        check(manifest)


@BOTH
def test_its_namespace_admits_its_pod(tenants: Tenants) -> None:
    labels = found(tenants, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = found(tenants, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(tenants)["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {
        "configMap", "emptyDir", "persistentVolumeClaim", "secret",
    }  # fmt: skip


@BOTH
def test_service_deployment_and_policy_mean_the_same_pod(tenants: Tenants) -> None:
    labels = found(tenants, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert found(tenants, "Service")["spec"]["selector"].items() <= labels.items()
    assert found(tenants, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (port,) = container(tenants)["ports"]
    assert found(tenants, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert found(tenants, "NetworkPolicy")["spec"]["ingress"][0]["ports"] == [
        {"protocol": "TCP", "port": port["containerPort"]}
    ]
    command = container(tenants)["command"]
    assert command[command.index("-p") + 1] == str(port["containerPort"])


@BOTH
def test_it_is_asked_whether_it_works_without_a_login(tenants: Tenants) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(tenants)[probe]["httpGet"]["path"] == "/server_info"


@BOTH
def test_it_runs_as_nobody_else_does(tenants: Tenants) -> None:
    account = found(tenants, "ServiceAccount")["metadata"]["name"]
    assert found(tenants, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account
    assert account not in {tenants.instance.service_account, *(tenant.service_account for tenant in tenants)}
    assert not [each for each in webserver(tenants) if "Role" in each["kind"]]


def test_of_all_together_it_finds_every_code_location(tmp_path: Path) -> None:
    command, folder = container(SHARED)["command"], home(SHARED, tmp_path)
    assert command[command.index("-w") + 1] == f"{command[command.index('--home') + 1]}/workspace.yaml"
    made = settings(folder, (folder / "dagster.yaml").read_text())
    assert (made["run_coordinator"]["class"], made["run_launcher"]["class"]) == (
        "TenantRunCoordinator", "TenantRunLauncher",
    )  # fmt: skip
    origins = location_origins_from_yaml_paths([str(folder / "workspace.yaml")])
    assert {origin.location_name for origin in origins} == {"aircraft", "delay"}


def test_of_isolated_tenants_it_finds_each_in_its_folder(tmp_path: Path) -> None:
    folder = home(ISOLATED, tmp_path)
    assert "-w" not in container(ISOLATED)["command"]
    names = {}
    for tenant in ISOLATED:
        made: Any = settings(tmp_path, (folder / tenant.name / "dagster.yaml").read_text())
        database = made["storage"]["postgres"]["postgres_db"]
        assert database["db_name"] == f"dagster_{tenant.name}"
        (variable,) = (each for each in container(ISOLATED)["env"] if each["name"] == database["password"]["env"])
        assert variable["valueFrom"]["secretKeyRef"] == {"name": "dagster-postgresql-secret", "key": tenant.name}
        origins = location_origins_from_yaml_paths([str(folder / tenant.name / "workspace.yaml")])
        names[tenant.name] = {origin.location_name for origin in origins}
    assert names == {"forecast": {"forecast"}, "pricing": {"pricing", "prices-old", "offers"}}


@BOTH
def test_what_the_pod_names_is_mounted(tenants: Tenants) -> None:
    made, pod = container(tenants), found(tenants, "Deployment")["spec"]["template"]["spec"]
    assert {mount["name"] for mount in made["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    command = made["command"]
    paths = [mount["mountPath"] for mount in made["volumeMounts"]]
    for option in ("--tenants", "--home", "--audit"):
        assert any(command[command.index(option) + 1].startswith(path) for path in paths), option


@BOTH
def test_secrets_are_named_and_never_rendered(tenants: Tenants) -> None:
    assert container(tenants)["envFrom"] == [{"secretRef": {"name": "mlrepro-identity", "optional": True}}]
    assert not [each for each in webserver(tenants) if each["kind"] == "Secret"]


@BOTH
def test_forms_hold_whichever_webserver_made_them(tenants: Tenants) -> None:
    (signed_with,) = (each for each in container(tenants)["env"] if each["name"] == PAGES_SECRET)
    key = {"name": "mlrepro-identity", "key": "pages-secret", "optional": True}
    assert signed_with["valueFrom"]["secretKeyRef"] == key


@pytest.mark.parametrize("prefix", ["", "/ml", "/ml/dagster"])
def test_all_paths_begin_with_the_prefix(prefix: str) -> None:
    from tests.tenancy.files import EXAMPLE, read

    tenants = read(EXAMPLE.read_text().replace("instance:\n", f"instance:\n  path_prefix: {prefix!r}\n", 1))
    made = container(tenants)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert made[probe]["httpGet"]["path"] == f"{prefix}/server_info"
    # the webserver itself reads the prefix in tenants.yaml
    assert read(found(tenants, "ConfigMap", "mlrepro-tenants")["data"]["tenants.yaml"]).instance.path_prefix == prefix
    for tenant in tenants:
        assert environment(tenants, tenant).get("MLREPRO_PAGES") == (f"{prefix}/mlrepro" if prefix else None)


def test_the_tenants_file_that_it_reads_is_the_one_that_was_rendered() -> None:
    from tests.tenancy.files import read

    for tenants in (SHARED, ISOLATED):
        assert read(found(tenants, "ConfigMap", "mlrepro-tenants")["data"]["tenants.yaml"]) == tenants


def test_an_isolated_tenants_daemon_is_told_of_nobody_else() -> None:
    from tests.tenancy.files import read
    from tests.tenancy.rendering.documents import manifests

    (own,) = (m for m in manifests(ISOLATED, "pricing") if m["metadata"]["name"] == "mlrepro-tenants")
    text = own["data"]["tenants.yaml"]
    assert "forecast" not in text
    (tenant,) = read(text)
    (whole,) = (each for each in ISOLATED if each.name == "pricing")
    assert tenant == whole


def test_a_change_of_code_locations_takes_a_new_pod() -> None:
    from tests.tenancy.files import EXAMPLE, read

    def digest(text: str) -> str:
        return str(found(read(text), "Deployment")["spec"]["template"]["metadata"]["annotations"]["mlrepro/home"])

    text = EXAMPLE.read_text()
    assert digest(text) == digest(text.replace("role: launcher", "role: editor"))
    assert digest(text) != digest(text.replace("name: delay\n", "name: delays\n"))


def test_its_config_map_is_yaml() -> None:
    assert all(yaml.safe_load(text) for text in found(SHARED, "ConfigMap", "mlrepro-webserver")["data"].values())
