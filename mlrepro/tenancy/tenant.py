"""A tenant: a team with its code, its place to run, its share and its members."""

from typing import Literal

from pydantic import Field

from mlrepro.tenancy.fields import Label, Part, Qualified, Scope, Subdomain
from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.members import Member
from mlrepro.tenancy.resources import Limits, Quota, StepResources


class ServiceAccount(Part):
    """As whom a tenant's pods run.

    Attributes:
        name: Its name in the tenant's namespace.
        annotations: Such as ``eks.amazonaws.com/role-arn``, which gives its pods a role.
    """

    name: Subdomain = Field(default="dagster", description="Its name in the tenant's namespace.")
    annotations: dict[Qualified, str] = Field(default={}, description="Such as eks.amazonaws.com/role-arn.")


class StoreRights(Part):
    """What of the store a tenant may use.

    Attributes:
        scope: Its own, which nobody else writes. Default: the tenant's name.
        reads: Other scopes that it may read.
        publishes: Shared scopes that it may add results to. It may read them too.
    """

    scope: Scope | None = Field(default=None, description="Its own scope. Default: the tenant's name.")
    reads: list[Scope] = Field(default=["shared"], description="Other scopes it may read.")
    publishes: list[Scope] = Field(default=[], description="Shared scopes it may add results to.")


class Toleration(Part):
    """A taint that a tenant's pods put up with, as Kubernetes writes it."""

    key: Qualified | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Placement(Part):
    """On which nodes a tenant's pods run.

    Attributes:
        node_selector: Labels that a node must have.
        tolerations: Taints that it may have.
    """

    node_selector: dict[Qualified, str] = Field(default={}, description="Labels that a node must have.")
    tolerations: list[Toleration] = Field(default=[], description="Taints that it may have.")


class Tenant(Part):
    """A tenant.

    Attributes:
        description: For people.
        code_locations: Where its definitions come from.
        namespace: Where its pods run, and nobody else's. Default: the tenant's name.
        service_account: As whom they run.
        store: What of the store it may use.
        quota: What its pods may use together.
        step: What a step gets that asks for nothing.
        limits: How much runs at once.
        placement: On which nodes.
        secrets: Names of secrets in its namespace whose keys become environment variables. Never their values.
        members: Who may see and do what.
    """

    description: str | None = Field(default=None, description="For people.")
    code_locations: list[CodeLocation] = Field(min_length=1, description="Where its definitions come from.")
    namespace: Label | None = Field(default=None, description="Where its pods run. Default: the tenant's name.")
    service_account: ServiceAccount = Field(default=ServiceAccount(), description="As whom its pods run.")
    store: StoreRights = Field(default=StoreRights(), description="What of the store it may use.")
    quota: Quota = Field(description="What all its pods may use together.")
    step: StepResources = Field(default=StepResources(), description="What a step gets that asks for nothing.")
    limits: Limits = Field(default=Limits(), description="How much runs at once.")
    placement: Placement = Field(default=Placement(), description="On which nodes its pods run.")
    secrets: list[Subdomain] = Field(default=[], description="Secrets that become environment variables, by name.")
    members: list[Member] = Field(default=[], description="Who may see and do what.")
