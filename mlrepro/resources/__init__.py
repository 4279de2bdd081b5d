"""The store as a Dagster resource: from a URL and credentials to a store."""

from mlrepro.resources.location import default_scope, default_store_url
from mlrepro.resources.repro_store import ReproStore

__all__ = ["ReproStore", "default_scope", "default_store_url"]
