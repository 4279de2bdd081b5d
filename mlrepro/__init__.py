"""Machine learning on Dagster: every asset versioned, cached by content, reproducible."""

import importlib
from typing import TYPE_CHECKING

from dagster_shared.libraries import DagsterLibraryRegistry

from mlrepro.version import __version__

if TYPE_CHECKING:
    from mlrepro.catalog import diff, load, versions
    from mlrepro.definitions import file_source, ml_asset, ml_definitions, ml_multi_asset
    from mlrepro.execution import cache_first
    from mlrepro.execution.explain import explain
    from mlrepro.execution.plan import plan
    from mlrepro.execution.verifying import verify
    from mlrepro.io_managers import Cache, InputHashIOManager
    from mlrepro.resources import ReproStore
    from mlrepro.versioning import code_fingerprint

_HOMES = {
    "Cache": "io_managers",
    "InputHashIOManager": "io_managers",
    "ReproStore": "resources",
    "cache_first": "execution",
    "code_fingerprint": "versioning",
    "diff": "catalog",
    "explain": "execution.explain",
    "file_source": "definitions",
    "load": "catalog",
    "ml_asset": "definitions",
    "ml_definitions": "definitions",
    "ml_multi_asset": "definitions",
    "plan": "execution.plan",
    "verify": "execution.verifying",
    "versions": "catalog",
}

__all__ = [
    "Cache",
    "InputHashIOManager",
    "ReproStore",
    "__version__",
    "cache_first",
    "code_fingerprint",
    "diff",
    "explain",
    "file_source",
    "load",
    "ml_asset",
    "ml_definitions",
    "ml_multi_asset",
    "plan",
    "verify",
    "versions",
]

DagsterLibraryRegistry.register("mlrepro", __version__, is_dagster_package=False)


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `mlrepro versions` must not wait for Dagster's import."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mlrepro' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mlrepro.{_HOMES[name]}"), name)
