"""``tenants.yaml`` as webserver and daemon read it: what was rendered from, and nothing more than they need."""

from typing import Any, Final

from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering.text import as_yaml

FOLDER: Final = "/etc/mlrepro"
NAME: Final = "tenants.yaml"
FILE: Final = f"{FOLDER}/{NAME}"
CONFIG_MAP: Final = "mlrepro-tenants"

MOUNT: Final[dict[str, Any]] = {"name": "tenants", "mountPath": FOLDER, "readOnly": True}
"""A whole folder, as a single file would stay as it was when the ConfigMap changes."""

VOLUME: Final[dict[str, Any]] = {"name": "tenants", "configMap": {"name": CONFIG_MAP}}


def tenants_text(tenants: Tenants) -> str:
    """The whole file, without what is as it would be anyway."""
    return as_yaml(_ordered(tenants))


def own_text(tenants: Tenants, tenant: Named) -> str:
    """What a tenant's own daemon needs to know: nothing of the others, and not how users are recognised.

    Scopes of others that it reads are named as nobody's.
    """
    foreign = [scope for scope in tenant.tenant.store.reads if scope not in tenants.instance.shared_scopes]
    shared = [*tenants.instance.shared_scopes, *foreign]
    parts = {
        "instance": tenants.instance.model_copy(update={"shared_scopes": shared}),
        "tenants": {tenant.name: tenant.tenant},
    }
    return as_yaml(_ordered(tenants.model_copy(update=parts), without={"identity"}))


def _ordered(tenants: Tenants, without: set[str] | None = None) -> dict[str, Any]:
    told = tenants.model_dump(mode="json", exclude_defaults=True, exclude=without or set())
    return told | {"tenants": dict(sorted(told["tenants"].items()))}
