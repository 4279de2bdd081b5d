"""Whatever a stranger sends, with all ways open at once: nobody is let in, and nothing breaks."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from mlrepro.tenancy.token_file import create_token
from mlrepro.web.authentication import IDENTITY_KEY, READ_ONLY_KEY, gate
from tests.web.authentication.provider import Provider
from tests.web.authentication.site import application, status_of, tenants_file
from tests.web.authentication.test_served import SECRETS, identity

NAMES = [
    b"authorization",
    b"cookie",
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"content-type",
    b"x-forwarded-email",
    b"x_forwarded_email",
    b"x-forwarded-groups",
    b"x-mlrepro-proxy-secret",
    b"x-mlrepro-identity",
    b"mlrepro.identity",
    b"accept",
]
VALUES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"ana@example.com",
            b"Bearer mlr_x",
            b"Bearer ",
            b"Bearer a.b.c",
            b"Basic YW5hOmFuYQ==",
            b"mlrepro-session=x; __Host-mlrepro-session=x.y.z",
            b"mlrepro-session=.eJw; a=b; =; ;;",
            b"https://dagster.example.com",
            b"text/html",
            b"null",
            b"application/json",
        ]
    ),
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6)
PATHS = st.one_of(st.text(max_size=20).map(lambda text: f"/{text}"), st.sampled_from(["/graphql", "/auth/x", "/auth"]))
METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "get", ""])


@pytest.fixture
def app(tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    create_token(tmp_path / "tokens.json", "ana@example.com")
    return gate(application(), tenants_file(tmp_path, identity("https://dagster.example.com", provider)))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS, path=PATHS, method=METHODS, query=st.binary(max_size=20))
def test_nobody_is_let_in(
    app: ASGIApp, headers: list[tuple[bytes, bytes]], path: str, method: str, query: bytes
) -> None:
    if path in {"/healthz", "/server_info"}:
        return
    status = asyncio.run(status_of(app, headers, path=path, method=method, query_string=query))
    assert status in {303, 401, 403, 404, 405}


@pytest.mark.parametrize("key", [IDENTITY_KEY, READ_ONLY_KEY, "mlrepro.expires"])
@pytest.mark.parametrize("path", ["/", "/server_info"])
def test_what_stands_in_the_scope_already_is_not_believed(app: ASGIApp, key: str, path: str) -> None:
    found: list[object] = []

    async def spying(scope, receive, send) -> None:
        found.append(scope.get(key))
        await application()(scope, receive, send)

    app._app = spying  # type: ignore[attr-defined]
    status = asyncio.run(status_of(app, [], path=path, **{key: time.time()}))
    assert (status, found) == ((401, []) if path == "/" else (200, [None]))
