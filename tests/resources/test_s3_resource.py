"""A team that has a `dagster_aws.s3.S3Resource` hands it to the store."""

import subprocess
import sys
import uuid
from typing import Any

import dagster as dg
import pytest

from mlrepro import InputHashIOManager, ReproStore, load, ml_asset, ml_definitions
from mlrepro.errors import StoreError
from mlrepro.resources.s3_resource import s3_options
from mlrepro.store import open_store
from tests.store.s3_server import S3Server

S3Resource = pytest.importorskip("dagster_aws.s3", reason="needs the package dagster-aws").S3Resource
URL = "s3://ml/store"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"credentials": "boto3"}),
        ({"profile_name": "team"}, {"profile": "team"}),
        (
            {"endpoint_url": "http://s3.local", "region_name": "eu-west-1"},
            {"endpoint": "http://s3.local", "region": "eu-west-1", "credentials": "boto3"},
        ),
        (
            {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_session_token": "c", "profile_name": "team"},
            {"access_key_id": "a", "secret_access_key": "b", "session_token": "c"},
        ),
        ({"use_unsigned_session": True}, {"skip_signature": "true"}),
        ({"verify": False}, {"credentials": "boto3", "allow_invalid_certificates": "true"}),
        ({"use_ssl": False}, {"credentials": "boto3", "endpoint": "http://s3.us-east-1.amazonaws.com"}),
        (
            {"use_ssl": False, "endpoint_url": "https://s3.local"},
            {"credentials": "boto3", "endpoint": "https://s3.local"},
        ),
    ],
)
def test_each_field_is_an_option_of_the_store(fields: dict[str, Any], options: dict[str, str]) -> None:
    assert s3_options(S3Resource(**fields), URL) == options


def test_the_stores_own_options_come_first() -> None:
    s3 = S3Resource(
        region_name="eu-west-1", endpoint_url="http://s3.local", aws_access_key_id="a", aws_secret_access_key="b"
    )
    store = ReproStore(url=URL, s3=s3, options={"region": "us-west-2"}).open()
    assert store._options["region"] == "us-west-2"
    assert store._options["endpoint"] == "http://s3.local"


@pytest.mark.parametrize(
    ("url", "s3", "told"),
    [
        ("/a/folder", S3Resource(), r"for a store on S3, and /a/folder is none: leave s3 out"),
        (URL, ReproStore(), r"takes dagster_aws\.s3\.S3Resource, not ReproStore"),
        (
            URL,
            S3Resource(region_name=dg.EnvVar("MLREPRO_NO_SUCH_VARIABLE")),
            r"The environment variable MLREPRO_NO_SUCH_VARIABLE, which a field of ReproStore names, is not set",
        ),
    ],
)
def test_what_cannot_work_is_said(url: str, s3: object, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        ReproStore(url=url, s3=s3).open()


@pytest.mark.slow
class TestOnAServer:
    @pytest.fixture
    def resource(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> ReproStore:
        """Every field that can be is an environment variable."""
        monkeypatch.setenv("TEAM_STORE", f"s3://mlrepro/{uuid.uuid4().hex}")
        monkeypatch.setenv("TEAM_ENDPOINT", s3.endpoint)
        monkeypatch.setenv("TEAM_KEY", s3.options["access_key_id"])
        monkeypatch.setenv("TEAM_SECRET", s3.options["secret_access_key"])
        return ReproStore(
            url=dg.EnvVar("TEAM_STORE"),
            s3=S3Resource(
                endpoint_url=dg.EnvVar("TEAM_ENDPOINT"),
                region_name="us-east-1",
                aws_access_key_id=dg.EnvVar("TEAM_KEY"),
                aws_secret_access_key=dg.EnvVar("TEAM_SECRET"),
            ),
        )

    def test_a_run_stores_there_and_the_next_one_hits(self, resource: ReproStore) -> None:
        defs = ml_definitions(assets=[numbers, total], store=resource)
        job = defs.resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            told = []
            for _ in range(2):
                result = job.execute_in_process(instance=instance)
                events = result.get_asset_materialization_events()
                told.append({str(each.materialization.metadata["mlrepro/cache"].value) for each in events})
        assert told == [{"computed"}, {"hit"}]
        store = resource.open()
        assert store.url.startswith("s3://mlrepro/")
        assert load("total", store=store) == 6, "opened without a run, it finds the same store"

    def test_it_can_be_a_resource_of_its_own_that_others_share(self, resource: ReproStore) -> None:
        s3 = resource.s3
        manager = InputHashIOManager(store=ReproStore(url=resource.url, s3=s3))
        defs = dg.Definitions(assets=[numbers, total], resources={"io_manager": manager, "s3": s3})
        assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
        assert load("total", store=resource.open()) == 6

    def test_keys_of_the_options_are_environment_variables_too(self, resource: ReproStore, s3: S3Server) -> None:
        options = {**s3.options, "access_key_id": dg.EnvVar("TEAM_KEY"), "secret_access_key": dg.EnvVar("TEAM_SECRET")}
        store = ReproStore(url=dg.EnvVar("TEAM_STORE"), options=options).open()
        assert open_store(store.url, options=s3.options).read_value(store.write_value([1, 2])) == [1, 2]


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


WITHOUT = """
import sys
for name in ("dagster_aws", "boto3", "botocore"):
    sys.modules[name] = None
import dagster as dg
from mlrepro import ReproStore, load, ml_asset, ml_definitions

@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]

defs = ml_definitions(assets=[numbers], store=ReproStore(url=sys.argv[1]))
assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
print(load("numbers", store=ReproStore(url=sys.argv[1]).open()))
"""


def test_nothing_of_aws_is_needed_for_a_folder(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1, 2, 3]\n"
