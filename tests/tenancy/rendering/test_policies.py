"""What the policies for S3 and MinIO allow, and what they do not."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering import render
from tests.tenancy.files import read, small, team
from tests.tenancy.rendering.documents import ISOLATED, SHARED

NEIGHBOURS = read(
    small(team("a", "store: {publishes: [shared]}"), team("a-b"), team("ab", "store: {reads: [a, shared]}"))
)


def allows(policy: dict[str, Any], action: str, key: str, bucket: str = "ml", principal: str | None = None) -> bool:
    """As S3 judges it: refused unless a statement allows it."""
    resource = f"arn:aws:s3:::{bucket}" + ("" if action == "s3:ListBucket" else f"/{key}")
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if (
            action in statement["Action"]
            and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            and (action != "s3:ListBucket" or any(fnmatchcase(key, prefix) for prefix in prefixes))
            and statement.get("Principal", {}).get("AWS") == principal
        ):
            return True
    return False


def policy(tenants: Tenants, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(tenants)[f"s3/tenants/{name}.policy.json"])
    return found


EVERYTHING = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket")


def allowed(tenants: Tenants, name: str, key: str, bucket: str = "ml") -> set[str]:
    return {action.removeprefix("s3:") for action in EVERYTHING if allows(policy(tenants, name), action, key, bucket)}


ALL = {"GetObject", "PutObject", "DeleteObject", "ListBucket"}
READ = {"GetObject", "ListBucket"}


@pytest.mark.parametrize(
    ("key", "rights"),
    [
        ("mlrepro/a/results/1.json", ALL),
        ("mlrepro/a/", ALL),
        ("mlrepro/shared/blobs/1", READ | {"PutObject"}),
        ("mlrepro/a-b/results/1.json", set()),
        ("mlrepro/ab/results/1.json", set()),
        ("mlrepro/a", set()),
        ("mlrepro/", set()),
        ("", set()),
        ("logs/storage/1", {"PutObject"}),
    ],
)
def test_of_a_tenant(key: str, rights: set[str]) -> None:
    assert allowed(NEIGHBOURS, "a", key) == rights


def test_whoever_may_only_read_may_not_write() -> None:
    assert allowed(NEIGHBOURS, "ab", "mlrepro/a/results/1.json") == READ
    assert allowed(NEIGHBOURS, "ab", "mlrepro/shared/blobs/1") == READ


def test_isolated_tenants_do_not_see_each_others_logs() -> None:
    assert allowed(ISOLATED, "pricing", "logs/pricing/1", "logs") == set()
    assert allowed(ISOLATED, "pricing", "dagster/pricing/1", "logs") == ALL
    assert allowed(ISOLATED, "pricing", "dagster/forecast/1", "logs") == set()


def test_the_bucket_policy_gives_roles_the_same() -> None:
    bucket = json.loads(render(SHARED)["s3/bucket.policy.json"])
    role = "arn:aws:iam::123456789012:role/dagster-delay"
    assert allows(bucket, "s3:PutObject", "mlrepro/delay/x", principal=role)
    assert not allows(bucket, "s3:PutObject", "mlrepro/aircraft/x", principal=role)
    assert not allows(bucket, "s3:GetObject", "mlrepro/delay/x")
    words = [statement["Sid"] for statement in bucket["Statement"]]
    assert len(set(words)) == len(words)
    assert all(word.isalnum() for word in words)


def test_no_bucket_policy_that_s3_would_refuse() -> None:
    role = "service_account: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/a'}}"
    few, many = (read(small(*(team(f"team{number}", role) for number in range(count)))) for count in (5, 60))
    assert "s3/bucket.policy.json" in render(few)
    assert "s3/bucket.policy.json" not in render(many)


def test_a_tenant_called_instance_does_not_get_the_instances_policy() -> None:
    files = render(read(small(team("instance"))))
    assert allows(json.loads(files["s3/tenants/instance.policy.json"]), "s3:GetObject", "mlrepro/instance/x")
    assert not allows(json.loads(files["s3/tenants/instance.policy.json"]), "s3:GetObject", "logs/x")
    assert allows(json.loads(files["s3/instance.policy.json"]), "s3:GetObject", "logs/x")
