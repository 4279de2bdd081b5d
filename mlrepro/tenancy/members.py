"""Who belongs to a tenant, and what they may do there."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from mlrepro.tenancy.fields import Part


class Role(StrEnum):
    """What a member may do; each may do what those before it may."""

    VIEWER = "viewer"
    LAUNCHER = "launcher"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The higher, the more is allowed."""
        return list(Role).index(self)


def _role(value: object) -> object:
    return Role(value) if isinstance(value, str) and value in list(Role) else value


class Who(Part):
    """A user or a group, as the identity provider names them.

    Attributes:
        user: One person or machine, for example an e-mail address.
        group: All of a group.
    """

    user: str | None = Field(default=None, min_length=1, description="One person or machine.")
    group: str | None = Field(default=None, min_length=1, description="All of a group.")

    @model_validator(mode="after")
    def _one(self) -> "Who":
        if (self.user is None) == (self.group is None):
            raise ValueError("a member is one user or one group: write exactly one of user and group")
        return self

    def __str__(self) -> str:
        return f"user {self.user}" if self.user is not None else f"group {self.group}"

    def covers(self, user: str, groups: frozenset[str]) -> bool:
        """Whether this is the user, or a group of theirs."""
        return self.user == user if self.user is not None else self.group in groups


class Member(Who):
    """A user or group with a role.

    Attributes:
        role: What they may do.
    """

    role: Annotated[Role, BeforeValidator(_role)] = Field(description="What they may do.")
