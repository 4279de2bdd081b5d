"""Who asks: a user whose identity somebody vouched for."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    """A verified user.

    Whoever makes one has checked a signature, a secret or a password; from then on it is believed.

    Attributes:
        user: One person or machine, as the identity provider names it, and as ``tenants.yaml`` does.
        groups: Groups that the provider says they are in.
        expires: Until when that was vouched for, in seconds since 1970; None where no end was named.

    Example:
        >>> Identity("ana@example.com", frozenset({"delay"})).user
        'ana@example.com'
    """

    user: str
    groups: frozenset[str] = frozenset()
    expires: float | None = field(default=None, compare=False)
