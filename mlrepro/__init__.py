"""Machine learning on Dagster: every asset versioned, cached by content, reproducible."""

import importlib
from typing import TYPE_CHECKING

from dagster_shared.libraries import DagsterLibraryRegistry

from mlrepro.version import __version__

if TYPE_CHECKING:
    from mlrepro.catalog import diff, load, share, versions
    from mlrepro.comparison import compare
    from mlrepro.definitions import (
        Promoted,
        channel,
        channel_jobs,
        file_source,
        ml_asset,
        ml_definitions,
        ml_multi_asset,
        plan_job,
        rollback_sensor,
        webhook,
    )
    from mlrepro.execution import cache_first
    from mlrepro.execution.explain import explain
    from mlrepro.execution.moves import approve, promote, release, rollback
    from mlrepro.execution.plan import plan
    from mlrepro.execution.verifying import verify
    from mlrepro.io_managers import Cache, InputHashIOManager
    from mlrepro.quality import CheckFailed, CheckPassed, DownstreamFailed, Metric, Stale
    from mlrepro.reproducing.reproduce import reproduce
    from mlrepro.reproducing.rerun import rerun
    from mlrepro.resources import ReproStore
    from mlrepro.sharing import shared_asset, shared_workflow
    from mlrepro.versioning import code_fingerprint

_HOMES = {
    "Cache": "io_managers",
    "CheckFailed": "quality",
    "CheckPassed": "quality",
    "DownstreamFailed": "quality",
    "InputHashIOManager": "io_managers",
    "Metric": "quality",
    "Promoted": "definitions",
    "ReproStore": "resources",
    "Stale": "quality",
    "approve": "execution.moves",
    "cache_first": "execution",
    "channel": "definitions",
    "channel_jobs": "definitions",
    "code_fingerprint": "versioning",
    "compare": "comparison",
    "diff": "catalog",
    "explain": "execution.explain",
    "file_source": "definitions",
    "load": "catalog",
    "ml_asset": "definitions",
    "ml_definitions": "definitions",
    "ml_multi_asset": "definitions",
    "plan": "execution.plan",
    "plan_job": "definitions",
    "promote": "execution.moves",
    "release": "execution.moves",
    "reproduce": "reproducing",
    "rerun": "reproducing",
    "rollback": "execution.moves",
    "rollback_sensor": "definitions",
    "share": "catalog",
    "shared_asset": "sharing",
    "shared_workflow": "sharing",
    "verify": "execution.verifying",
    "versions": "catalog",
    "webhook": "definitions",
}

__all__ = [
    "Cache",
    "CheckFailed",
    "CheckPassed",
    "DownstreamFailed",
    "InputHashIOManager",
    "Metric",
    "Promoted",
    "ReproStore",
    "Stale",
    "__version__",
    "approve",
    "cache_first",
    "channel",
    "channel_jobs",
    "code_fingerprint",
    "compare",
    "diff",
    "explain",
    "file_source",
    "load",
    "ml_asset",
    "ml_definitions",
    "ml_multi_asset",
    "plan",
    "plan_job",
    "promote",
    "release",
    "reproduce",
    "rerun",
    "rollback",
    "rollback_sensor",
    "share",
    "shared_asset",
    "shared_workflow",
    "verify",
    "versions",
    "webhook",
]

DagsterLibraryRegistry.register("mlrepro", __version__, is_dagster_package=False)


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `mlrepro versions` must not wait for Dagster's import."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mlrepro' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mlrepro.{_HOMES[name]}"), name)
