"""What a user may touch: their role in the tenant that a code location belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.members import Role
from mlrepro.tenancy.model import Tenants


@dataclass(frozen=True)
class Owners:
    """Whose each code location is, looked up once for each state of ``tenants.yaml``.

    Attributes:
        tenants: What the file says.
    """

    tenants: Tenants

    @cached_property
    def by_location(self) -> Mapping[str, str]:
        """The tenant of each code location, by the location's name."""
        return {location.name: each.name for each in self.tenants for location in each.locations}

    def access(self, identity: Identity, *, read_only: bool = False) -> "Access":
        """What a user may touch.

        Args:
            identity: Who.
            read_only: Whether the request may change anything at all.
        """
        return Access(
            identity=identity,
            is_admin=self.tenants.is_admin(identity.user, identity.groups),
            roles=self.tenants.roles(identity.user, identity.groups),
            owners=self.by_location,
            read_only=read_only,
        )


@dataclass(frozen=True)
class Access:
    """What one user may touch.

    Attributes:
        identity: Who.
        is_admin: Whether they may do everything, everywhere.
        roles: Their role in each tenant they belong to, by its name.
        owners: The tenant of each code location, by the location's name.
        read_only: Whether the request may change anything at all.

    Example:
        >>> mine = Access(Identity("ana"), False, {"delay": Role.EDITOR}, {"delay": "delay", "fleet": "aircraft"})
        >>> mine.reaches(Role.LAUNCHER, "delay"), mine.reaches(Role.LAUNCHER, "fleet")
        (True, False)
    """

    identity: Identity
    is_admin: bool
    roles: Mapping[str, Role]
    owners: Mapping[str, str] = field(repr=False)
    read_only: bool = False

    @property
    def is_member(self) -> bool:
        """Whether they belong to anything here."""
        return self.is_admin or bool(self.roles)

    def role(self, location: str) -> Role | None:
        """Their role in a code location; None where they have none, or where it is nobody's."""
        if self.is_admin:
            return Role.ADMIN
        owner = self.owners.get(location)
        return self.roles.get(owner) if owner is not None else None

    def reaches(self, needed: Role | None, location: str) -> bool:
        """Whether their role in a code location is at least the one needed; None needs an administrator of all."""
        if self.read_only:
            return False
        if needed is None or self.is_admin:
            return self.is_admin
        held = self.role(location)
        return held is not None and held.rank >= needed.rank
