"""`ReproStore`: the store that results, blobs and histories live in, as a Dagster resource."""

import dagster as dg
from pydantic import Field

from mlrepro.resources.location import default_scope, default_store_url
from mlrepro.store import Store, open_store


class ReproStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The store that results, blobs and version histories live in.

    Args:
        url: ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder`` or a plain folder. Default:
            ``MLREPRO_STORE``, then the folder ``mlrepro`` in ``DAGSTER_HOME``.
        scope: Whose histories these are, a tenant's own name. Default: ``MLREPRO_SCOPE``, then ``default``.
        read_scopes: Scopes that results are also looked up in, in this order. Default: ``shared``.
        options: Passed to the object store: ``endpoint``, ``region``, ``access_key_id``, ``secret_access_key``…
            Default: what the usual environment variables (``AWS_…``) say.

    Example:
        >>> store = ReproStore(url="memory://example").open()
        >>> store.read_value(store.write_value({"auc": 0.9}))
        {'auc': 0.9}
    """

    url: str | None = Field(default=None, description="Folder or URL of the store.")
    scope: str | None = Field(default=None, description="Whose histories these are.")
    read_scopes: list[str] = Field(default=["shared"], description="Scopes results are also looked up in.")
    options: dict[str, str] = Field(default={}, description="Settings of the object store's client.")

    def open(self, *, instance_folder: str | None = None) -> Store:
        """Open the store.

        Args:
            instance_folder: Folder of the Dagster instance, where neither a URL nor DAGSTER_HOME is set.

        Raises:
            StoreError: If it can't be found, reached or written.
        """
        return open_store(
            self.url or default_store_url(instance_folder),
            scope=self.scope or default_scope(),
            read_scopes=tuple(self.read_scopes),
            options=dict(self.options),
        )
