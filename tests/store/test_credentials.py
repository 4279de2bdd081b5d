"""Credentials of an S3 store by a named profile, by whatever boto3 finds, and by keys that were given."""

import json
import pickle
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlrepro.errors import MissingExtraError, StoreError
from mlrepro.store import open_store
from mlrepro.store.credentials import Boto3Credentials
from tests.store.answering import answering
from tests.store.s3_server import S3Server

HASH = "5eed" * 16
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def profile(folder: Path, name: str, **settings: str) -> None:
    """Write a profile as `aws configure` does."""
    lines = [f"[profile {name}]", *(f"{key} = {value}" for key, value in settings.items())]
    with (folder / "config").open("a") as file:
        file.write("\n".join(lines) + "\n")


def profile_of(folder: Path, name: str, server: S3Server) -> None:
    keys = {"aws_access_key_id": server.options["access_key_id"]}
    keys["aws_secret_access_key"] = server.options["secret_access_key"]
    profile(folder, name, region="us-east-1", endpoint_url=server.endpoint, **keys)


@pytest.mark.slow
class TestAProfile:
    def test_gives_keys_region_and_endpoint(
        self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        profile_of(tmp_path, "team", s3)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-another-account")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-another-account")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-account")
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options={"profile": "team"})
        assert store.read_value(store.write_value([1, 2])) == [1, 2]

    def test_is_asked_again_where_a_store_is_opened_in_another_process(self, s3: S3Server, tmp_path: Path) -> None:
        profile_of(tmp_path, "team", s3)
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options={"profile": "team"})
        stored = store.write_value("from here")
        sent = pickle.dumps((store, stored))
        assert s3.options["secret_access_key"].encode() not in sent
        (tmp_path / "sent").write_bytes(sent)
        read = "import pathlib, pickle, sys; s, v = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())"
        done = subprocess.run(
            [sys.executable, "-c", f"{read}; print(s.read_value(v))", str(tmp_path / "sent")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "from here\n"

    def test_can_be_named_by_the_environment(
        self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        profile_of(tmp_path, "mine", s3)
        monkeypatch.setenv("AWS_PROFILE", "mine")
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}")
        assert store.read_value(store.write_value([1, 2])) == [1, 2]

    def test_is_overruled_by_keys_among_the_options(self, s3: S3Server, tmp_path: Path) -> None:
        profile(tmp_path, "team", aws_access_key_id="no", aws_secret_access_key="no")
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options={"profile": "team", **s3.options})
        assert store.read_value(store.write_value([1, 2])) == [1, 2]

    def test_the_default_one_is_found_by_boto3(self, s3: S3Server, tmp_path: Path) -> None:
        keys = [f"aws_{key} = {s3.options[key]}" for key in ("access_key_id", "secret_access_key")]
        (tmp_path / "credentials").write_text("\n".join(["[default]", *keys]))
        options = {"credentials": "boto3", "endpoint": s3.endpoint}
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=options)
        assert store.read_value(store.write_value([1, 2])) == [1, 2]


class TestWhatIsWrong:
    def test_a_profile_that_does_not_exist(self, tmp_path: Path) -> None:
        profile(tmp_path, "team", region="eu-west-1")
        with pytest.raises(StoreError, match=r"s3://ml/x: .*\(taem\).* name another \(known: team\)"):
            open_store("s3://ml/x", options={"profile": "taem"})

    def test_a_profile_without_credentials(self, tmp_path: Path) -> None:
        profile(tmp_path, "empty", region="eu-west-1")
        store = open_store("s3://ml/x", options={"profile": "empty"})
        told = (
            rf"Could not read s3://ml/x/default/results/5e/{HASH}.json: the AWS profile 'empty' has no credentials. Set"
        )
        with pytest.raises(StoreError, match=told) as caught:
            store.get_result(HASH)
        assert "\n" not in str(caught.value)

    def test_a_profile_whose_login_has_ended(self, tmp_path: Path) -> None:
        profile(
            tmp_path,
            "sso",
            sso_start_url="https://example.awsapps.com/start",
            sso_region="eu-west-1",
            sso_account_id="123456789012",
            sso_role_name="ml",
        )
        store = open_store("s3://ml/x", options={"profile": "sso"})
        with pytest.raises(
            StoreError, match=r"the AWS profile 'sso' gives no credentials: .* Renew them: aws sso login"
        ):
            store.get_result(HASH)

    def test_boto3_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(
            MissingExtraError, match=r"s3://ml/x: the AWS profile 'team' .* pip install 'mlrepro\[aws\]'"
        ):
            open_store("s3://ml/x", options={"profile": "team"})

    def test_credentials_are_taken_from_boto3_only(self) -> None:
        with pytest.raises(StoreError, match="credentials='vault' for the store s3://ml/x must be 'boto3'"):
            open_store("s3://ml/x", options={"credentials": "vault"})


def test_credentials_that_end_soon_are_asked_for_again(tmp_path: Path) -> None:
    script = tmp_path / "login.py"
    ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": ends}
    script.write_text(
        "import json, pathlib\n"
        f"asked = pathlib.Path({str(tmp_path / 'asked')!r})\n"
        "number = len(asked.read_text()) + 1 if asked.exists() else 1\n"
        "asked.write_text('x' * number)\n"
        f"print(json.dumps({json.dumps(answer)} | {{'AccessKeyId': f'key-{{number}}'}}))\n"
    )
    profile(tmp_path, "short", credential_process=f"{sys.executable} {script}")
    credentials = Boto3Credentials("short", url="s3://ml/x")
    first, second = credentials(), credentials()
    assert first["access_key_id"] != second["access_key_id"]
    assert second["expires_at"] is not None
    assert second["expires_at"] <= datetime.now(UTC) + timedelta(minutes=10)


def test_a_token_left_in_the_environment_is_not_sent_with_keys_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-account")
    with answering(404, "NoSuchKey", "The specified key does not exist.") as server:
        assert open_store("s3://ml/x", options=server.options).get_result(HASH) is None
        assert open_store("s3://ml/x", options={**server.options, "session_token": "mine"}).get_result(HASH) is None
    tokens = [headers.get("x-amz-security-token") for headers in server.asked]
    assert set(tokens) == {None, "mine"}
    assert all("Credential=a-key/" in headers["Authorization"] for headers in server.asked)
