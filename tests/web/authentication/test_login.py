"""Login by the webserver itself, at a provider of ours that stands for Keycloak, Okta and Entra."""

import base64
import json
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.testclient import TestClient

from mlrepro.errors import TenantsError
from mlrepro.web.authentication import session
from mlrepro.web.authentication.returning import page_of_this_site
from tests.web.authentication.provider import CLIENT, CLIENT_SECRET, Provider
from tests.web.authentication.site import URL, client, tenants_file

HTML = {"Accept": "text/html,application/xhtml+xml"}
SECRETS = {"CLIENT_SECRET": CLIENT_SECRET, "SESSION_SECRET": "0123456789abcdef" * 4}
COOKIE = "__Host-mlrepro-session"


def oidc(provider: Provider, **more: Any) -> dict[str, Any]:
    return {
        "public_url": URL,
        "oidc": {
            "issuer": provider.url,
            "client_id": CLIENT,
            "client_secret": {"env": "CLIENT_SECRET"},
            "session_secret": {"env": "SESSION_SECRET"},
            "groups_claim": "groups",
            **more,
        },
    }


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    provider.redirects = {f"{URL}/auth/callback"}


@pytest.fixture
def site(tmp_path: Path, provider: Provider) -> TestClient:
    return client(tenants_file(tmp_path, oidc(provider)))


def begin(site: TestClient, page: str = "/runs?status=failed") -> str:
    """Open a page; where the provider sends the browser back to."""
    invited = site.get(page, headers=HTML)
    assert (invited.status_code, invited.headers["location"].partition("?")[0]) == (303, "/auth/login")
    begun = site.get(invited.headers["location"], headers=HTML)
    assert begun.status_code == 303
    answer = httpx2.get(begun.headers["location"])
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def log_in(site: TestClient, page: str = "/runs?status=failed") -> httpx2.Response:
    return site.get(begin(site, page), headers=HTML)


def content(cookie: str) -> dict[str, Any]:
    """What anybody reads in a cookie who has it."""
    payload = cookie.rpartition(".")[0]
    packed = payload.startswith(".")
    payload = payload.lstrip(".")
    raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return dict(json.loads(zlib.decompress(raw) if packed else raw))


def test_a_browser_logs_in_and_sees_the_page_that_it_asked_for(site: TestClient) -> None:
    done = log_in(site)
    assert (done.status_code, done.headers["location"]) == (303, "/runs?status=failed")
    found = site.get("/runs?status=failed", headers=HTML).json()
    assert (found["user"], found["groups"]) == ("ana@example.com", ["delay"])
    assert abs(found["expires"] - time.time() - 8 * 3600) < 10


def test_what_the_cookie_is_like_and_what_it_holds(site: TestClient) -> None:
    (given_,) = [line for line in log_in(site).headers.get_list("set-cookie") if line.startswith(COOKIE)]
    assert {part.strip().lower() for part in given_.split(";")[1:]} == {
        "httponly",
        "max-age=28800",
        "path=/",
        "samesite=lax",
        "secure",
    }
    held = content(site.cookies[COOKIE])
    assert set(held) == {"user", "groups", "expires"}


def test_the_login_leaves_nothing_else_behind(site: TestClient) -> None:
    log_in(site)
    assert list(site.cookies) == [COOKIE]


def test_groups_that_tenants_yaml_does_not_name_are_not_kept(site: TestClient, provider: Provider) -> None:
    provider.user["groups"] = ["delay", *(f"group {number} of a large company" for number in range(500))]
    log_in(site)
    assert content(site.cookies[COOKIE])["groups"] == ["delay"]


def test_two_tabs_log_in_beside_each_other(site: TestClient) -> None:
    first, second = begin(site, "/one"), begin(site, "/two")
    assert site.get(first).headers["location"] == "/one"
    assert site.get(second).headers["location"] == "/two"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Accept": "application/json"}),
        ("GET", {}),
        ("GET", {**HTML, "Sec-Fetch-Dest": "iframe"}),
        ("GET", {**HTML, "Sec-Fetch-Dest": "script"}),
        ("POST", HTML),
        ("HEAD", HTML),
    ],
)
def test_who_is_no_person_with_a_browser_is_not_sent_to_log_in(
    site: TestClient, method: str, headers: dict[str, str]
) -> None:
    answer = site.request(method, "/graphql", headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_who_has_no_role_is_told_so_and_can_log_out(site: TestClient, provider: Provider) -> None:
    provider.user = {"sub": "2", "email": "eve@example.com"}
    log_in(site)
    answer = site.get("/", headers=HTML)
    assert answer.status_code == 403
    assert "you are known as eve@example.com" in answer.text
    assert 'href="/auth/logout"' in answer.text


def test_logging_out(site: TestClient) -> None:
    log_in(site)
    assert 'method="post"' in site.get("/auth/logout").text
    for origin in ({}, {"Origin": "https://evil.example"}):
        assert site.post("/auth/logout", headers=origin).status_code == 403
    assert site.get("/").status_code == 200
    assert site.post("/auth/logout", headers={"Origin": URL}).status_code == 200
    assert site.get("/").status_code == 401


def test_a_session_ends(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(site)
    later = time.time() + 8 * 3600 + 1
    monkeypatch.setattr(session.time, "time", lambda: later)
    kept = f"{COOKIE}={site.cookies[COOKIE]}"  # a browser whose clock stands still
    site.cookies.clear()
    assert site.get("/", headers={"Cookie": kept}).status_code == 401
    assert site.get("/", headers={"Cookie": kept, **HTML}).headers["location"].startswith("/auth/login?")


@pytest.mark.parametrize("damage", ["cut", "changed", "unsigned", "garbage", "other secret", "other client", "login"])
def test_a_cookie_that_was_not_given_here_is_none(
    site: TestClient, provider: Provider, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(site)
    (of_login,) = [value for name, value in site.cookies.items() if "login" in name]
    log_in(site)
    good = site.cookies[COOKIE]
    payload, _, signature = good.rpartition(".")
    forged = base64.urlsafe_b64encode(json.dumps({**content(good), "user": "root"}).encode()).decode().rstrip("=")
    other = {
        "cut": good[:-1],
        "changed": f"{forged}.{signature}",
        "unsigned": forged,
        "garbage": "x" * 300,
        "login": of_login,
    }.get(damage, good)
    if damage == "other secret":
        monkeypatch.setenv("SESSION_SECRET", "another secret of at least 32 characters")
        site = client(tenants_file(tmp_path, oidc(provider)))
    if damage == "other client":
        site = client(tenants_file(tmp_path, oidc(provider, client_id="another")))
    site.cookies.clear()
    cookie = {"Cookie": f"{COOKIE}={other}"}
    assert site.get("/", headers=cookie).status_code == 401
    assert site.get("/", headers={**cookie, **HTML}).status_code == 303, "logging in again helps"
    assert payload


def test_a_callback_of_another_browser_logs_nobody_in(site: TestClient, tmp_path: Path, provider: Provider) -> None:
    back = begin(site)
    victim = client(tenants_file(tmp_path, oidc(provider)))
    answer = victim.get(back)
    assert (answer.status_code, "not begun in this browser" in answer.text) == (401, True)
    assert "set-cookie" not in answer.headers


def changed(url: str, **more: str | None) -> str:
    """The way back with other parameters."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} | more
    return f"{url.partition('?')[0]}?{urlencode({name: value for name, value in query.items() if value is not None})}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": None}, "not begun in this browser"),
        ({"state": ""}, "not begun in this browser"),
        ({"state": "x" * 43}, "not begun in this browser"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"code": None}, "did not take the code"),
        ({"code": "x"}, "did not take the code: invalid_grant"),
        ({"error": "access_denied"}, "did not log anybody in: access_denied"),
        ({"error": "<script>alert(1)</script>"}, "did not log anybody in: an error"),
    ],
)
def test_a_callback_that_is_not_right(site: TestClient, change: dict[str, str | None], says: str) -> None:
    answer = site.get(changed(begin(site), **change))
    assert (answer.status_code, says in answer.text) == (401, True), answer.text
    assert COOKIE not in site.cookies


def test_a_state_twice_is_not_right(site: TestClient) -> None:
    assert site.get(begin(site) + "&state=x").status_code == 401


def test_a_code_counts_once(site: TestClient) -> None:
    back = begin(site)
    assert site.get(back).status_code == 303
    assert site.get(back).status_code == 401


def test_a_login_that_takes_too_long(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    back, later = begin(site), time.time() + session.LOGIN_SECONDS + 1
    monkeypatch.setattr(session.time, "time", lambda: later)
    assert site.get(back).status_code == 401


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ({"nonce": "of another login"}, "its nonce is another"),
        ({"nonce": None}, "its nonce is another"),
        ({"aud": "another-client"}, "for another audience"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "made for another client"),
        ({"iss": "https://evil.example"}, "of another issuer"),
        ({"exp": 1}, "has expired"),
        ({"email_verified": False}, "not verified"),
    ],
)
def test_an_id_token_that_is_not_right(site: TestClient, provider: Provider, token: dict[str, Any], says: str) -> None:
    provider.id_token = token
    answer = log_in(site)
    assert (answer.status_code, says in answer.text) == (401, True), answer.text
    assert COOKIE not in site.cookies


def test_a_provider_that_tells_of_the_user_only_when_asked(site: TestClient, provider: Provider) -> None:
    provider.thin = True
    log_in(site)
    assert site.get("/").json()["groups"] == ["delay"]


def test_a_provider_that_tells_of_another_user_than_logged_in(site: TestClient, provider: Provider) -> None:
    provider.thin, provider.id_token = True, {"sub": "2"}
    assert "another user" in log_in(site).text


def test_a_provider_that_takes_the_secret_in_the_body_only(site: TestClient, provider: Provider) -> None:
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert log_in(site).status_code == 303


def test_a_wrong_client_secret(tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "wrong")
    answer = log_in(client(tenants_file(tmp_path, oidc(provider))))
    assert "did not take the code: invalid_client" in answer.text


@pytest.mark.parametrize("where", ["token", "userinfo"])
@pytest.mark.parametrize(
    "answer",
    ["", "null", "7", "[]", "{}", '"text"', "<html>", "[" * 5000, '{"id_token": 7}', '{"id_token": "x", "error": 7}'],
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_provider_that_answers_nonsense(
    site: TestClient, provider: Provider, where: str, answer: str, status: int
) -> None:
    provider.thin = True
    provider.answers_instead = {where: Response(answer, status, media_type="application/json")}
    done = log_in(site)
    assert done.status_code in {401, 503}
    assert COOKIE not in site.cookies


def test_logins_that_are_begun_and_left_do_not_pile_up(site: TestClient) -> None:
    for _ in range(30):
        back = begin(site)
    assert len(site.cookies) <= 8
    assert site.get(back).status_code == 303


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_provider_that_is_away(site: TestClient, provider: Provider, when: str) -> None:
    if when == "before":
        provider.down = True
        answer = site.get("/auth/login")
    else:
        back = begin(site)
        provider.discovery = {}
        provider.url, url = "http://127.0.0.1:9", provider.url
        try:
            provider.down = True
            answer = site.get(back)
        finally:
            provider.url = url
    assert answer.status_code == 503
    assert "Log in" in answer.text


def test_other_pages_below_auth_are_nobodys(site: TestClient) -> None:
    assert site.get("/auth").status_code == 404
    assert site.get("/auth/other").status_code == 404
    assert site.post("/auth/login").status_code == 405
    assert site.post("/auth/callback").status_code == 405


def test_under_a_path_prefix(tmp_path: Path, provider: Provider) -> None:
    provider.redirects = {f"{URL}/dagster/auth/callback"}
    site = client(tenants_file(tmp_path, oidc(provider)), path_prefix="/dagster")
    invited = site.get("/dagster/runs", headers=HTML).headers["location"]
    assert invited == "/dagster/auth/login?next=%2Fdagster%2Fruns"
    back = httpx2.get(site.get(invited).headers["location"]).headers["location"]
    assert site.get(back).headers["location"] == "/dagster/runs"


AWAY = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "https:evil.example",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "/%0d%0aSet-Cookie:x\r\n",
    "/runs\r\nSet-Cookie: x=y",
    "",
    "/auth/logout",
    "/auth/login?next=/auth/login",
    "/" + "a" * 1500,
    "/é",
]


@pytest.mark.parametrize("target", AWAY)
def test_nobody_is_sent_elsewhere_after_the_login(site: TestClient, target: str) -> None:
    begun = site.get(f"/auth/login?{urlencode({'next': target})}")
    back = httpx2.get(begun.headers["location"]).headers["location"]
    assert site.get(back).headers["location"] == "/"


@given(st.one_of(st.text(), st.from_regex(r"[/\\]{0,3}[a-z:@.\\/?#\t\n ]{0,12}", fullmatch=True)))
def test_wherever_it_leads_it_is_this_site(target: str) -> None:
    # as browsers read it: tabs and line breaks fall away, and \ is /
    found = page_of_this_site(target)
    read = "".join(letter for letter in found if letter not in "\t\r\n").strip().replace("\\", "/")
    assert httpx2.URL(URL).join(read).host == urlsplit(URL).hostname
    assert read.startswith("/")
    assert not read.startswith("//")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SESSION_SECRET", "short", "session_secret: the environment variable SESSION_SECRET holds 5 characters"),
        ("SESSION_SECRET", "", "SESSION_SECRET is not set or empty"),
        ("CLIENT_SECRET", "", "client_secret: the environment variable CLIENT_SECRET is not set"),
    ],
)
def test_secrets_that_are_not_there(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TenantsError, match=says):
        client(tenants_file(tmp_path, oidc(provider)))
