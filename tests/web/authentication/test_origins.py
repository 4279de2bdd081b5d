"""Requests that another site made a browser send."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.web.authentication.site import URL, client, tenants_file
from tests.web.authentication.test_proxy import ANA, IDENTITY, PROVEN, SECRET

JSON = ("Content-Type", "application/json")
OWN = ("Origin", URL)
SOCKET = URL.replace("https", "wss") + "/graphql"
KNOWN = [PROVEN, ANA]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_SECRET", SECRET)


@pytest.fixture
def site(tmp_path: Path) -> TestClient:
    return client(tenants_file(tmp_path, IDENTITY))


@pytest.fixture
def public(tmp_path: Path) -> TestClient:
    """Behind a proxy that calls the site by an inner name."""
    inner = client(tenants_file(tmp_path, {**IDENTITY, "public_url": URL}))
    inner.base_url = "http://webserver.dagster.svc:3000"
    return inner


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_own_page_may_send_anything(site: TestClient, method: str) -> None:
    answer = site.request(method, "/graphql", headers=[*KNOWN, OWN, JSON, ("Sec-Fetch-Site", "same-origin")])
    assert (answer.status_code, answer.json()["read_only"]) == (200, False)


FOREIGN: list[tuple[str, list[tuple[str, str]], str]] = [
    ("no Origin", [JSON], "no Origin"),
    ("an empty one", [JSON, ("Origin", "")], "sent it"),
    ("null, as of sandboxes and files", [JSON, ("Origin", "null")], "'null' sent it"),
    ("another site", [JSON, ("Origin", "https://evil.example")], "'https://evil.example' sent it"),
    ("another port", [JSON, ("Origin", f"{URL}:8443")], "sent it"),
    ("plain http of the same host", [JSON, ("Origin", "http://dagster.example.com")], "sent it"),
    ("a host that begins alike", [JSON, ("Origin", f"{URL}.evil.example")], "sent it"),
    ("a host that ends alike", [JSON, ("Origin", "https://evil-dagster.example.com")], "sent it"),
    ("a sister", [JSON, ("Origin", "https://grafana.example.com")], "sent it"),
    ("its parent", [JSON, ("Origin", "https://example.com")], "sent it"),
    ("a user before the host", [JSON, ("Origin", "https://dagster.example.com@evil.example")], "sent it"),
    ("the host as a user", [JSON, ("Origin", "https://evil.example@dagster.example.com")], "sent it"),
    ("a path behind it", [JSON, ("Origin", f"{URL}/")], "sent it"),
    ("spaces around it", [JSON, ("Origin", f"{URL} https://evil.example")], "sent it"),
    ("two of them", [JSON, OWN, ("Origin", "https://evil.example")], "two Origins"),
    ("its own twice", [JSON, OWN, OWN], "two Origins"),
    ("a port that is none", [JSON, ("Origin", "https://dagster.example.com:x")], "sent it"),
    ("another scheme", [JSON, ("Origin", "ftp://dagster.example.com")], "sent it"),
    ("an extension", [JSON, ("Origin", "chrome-extension://dagster.example.com")], "sent it"),
    ("a Referer only", [JSON, ("Referer", f"{URL}/runs")], "no Origin"),
    ("Sec-Fetch-Site says another site", [JSON, OWN, ("Sec-Fetch-Site", "cross-site")], "says Sec-Fetch-Site"),
    ("Sec-Fetch-Site says a sister", [JSON, OWN, ("Sec-Fetch-Site", "same-site")], "says Sec-Fetch-Site"),
    ("a form", [OWN, ("Content-Type", "application/x-www-form-urlencoded")], "application/json only"),
    ("a form with files", [OWN, ("Content-Type", "multipart/form-data; boundary=x")], "application/json only"),
    ("text", [OWN, ("Content-Type", "text/plain")], "application/json only"),
    ("text that Dagster takes for JSON", [OWN, ("Content-Type", "text/plain; application/json")], "json only"),
    ("no type", [OWN], "application/json only"),
    ("two types", [OWN, JSON, ("Content-Type", "text/plain")], "application/json only"),
    ("an X-Forwarded-Host", [JSON, ("Origin", "https://evil.example"), ("X-Forwarded-Host", "evil.example")], "sent"),
    ("another method by header", [("X-HTTP-Method-Override", "GET")], "no Origin"),
]


@pytest.mark.parametrize(("sent", "says"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN])
@pytest.mark.parametrize("which", ["site", "public"])
def test_what_another_site_could_send_is_refused(
    sent: list[tuple[str, str]], says: str, which: str, request: pytest.FixtureRequest
) -> None:
    answer = request.getfixturevalue(which).post("/graphql", headers=[*KNOWN, *sent], content=b"{}")
    assert answer.status_code == 403, answer.text
    assert says in answer.text


def test_graphql_of_an_instance_of_ones_own_takes_json_only_as_well(site: TestClient) -> None:
    path = "/tenants/delay/graphql"
    assert site.post(path, headers=[*KNOWN, OWN, ("Content-Type", "text/plain")]).status_code == 403
    assert site.post(path, headers=[*KNOWN, OWN, JSON]).status_code == 200


@pytest.mark.parametrize("path", ["/report_asset_materialization/a", "/report_asset_check/a", "/"])
def test_other_paths_too(site: TestClient, path: str) -> None:
    assert site.post(path, headers=[*KNOWN, JSON]).status_code == 403
    assert site.post(path, headers=[*KNOWN, OWN]).status_code == 200, "of any type: programs of Dagster's send none"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://dagster.example.com"])
def test_websockets_of_other_sites_are_not_opened(site: TestClient, origin: str | None) -> None:
    headers = dict(KNOWN) | ({"Origin": origin} if origin else {})
    with pytest.raises(WebSocketDisconnect) as closed, site.websocket_connect(SOCKET, headers=headers):
        pass
    assert closed.value.code == 4403


def test_websockets_of_own_pages_are(site: TestClient) -> None:
    with site.websocket_connect(SOCKET, headers=dict([*KNOWN, OWN])) as socket:
        assert socket.receive_json()["read_only"] is False


@pytest.mark.parametrize("headers", [[], [("Sec-Fetch-Site", "cross-site")], [("Origin", "https://evil.example")]])
@pytest.mark.parametrize("path", ["/runs", "/graphql?query=mutation{wipeAssets}"])
def test_a_link_on_another_site_may_be_followed_and_changes_nothing(
    site: TestClient, headers: list[tuple[str, str]], path: str
) -> None:
    assert site.get(path, headers=[*KNOWN, *headers]).json()["read_only"] is True


def test_the_public_address_counts_and_not_the_inner_one(public: TestClient) -> None:
    assert public.post("/graphql", headers=[*KNOWN, OWN, JSON]).status_code == 200
    inner = ("Origin", "http://webserver.dagster.svc:3000")
    assert public.post("/graphql", headers=[*KNOWN, inner, JSON]).status_code == 403


@pytest.mark.parametrize(
    ("base", "origin", "status"),
    [
        ("http://localhost:3000", "http://localhost:3000", 200),
        ("http://localhost:3000", "http://localhost:3001", 403),
        ("http://localhost:3000", "http://127.0.0.1:3000", 403),
        ("http://dagster.example.com", "https://dagster.example.com", 200),  # TLS ends at the proxy
        ("https://dagster.example.com:443", "https://dagster.example.com", 200),
        ("http://[::1]:3000", "http://[::1]:3000", 200),
        ("http://DAGSTER.example.com", "http://dagster.example.com", 200),
    ],
)
def test_where_the_host_header_says_which_site_this_is(tmp_path: Path, base: str, origin: str, status: int) -> None:
    site = client(tenants_file(tmp_path, IDENTITY))
    site.base_url = base
    assert site.post("/graphql", headers=[*KNOWN, ("Origin", origin), JSON]).status_code == status


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "MOVE"])
def test_methods_that_nobody_knows_are_unsafe(site: TestClient, method: str) -> None:
    assert site.request(method, "/", headers=KNOWN).status_code in {403, 405}
