"""Manifests: as Kubernetes has them, with as few rights as can be."""

import inspect
import re
from typing import Any

import kubernetes_validate
import pytest

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering.kubernetes import RULES
from tests.tenancy.files import read, small, team
from tests.tenancy.rendering.documents import ISOLATED, SHARED, check, manifests


@pytest.mark.parametrize("tenants", [SHARED, ISOLATED], ids=["shared", "isolated"])
def test_kubernetes_schemas_take_every_manifest(tenants: Tenants) -> None:
    for tenant in tenants:
        for manifest in manifests(tenants, tenant.name):
            check(manifest)


def test_the_schemas_do_refuse() -> None:
    namespace = manifests(SHARED, "delay")[0]
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**namespace, "nonsense": 1})


def test_all_is_in_the_tenants_namespace_which_comes_first() -> None:
    namespace, *others = manifests(SHARED, "aircraft")
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "team-aircraft")
    assert {manifest["metadata"]["namespace"] for manifest in others} == {"team-aircraft"}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_role_has_what_dagster_k8s_calls_and_nothing_else() -> None:
    from dagster_k8s import client

    called = set(re.findall(r"self\.(?:batch|core)_api\.(\w+)\(", inspect.getsource(client)))
    verbs = {"read": "get", "list": "list", "create": "create", "delete": "delete"}
    resources = {"job": "jobs", "job_status": "jobs/status", "pod": "pods", "pod_log": "pods/log", "event": "events"}
    needed = {
        (verbs[verb], resources[kind])
        for verb, kind in (re.fullmatch(r"([a-z]+)_namespaced_(\w+)", name).groups() for name in called)
    }
    given = {(verb, resource) for rule in RULES for verb in rule["verbs"] for resource in rule["resources"]}
    assert given == needed


def is_binding(manifest: dict[str, Any], name: str) -> bool:
    return manifest["kind"] == "RoleBinding" and manifest["roleRef"]["name"] == name


def test_the_webserver_ends_runs_and_starts_none() -> None:
    from dagster_k8s.client import DagsterKubernetesClient as Client

    sources = map(inspect.getsource, (Client.delete_job, Client.get_pod_names_in_job, Client.get_pods_in_job))
    called = set(re.findall(r"self\.(?:batch|core)_api\.(\w+)\(", "".join(sources)))
    assert called == {"delete_namespaced_job", "delete_namespaced_pod", "list_namespaced_pod"}
    for tenants, name in ((SHARED, "aircraft"), (ISOLATED, "pricing")):
        found = manifests(tenants, name)
        (role,) = (each for each in found if (each["kind"], each["metadata"]["name"]) == ("Role", "dagster-ends-runs"))
        given = {(verb, what) for rule in role["rules"] for verb in rule["verbs"] for what in rule["resources"]}
        assert given == {("delete", "jobs"), ("delete", "pods"), ("list", "pods")}
        (binding,) = (each for each in found if is_binding(each, "dagster-ends-runs"))
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "dagster-webserver", "namespace": "dagster"}]


def test_only_the_tenant_and_the_daemon_have_the_role() -> None:
    def subjects(tenants: Tenants, name: str) -> set[str]:
        (binding,) = (found for found in manifests(tenants, name) if is_binding(found, "dagster-runs"))
        assert binding["roleRef"]["kind"] == "Role"
        return {f"{subject['namespace']}/{subject['name']}" for subject in binding["subjects"]}

    assert subjects(SHARED, "aircraft") == {"team-aircraft/dagster", "dagster/dagster"}
    assert subjects(ISOLATED, "pricing") == {"pricing/dagster", "pricing/dagster-daemon"}


def test_the_quota_and_what_pods_get_that_ask_for_nothing() -> None:
    found = {manifest["kind"]: manifest for manifest in manifests(SHARED, "delay")}
    hard = found["ResourceQuota"]["spec"]["hard"]
    assert (hard["limits.cpu"], hard["requests.memory"], hard["requests.nvidia.com/gpu"]) == ("32", "128Gi", "1")
    assert hard["pods"] == "25"  # a code server, 8 runs, 16 steps
    (defaults,) = found["LimitRange"]["spec"]["limits"]
    assert defaults["default"] == defaults["defaultRequest"] == {"cpu": "500m", "memory": "2Gi"}


def test_nothing_in_or_out_but_what_a_run_needs() -> None:
    found = {m["metadata"]["name"]: m["spec"] for m in manifests(SHARED, "delay") if m["kind"] == "NetworkPolicy"}
    assert found.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ins = {name for name, spec in found.items() if "ingress" in spec}
    assert ins == {"code-servers"}
    ports = {
        name: {p["port"] for rule in spec.get("egress", ()) for p in rule["ports"]} for name, spec in found.items()
    }
    assert ports == {
        "dns": {53},
        "code-servers": set(),
        "to-code-servers": {4000},
        "postgresql": {5432},
        "bucket": {443},
        "cluster": {443, 6443},
    }
    for spec in found.values():
        for rule in (*spec.get("egress", ()), *spec.get("ingress", ())):
            assert rule.get("to") or rule.get("from"), "a rule without peers is one for everybody"


def test_the_nodes_own_credentials_are_out_of_reach() -> None:
    (bucket,) = (m["spec"] for m in manifests(SHARED, "delay") if m["metadata"]["name"] == "bucket")
    (block,) = bucket["egress"][0]["to"]
    assert block["ipBlock"] == {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}


def test_quantities_that_are_numbers_in_yaml() -> None:
    tenants = read(small(team("a", quota="{cpu: 7.5, memory: 32Gi}")))
    (quota,) = (m for m in manifests(tenants, "a") if m["kind"] == "ResourceQuota")
    assert quota["spec"]["hard"]["limits.cpu"] == "7.5"
