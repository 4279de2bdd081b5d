"""The config of a step: as part of the key, and as a record may show it."""

import enum
import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.versioning import canonical_json


def plain_config(value: Any) -> Any:
    """Turn resolved config into JSON-like values that differ wherever the config differs.

    Example:
        >>> plain_config({"depth": 3, 7: "x"})
        {'depth': 3, '{"key":7}': 'x'}
    """
    if isinstance(value, dg.EnvVar):
        return value.get_value()
    if isinstance(value, enum.Enum):
        return {"enum": f"{type(value).__qualname__}.{value.name}"}
    if isinstance(value, Mapping):
        # Dagster's Map takes keys of other types; 7 and "7" must not meet
        return {
            key if isinstance(key, str) else canonical_json({"key": key}): plain_config(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain_config(item) for item in value]
        return sorted(items, key=canonical_json) if isinstance(value, set | frozenset) else items
    if value is None or type(value) in (bool, int, float, str):
        return value
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}", "value": str(value)}


def without_fields(config: Any, ignored: Collection[str]) -> Any:
    """Leave fields out of a config; a nested one is named with dots.

    Example:
        >>> without_fields({"C": 1.0, "trainer": {"n_jobs": 2, "lr": 0.1}}, ["trainer.n_jobs"])
        {'C': 1.0, 'trainer': {'lr': 0.1}}
    """
    if not ignored or not isinstance(config, Mapping):
        return config
    here = {name for name in ignored if "." not in name}
    return {
        key: without_fields(item, [name[len(key) + 1 :] for name in ignored if name.startswith(f"{key}.")])
        for key, item in config.items()
        if key not in here
    }


def redacted(config: Any, raw: Any) -> Any:
    """Replace what came from the environment by the variable's name and a short hash.

    Args:
        config: The resolved config.
        raw: The same config as it was launched, where a secret is still ``{"env": "NAME"}`` or an EnvVar.

    Example:
        >>> redacted({"user": "ana", "password": "hunter2"}, {"user": "ana", "password": {"env": "PW"}})["password"]
        {'env': 'PW', 'sha256': 'f52fbd32b2b3'}
    """
    if isinstance(raw, dg.EnvVar):
        raw = {"env": raw.env_var_name}
    if isinstance(raw, Mapping) and set(raw) == {"env"} and not isinstance(config, Mapping):
        return {"env": raw["env"], "sha256": hashlib.sha256(str(config).encode()).hexdigest()[:12]}
    if isinstance(config, Mapping):
        known = raw if isinstance(raw, Mapping) else {}
        return {key: redacted(item, known.get(key)) for key, item in config.items()}
    if isinstance(config, list):
        known_items = raw if isinstance(raw, list) else []
        return [
            redacted(item, known_items[position] if position < len(known_items) else None)
            for position, item in enumerate(config)
        ]
    return config


def launched_config(step_context: StepExecutionContext, config_class: type | None) -> Any:
    """Find a step's config as it was launched, with secrets still by name, defaults of its class under it."""
    section: Any = step_context.dagster_run.run_config
    for name in step_context.node_handle.path:
        section = (section or {}).get("ops", {}).get(name) or {}
    given = section.get("config")
    defaults = {
        name: field.default
        for name, field in getattr(config_class, "model_fields", {}).items()
        if isinstance(field.default, dg.EnvVar)
    }
    if isinstance(given, Mapping):
        return {**defaults, **given}
    return given if given is not None else defaults
