"""``tenants.yaml`` as a whole."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mlrepro.tenancy.fields import Label, Part
from mlrepro.tenancy.identity_settings import IdentitySettings
from mlrepro.tenancy.instance import Instance
from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.members import Role, Who
from mlrepro.tenancy.tenant import Tenant


class Visibility(StrEnum):
    """Who sees whose runs and assets."""

    SHARED = "shared"
    ISOLATED = "isolated"


def _visibility(value: object) -> object:
    return Visibility(value) if isinstance(value, str) and value in list(Visibility) else value


class Tenants(Part):
    """``tenants.yaml``.

    Attributes:
        version: Of this format.
        visibility: ``shared``: everyone sees everything and touches only their own, in one Dagster instance.
            ``isolated``: an instance for each tenant, so that others' work does not exist for it.
        instance: What all tenants share.
        identity: Whom the webserver believes to be whom; `mlrepro webserver` needs it.
        admins: Who may do everything, everywhere.
        tenants: The tenants, by name.
    """

    version: Literal[1] = Field(default=1, description="Version of this format.")
    visibility: Annotated[Visibility, BeforeValidator(_visibility)] = Field(
        default=Visibility.SHARED,
        description="shared: all see everything, only members touch. isolated: an instance for each tenant.",
    )
    instance: Instance = Field(description="What all tenants share.")
    identity: IdentitySettings | None = Field(default=None, description="Whom the webserver believes to be whom.")
    admins: list[Who] = Field(default=[], description="Who may do everything, everywhere.")
    tenants: dict[Label, Tenant] = Field(min_length=1, description="The tenants, by name.")

    def __iter__(self) -> Iterator["Named"]:  # type: ignore[override]
        """Each tenant with its name, in the order of the names."""
        return (Named(name=name, tenant=self.tenants[name]) for name in sorted(self.tenants))

    @property
    def isolated(self) -> bool:
        """Whether each tenant has a Dagster instance of its own."""
        return self.visibility is Visibility.ISOLATED

    @property
    def on_kubernetes(self) -> bool:
        """Whether there is an image for webserver, daemon, and code locations that name none."""
        return self.instance.image is not None

    def is_admin(self, user: str, groups: Iterable[str] = ()) -> bool:
        """Whether a user may do everything, everywhere."""
        local = self.identity.none if self.identity else None
        if local is not None and local.user == user:
            return True
        return any(who.covers(user, frozenset(groups)) for who in self.admins)

    def roles(self, user: str, groups: Iterable[str] = ()) -> dict[str, Role]:
        """A user's highest role in each tenant that they belong to, by the tenant's name."""
        mine = frozenset(groups)
        if self.is_admin(user, mine):
            return dict.fromkeys(sorted(self.tenants), Role.ADMIN)
        held = {
            each.name: [member.role for member in each.tenant.members if member.covers(user, mine)] for each in self
        }
        return {name: max(roles, key=lambda role: role.rank) for name, roles in held.items() if roles}

    @property
    def groups(self) -> frozenset[str]:
        """All groups that anybody has rights by."""
        named = [*self.admins, *(member for each in self for member in each.tenant.members)]
        return frozenset(who.group for who in named if who.group is not None)

    def owner(self, location: str) -> str | None:
        """The tenant that a code location belongs to, None where it is nobody's."""
        found = (each.name for each in self if any(code.name == location for code in each.locations))
        return next(found, None)


class Named(Part):
    """A tenant with its name, and what follows from that where the file says nothing."""

    name: str
    tenant: Tenant

    @property
    def namespace(self) -> str:
        """Where its pods run."""
        return self.tenant.namespace or self.name

    @property
    def scope(self) -> str:
        """Its own scope of the store."""
        return self.tenant.store.scope or self.name

    @property
    def readable(self) -> list[str]:
        """All scopes that it may read: its own, and others in the order in which they are looked up."""
        return list(dict.fromkeys([self.scope, *self.tenant.store.reads, *self.tenant.store.publishes]))

    @property
    def locations(self) -> list[CodeLocation]:
        """Its code locations, by name."""
        return sorted(self.tenant.code_locations, key=lambda location: location.name)

    @property
    def pods(self) -> int:
        """How many pods it may have."""
        limits = self.tenant.limits
        return self.tenant.quota.pods or len(self.locations) + limits.runs + limits.steps

    @property
    def service_account(self) -> str:
        """As whom its pods run."""
        return self.tenant.service_account.name
