"""The store as a Dagster resource: from a URL and credentials to a store."""

from typing import TYPE_CHECKING

from mlrepro.resources.location import default_scope, default_store_url

if TYPE_CHECKING:
    from mlrepro.resources.repro_store import ReproStore

__all__ = ["ReproStore", "default_scope", "default_store_url"]


def __getattr__(name: str) -> object:
    """Import the resource when it is first used: verbs that only read the store do without Dagster."""
    if name != "ReproStore":
        raise AttributeError(f"module 'mlrepro.resources' has no attribute {name!r}")
    from mlrepro.resources.repro_store import ReproStore

    return ReproStore
