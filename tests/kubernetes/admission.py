"""What the double's API server lets in: limit ranges, quotas and Pod Security, with Kubernetes' own words.

After the plugins LimitRanger, PodSecurity and ResourceQuota, in their order; only what pods without volumes and with
cpu, memory and devices need.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from mlrepro.quantities import amount

Object = dict[str, Any]
ENFORCED = "pod-security.kubernetes.io/enforce"


class ForbiddenError(Exception):
    """The pod is not let in."""


def apply_defaults(pod: Object, ranges: Iterable[Object]) -> None:
    """Give containers that ask for nothing what the namespace's limit ranges say.

    A limit without a request is the request too: that is the API server's own doing, before any plugin.
    """
    for container in containers(pod):
        resources = container.setdefault("resources", {})
        limits = dict(resources.get("limits") or {})
        requests = {**limits, **(resources.get("requests") or {})}
        for item in _of_containers(ranges):
            default = item.get("default") or {}
            requests = {**default, **(item.get("defaultRequest") or {}), **requests}
            limits = {**default, **limits}
        container["resources"] = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def check_limit_ranges(pod: Object, ranges: Iterable[Object]) -> None:
    """Refuse containers that are too large or too small."""
    wrong = list(_out_of_range(pod, ranges))
    if wrong:
        raise ForbiddenError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _out_of_range(pod: Object, ranges: Iterable[Object]) -> Iterator[str]:
    for item in _of_containers(ranges):
        for container in containers(pod):
            resources = container.get("resources") or {}
            requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
            for name, most in (item.get("max") or {}).items():
                if name not in limits:
                    yield f"maximum {name} usage per Container is {most}, but no limit is specified"
                elif amount(str(limits[name])) > amount(most):
                    yield f"maximum {name} usage per Container is {most}, but limit is {limits[name]}"
            for name, least in (item.get("min") or {}).items():
                if name in requests and amount(str(requests[name])) < amount(least):
                    yield f"minimum {name} usage per Container is {least}, but request is {requests[name]}"


def check_security(pod: Object, labels: Mapping[str, str]) -> None:
    """Refuse pods that break the standard ``restricted``; others the double does not know."""
    if labels.get(ENFORCED) != "restricted":
        return
    wrong = list(_violations(pod))
    if wrong:
        raise ForbiddenError(f'violates PodSecurity "restricted:latest": {", ".join(wrong)}')


def _violations(pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    of_pod = spec.get("securityContext") or {}
    if spec.get("hostNetwork") or spec.get("hostPID"):
        yield "host namespaces (hostNetwork=true)"
    if any("hostPath" in volume for volume in spec.get("volumes") or []):
        yield 'hostPath volumes (volume "host")'
    for container in containers(pod):
        name, own = container["name"], container.get("securityContext") or {}
        if own.get("privileged"):
            yield f'privileged (container "{name}" must not set securityContext.privileged=true)'
        if own.get("allowPrivilegeEscalation") is not False:
            yield (
                f'allowPrivilegeEscalation != false (container "{name}" must set'
                " securityContext.allowPrivilegeEscalation=false)"
            )
        if "ALL" not in ((own.get("capabilities") or {}).get("drop") or []):
            yield (f'unrestricted capabilities (container "{name}" must set securityContext.capabilities.drop=["ALL"])')
        if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
            yield f'runAsNonRoot != true (pod or container "{name}" must set securityContext.runAsNonRoot=true)'
        if not own.get("seccompProfile", of_pod.get("seccompProfile")):
            yield (
                f'seccompProfile (pod or container "{name}" must set securityContext.seccompProfile.type to'
                ' "RuntimeDefault" or "Localhost")'
            )


def check_quotas(pod: Object, quotas: Iterable[Object], others: Iterable[Object]) -> None:
    """Refuse a pod for which there is not enough left."""
    asked, others = usage(pod), list(others)
    for quota in quotas:
        name, hard = quota["metadata"]["name"], {_plain(key): value for key, value in quota["spec"]["hard"].items()}
        unsaid = [
            f"{key} for: {','.join(lacking)}"
            for key in sorted(hard)
            if key.startswith(("requests.cpu", "requests.memory", "limits.")) and (lacking := _lacking(pod, key))
        ]
        if unsaid:
            raise ForbiddenError(f"failed quota: {name}: must specify {'; '.join(unsaid)}")
        used = {key: sum((usage(other).get(key, Decimal(0)) for other in others), Decimal(0)) for key in hard}
        over = [key for key in sorted(hard) if asked.get(key) and used[key] + asked[key] > amount(str(hard[key]))]
        if over:
            told = [
                ",".join(f"{key}={value(key)}" for key in over)
                for value in (
                    lambda key: written(key, asked[key]),
                    lambda key, used=used: written(key, used[key]),
                    lambda key, hard=hard: hard[key],
                )
            ]
            raise ForbiddenError(f"exceeded quota: {name}, requested: {told[0]}, used: {told[1]}, limited: {told[2]}")


def usage(pod: Object) -> dict[str, Decimal]:
    """What a pod counts for, by the names that quotas have."""
    found = {"pods": Decimal(1)}
    for container in containers(pod):
        for kind, amounts in (container.get("resources") or {}).items():
            for name, value in (amounts or {}).items():
                key = f"{kind}.{name}"
                found[key] = found.get(key, Decimal(0)) + amount(str(value))
    return found


def written(name: str, value: Decimal) -> str:
    """A quantity as Kubernetes writes it."""
    if "memory" in name or "storage" in name:
        for unit in ("Ti", "Gi", "Mi", "Ki"):
            if value and value % amount(f"1{unit}") == 0:
                return f"{int(value / amount(f'1{unit}'))}{unit}"
        return str(int(value))
    return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"


def containers(pod: Object) -> list[Object]:
    """A pod's containers."""
    found: list[Object] = pod["spec"]["containers"]
    return found


def _lacking(pod: Object, key: str) -> list[str]:
    kind, _, name = key.partition(".")
    return [each["name"] for each in containers(pod) if name not in ((each.get("resources") or {}).get(kind) or {})]


def _plain(key: str) -> str:
    return f"requests.{key}" if key in ("cpu", "memory") else key


def _of_containers(ranges: Iterable[Object]) -> list[Object]:
    return [item for each in ranges for item in each["spec"]["limits"] if item["type"] == "Container"]
