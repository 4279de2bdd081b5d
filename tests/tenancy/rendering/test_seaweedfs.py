"""The identities on a real server: whom it lets do what with whose scope."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mlrepro import Cache, InputHashIOManager, ReproStore, ml_asset
from mlrepro.errors import NoRightError
from mlrepro.store import open_store
from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering import render
from mlrepro.tenancy.rendering.rights import rights_of
from mlrepro.tenancy.rendering.seaweedfs import identity
from tests.store.s3_server import BUCKET, S3Server, s3_server
from tests.tenancy.files import SMALL, read, small, team

Do = Callable[[Any, str], object]
NAMES = ("a", "a-b", "ab", "reader")


def tenants() -> Tenants:
    begin = SMALL.replace("s3://ml/", f"s3://{BUCKET}/")
    publisher = team("a", "store: {publishes: [shared]}")
    return read(small(publisher, team("a-b"), team("ab"), team("reader", "store: {reads: [shared, a]}"), begin=begin))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    told = tenants()
    identities = [
        identity(each.name, rights_of(told, each), f"{each.name}-key", f"{each.name}-secret") for each in told
    ]
    with s3_server(tmp_path_factory.mktemp("tenants"), identities) as running:
        for scope in (*NAMES, "shared"):
            client(running, None).put_object(
                Bucket=BUCKET, Key=f"mlrepro/{scope}/results/1", Body=b"of " + scope.encode()
            )
        client(running, None).put_object(Bucket=BUCKET, Key="logs/run/1", Body=b"printed")
        yield running


def client(server: S3Server, tenant: str | None) -> Any:
    import boto3
    from botocore.config import Config

    key, secret = (f"{tenant}-key", f"{tenant}-secret") if tenant else ("test-access-key", "test-secret-key")
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}),
    )


def copied(s3: Any, folder: str) -> object:
    own = "mlrepro/a/copied"
    return s3.copy_object(Bucket=BUCKET, Key=own, CopySource={"Bucket": BUCKET, "Key": f"{folder}results/1"})


READING: dict[str, Do] = {
    "get": lambda s3, folder: s3.get_object(Bucket=BUCKET, Key=f"{folder}results/1"),
    "head": lambda s3, folder: s3.head_object(Bucket=BUCKET, Key=f"{folder}results/1"),
    "list": lambda s3, folder: s3.list_objects_v2(Bucket=BUCKET, Prefix=folder),
    "list v1": lambda s3, folder: s3.list_objects(Bucket=BUCKET, Prefix=folder, Delimiter="/"),
    "copy from": copied,
}
WRITING: dict[str, Do] = {
    "put": lambda s3, folder: s3.put_object(Bucket=BUCKET, Key=f"{folder}new", Body=b"x"),
    "put over": lambda s3, folder: s3.put_object(Bucket=BUCKET, Key=f"{folder}results/1", Body=b"x"),
    "delete": lambda s3, folder: s3.delete_object(Bucket=BUCKET, Key=f"{folder}results/1"),
    "multipart": lambda s3, folder: s3.create_multipart_upload(Bucket=BUCKET, Key=f"{folder}large"),
    "copy to": lambda s3, folder: s3.copy_object(
        Bucket=BUCKET, Key=f"{folder}new", CopySource={"Bucket": BUCKET, "Key": "mlrepro/a/results/1"}
    ),
}


def refused(action: Do, s3: Any, folder: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        action(s3, folder)
        status = 200
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    assert status in {200, 403}
    return status == 403


@pytest.mark.slow
class TestOnAServer:
    @pytest.mark.parametrize("other", ["a-b", "ab", "reader"])
    @pytest.mark.parametrize("name", [*READING, *WRITING])
    def test_another_tenants_scope_is_closed(self, name: str, other: str, server: S3Server) -> None:
        assert refused({**READING, **WRITING}[name], client(server, "a"), f"mlrepro/{other}/")
        whole = client(server, None).get_object(Bucket=BUCKET, Key=f"mlrepro/{other}/results/1")["Body"].read()
        assert whole == b"of " + other.encode()

    def test_several_at_once_are_not_deleted_either(self, server: S3Server) -> None:
        keys = [{"Key": "mlrepro/ab/results/1"}]
        answer: dict[str, Any] = {}
        refused(
            lambda s3, _: answer.update(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})),
            client(server, "a"),
            "",
        )
        assert not answer.get("Deleted")
        assert client(server, None).head_object(Bucket=BUCKET, Key="mlrepro/ab/results/1")

    @pytest.mark.parametrize("folder", ["", "mlrepro/", "logs/", "mlrepro/a"])
    def test_what_lies_above_is_not_listed(self, folder: str, server: S3Server) -> None:
        assert refused(READING["list"], client(server, "a"), folder)

    @pytest.mark.parametrize("name", [*READING, *WRITING])
    def test_the_own_scope_is_open(self, name: str, server: S3Server) -> None:
        client(server, None).put_object(Bucket=BUCKET, Key="mlrepro/a/results/1", Body=b"x")
        assert not refused({**READING, **WRITING}[name], client(server, "a"), "mlrepro/a/")
        client(server, None).put_object(Bucket=BUCKET, Key="mlrepro/a/results/1", Body=b"of a")

    @pytest.mark.parametrize("name", ["get", "head", "list", "list v1"])
    def test_shared_and_granted_scopes_are_read(self, name: str, server: S3Server) -> None:
        for scope in ("shared", "a"):
            client(server, None).put_object(Bucket=BUCKET, Key=f"mlrepro/{scope}/results/1", Body=b"x")
            assert not refused(READING[name], client(server, "reader"), f"mlrepro/{scope}/")

    @pytest.mark.parametrize("scope", ["shared", "a"])
    @pytest.mark.parametrize("name", ["put", "put over", "delete", "multipart"])
    def test_whoever_may_read_may_not_write(self, name: str, scope: str, server: S3Server) -> None:
        assert refused(WRITING[name], client(server, "reader"), f"mlrepro/{scope}/")

    def test_only_who_publishes_adds_to_shared(self, server: S3Server) -> None:
        assert not refused(WRITING["put"], client(server, "a"), "mlrepro/shared/")

    def test_captured_output_is_added_and_not_read(self, server: S3Server) -> None:
        assert not refused(WRITING["put"], client(server, "a"), "logs/run/")
        assert refused(lambda s3, _: s3.get_object(Bucket=BUCKET, Key="logs/run/1"), client(server, "a"), "")

    def test_a_path_that_climbs_does_not_reach_another_scope(self, server: S3Server) -> None:
        from botocore.exceptions import ClientError

        for action in (WRITING["put over"], WRITING["delete"]):
            with contextlib.suppress(ClientError):
                action(client(server, "a"), "mlrepro/a/../ab/")
        whole = client(server, None).get_object(Bucket=BUCKET, Key="mlrepro/ab/results/1")["Body"].read()
        assert whole == b"of ab"

    def test_the_store_works_within_these_rights(self, server: S3Server) -> None:
        mine, reader = open_(server, "a"), open_(server, "reader")
        stored = mine.write_value({"auc": 0.9})
        assert mine.read_value(stored) == {"auc": 0.9}
        assert mine.read_value(mine.write_value([1], scope="shared")) == [1]
        assert reader.read_value(stored) == {"auc": 0.9}
        with pytest.raises(NoRightError):
            reader.check("shared")
        with pytest.raises(NoRightError):
            mine.check("ab")

    def test_runs_share_what_is_published_and_nothing_else(self, server: S3Server) -> None:
        import dagster as dg

        @ml_asset
        def private() -> dict[str, int]:
            return {"x": 1}

        @ml_asset(cache=Cache(scope="shared"))
        def published() -> dict[str, int]:
            return {"x": 2}

        def run(tenant: str) -> dict[str, str]:
            url, options = f"s3://{BUCKET}/mlrepro", access(server, tenant)
            manager = InputHashIOManager(store=ReproStore(url=url, scope=tenant, options=options))
            with dg.DagsterInstance.ephemeral() as instance:
                done = dg.materialize([private, published], resources={"io_manager": manager}, instance=instance)
            found = [event.materialization for event in done.get_asset_materialization_events()]
            return {each.asset_key.to_user_string(): str(each.metadata["mlrepro/cache"].value) for each in found}

        assert run("a") == {"private": "computed", "published": "computed"}
        assert run("ab") == {"private": "computed", "published": "hit"}


def access(server: S3Server, tenant: str) -> dict[str, str]:
    return server.options | {"access_key_id": f"{tenant}-key", "secret_access_key": f"{tenant}-secret"}


def open_(server: S3Server, tenant: str) -> Any:
    reads = tuple(scope for each in tenants() if each.name == tenant for scope in each.readable if scope != tenant)
    return open_store(f"s3://{BUCKET}/mlrepro", scope=tenant, read_scopes=reads, options=access(server, tenant))


def test_the_file_names_variables_where_keys_belong() -> None:
    file = json.loads(render(tenants())["seaweedfs/s3.template.json"])
    (first, *_) = file["identities"]
    assert first["credentials"] == [{"accessKey": "${TENANT_A_ACCESS_KEY}", "secretKey": "${TENANT_A_SECRET_KEY}"}]
    assert [each["name"] for each in file["identities"]] == [*(f"tenant-{name}" for name in sorted(NAMES)), "instance"]
