"""Resources as part of the key: a function that gets one runs its code, under its config."""

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
        A hash for each resource key.
    """
    definitions = step_context.job_def.resource_defs
    resolved = step_context.resolved_run_config.resources
    return {
        key: digest(
            {
                "definition": _definition(definitions[key]),
                "config": plain_config(resolved[key].config) if key in resolved else None,
            }
        )
        for key in sorted(step_context.op_def.required_resource_keys)
        if key not in ignored and key in definitions
    }


def _definition(resource: Any) -> Any:
    """Describe a resource definition, or a resource nested in one, without starting it."""
    if isinstance(resource, dg.ConfigurableResource):
        return {
            "code": fingerprint(type(resource)).digest,
            "fields": {
                name: _definition(value)
                if isinstance(value, dg.ConfigurableResource | dg.ResourceDefinition)
                else plain_config(value)
                for name, value in ((name, getattr(resource, name)) for name in type(resource).model_fields)
            },
        }
    nested = getattr(resource, "nested_resources", None) or {}
    made_by = getattr(resource, "configurable_resource_cls", None) or resource.resource_fn
    return {
        "code": fingerprint(made_by).digest,
        "nested": {name: _definition(value) for name, value in nested.items()},
    }
