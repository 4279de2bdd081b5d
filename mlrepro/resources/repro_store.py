"""`ReproStore`: the store that results, blobs and histories live in, as a Dagster resource."""

from typing import Any

import dagster as dg
from pydantic import Field

from mlrepro.resources.environment import value_of
from mlrepro.resources.location import default_read_scopes, default_scope, default_store_url
from mlrepro.resources.s3_resource import s3_options
from mlrepro.store import Store, Trust, open_store


class ReproStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The store that results, blobs and version histories live in.

    Args:
        url: ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder`` or a plain folder. Default:
            ``MLREPRO_STORE``, then the folder ``mlrepro`` in ``DAGSTER_HOME``.
        scope: Whose histories these are, a tenant's own name. Default: ``MLREPRO_SCOPE``, then ``default``.
        read_scopes: Scopes that results are also looked up in, in this order. Default:
            ``MLREPRO_READ_SCOPES``, then ``shared``.
        options: Passed to the object store: ``endpoint``, ``region``, ``access_key_id``, ``secret_access_key``…
            ``profile`` names an AWS profile. Default: what the usual environment variables (``AWS_…``) say.
        s3: A `dagster_aws.s3.S3Resource` that says how S3 is reached, for those who have one already. What
            ``options`` say comes before it.
        trusted_scopes: Other scopes whose pickles are loaded, whoever made them. Default: ``MLREPRO_TRUSTED_SCOPES``,
            then none.
        trusted_keys: Public keys by scope: pickles of that scope are loaded if their record is signed with one of them.
            Default: ``MLREPRO_TRUSTED_KEYS``, then none.
        require_signatures: Whether a result counts only if its record is signed with one of its scope's keys. Default:
            ``MLREPRO_REQUIRE_SIGNATURES``, then no.
        signing_key: File with the Ed25519 key that signs what is stored. Default: ``MLREPRO_SIGNING_KEY``, then none.
        local_cache: Folder on the node's own disk that blobs are read through. Default: ``MLREPRO_LOCAL_CACHE``, then
            none.
        max_size: Size of what is kept there, such as ``"50GB"``. Default: ``MLREPRO_LOCAL_CACHE_SIZE``, then 20 GB.

    Example:
        >>> store = ReproStore(url="memory://example").open()
        >>> store.read_value(store.write_value({"auc": 0.9}))
        {'auc': 0.9}
    """

    url: str | None = Field(default=None, description="Folder or URL of the store.")
    scope: str | None = Field(default=None, description="Whose histories these are.")
    read_scopes: list[str] | None = Field(default=None, description="Scopes results are also looked up in.")
    options: dict[str, str] = Field(default={}, description="Settings of the object store's client.")
    # Any, as dagster-aws need not be installed
    s3: dg.ResourceDependency[Any] = Field(
        default=None,  # type: ignore[arg-type]
        description="dagster_aws.s3.S3Resource to reach S3 with.",
    )

    trusted_scopes: list[str] | None = Field(default=None, description="Other scopes whose pickles are loaded.")
    trusted_keys: dict[str, list[str]] | None = Field(default=None, description="Public keys by scope.")
    require_signatures: bool | None = Field(default=None, description="Whether only signed results count.")
    signing_key: str | None = Field(default=None, description="File with the key that signs what is stored.")
    local_cache: str | None = Field(default=None, description="Folder on the node's disk that blobs are read through.")
    max_size: str | None = Field(default=None, description="Size of what is kept there.")

    def open(self, *, instance_folder: str | None = None) -> Store:
        """Open the store.

        Args:
            instance_folder: Folder of the Dagster instance, where neither a URL nor DAGSTER_HOME is set.

        Raises:
            StoreError: If it can't be found, reached or written.
        """
        url = value_of(self.url) or default_store_url(instance_folder)
        options = {key: value_of(value) for key, value in self.options.items()}
        return open_store(
            url,
            scope=value_of(self.scope) or default_scope(),
            read_scopes=default_read_scopes() if self.read_scopes is None else tuple(self.read_scopes),
            options={**s3_options(self.s3, url), **options} if self.s3 is not None else options,
            trust=self._trust(),
            local_cache=value_of(self.local_cache),
            max_size=value_of(self.max_size),
        )

    def _trust(self) -> Trust:
        given = {
            "scopes": self.trusted_scopes,
            "keys": self.trusted_keys,
            "require_signatures": self.require_signatures,
            "signing_key": value_of(self.signing_key),
        }
        said = {name: value for name, value in given.items() if value is not None}
        return Trust.from_environment(said)
