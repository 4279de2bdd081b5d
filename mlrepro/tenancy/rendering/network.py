"""Whom a tenant's pods may talk to: nobody but those that a run needs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mlrepro.tenancy.model import Named, Tenants

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_CODE_SERVER: Final = {"matchLabels": {"component": "user-deployments"}}
_NODE_LOCAL_DNS: Final = "169.254.20.10/32"
_EXCEPT: Final = {"0.0.0.0/0": ["169.254.0.0/16"], "::/0": ["fe80::/10", "fd00:ec2::254/128"]}
"""Where nodes keep their own credentials."""


def policies(tenants: Tenants, tenant: Named) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and spec of each policy. They add up: what none of them allows is refused."""
    instance = tenants.instance
    yield "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    yield "dns", _egress([_dns()])
    yield "code-servers", _code_servers(tenants, tenant)
    own = {"to": [{"podSelector": _CODE_SERVER}], "ports": _code_ports(tenant)}
    yield "to-code-servers", _egress([own])
    yield "postgresql", _egress([_to(instance.postgres.cidrs, [instance.postgres.port])])
    yield "bucket", _egress([_to(instance.bucket.cidrs, [instance.bucket.port])])
    yield "cluster", _egress([_to(instance.cluster.cidrs, instance.cluster.ports)])


def _code_servers(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    """Webserver and daemon ask the code servers; so may the tenant's own pods."""
    dagster = {"namespaceSelector": {"matchLabels": {_NAMESPACE: tenants.instance.namespace}}}
    return {
        "podSelector": _CODE_SERVER,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [dagster, {"podSelector": {}}], "ports": _code_ports(tenant)}],
    }


def _code_ports(tenant: Named) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in sorted({code.port for code in tenant.locations})]


def _egress(rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": list(rules)}


def _to(cidrs: Sequence[str], ports: Sequence[int]) -> dict[str, Any]:
    blocks = [
        {"ipBlock": {"cidr": cidr, **({"except": list(_EXCEPT[cidr])} if cidr in _EXCEPT else {})}} for cidr in cidrs
    ]
    return {"to": blocks, "ports": [{"protocol": "TCP", "port": port} for port in ports]}


def webserver(tenants: Tenants, selector: Mapping[str, str], port: int) -> dict[str, Any]:
    """Of the webserver: everybody reaches it, as it asks who they are. It reaches what it shows, and who knows them."""
    instance = tenants.instance
    ports = sorted({code.port for tenant in tenants for code in tenant.locations})
    code_servers = [
        {"namespaceSelector": {"matchLabels": {_NAMESPACE: tenant.namespace}}, "podSelector": _CODE_SERVER}
        for tenant in tenants
    ]
    egress = [
        _dns(),
        {"to": code_servers, "ports": [{"protocol": "TCP", "port": each} for each in ports]},
        _to(instance.postgres.cidrs, [instance.postgres.port]),
        _to(instance.bucket.cidrs, [instance.bucket.port]),
        _to(instance.cluster.cidrs, instance.cluster.ports),
        _to(["0.0.0.0/0", "::/0"], [443]),
    ]
    return {
        "podSelector": {"matchLabels": dict(selector)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": port}]}],
        "egress": egress,
    }


def _dns() -> dict[str, Any]:
    dns = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {"to": [dns, {"ipBlock": {"cidr": _NODE_LOCAL_DNS}}], "ports": ports}
