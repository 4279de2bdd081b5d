"""API tokens of machines, as the webserver takes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlrepro.errors import TokensError
from mlrepro.tenancy.token_file import create_token, read_tokens, revoke_token
from tests.web.authentication.site import client, tenants_file

USER = "ana@example.com"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    create_token(tmp_path / "tokens.json", "someone")
    return tmp_path / "tokens.json"


@pytest.fixture
def site(file: Path) -> TestClient:
    return client(tenants_file(file.parent, {"tokens": {"file": "tokens.json"}}))


def status(site: TestClient, token: str, **headers: str) -> int:
    return int(site.post("/graphql", headers={"Authorization": f"Bearer {token}", **headers}).status_code)


def test_a_token_counts_at_once_and_until_it_is_revoked(site: TestClient, file: Path) -> None:
    token, other = create_token(file, USER), create_token(file, USER)
    assert status(site, token) == 200
    revoke_token(file, read_tokens(file)[1].id)
    assert (status(site, token), status(site, other)) == (401, 200)


def test_until_when_it_is_good(site: TestClient, file: Path) -> None:
    end = datetime.now(UTC) + timedelta(days=90)
    token = create_token(file, USER, expires=end)
    found = site.get("/", headers={"Authorization": f"Bearer {token}"}).json()
    assert found["expires"] == end.timestamp()
    old = create_token(file, USER, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert status(site, old) == 401


def test_a_program_needs_no_origin(site: TestClient, file: Path) -> None:
    token = create_token(file, USER)
    assert status(site, token, Origin="https://elsewhere.example") == 200, "no browser sends a token by itself"


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "a", lambda t: t.upper(), lambda t: "mlr_"])
def test_a_token_that_is_not_quite_one(site: TestClient, file: Path, change, caplog: pytest.LogCaptureFixture) -> None:
    token = change(create_token(file, USER))
    assert status(site, token) == 401
    assert token == "mlr_" or token not in caplog.text


def test_the_hash_of_a_token_is_no_token(site: TestClient, file: Path) -> None:
    create_token(file, USER)
    digest = read_tokens(file)[-1].sha256
    assert status(site, digest) == 401
    assert status(site, f"mlr_{digest}") == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "mlr_"])
def test_another_scheme_is_no_token(site: TestClient, file: Path, scheme: str) -> None:
    token = create_token(file, USER)
    assert site.get("/", headers={"Authorization": f"{scheme} {token}"}).status_code == 401


def test_a_token_in_the_query_is_not_looked_at(site: TestClient, file: Path) -> None:
    assert site.get(f"/?access_token={create_token(file, USER)}").status_code == 401


@pytest.mark.parametrize("damage", ["gone", "{", "[]", '{"tokens": [{"sha256": "x"}]}', "writable", "unreadable"])
def test_a_file_that_is_gone_or_damaged_lets_nobody_in(site: TestClient, file: Path, damage: str) -> None:
    token, before = create_token(file, USER), file.read_text()
    assert status(site, token) == 200
    if damage == "gone":
        file.unlink()
    elif damage == "writable":
        file.write_text(before + "\n")
        file.chmod(0o666)
    elif damage == "unreadable":
        file.unlink()
        file.mkdir()
    else:
        file.write_text(damage)
    assert [status(site, token) for _ in range(2)] == [503, 503]
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_text(before)
    assert status(site, token) == 200


def test_without_a_file_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match=r"tokens\.json can't be read: No such file.*`mlrepro tokens create`"):
        client(tenants_file(tmp_path, {"tokens": {"file": "tokens.json"}}))


def test_the_file_holds_no_token_and_is_for_its_owner_only(file: Path) -> None:
    token = create_token(file, USER, ["b", "a", "b"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text()
    assert json.loads(file.read_text())["tokens"][-1]["groups"] == ["a", "b"]
