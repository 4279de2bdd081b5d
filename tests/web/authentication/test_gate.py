"""The gate before everything: who gets through, and what is found behind it."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mlrepro.errors import TenantsError
from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.token_file import create_token
from tests.tenancy.files import small, team
from tests.web.authentication.site import client, tenants_file


@pytest.fixture
def tenants(tmp_path: Path) -> TenantsFile:
    create_token(tmp_path / "tokens.json", "nobody@example.com")
    return tenants_file(tmp_path, {"tokens": {"file": "tokens.json"}})


def token_of(tenants: TenantsFile, user: str, *groups: str) -> dict[str, str]:
    token = create_token(tenants.path.with_name("tokens.json"), user, groups)
    return {"Authorization": f"Bearer {token}"}


def test_a_user_with_a_role_gets_through(tenants: TenantsFile) -> None:
    found = client(tenants).get("/runs", headers=token_of(tenants, "ana@example.com", "x", "delay")).json()
    assert found == {
        "user": "ana@example.com",
        "groups": ["delay", "x"],
        "read_only": True,
        "expires": None,
        "path": "/runs",
    }


@pytest.mark.parametrize(
    ("method", "read_only"), [("GET", True), ("OPTIONS", True), ("POST", False), ("DELETE", False)]
)
def test_what_a_link_can_send_may_change_nothing(tenants: TenantsFile, method: str, read_only: bool) -> None:
    answer = client(tenants).request(method, "/graphql", headers=token_of(tenants, "ana@example.com"))
    assert answer.json()["read_only"] is read_only


def test_nobody_gets_in_without_credentials(tenants: TenantsFile) -> None:
    for method, path in (("GET", "/"), ("GET", "/graphql"), ("POST", "/server_info"), ("GET", "/server_info/")):
        answer = client(tenants).request(method, path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path


def test_a_websocket_without_credentials_is_not_opened(tenants: TenantsFile) -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client(tenants).websocket_connect("/graphql"):
        pass
    assert closed.value.code == 4401


def test_a_websocket_finds_who_asks(tenants: TenantsFile) -> None:
    headers = token_of(tenants, "ana@example.com")
    with client(tenants).websocket_connect("/graphql", headers=headers) as socket:
        assert socket.receive_json()["user"] == "ana@example.com"


def test_probes_need_no_identity_and_learn_none(tenants: TenantsFile) -> None:
    assert client(tenants).get("/healthz").text == "ok\n"
    assert client(tenants).get("/server_info").json() == {"identity": False}
    assert client(tenants).get("/server_info", headers=token_of(tenants, "ana@example.com")).json() == {
        "identity": False
    }


def test_who_has_no_role_is_told_as_whom_they_are_known(tenants: TenantsFile) -> None:
    headers = {**token_of(tenants, "<b>eve</b>", "visitors"), "Accept": "text/html"}
    answer = client(tenants).get("/", headers=headers)
    assert answer.status_code == 403
    assert "you are known as &lt;b&gt;eve&lt;/b&gt; (groups: visitors)" in answer.text
    with pytest.raises(WebSocketDisconnect) as closed, client(tenants).websocket_connect("/graphql", headers=headers):
        pass
    assert closed.value.code == 4403


def test_who_lost_their_role_is_out_at_once(tenants: TenantsFile) -> None:
    asked, headers = client(tenants), token_of(tenants, "ana@example.com")
    assert asked.get("/", headers=headers).status_code == 200
    tenants.path.write_text(tenants.path.read_text().replace("ana@example.com", "bob@example.com"))
    assert asked.get("/", headers=headers).status_code == 403


def test_without_identity_settings_nothing_starts(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(small(team("a")))
    with pytest.raises(TenantsError, match="has no identity"):
        client(TenantsFile(path))


def test_under_a_path_prefix_probes_are_open_too(tenants: TenantsFile) -> None:
    asked: TestClient = client(tenants, path_prefix="/dagster")
    assert asked.get("/dagster/healthz").text == "ok\n"
    assert asked.get("/dagster/graphql").status_code == 401
