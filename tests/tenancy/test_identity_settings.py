"""`identity:` of `tenants.yaml`: what `mlrepro tenants check` says of it, and what never stands in what it says."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from mlrepro.errors import TenantsError
from mlrepro.tenancy.durations import seconds
from mlrepro.tenancy.identity_settings import Secret
from tests.tenancy.files import SMALL, read, small, team, told
from tests.tenancy.test_schema import SCHEMA

OIDC = "issuer: 'https://x', client_id: a, session_secret: {env: A}"
SITE = "public_url: https://d.example.com, "


def file(identity: str) -> str:
    return small(team("a"), begin=f"identity: {{{identity}}}\n" + SMALL)


@pytest.mark.parametrize(
    "identity",
    [
        "tokens: {file: tokens.json}",
        "none: {user: ana}",
        "jwt: {issuer: 'https://login.example.com/realms/ml', audience: dagster}",
        "jwt: {issuer: 'http://127.0.0.1:8080', audience: [a, b], jwks: 'http://[::1]/k', algorithms: [EdDSA]}",
        "jwt: {issuer: 'https://x', audience: a, groups_claim: 'https://example.com/groups', leeway: 0}",
        "proxy: {secret: {file: secret.txt}, groups_header: null, user_header: X-Auth-Request-Email}",
        SITE + f"oidc: {{{OIDC}, session: 30m}}, tokens: {{file: t.json}}, proxy: {{secret: {{env: B}}}}",
        f"public_url: 'http://localhost:3000', oidc: {{{OIDC}}}",
    ],
)
def test_what_is_right(identity: str) -> None:
    assert read(file(identity)).identity is not None
    jsonschema.validate(yaml.safe_load(file(identity)), SCHEMA)


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ("", "identity: says no way to know who asks: write at least one of jwt, proxy, tokens, oidc and none"),
        ("none: {user: ana}, tokens: {file: a}", "identity: none lets everybody in, so tokens would mean nothing"),
        ("none: {user: ''}", "identity.none.user: ''"),
        ("jwtt: {}", "identity.jwtt: unknown field; did you mean jwt?"),
        ("jwt: {isuer: 'https://x', issuer: 'https://x', audience: a}", "identity.jwt.isuer: unknown field; did you"),
        ("jwt: {issuer: 'http://x.example', audience: a}", "identity.jwt.issuer: 'http://x.example' must begin with"),
        ("jwt: {issuer: 'https://x', audience: a, jwks: 'http://x'}", "identity.jwt.jwks: 'http://x' must begin with"),
        ("jwt: {issuer: 'https://x', audience: a, jwks: 'file:///x'}", "identity.jwt.jwks: 'file:///x' is no such URL"),
        ("jwt: {issuer: 'https://x:port', audience: a}", "identity.jwt.issuer: 'https://x:port' is no URL"),
        ("jwt: {issuer: 'https://x'}", "identity.jwt.audience: is missing"),
        ("jwt: {issuer: 'https://x', audience: []}", "identity.jwt.audience: is empty: give at least one"),
        ("jwt: {issuer: 'https://x', audience: 7}", "identity.jwt.audience: expected a list"),
        ("jwt: {issuer: 'https://x', audience: a, algorithms: [HS256]}", "algorithms[0]: 'HS256' is not known: it is"),
        ("jwt: {issuer: 'https://x', audience: a, algorithms: [none]}", "algorithms[0]: 'none' is not known: it is"),
        ("jwt: {issuer: 'https://x', audience: a, algorithms: []}", "identity.jwt.algorithms: is empty"),
        ("jwt: {issuer: 'https://x', audience: a, leeway: 3600}", "identity.jwt.leeway: 3600"),
        ("jwt: {issuer: 'https://x', audience: a, header: X_A}", "identity.jwt.header: 'X_A' is no name of a header"),
        ("jwt: {issuer: 'https://x', audience: a, groups_claim: a..b}", "groups_claim: 'a..b' is no claim"),
        ("proxy: {secret: {}}", "identity.proxy.secret: a secret is in one place"),
        ("proxy: {secret: {env: A, file: b}}", "identity.proxy.secret: a secret is in one place"),
        ("proxy: {secret: {env: A}, user_header: x-forwarded-groups}", "identity.proxy: two of secret_header"),
        ("proxy: {secret: {env: A}, user_header: Cookie}", "identity.proxy: Authorization, Cookie, Host and Origin"),
        ("tokens: {}", "identity.tokens.file: is missing"),
        (f"oidc: {{{OIDC}}}", "identity: oidc needs public_url"),
        (f"public_url: 'http://d.example.com', oidc: {{{OIDC}}}", "identity: with oidc public_url must begin with"),
        ("public_url: 'https://d.example.com/', tokens: {file: a}", "identity.public_url: 'https://d.example.com/'"),
        (SITE + f"oidc: {{{OIDC}, session: 30d}}", "identity.oidc: session: 30d is longer than 7d"),
        (SITE + f"oidc: {{{OIDC}, session: 8}}", "identity.oidc.session: '8' is no length of time"),
        (SITE + f"oidc: {{{OIDC}, session: 0h}}", "identity.oidc.session: '0h' is no length of time"),
        (SITE + f"oidc: {{{OIDC}, scopes: [email]}}", "identity.oidc: scopes must name openid"),
    ],
)
def test_what_is_wrong(identity: str, says: str) -> None:
    (problem,) = told(file(identity))
    assert problem.startswith("tenants.yaml:1: ")
    assert says in problem


@pytest.mark.parametrize(
    "identity",
    [
        "proxy: {secret: hunter2-hunter2}",
        "proxy: {secret: [hunter2-hunter2]}",
        "proxy: {secret: {env: hunter2-hunter2}}",
        "proxy: {secret: {env: hunter2}}",
        "proxy: {secret: 77hunter2, user_header: X}",
        SITE + f"oidc: {{{OIDC}, client_secret: hunter2}}",
        "jwt: {issuer: 'https://ana:hunter2@x.example', audience: a}",
    ],
)
def test_a_secret_that_stands_in_the_file_is_refused_and_not_shown(identity: str) -> None:
    (problem,) = told(file(identity))
    assert "hunter2" not in problem


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff\xfe\x00secret"])
def test_a_secret_that_can_not_be_read(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "secret"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(TenantsError, match=r"^identity\.proxy\.secret: the file secret") as error:
        Secret(file="secret").read(folder=tmp_path, field="identity.proxy.secret")
    assert "\xff" not in str(error.value)


def test_without_identity_the_file_is_right_and_nobody_is_admin() -> None:
    tenants = read(small(team("a")))
    assert tenants.identity is None
    assert not tenants.is_admin("ana")


def test_all_groups_that_have_rights() -> None:
    begin = "admins: [{group: platform}, {user: root}]\n" + SMALL
    members = "members: [{group: a, role: viewer}, {user: ana, role: editor}]"
    assert read(small(team("a", members), team("b"), begin=begin)).groups == {"platform", "a"}


@pytest.mark.parametrize(("text", "length"), [("1s", 1), ("30m", 1800), ("8h", 28800), ("90d", 7776000)])
def test_lengths_of_time(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "8", "h", "08h", "-1h", "1.5h", "1 h", "1H", "8h\n", "1w", "99999999999d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time"):
        seconds(text)
