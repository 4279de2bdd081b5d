"""The config of a step: as part of the key, and as a record may show it."""

import enum
import hashlib
import os
import typing
from collections.abc import Collection, Iterator, Mapping
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


def redacted(config: Any, secrets: Mapping[str, str]) -> Any:
    """Replace what came from the environment by the variable's name and a short hash.

    Args:
        config: The resolved config.
        secrets: Name of the environment variable behind each value that one gave, by value.

    Example:
        >>> redacted({"user": "ana", "password": "hunter2"}, {"hunter2": "PW"})["password"]
        {'env': 'PW', 'sha256': 'f52fbd32b2b3'}
    """
    if isinstance(config, Mapping):
        return {key: redacted(item, secrets) for key, item in config.items()}
    if isinstance(config, list):
        return [redacted(item, secrets) for item in config]
    if config is None or (name := secrets.get(str(config))) is None:
        return config
    return {"env": name, "sha256": hashlib.sha256(str(config).encode()).hexdigest()[:12]}


def secrets_of(step_context: StepExecutionContext, config_class: type | None) -> dict[str, str]:
    """Find the values that the config takes from environment variables, wherever it names them.

    By value and not by place: a config mapping, or a default deep in a nested config, moves them to where nothing
    tells where they came from.
    """
    names = {*_variables(step_context.dagster_run.run_config), *_default_variables(config_class)}
    field = step_context.op_def.config_schema.as_field() if step_context.op_def.config_schema else None
    if field is not None and field.default_provided:
        names.update(_variables(field.default_value))
    return {os.environ[name]: name for name in sorted(names) if os.environ.get(name)}


def _variables(config: Any) -> Iterator[str]:
    if isinstance(config, dg.EnvVar):
        yield config.env_var_name
    elif isinstance(config, Mapping):
        if set(config) == {"env"} and isinstance(config["env"], str):
            yield config["env"]
        for item in config.values():
            yield from _variables(item)
    elif isinstance(config, list | tuple):
        for item in config:
            yield from _variables(item)
    elif isinstance(config, dg.Config):
        yield from _variables({name: getattr(config, name) for name in type(config).model_fields})


def _default_variables(config_class: Any) -> Iterator[str]:
    for field in getattr(config_class, "model_fields", {}).values():
        yield from _variables(field.default)
        for member in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(member, type) and issubclass(member, dg.Config) and member is not config_class:
                yield from _default_variables(member)
