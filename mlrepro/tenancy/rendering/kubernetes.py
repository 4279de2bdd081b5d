"""A tenant's namespace, and all that is in it before its first pod."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering import copies, launcher, network, pods, settings, webserver
from mlrepro.tenancy.rendering.text import as_yaml, yaml_file

_RBAC: Final = "rbac.authorization.k8s.io/v1"
_ROLE: Final = "dagster-runs"
_ENDS_RUNS: Final = "dagster-ends-runs"

RULES: Final = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "list"]},
    {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
)
"""What dagster-k8s asks of Kubernetes to start, watch and end runs and steps, and nothing else."""


def kubernetes_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """Each file's path and text: all of a tenant in one, in the order in which it is to be applied."""
    for tenant in tenants:
        yield f"kubernetes/{tenant.name}.yaml", yaml_file(*manifests(tenants, tenant), about=["kubectl apply -f THIS"])


def manifests(tenants: Tenants, tenant: Named) -> list[dict[str, Any]]:
    """A tenant's manifests."""
    return [
        _namespace(tenant),
        _service_account(tenant),
        _manifest(tenant, _RBAC, "Role", _ROLE, rules=list(RULES)),
        _role_binding(tenants, tenant),
        _manifest(tenant, _RBAC, "Role", _ENDS_RUNS, rules=list(webserver.ENDS_RUNS)),
        _bound(tenant, _ENDS_RUNS, [(webserver.account(tenants), tenants.instance.namespace)]),
        _manifest(tenant, "v1", "ResourceQuota", "quota", spec={"hard": _hard(tenants, tenant)}),
        _manifest(tenant, "v1", "LimitRange", "defaults", spec={"limits": [_default_resources(tenant)]}),
        *(
            _manifest(tenant, "networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)
            for name, spec in network.policies(tenants, tenant)
        ),
        # where a tenant has an instance of its own, the chart makes these two, and its daemon reads tenants.yaml
        *(_own_file(tenants, tenant) if tenants.isolated else _config_maps(tenants, tenant)),
    ]


def _manifest(tenant: Named, version: str, kind: str, name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": tenant.namespace, "labels": pods.labels(tenant)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def _namespace(tenant: Named) -> dict[str, Any]:
    metadata = {"name": tenant.namespace, "labels": pods.labels(tenant) | pods.admitted()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _service_account(tenant: Named) -> dict[str, Any]:
    made = _manifest(tenant, "v1", "ServiceAccount", tenant.service_account)
    annotations = dict(sorted(tenant.tenant.service_account.annotations.items()))
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def _role_binding(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    """Run workers start steps; the daemon, wherever it is, starts run workers."""
    daemon = tenant.namespace if tenants.isolated else tenants.instance.namespace
    accounts = [(tenant.service_account, tenant.namespace), (settings.daemon_account(tenants), daemon)]
    return _bound(tenant, _ROLE, accounts)


def _bound(tenant: Named, role: str, accounts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace} for name, namespace in accounts]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
    return _manifest(tenant, _RBAC, "RoleBinding", role, subjects=subjects, roleRef=reference)


def _hard(tenants: Tenants, tenant: Named) -> dict[str, str]:
    quota, daemon = tenant.tenant.quota, int(tenants.isolated)
    return {
        "requests.cpu": quota.cpu,
        "limits.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "limits.memory": quota.memory,
        "requests.nvidia.com/gpu": str(quota.gpu),
        "pods": str(tenant.pods + daemon),
        "requests.storage": quota.storage or "0",
        # a Service of these kinds would be reached from outside the cluster
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def _default_resources(tenant: Named) -> dict[str, Any]:
    """A quota refuses pods that ask for nothing, so those get this much. What asks for 0 would not count in it."""
    resources = pods.step_resources(tenant)
    return {
        "type": "Container",
        "min": {"cpu": "1m", "memory": "1Mi"},
        "defaultRequest": resources["requests"],
        "default": resources["limits"],
    }


def _config_maps(tenants: Tenants, tenant: Named) -> list[dict[str, Any]]:
    """Run workers and steps look for these in their own namespace, under the names that the chart gives them."""
    release = settings.chart_name(tenants)
    instance = {"dagster.yaml": as_yaml(launcher.instance_settings(tenants, tenant))}
    home = {"DAGSTER_HOME": settings.DAGSTER_HOME}
    return [
        _manifest(tenant, "v1", "ConfigMap", f"{release}-instance", data=instance),
        _manifest(tenant, "v1", "ConfigMap", f"{release}-pipeline-env", data=home),
    ]


def _own_file(tenants: Tenants, tenant: Named) -> list[dict[str, Any]]:
    return [
        _manifest(tenant, "v1", "ConfigMap", copies.CONFIG_MAP, data={copies.NAME: copies.own_text(tenants, tenant)})
    ]
