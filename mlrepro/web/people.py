"""Who may do what, as ``tenants.yaml`` says at this moment."""

import threading

from mlrepro.tenancy import Identity, Tenants, TenantsFile
from mlrepro.tenancy.access import Access, Owners


class People:
    """Rights of users, by a ``tenants.yaml`` that is read again when it changes.

    Args:
        file: The file.
    """

    def __init__(self, file: TenantsFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._owners: Owners | None = None

    @property
    def tenants(self) -> Tenants:
        """What the file says now."""
        return self._file.tenants

    def access(self, identity: Identity, *, read_only: bool = False) -> Access:
        """What a user may touch now.

        Args:
            identity: Who.
            read_only: Whether the request may change anything at all.
        """
        tenants = self._file.tenants
        with self._lock:
            if self._owners is None or self._owners.tenants is not tenants:
                self._owners = Owners(tenants)
            owners = self._owners
        return owners.access(identity, read_only=read_only)

    @staticmethod
    def may_see(access: Access, tenant: str | None) -> bool:
        """Whether a user may look at an instance: a tenant's own, or, None, the one that all share."""
        return access.is_member if tenant is None else tenant in access.roles
