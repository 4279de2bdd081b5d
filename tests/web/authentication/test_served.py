"""The gate in a real server, over real connections: login, tokens, websockets that end, and a log without secrets."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from websockets.sync.client import connect

from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.token_file import create_token, read_tokens, revoke_token
from mlrepro.web.authentication import authenticators
from mlrepro.web.authentication.gate import Gate
from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, environment, free_port
from tests.web.authentication.provider import AUDIENCE, CLIENT, CLIENT_SECRET, Provider, serving
from tests.web.authentication.site import application, tenants_file
from tests.web.authentication.test_login import HTML
from tests.web.authentication.test_proxy import SECRET

USER = "ana@example.com"
SECRETS = {"PROXY_SECRET": SECRET, "CLIENT_SECRET": CLIENT_SECRET, "SESSION_SECRET": "fedcba9876543210" * 4}


def identity(url: str, provider: Provider) -> dict[str, Any]:
    """All ways at once."""
    return {
        "public_url": url,
        "tokens": {"file": "tokens.json"},
        "proxy": {"secret": {"env": "PROXY_SECRET"}},
        "jwt": {"issuer": provider.url, "audience": AUDIENCE},
        "oidc": {
            "issuer": provider.url,
            "client_id": CLIENT,
            "client_secret": {"env": "CLIENT_SECRET"},
            "session_secret": {"env": "SESSION_SECRET"},
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("level", ["info", "debug", "trace"])
def test_in_all_that_the_server_logs_there_is_no_secret(tmp_path: Path, provider: Provider, level: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    provider.redirects = {f"{url}/auth/callback"}
    tokens = tmp_path / "tokens.json"
    token, revoked = create_token(tokens, USER), "mlr_of_somebody_who_was_revoked"
    signed, forged = provider.token(), provider.token(provider.claims(aud="another"))
    tenants = tenants_file(tmp_path, identity(url, provider))
    programs = Programs(tmp_path)
    command = ["uvicorn", "--factory", "tests.web.authentication.site:from_environment", f"--port={port}"]
    variables = environment(MLREPRO_TENANTS=str(tenants.path), PYTHONPATH=str(ROOT), **SECRETS)
    with programs.running("site", [*command, f"--log-level={level}"], variables):
        programs.wait_for_port("the site", port)
        with httpx2.Client(follow_redirects=True, headers=HTML, timeout=60) as browser:
            page = browser.get(f"{url}/runs?status=failed")
            assert (str(page.url), page.json()["user"]) == (f"{url}/runs?status=failed", USER)
            cookie = browser.cookies["mlrepro-session"]
            assert browser.post(f"{url}/graphql", json={}, headers={"Origin": url}).json()["read_only"] is False
            assert browser.post(f"{url}/graphql", json={}).status_code == 403
            stray = browser.get(f"{url}/auth/callback?code=a-code-that-is-secret&state=a-state-that-is-secret")
            assert stray.status_code == 401
        browsers = {"Cookie": f"mlrepro-session={cookie}", "Origin": url}
        proxys = {"X-Mlrepro-Proxy-Secret": SECRET, "X-Forwarded-Email": USER, "Origin": url}
        machines = {"Authorization": f"Bearer {token}"}
        strangers = {"Authorization": f"Bearer {revoked}"}
        jwts = {"Authorization": f"Bearer {signed}"}, {"Authorization": f"Bearer {forged}"}
        good, bad = [browsers, proxys, machines, jwts[0] | {"Origin": url}], [{}, strangers, jwts[1]]
        with httpx2.Client(timeout=60) as program:
            for headers, status in [*((each, 200) for each in good), *((each, 401) for each in bad)]:
                assert program.get(url, headers=headers).status_code == status
        assert all(opened(url, headers) == USER for headers in good)
        for headers in [*bad, {**browsers, "Origin": "http://evil.example"}]:
            with pytest.raises(websockets.InvalidStatus, match="403"):
                opened(url, headers)
    logged = (tmp_path / "site.log").read_text()
    assert "GET /auth/callback" in logged
    assert "/runs?status=failed" in logged, "other addresses are shown whole"
    assert f"'{USER}' logged in" in logged
    assert "the token is for another audience" in logged
    if level != "info":
        assert "authorization: [hidden]" in logged, "headers of websockets are written down at this level"
    secrets = [*SECRETS.values(), token, revoked, signed, forged, cookie, "that-is-secret", *provider.secrets]
    assert [secret for secret in secrets if secret in logged] == []


def opened(url: str, headers: Mapping[str, str]) -> str:
    """Who asks, says the site over a websocket."""
    with connect(url.replace("http", "ws") + "/graphql", additional_headers=headers, open_timeout=60) as socket:
        return str(json.loads(socket.recv())["user"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, TenantsFile]]:
    """A site for API tokens that looks at open websockets again and again."""
    create_token(tmp_path / "tokens.json", "someone")
    tenants = tenants_file(tmp_path, {"tokens": {"file": "tokens.json"}})
    settings = tenants.tenants.identity
    assert settings is not None
    gate = Gate(application(), tenants=tenants, authenticators=authenticators(settings, folder=tmp_path), recheck=0.1)
    port = free_port()
    with serving(gate, port):
        yield f"ws://127.0.0.1:{port}/graphql", tenants


def close_code(url: str, token: str, then: Callable[[], object] = lambda: None) -> tuple[int, float]:
    """With what a websocket is closed, and after how many seconds."""
    with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        assert json.loads(socket.recv())["user"] == USER
        socket.send("still here?")
        assert socket.recv() == "still here?"
        then()
        begun = time.monotonic()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, time.monotonic() - begun


def test_a_websocket_ends_when_its_token_does(site: tuple[str, TenantsFile]) -> None:
    url, tenants = site
    end = datetime.now(UTC) + timedelta(seconds=2)
    code, _ = close_code(url, create_token(tenants.path.with_name("tokens.json"), USER, expires=end))
    assert code == 4401
    assert -0.1 < (datetime.now(UTC) - end).total_seconds() < 2


def test_a_websocket_ends_when_its_token_is_revoked(site: tuple[str, TenantsFile]) -> None:
    url, tenants = site
    file = tenants.path.with_name("tokens.json")
    token = create_token(file, USER)
    code, seconds = close_code(url, token, lambda: revoke_token(file, read_tokens(file)[-1].id))
    assert (code, seconds < 5) == (4401, True)


def test_a_websocket_ends_when_its_user_has_no_role_any_more(site: tuple[str, TenantsFile]) -> None:
    url, tenants = site
    without = tenants.path.read_text().replace(USER, "bob@example.com")
    code, seconds = close_code(
        url, create_token(tenants.path.with_name("tokens.json"), USER), lambda: tenants.path.write_text(without)
    )
    assert (code, seconds < 5) == (4401, True)


def test_a_websocket_stays_while_its_token_can_not_be_looked_up(site: tuple[str, TenantsFile]) -> None:
    url, tenants = site
    file = tenants.path.with_name("tokens.json")
    token = create_token(file, USER)
    with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        assert json.loads(socket.recv())["user"] == USER
        file.rename(file.with_name("elsewhere"))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
        socket.send("still here?")
        assert socket.recv() == "still here?"
