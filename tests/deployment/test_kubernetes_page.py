"""docs/kubernetes.md and deployment/kind: as far as can be told without Docker."""

import re
import shlex
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster_k8s.job import get_user_defined_k8s_config

from mlrepro.cli.webserver import webserver_command
from mlrepro.execution.pods.refusals import refusal
from mlrepro.execution.pods.trouble import Bounds
from mlrepro.tenancy import load_tenants
from mlrepro.tenancy.rendering import render
from tests.deployment.pages import ROOT, blocks

PAGE = "docs/kubernetes.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
KIND = ROOT / "deployment" / "kind"
TENANTS = load_tenants(KIND / "tenants.yaml")
SERVICES: list[dict[str, Any]] = list(yaml.safe_load_all((KIND / "services.yaml").read_text()))


def test_the_example_asks_for_what_the_page_says() -> None:
    (example,) = blocks(PAGE, "python")
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(example, "page.py", "exec"), names)
    asked = get_user_defined_k8s_config(dict(names["model"].op.tags))
    assert asked.container_config["resources"]["limits"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    assert asked.pod_spec_config == {"node_selector": {"pool": "a100"}}


@pytest.mark.parametrize("manifest", SERVICES, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_kubernetes_schemas_take_the_services(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.36", strict=True)


def test_the_tenants_find_the_services() -> None:
    services = {
        "{name}.{namespace}.svc.cluster.local".format(**each["metadata"]): each["spec"]["ports"][0]["port"]
        for each in SERVICES
        if each["kind"] == "Service"
    }
    postgres, bucket = TENANTS.instance.postgres, TENANTS.instance.bucket
    assert services[postgres.host] == postgres.port
    host, _, port = (bucket.endpoint or "").removeprefix("http://").partition(":")
    assert services[host] == bucket.port == int(port)


def test_the_services_have_the_secrets_that_the_page_makes() -> None:
    made = set(re.findall(r"kubectl create secret generic (\S+) -n services", TEXT.replace('"$namespace"', "services")))
    wanted = set(
        re.findall(r"secretKeyRef: \{ name: ([\w-]+)|secretName: ([\w-]+)", (KIND / "services.yaml").read_text())
    )
    assert {name for pair in wanted for name in pair if name} == made
    template = render(TENANTS)["seaweedfs/s3.template.json"]
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(re.findall(r"\b((?!AWS)[A-Z_]+_KEY)=", TEXT))


def test_the_webserver_differs_from_the_rendered_one_in_who_reaches_it_alone() -> None:
    documents = yaml.safe_load_all(render(TENANTS)["kubernetes/mlrepro.webserver.yaml"])
    (rendered,) = (each for each in documents if each["kind"] == "Deployment")
    patch = yaml.safe_load((KIND / "webserver.patch.yaml").read_text())
    (before,), (after,) = (each["spec"]["template"]["spec"]["containers"] for each in (rendered, patch))
    assert f"deployment {rendered['metadata']['name']} --patch-file deployment/kind/webserver.patch.yaml" in TEXT
    assert after["name"] == before["name"]
    assert {name for name in before if name.endswith("Probe")} == {name for name in after if after[name] is None}
    assert re.search(r"\[[\w,]*\bweb\b", (ROOT / "deployment/image/Dockerfile").read_text()), "the extra that it needs"
    told = dict(webserver_command.make_context("webserver", after["command"][2:]).params)
    assert (told.pop("auth"), told.pop("user"), told.pop("host")) == ("none", "ana@example.com", "127.0.0.1")
    usual = dict(webserver_command.make_context("webserver", before["command"][2:]).params)
    assert told == {name: usual[name] for name in told}


def test_the_cluster_has_the_workers_that_kind_knows() -> None:
    cluster = yaml.safe_load((KIND / "cluster.yaml").read_text())
    assert cluster["apiVersion"] == "kind.x-k8s.io/v1alpha4"
    assert {node["role"] for node in cluster["nodes"]} == {"control-plane", "worker"}
    assert f"kind load docker-image {TENANTS.instance.image} --name {cluster['name']}" in TEXT


def test_every_file_and_rendered_file_that_a_command_names_is_there() -> None:
    typed = "\n".join(blocks(PAGE, "sh")).replace("\\\n", "")
    words = [word for line in typed.splitlines() for word in shlex.split(line, comments=True)]
    named = [word for word in words if word.startswith("deployment/")]
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []
    rendered = {word.removeprefix("kind-rendered/") for word in words if word.startswith("kind-rendered/")}
    made = render(TENANTS)
    assert {word for word in rendered if not any(path.startswith(word) for path in made)} == set()
    for tenant in TENANTS:
        assert f"helm/{tenant.name}.code.yaml" in rendered


def test_the_defaults_are_the_pages() -> None:
    shown = dict(re.findall(r"^\| `(MLREPRO_POD_\w+)` \| `(\d+)` \|", TEXT, re.MULTILINE))
    bounds = Bounds()
    assert {name: float(value) for name, value in shown.items()} == {
        "MLREPRO_POD_WAIT_SECONDS": bounds.long,
        "MLREPRO_POD_SHORT_WAIT_SECONDS": bounds.short,
        "MLREPRO_POD_RESTARTS": bounds.restarts,
        "MLREPRO_POD_CHECK_SECONDS": bounds.every,
    }


def test_the_launchers_settings_are_its_own() -> None:
    from dagster._config import process_config

    from mlrepro.tenancy.launcher import TenantRunLauncher

    (example,) = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))
    told = example["run_launcher"]
    assert (told["module"], told["class"]) == (TenantRunLauncher.__module__, TenantRunLauncher.__name__)
    checked = process_config(TenantRunLauncher.config_type(), told["config"])
    assert checked.success, checked.errors


def test_a_sentence_of_the_table_is_what_is_said() -> None:
    message = "exceeded quota: quota, requested: limits.memory=6Gi, used: limits.memory=4Gi, limited: limits.memory=8Gi"
    assert f"| {refusal(message).sentence} |" in TEXT
