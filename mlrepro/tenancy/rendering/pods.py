"""What every pod of a tenant has: a place, rights that are as few as can be, and resources."""

from typing import Any, Final

from mlrepro.tenancy.model import Named

_USER: Final = 1000

POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "fsGroup": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def admitted() -> dict[str, str]:
    """Labels of a namespace that admits only pods of Kubernetes' `restricted` standard."""
    return {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", "latest"))
    }


def step_resources(tenant: Named) -> dict[str, Any]:
    """Requests and limits of what asks for nothing."""
    step = tenant.tenant.step
    each = {"cpu": step.cpu, "memory": step.memory}
    return {"requests": dict(each), "limits": dict(each)}


def node_selector(tenant: Named) -> dict[str, str]:
    """Labels that the nodes must have."""
    return dict(sorted(tenant.tenant.placement.node_selector.items()))


def tolerations(tenant: Named) -> list[dict[str, str]]:
    """Taints that the pods put up with."""
    return [toleration.model_dump(exclude_none=True) for toleration in tenant.tenant.placement.tolerations]


def labels(tenant: Named) -> dict[str, str]:
    """Labels of what is a tenant's."""
    return {"app.kubernetes.io/managed-by": "mlrepro", "mlrepro/tenant": tenant.name}
