"""Reading a function's signature, and refusing what can't work when it is declared."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from mlrepro.errors import AssetDefinitionError, UnknownFormatError
from mlrepro.io_managers import Cache
from mlrepro.store import format_names

CONTEXT_NAMES = ("context", "_context", "_", "context_")
"""Names that Dagster takes as the context parameter."""


def declared_types(fn: Callable[..., Any]) -> dict[str, Any]:
    """Resolve a function's annotations; those that name something unknown stay out, as Dagster will say so."""
    try:
        hints = typing.get_type_hints(fn)
    except (NameError, TypeError):
        return {}
    if inspect.isgeneratorfunction(fn):
        hints.pop("return", None)  # that of the generator, not of what it yields: so Dagster sees it
    return hints


def takes_context(fn: Callable[..., Any]) -> bool:
    """Whether Dagster passes the context as the first argument."""
    parameters = list(inspect.signature(fn).parameters)
    return bool(parameters) and parameters[0] in CONTEXT_NAMES


def config_class(fn: Callable[..., Any], hints: Mapping[str, Any]) -> type[dg.Config] | None:
    """Find the Config class of a function's ``config`` parameter."""
    annotation = hints.get("config")
    is_config = isinstance(annotation, type) and issubclass(annotation, dg.Config)
    return annotation if is_config and "config" in inspect.signature(fn).parameters else None


def chosen_cache(asset: str, cache: Any) -> Cache:
    """Read what was given for ``cache=``.

    Raises:
        AssetDefinitionError: If it is neither a `Cache` nor True or False.
    """
    if isinstance(cache, bool):
        return Cache(enabled=cache)
    if not isinstance(cache, Cache):
        raise AssetDefinitionError(f"{asset}: cache takes Cache(...), True or False, not {cache!r}")
    return cache


def check_function(fn: Any) -> None:
    """Refuse what has no source of its own to follow, or no name.

    Raises:
        AssetDefinitionError: If it is not a function.
    """
    if not inspect.isfunction(fn):
        raise AssetDefinitionError(f"an asset is computed by a function, not by {fn!r}")


def check_first_party(asset: str, names: Any) -> None:
    """Refuse a bare string, which would mean its letters.

    Raises:
        AssetDefinitionError: If it is not a collection of names.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise AssetDefinitionError(f"{asset}: first_party takes a tuple of distributions, not {names!r}")


def check_cache(asset: str, cache: Cache, config: type[dg.Config] | None, config_schema: Any, seed: int | None) -> None:
    """Refuse cache settings and seeds that would be without effect or fail later.

    Raises:
        AssetDefinitionError: If a field to ignore is not in the config, or a seed is out of range.
    """
    if seed is not None and not (type(seed) is int and 0 <= seed < 2**32):
        raise AssetDefinitionError(f"{asset}: seed is a whole number from 0 to 2**32 - 1, not {seed!r}")
    for name in cache.ignore_config:
        fields = _field_names(config, config_schema)
        for part in name.split("."):
            if fields is None:  # a config without a declared shape: any field may come
                break
            if part not in fields:
                known = ", ".join(sorted(fields)) or "it has no config"
                raise AssetDefinitionError(
                    f"{asset}: Cache(ignore_config=...) names {name!r}, which is not a field of its config ({known})"
                )
            fields = fields[part]


def check_ignored_resources(asset: str, cache: Cache, node: Any) -> None:
    """Refuse to ignore a resource that the function does not get: the name is mistyped, and nothing is ignored.

    Args:
        asset: Its name.
        cache: What its author said.
        node: The op that computes it.

    Raises:
        AssetDefinitionError: If it gets no such resource.
    """
    if unknown := sorted(set(cache.ignore_resources) - set(node.required_resource_keys)):
        known = ", ".join(sorted(node.required_resource_keys)) or "it gets none"
        raise AssetDefinitionError(
            f"{asset}: Cache(ignore_resources=...) names {', '.join(unknown)}, which is no resource of its ({known})"
        )


def _field_names(config: type[dg.Config] | None, config_schema: Any) -> dict[str, Any] | None:
    """Nest the names of a config's fields; None where any field may come."""
    if config is not None:
        return {name: _nested(field.annotation) for name, field in config.model_fields.items()}
    if config_schema is None:
        return {}
    if isinstance(config_schema, Mapping):
        return dict.fromkeys(config_schema)
    return None


def _nested(annotation: Any) -> dict[str, Any] | None:
    if isinstance(annotation, type) and issubclass(annotation, dg.Config):
        return _field_names(annotation, None)
    return None


def check_format(format_name: str | None) -> None:
    """Refuse a format that does not exist.

    Raises:
        UnknownFormatError: With the names of those that do.
    """
    if format_name is not None and format_name not in format_names():
        raise UnknownFormatError(f"there is no format {format_name!r}; there are {', '.join(format_names())}")
