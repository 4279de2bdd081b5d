"""Which parts of the bucket a tenant may read and write: the one place that every policy is made from."""

from dataclasses import dataclass

from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering.settings import bucket_and_prefix, logs_place


@dataclass(frozen=True)
class Place:
    """A folder of a bucket.

    Attributes:
        bucket: The bucket.
        folder: The folder in it, ending in a slash: ``mlrepro/pricing/`` is not the beginning of ``mlrepro/pricing2/``.
    """

    bucket: str
    folder: str


@dataclass(frozen=True)
class Rights:
    """What of the bucket may be used.

    Attributes:
        read: Read and listed.
        write: Written, and what is there may be removed.
        publish: Added to; nothing may be removed.
        log: Added to, and not even read.
    """

    read: tuple[Place, ...]
    write: tuple[Place, ...]
    publish: tuple[Place, ...] = ()
    log: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """All places, each once."""
        return tuple(dict.fromkeys((*self.read, *self.write, *self.publish, *self.log)))


def rights_of(tenants: Tenants, tenant: Named) -> Rights:
    """A tenant's rights: its own scope, what it reads, what it publishes to, and captured output."""
    logs = _place(*logs_place(tenants, tenant))
    own = scope_place(tenants, tenant.scope)
    read = tuple(scope_place(tenants, scope) for scope in tenant.readable)
    publish = tuple(scope_place(tenants, scope) for scope in dict.fromkeys(tenant.tenant.store.publishes))
    if tenants.isolated:
        return Rights(read=(*read, logs), write=(own, logs), publish=publish)
    return Rights(read=read, write=(own,), publish=publish, log=(logs,))


def instance_rights(tenants: Tenants) -> Rights:
    """What webserver and daemon need: captured output of everyone, and to look at every scope for the pages.

    Who sees which scope there is for the webserver to say.
    """
    logs = _place(*logs_place(tenants, None))
    bucket, prefix = bucket_and_prefix(tenants.instance.bucket.store)
    scopes = sorted({*tenants.instance.shared_scopes, *(tenant.scope for tenant in tenants)})
    # a policy is short: the folder of all scopes is named where they have one
    store = [_place(bucket, prefix)] if prefix else [scope_place(tenants, scope) for scope in scopes]
    return Rights(read=(logs, *store), write=(logs,))


def scope_place(tenants: Tenants, scope: str) -> Place:
    """Where a scope of the store is."""
    bucket, prefix = bucket_and_prefix(tenants.instance.bucket.store)
    return _place(bucket, "/".join(part for part in (prefix, scope) if part))


def _place(bucket: str, folder: str) -> Place:
    return Place(bucket, f"{folder}/")
