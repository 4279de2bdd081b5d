"""`Promoted`: what a channel serves, as a resource of assets, ops and services."""

import threading
import time
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from mlrepro.catalog import version
from mlrepro.resources import ReproStore


class Promoted(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The value that a channel serves, loaded once and again when the channel moves.

    For whoever does not stand downstream of the channel in the asset graph: a service that answers requests, an op.
    An asset should depend on the channel instead, so that its lineage shows what it used.

    Args:
        name: ``churn_model@production``.
        partition: Partition of the channel, for a partitioned asset.
        refresh_seconds: How long a value is handed out before the channel is looked at again. Default: 10 seconds.
        store: The store. Default: the one that the environment names.

    Example:
        >>> from mlrepro import ReproStore, channel, ml_asset, ml_definitions
        >>> @ml_asset
        ... def slope() -> float:
        ...     return 0.5
        >>> where = ReproStore(url="memory://promoted-example")
        >>> defs = ml_definitions(assets=[slope, channel("production", slope)], store=where)
        >>> defs.resolve_implicit_global_asset_job_def().execute_in_process().success
        True
        >>> Promoted(name="slope@production", store=where).load()
        0.5
    """

    name: str = Field(description="Asset and channel: churn_model@production.")
    partition: str | None = Field(default=None, description="Partition of the channel.")
    refresh_seconds: float = Field(default=10.0, ge=0, description="How long until the channel is looked at again.")
    store: ReproStore
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _loaded: tuple[str, str, Any] | None = PrivateAttr(default=None)
    _looked: float = PrivateAttr(default=float("-inf"))

    def __init__(self, store: ReproStore | None = None, **data: Any) -> None:
        # Dagster passes None for a nested resource that is not given, and so never reaches a field's default
        super().__init__(**{**data, "store": store or ReproStore()})

    def load(self) -> Any:
        """Load what the channel serves. Threads may share one resource.

        Raises:
            ChannelError: If there is no such channel, or it serves nothing.
            BlobMissingError: If the bytes are gone.
            StoreError: If the store can't be read.
        """
        with self._lock:
            if self._loaded is not None and time.monotonic() - self._looked < self.refresh_seconds:
                return self._loaded[2]
            store = self.store.open()
            found = version(self.name, partition=self.partition, store=store)
            mark = (found.stored.content_hash, found.stored.format)
            if self._loaded is None or self._loaded[:2] != mark:
                self._loaded = (*mark, store.read_value(found.stored))
            self._looked = time.monotonic()
            return self._loaded[2]
