"""Resources as part of the key: a function that gets one runs its code, under its config."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.io_managers.config import plain_config
from mlrepro.versioning import digest, fingerprint


def resource_fingerprints(step_context: StepExecutionContext, ignored: tuple[str, ...]) -> dict[str, str]:
    """Fingerprint each resource that a step's function can use: its code and its resolved config.

    Args:
        step_context: The step.
        ignored: Keys of resources that do not change a result.

    Returns:
        A hash for each resource key, those that a resource requires in its turn included.
    """
    definitions = step_context.job_def.resource_defs
    resolved = step_context.resolved_run_config.resources
    configs = {key: plain_config(resource.config) for key, resource in resolved.items()}
    return {
        key: digest({"definition": _definition(definitions[key], configs), "config": configs.get(key)})
        for key in sorted(_required(step_context.op_def.required_resource_keys - set(ignored), definitions))
    }


def _required(keys: Iterable[str], definitions: Mapping[str, dg.ResourceDefinition]) -> set[str]:
    """Add the resources that resources require."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key in definitions and key not in found:
            found.add(key)
            waiting += definitions[key].required_resource_keys
    return found


def _definition(resource: Any, configs: Mapping[str, Any]) -> Any:
    """Describe a resource definition, or a resource nested in one, without starting it."""
    if isinstance(resource, dg.ConfigurableResource):
        return {
            "code": fingerprint(type(resource)).digest,
            "fields": {name: _field(getattr(resource, name), configs) for name in type(resource).model_fields},
        }
    if isinstance(resource, dg.ResourceDefinition):
        made_by = getattr(resource, "configurable_resource_cls", None) or resource.resource_fn
        nested = getattr(resource, "nested_resources", None) or {}
        return {
            "code": fingerprint(made_by).digest,
            "nested": {name: _definition(value, configs) for name, value in nested.items()},
        }
    if (configured_at_launch := getattr(resource, "resource_cls", None)) is not None:
        # which of the run's resources it is can't be told from here, so the config of all of them counts
        return {"code": fingerprint(configured_at_launch).digest, "configs": configs}
    return {"value": fingerprint(functools.partial(type, resource)).digest}  # any object, by value


def _field(value: Any, configs: Mapping[str, Any]) -> Any:
    is_resource = isinstance(value, dg.ConfigurableResource | dg.ResourceDefinition)
    return _definition(value, configs) if is_resource else plain_config(value)
