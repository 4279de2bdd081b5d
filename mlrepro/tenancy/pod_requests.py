"""What the tags of a run may ask of its pod: resources within the tenant's quota, and nothing else."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlrepro.errors import RunRefusedError
from mlrepro.quantities import amount, check_quantity
from mlrepro.tenancy.model import Named

_CONFIG_TAG: Final = "dagster-k8s/config"
_RESOURCES_TAG: Final = "dagster-k8s/resource_requirements"
_CONTAINER: Final = ("container_config", "containerConfig")

Amounts = dict[str, str]


def requested(tags: Mapping[str, str], tenant: Named) -> dict[str, Amounts]:
    """What a run's tags ask for.

    It is an allow-list: whatever Kubernetes learns to understand one day is refused until it is looked at.

    Args:
        tags: The run's tags.
        tenant: Whose run it is.

    Returns:
        Requests and limits; nothing where the tags ask for nothing.

    Raises:
        RunRefusedError: They ask for something else, or for more than the tenant has.
    """
    resources: dict[str, Any] = {}
    for tag, config in ((tag, _json(tags, tag)) for tag in (_CONFIG_TAG, _RESOURCES_TAG) if tag in tags):
        found = config if tag == _RESOURCES_TAG else _resources_in(config)
        for kind in found:
            if kind not in ("requests", "limits") or not isinstance(found[kind], Mapping):
                raise _refused(tag, f"resources.{kind}")
            resources[kind] = {**resources.get(kind, {}), **found[kind]}
    return _within(resources, tenant) if resources else {}


def _json(tags: Mapping[str, str], tag: str) -> Mapping[str, Any]:
    try:
        config = json.loads(tags[tag])
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, Mapping):
        raise RunRefusedError(f"the run's tag {tag} is no JSON object")
    return config


def _resources_in(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for path in _foreign(config):
        raise _refused(_CONFIG_TAG, path)
    found: dict[str, Any] = {}
    for name in _CONTAINER:
        found |= (config.get(name) or {}).get("resources") or {}
    return found


def _foreign(config: Mapping[str, Any]) -> Iterator[str]:
    """What is neither the container's resources nor empty, by its path."""
    for name, value in config.items():
        if name == "merge_behavior" or not value:
            continue
        if name not in _CONTAINER:
            yield _first(name, value)
        elif not isinstance(value, Mapping):
            yield name
        else:
            for field, inner in value.items():
                if field != "resources" or not isinstance(inner, Mapping):
                    yield f"{name}.{_first(field, inner)}"


def _first(name: str, value: Any) -> str:
    inner = next(iter(value), None) if isinstance(value, Mapping) else None
    return name if inner is None else f"{name}.{inner}"


def _refused(tag: str, path: str) -> RunRefusedError:
    return RunRefusedError(
        f"the run's tag {tag} asks for {path}: a run may only ask for container_config.resources, the rest is what"
        " tenants.yaml says of its tenant"
    )


def _within(resources: Mapping[str, Mapping[str, Any]], tenant: Named) -> dict[str, Amounts]:
    quota = tenant.tenant.quota
    allowed = {"cpu": quota.cpu, "memory": quota.memory, "nvidia.com/gpu": str(quota.gpu), "ephemeral-storage": None}
    names = {name for part in resources.values() for name in part}
    made: dict[str, Amounts] = {"requests": {}, "limits": {}}
    for name in sorted(names, key=str):
        if name not in allowed:
            raise RunRefusedError(f"the run asks for {name}, of which tenant {tenant.name} has no quota")
        given = [resources[kind][name] for kind in ("requests", "limits") if name in resources.get(kind, {})]
        # one without the other would be held against the default of the other, which may be less
        request, limit = str(given[0]), str(given[-1])
        try:
            # nothing is no limit at all to a node, and counts for nothing to a quota
            least, most = amount(check_quantity(request)), amount(check_quantity(limit))
        except ValueError as error:
            raise RunRefusedError(f"the run asks for {name} as no quantity: {error}") from error
        if least > most:
            raise RunRefusedError(f"the run requests {request} {name}, more than its own limit, {limit}")
        whole = allowed[name]
        if whole is not None and most > amount(whole):
            raise RunRefusedError(
                f"the run asks for {limit} {name}, the whole quota of tenant {tenant.name} is {whole}"
            )
        made["requests"][name], made["limits"][name] = request, limit
    return made
