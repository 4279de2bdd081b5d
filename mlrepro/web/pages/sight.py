"""What a user sees of the store: the scopes of the tenants that this Dagster shows them, and what is shared.

The webserver reads the store with credentials of its own, which reach everybody's scopes. So whose scopes a page may
read is decided here, and nowhere else.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from mlrepro.resources.location import default_scope
from mlrepro.store import Store, open_store
from mlrepro.tenancy import Tenants
from mlrepro.tenancy.access import Access


class Stores:
    """The store, opened once for each scope that is looked at.

    Args:
        url: The store.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, tuple[str, ...]], Store] = {}

    def open(self, scope: str, reads: Sequence[str]) -> Store:
        """The store as a scope sees it.

        Args:
            scope: Whose histories.
            reads: Scopes that are looked in after it.

        Raises:
            StoreError: It can't be opened.
        """
        key = (scope, tuple(reads))
        with self._lock:
            if key not in self._opened:
                self._opened[key] = open_store(self.url, scope=scope, read_scopes=key[1])
            return self._opened[key]


@dataclass(frozen=True)
class Sight:
    """The scopes that a user sees.

    Attributes:
        stores: The store.
        own: Scope of each tenant that is shown, by the tenant's name.
        shared: Scopes that belong to no tenant.
        nobodys: Scope of code locations that are no tenant's; None where those are not shown.
    """

    stores: Stores
    own: dict[str, str]
    shared: tuple[str, ...]
    nobodys: str | None

    @classmethod
    def of(cls, stores: Stores, tenants: Tenants, access: Access, tenant: str | None) -> "Sight":
        """What a user sees of the store.

        Where all tenants share a Dagster, everybody with a role sees all that it shows, as in Dagster itself. In a
        tenant's own Dagster there is that tenant, and what is shared.

        Args:
            stores: The store.
            tenants: ``tenants.yaml``.
            access: What the user may touch.
            tenant: Whose Dagster it is; None where all share it.
        """
        shared = tuple(tenants.instance.shared_scopes)
        if tenant is not None:
            shown = {each.name: each.scope for each in tenants if each.name == tenant and tenant in access.roles}
            return cls(stores, shown, shared, None)
        if not access.is_member:
            return cls(stores, {}, (), None)
        return cls(stores, {each.name: each.scope for each in tenants}, shared, default_scope())

    @property
    def scopes(self) -> tuple[str, ...]:
        """All scopes that are seen, the tenants' own first."""
        nobodys = (self.nobodys,) if self.nobodys is not None else ()
        return tuple(dict.fromkeys([*self.own.values(), *nobodys, *self.shared]))

    def scope_of(self, tenant: str | None) -> str | None:
        """The scope of a tenant's code locations, None where it is not seen."""
        return self.nobodys if tenant is None else self.own.get(tenant)

    def store(self, scope: str) -> Store | None:
        """The store as a scope sees it; None for one that the user does not see."""
        if scope not in self.scopes:
            return None
        return self.stores.open(scope, [each for each in self.shared if each != scope])
