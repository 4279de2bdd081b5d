"""docs/kubernetes.md and deployment/kind: as far as can be told without Docker."""

import re
import shlex
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster_k8s.job import get_user_defined_k8s_config

from mlrepro.execution.pods.refusals import refusal
from mlrepro.execution.pods.trouble import Bounds
from mlrepro.tenancy import load_tenants
from mlrepro.tenancy.rendering import render
from tests.deployment.pages import ROOT, blocks
from tests.tenancy.files import read, small

PAGE = "docs/kubernetes.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
KIND = ROOT / "deployment" / "kind"
TENANTS = load_tenants(KIND / "tenants.yaml")
SERVICES: list[dict[str, Any]] = list(yaml.safe_load_all((KIND / "services.yaml").read_text()))


def _all(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


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


def test_the_webserver_believes_the_proxy_that_the_page_opens() -> None:
    rendered = [each for text in render(TENANTS).items() if text[0].startswith("kubernetes/") for each in _all(text[1])]
    there = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): {port["port"] for port in each["spec"]["ports"]}
        for each in [*SERVICES, *rendered]
        if each["kind"] == "Service"
    }
    (opened,) = re.findall(r"kubectl port-forward -n (\S+) service/(\S+) \d+:(\d+)", TEXT)
    assert int(opened[2]) in there[opened[0], opened[1]]

    (config,) = (each["data"]["default.conf.template"] for each in SERVICES if each["kind"] == "ConfigMap")
    name, namespace = re.findall(r"proxy_pass http://([\w-]+)\.([\w-]+)\.svc", config)[0]
    assert 80 in there[namespace, name]
    identity = TENANTS.identity
    assert identity is not None
    assert identity.proxy is not None
    sets = dict(re.findall(r"proxy_set_header (\S+) (.+);", config))
    assert sets[identity.proxy.secret_header] == f'"${{{identity.proxy.secret.env}}}"'
    assert sets[identity.proxy.groups_header or ""] == '""'
    assert TENANTS.roles(sets[identity.proxy.user_header], []) == {"delay": "admin"}
    made = re.findall(r"create secret generic mlrepro-identity -n dagster --from-literal=(\w+)=", TEXT)
    assert made == [identity.proxy.secret.env]


def test_the_image_has_what_the_pods_run() -> None:
    text = (ROOT / "deployment" / "image" / "Dockerfile").read_text()
    (extras,) = re.findall(r'"\$\{wheel\}\[(.+?)\]"', text)
    assert set(extras.split(",")) == {"aws", "k8s", "postgres", "web"}
    assert f"mlrepro[{extras}]==" in text


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


def test_a_location_of_bundles_is_what_the_page_says() -> None:
    example = yaml.safe_load(blocks(PAGE, "yaml")[1])
    example["tenants"]["pricing"]["quota"] = {"cpu": 8, "memory": "32Gi"}
    tenants = read(yaml.safe_dump({**yaml.safe_load(small()), **example}))
    (server,) = yaml.safe_load(render(tenants)["helm/pricing.code.yaml"])["deployments"]
    assert server["image"]["repository"] == "registry.example.com/libraries"
    told = {each["name"]: each["value"] for each in server["env"]}
    assert (told["MLREPRO_CODE_LOCATION"], told["MLREPRO_BUNDLE_CACHE"]) == (
        "pricing",
        "/opt/dagster/dagster_home/bundles",
    )


def test_the_launchers_settings_are_its_own() -> None:
    from dagster._config import process_config

    from mlrepro.tenancy.launcher import TenantRunLauncher

    example = yaml.safe_load(blocks(PAGE, "yaml")[0])
    told = example["run_launcher"]
    assert (told["module"], told["class"]) == (TenantRunLauncher.__module__, TenantRunLauncher.__name__)
    checked = process_config(TenantRunLauncher.config_type(), told["config"])
    assert checked.success, checked.errors


def test_a_sentence_of_the_table_is_what_is_said() -> None:
    message = "exceeded quota: quota, requested: limits.memory=6Gi, used: limits.memory=4Gi, limited: limits.memory=8Gi"
    assert f"| {refusal(message).sentence} |" in TEXT
