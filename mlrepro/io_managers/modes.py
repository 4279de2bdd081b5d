"""How a run, a process or an asset asks for the cache: use it, leave it, or write it anew."""

import os
from collections.abc import Mapping
from typing import Literal

from mlrepro.errors import MlreproError

Mode = Literal["on", "off", "refresh"]

CACHE_TAG = "mlrepro/cache"
"""Run tag: ``off`` reads nothing from the cache, ``refresh`` computes everything again."""

REFRESH_TAG = "mlrepro/refresh"
"""Run tag: comma-separated keys of assets to compute again in this run."""

VERIFY_TAG = "mlrepro/verify"
"""Run tag that `mlrepro verify` sets: compute again and compare, store nothing."""


def cache_mode(tags: Mapping[str, str], assets: frozenset[str]) -> Mode:
    """Decide how a step uses the cache.

    Args:
        tags: Tags of the run.
        assets: Keys of the assets that the step computes, as Dagster writes them ("a/b").

    Returns:
        ``on``: look up, store. ``off``: don't look up, store. ``refresh``: don't look up, the new result takes
        the earlier one's place.

    Raises:
        MlreproError: If ``MLREPRO_CACHE`` or the tag is something else.

    Example:
        >>> cache_mode({"mlrepro/refresh": "features, model"}, frozenset({"model"}))
        'refresh'
    """
    refreshed = {name.strip() for name in tags.get(REFRESH_TAG, "").split(",")}
    if refreshed & assets:
        return "refresh"
    for source, asked in (
        (CACHE_TAG, tags.get(CACHE_TAG)),
        ("MLREPRO_CACHE", os.environ.get("MLREPRO_CACHE")),
    ):
        match (asked or "").strip().lower():
            case "":
                continue
            case "off" | "0" | "false":
                return "off"
            case "refresh":
                return "refresh"
            case "on" | "1" | "true":
                return "on"
            case _:
                raise MlreproError(f"{source} is one of on, off, refresh, not {asked!r}")
    return "on"
