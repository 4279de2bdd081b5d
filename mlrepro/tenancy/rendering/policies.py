"""Policies for Amazon S3 and MinIO."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.rendering.rights import Place, Rights, instance_rights, rights_of
from mlrepro.tenancy.rendering.text import json_file

_ROLE_ARN: Final = "eks.amazonaws.com/role-arn"
_LONGEST_BUCKET_POLICY: Final = 20 * 1024
"""Bytes that S3 takes. Where the tenants need more, their roles' own policies do."""

_ADD: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")


def policy_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """Each file's path and text: a policy for each tenant's role or user, and one for the bucket."""
    every = {tenant.name: rights_of(tenants, tenant) for tenant in tenants}
    for name, rights in every.items():
        yield f"s3/tenants/{name}.policy.json", json_file(policy(statements(rights)))
    yield "s3/instance.policy.json", json_file(policy(statements(instance_rights(tenants))))
    roles = {tenant.name: tenant.tenant.service_account.annotations.get(_ROLE_ARN) for tenant in tenants}
    granted = [
        statement | {"Sid": f"{_word(name)}0{statement['Sid']}", "Principal": {"AWS": role}}
        for name, role in roles.items()
        if role
        for statement in statements(every[name])
    ]
    whole = policy(granted)
    if granted and len(json.dumps(whole, separators=(",", ":"))) <= _LONGEST_BUCKET_POLICY:
        yield "s3/bucket.policy.json", json_file(whole)


def policy(statements: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A whole policy."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statements(rights: Rights) -> Iterator[dict[str, Any]]:
    """The statements that give these rights, and no others."""
    for bucket in sorted({place.bucket for place in rights.read}):
        folders = [f"{place.folder}*" for place in rights.read if place.bucket == bucket]
        yield {
            "Sid": f"List{_word(bucket)}",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}"],
            "Condition": {"StringLike": {"s3:prefix": folders}},
        }
    yield _objects("Read", ("s3:GetObject",), rights.read)
    yield _objects("Write", (*_ADD, "s3:DeleteObject"), rights.write)
    if rights.publish or rights.log:
        yield _objects("Add", _ADD, (*rights.publish, *rights.log))


def _objects(name: str, actions: Iterable[str], places: Iterable[Place]) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{place.bucket}/{place.folder}*" for place in places]
    return {"Sid": name, "Effect": "Allow", "Action": sorted(actions), "Resource": resources}


def _word(name: str) -> str:
    """As a Sid may be: letters and digits."""
    return "".join(part.capitalize() for part in name.replace(".", "-").split("-"))
