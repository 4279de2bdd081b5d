"""What is wrong between fields and between tenants: who would share what nobody may share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mlrepro.quantities import amount
from mlrepro.tenancy.instance import Instance
from mlrepro.tenancy.model import Named
from mlrepro.tenancy.problem import Problem
from mlrepro.tenancy.tenant import Tenant

_LONGEST_DATABASE: Final = 63
_SYSTEM: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True)
class _Scene:
    instance: Instance | None
    tenants: list[Named]
    isolated: bool
    claimed: set[str]

    @property
    def shared(self) -> list[str]:
        return self.instance.shared_scopes if self.instance else ["shared"]


def check(
    *, instance: Instance | None, tenants: Mapping[str, Tenant], isolated: bool, claimed: Iterable[str]
) -> list[Problem]:
    """Find what is wrong between well-formed parts.

    Args:
        instance: What all share, None if it is malformed.
        tenants: The well-formed tenants, by name.
        isolated: Whether each has an instance of its own.
        claimed: Scopes of all tenants, also of malformed ones.
    """
    named = [Named(name=name, tenant=tenant) for name, tenant in tenants.items()]
    scene = _Scene(instance, named, isolated, set(claimed))
    rules = (_namespaces, _locations, _scopes, _rights, _quotas, _members, _secrets, _placement)
    return [*(problem for rule in rules for problem in rule(scene)), *_shared_parts(scene)]


def _at(tenant: Named, *field: str | int) -> tuple[str | int, ...]:
    return ("tenants", tenant.name, *field)


def _twice(
    tenants: Iterable[Named], value: Callable[[Named], str], field: tuple[str, ...], told: str
) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for tenant in tenants:
        first = owners.setdefault(value(tenant), tenant.name)
        if first != tenant.name:
            yield Problem(told.format(value=value(tenant), first=first), _at(tenant, *field))


def _namespaces(scene: _Scene) -> Iterator[Problem]:
    told = "namespace {value} is tenant {first}'s already: in one namespace they could read each other's secrets"
    yield from _twice(scene.tenants, lambda tenant: tenant.namespace, ("namespace",), told)
    for tenant in scene.tenants:
        if tenant.namespace in _SYSTEM:
            yield Problem(f"namespace {tenant.namespace} is the cluster's own: take another", _at(tenant, "namespace"))
        if scene.instance and tenant.namespace == scene.instance.namespace:
            told = f"namespace {tenant.namespace} is that of the webserver and the daemon: take another"
            yield Problem(told, _at(tenant, "namespace"))


def _locations(scene: _Scene) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for tenant in scene.tenants:
        for index, location in enumerate(tenant.tenant.code_locations):
            if location.name in owners:
                told = f"code location {location.name} is tenant {owners[location.name]}'s already: name it otherwise"
                yield Problem(told, _at(tenant, "code_locations", index, "name"))
            owners.setdefault(location.name, tenant.name)


def _scopes(scene: _Scene) -> Iterator[Problem]:
    told = "scope {value} is tenant {first}'s already: each would overwrite the other's histories"
    yield from _twice(scene.tenants, lambda tenant: tenant.scope, ("store", "scope"), told)
    folded: dict[str, str] = {}
    for tenant in scene.tenants:
        other = folded.setdefault(tenant.scope.lower(), tenant.scope)
        if other != tenant.scope:
            told = f"scope {tenant.scope} differs from {other} by case only, which some file systems do not tell apart"
            yield Problem(told, _at(tenant, "store", "scope"))
        if tenant.scope.lower() in {name.lower() for name in scene.shared}:
            told = f"scope {tenant.scope} leaks: it is shared, and all who read it would read this tenant's work"
            yield Problem(told, _at(tenant, "store", "scope"))


def _rights(scene: _Scene) -> Iterator[Problem]:
    exists = {*scene.shared, *scene.claimed}
    for tenant in scene.tenants:
        rights = tenant.tenant.store
        for index, scope in enumerate(rights.reads):
            if scope not in exists:
                told = f"reads scope {scope}, which nobody has: known are {', '.join(sorted(exists))}"
                yield Problem(told, _at(tenant, "store", "reads", index))
        for index, scope in enumerate(rights.publishes):
            place = _at(tenant, "store", "publishes", index)
            if scope == tenant.scope:
                yield Problem(f"publishes to {scope}, its own scope, which it writes anyway: leave it out", place)
            elif scope not in exists:
                yield Problem(f"publishes to scope {scope}, which nobody has: add it to shared_scopes", place)
            elif scope not in scene.shared:
                told = f"publishes to scope {scope}, which is another tenant's: publish to a shared scope"
                yield Problem(told, place)


def _quotas(scene: _Scene) -> Iterator[Problem]:
    for tenant in scene.tenants:
        quota, step, servers = tenant.tenant.quota, tenant.tenant.step, len(tenant.locations)
        for field, whole, part in (("cpu", quota.cpu, step.cpu), ("memory", quota.memory, step.memory)):
            if amount(whole) < amount(part):
                told = f"{whole} is less than one step takes by default, {part}: no step would ever start"
                yield Problem(told, _at(tenant, "quota", field))
            elif amount(whole) < amount(part) * (servers + 2):
                told = (
                    f"{whole} is too little for {servers} code server{'s' if servers > 1 else ''}, a run worker and a"
                    f" step of {part} each: no run would ever finish"
                )
                yield Problem(told, _at(tenant, "quota", field))
        if tenant.pods < servers + 2:
            told = f"{tenant.pods} is too few: code servers, a run worker and a step are {servers + 2}"
            yield Problem(told, _at(tenant, "quota", "pods"))
        limits = tenant.tenant.limits
        if scene.instance and limits.runs > scene.instance.max_concurrent_runs:
            told = f"{limits.runs} is more than all tenants together may run, {scene.instance.max_concurrent_runs}"
            yield Problem(told, _at(tenant, "limits", "runs"))


def _members(scene: _Scene) -> Iterator[Problem]:
    for tenant in scene.tenants:
        seen: dict[str, int] = {}
        for index, member in enumerate(tenant.tenant.members):
            first = seen.setdefault(str(member), index)
            if first != index:
                has = tenant.tenant.members[first].role
                told = f"{member} is a member already, as {has}: keep one, the higher role holds all of the lower"
                yield Problem(told, _at(tenant, "members", index))


def _secrets(scene: _Scene) -> Iterator[Problem]:
    for tenant in scene.tenants:
        for index, secret in enumerate(tenant.tenant.secrets):
            if secret in tenant.tenant.secrets[:index]:
                yield Problem(f"secret {secret} is named twice: keep one", _at(tenant, "secrets", index))


def _placement(scene: _Scene) -> Iterator[Problem]:
    for tenant in scene.tenants:
        for index, toleration in enumerate(tenant.tenant.placement.tolerations):
            place = _at(tenant, "placement", "tolerations", index)
            if toleration.operator == "Exists" and toleration.value is not None:
                yield Problem("operator Exists takes no value: leave it out, or write Equal", place)
            if toleration.key is None and toleration.operator != "Exists":
                yield Problem("says no key: write one, or operator Exists for every taint", place)


def _shared_parts(scene: _Scene) -> Iterator[Problem]:
    if scene.instance is None:
        return
    bucket = scene.instance.bucket
    store, logs = f"{bucket.store}/", f"{bucket.logs}/"
    if store.startswith(logs) or logs.startswith(store):
        told = f"{bucket.logs} and the store, {bucket.store}, lie in each other: take prefixes beside each other"
        yield Problem(told, ("instance", "bucket", "logs"))
    for index, scope in enumerate(scene.instance.shared_scopes):
        if scope in scene.instance.shared_scopes[:index]:
            yield Problem(f"scope {scope} is named twice: keep one", ("instance", "shared_scopes", index))
    if scene.isolated:
        yield from _databases(scene, scene.instance.postgres.database)
        yield from _accounts(scene, f"{scene.instance.service_account}-daemon")


def _databases(scene: _Scene, prefix: str) -> Iterator[Problem]:
    for tenant in scene.tenants:
        if len(f"{prefix}_{tenant.name}") > _LONGEST_DATABASE:
            told = f"the name is too long for a database of its own, {prefix}_{tenant.name}: PostgreSQL cuts it at 63"
            yield Problem(told, _at(tenant))


def _accounts(scene: _Scene, daemon: str) -> Iterator[Problem]:
    for tenant in scene.tenants:
        if tenant.service_account == daemon:
            yield Problem(f"{daemon} is the daemon's own: name it otherwise", _at(tenant, "service_account", "name"))
