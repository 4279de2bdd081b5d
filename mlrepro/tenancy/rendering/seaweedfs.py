"""Identities for SeaweedFS."""

from collections.abc import Iterator
from typing import Any

from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.rendering.rights import Place, Rights, instance_rights, rights_of
from mlrepro.tenancy.rendering.text import json_file


def seaweedfs_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """The file for ``weed s3 -config``, with the names of variables where the keys belong."""
    every = {f"tenant-{tenant.name}": rights_of(tenants, tenant) for tenant in tenants}
    identities = [identity(name, rights) for name, rights in {**every, "instance": instance_rights(tenants)}.items()]
    yield "seaweedfs/s3.template.json", json_file({"identities": identities})


def identity(name: str, rights: Rights, key: str | None = None, secret: str | None = None) -> dict[str, Any]:
    """One identity, as SeaweedFS has it.

    Args:
        name: Its name.
        rights: What it may do.
        key: Its access key. Default: the name of a variable that holds it.
        secret: Its secret key, likewise.
    """
    variable = name.upper().replace("-", "_")
    credentials = {
        "accessKey": key or f"${{{variable}_ACCESS_KEY}}",
        "secretKey": secret or f"${{{variable}_SECRET_KEY}}",
    }
    written = dict.fromkeys((*rights.write, *rights.publish, *rights.log))
    actions = [
        *(_action("Read", place) for place in rights.read),
        *(_action("List", place) for place in rights.read),
        *(_action("Write", place) for place in written),
    ]
    return {"name": name, "credentials": [credentials], "actions": actions}


def _action(verb: str, place: Place) -> str:
    return f"{verb}:{place.bucket}/{place.folder}*"
