"""Keys as they are in the code location: assets that were loaded under a prefix are called otherwise there."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

from mlrepro.dagster_internals import BaseAssetGraph

T = TypeVar("T")


def named_here(graph: "BaseAssetGraph | None", key: dg.AssetKey) -> dg.AssetKey:  # type: ignore[type-arg]
    """Find the key that an asset has in a code location, where it may stand under a prefix.

    ``load_assets_from_modules(key_prefix="team")`` renames assets and what depends on them, but not the names that
    stand in a condition.

    Args:
        graph: The code location's assets, or None.
        key: The key as it was written.

    Returns:
        The key itself, where there is such an asset or nothing else could be meant; else that of the one asset whose
        key ends in it.
    """
    if graph is None or graph.has(key):
        return key
    length = len(key.path)
    found = [each for each in graph.get_all_asset_keys() if len(each.path) > length and each.path[-length:] == key.path]
    return found[0] if len(found) == 1 else key


def renamed(condition: T, rename: Callable[[dg.AssetKey], dg.AssetKey]) -> T:
    """The condition with each key in it renamed.

    Args:
        condition: A condition, or anything inside one.
        rename: From a key to the one to put in its place.
    """
    made: Any = condition
    if isinstance(condition, dg.AssetKey):
        return rename(condition)  # type: ignore[return-value]
    if isinstance(condition, tuple) and type(condition) is tuple:
        return tuple(renamed(each, rename) for each in condition)  # type: ignore[return-value]
    if dataclasses.is_dataclass(condition) and not isinstance(condition, type):
        values = {field.name: getattr(condition, field.name) for field in dataclasses.fields(condition)}
        changed = {name: renamed(value, rename) for name, value in values.items()}
        if any(changed[name] is not values[name] for name in values):
            # not the constructor: it may take other arguments, and has checked these already
            made = object.__new__(type(condition))
            for name, value in changed.items():
                object.__setattr__(made, name, value)
    return made  # type: ignore[no-any-return]
