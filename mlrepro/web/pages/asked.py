"""One request for a page: who asks, what they see, and how other pages are linked to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from dagster import AssetKey, DagsterInstance
from pydantic import BaseModel

from mlrepro.catalog.names import VersionName, parse_version_name
from mlrepro.errors import NotHereError
from mlrepro.store import Store
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.web.pages.known import Assets, Known
from mlrepro.web.pages.sight import Sight
from mlrepro.web.pages.tally import Tally

HERE = "/mlrepro"
"""What the paths of all pages begin with, after the webserver's own prefix."""


class Found(BaseModel):
    """An asset, as pages name it.

    Attributes:
        name: Its key as Dagster writes it.
        scope: The scope whose histories are shown.
        tenant: The tenant that it belongs to, or None.
        location: The code location that defines it; None where none does any more.
        group: Its group.
        partition: The partition that is shown, or None.
        description: What its author says of it.
        source: Whether nothing computes it here, so that it has no versions.
        page: Path of its page.
        dagster: Path of its page in Dagster.
    """

    name: str
    scope: str
    tenant: str | None = None
    location: str | None = None
    group: str | None = None
    partition: str | None = None
    description: str = ""
    source: bool = False
    page: str = ""
    dagster: str = ""


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        context: Whose it is, and what Dagster shows them.
        sight: What they see of the store.
        assets: The assets that Dagster shows.
        tally: What the cache saved.
        prefix: What all paths of this Dagster begin with.
    """

    context: IdentifiedRequestContext
    sight: Sight
    assets: Assets
    tally: Tally
    prefix: str

    @property
    def user(self) -> str:
        """Who asks."""
        return self.context.identity.user

    @property
    def instance(self) -> DagsterInstance:
        """Dagster's instance."""
        return self.context.instance

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """The tenant of each code location."""
        return self.context.access.owners

    # links

    def page(self, page: str, /, **parameters: Any) -> str:
        """Path of a page with its parameters; those that are None are left out.

        Example:
            ``asked.page("asset", key="team/model", scope="team")``
        """
        given = [(name, each) for name, value in parameters.items() for each in _listed(value)]
        query = f"?{urlencode(given)}" if given else ""
        return f"{self.prefix}{HERE}/{page}{query}"

    def asset_page(self, name: str, scope: str | None, partition: str | None = None) -> str:
        """Path of an asset's page."""
        return self.page("asset", key=name, scope=scope, partition=partition)

    def version_page(self, name: str, number: int, scope: str | None, partition: str | None = None) -> str:
        """Path of a version's page."""
        return self.page("version", of=f"{name}@v{number}", scope=scope, partition=partition)

    def channel_page(self, name: str, scope: str | None, partition: str | None = None) -> str:
        """Path of a channel's page, by the key of the channel's own asset."""
        return self.page("channel", key=name, scope=scope, partition=partition)

    def run_page(self, run_id: str) -> str:
        """Path of a run in Dagster."""
        return f"{self.prefix}/runs/{quote(run_id, safe='')}"

    def dagster_asset(self, key: Sequence[str]) -> str:
        """Path of an asset in Dagster."""
        return f"{self.prefix}/assets/{'/'.join(quote(part, safe='') for part in key)}"

    # whose

    def scope_of(self, known: Known) -> str | None:
        """The scope of an asset's code location, None where it is not seen."""
        return self.sight.scope_of(self.owners.get(known.location))

    def store_of(self, name: str, scope: str | None) -> tuple[Store, Known | None, tuple[str, ...]]:
        """The store as the scope of an asset sees it.

        Args:
            name: The asset's key as Dagster writes it.
            scope: The scope that was asked for; None for the one of the code location that defines it.

        Raises:
            NotHereError: The user does not see it, or nobody says whose it is.
        """
        key = parse_version_name(f"{name}@latest").asset
        known = self.assets.get(AssetKey(list(key)))
        if scope is None:
            scope = self.scope_of(known) if known is not None else None
        if scope is None:
            scope = next(iter(self.sight.scopes), None) if len(self.sight.scopes) == 1 else None
        store = self.sight.store(scope) if scope is not None else None
        if store is None:
            raise NotHereError(f"there is no asset {name} here")
        return store, known, key

    def found(self, key: tuple[str, ...], known: Known | None, store: Store, partition: str | None) -> Found:
        """Say of an asset whose it is."""
        name = str(VersionName(key, None))
        tenant = self.owners.get(known.location) if known else None
        if tenant is None:
            tenant = next((each for each, scope in self.sight.own.items() if scope == store.scope), None)
        return Found(
            name=name,
            scope=store.scope,
            tenant=tenant,
            location=known.location if known else None,
            group=known.group if known else None,
            partition=partition,
            description=known.description if known else "",
            source=known is not None and known.is_source,
            page=self.asset_page(name, store.scope, partition),
            dagster=self.dagster_asset(key),
        )


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
