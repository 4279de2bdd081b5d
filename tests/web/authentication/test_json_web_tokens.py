"""Tokens that a proxy adds: which are believed, and each that is not."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.web.authentication.provider import AUDIENCE, CURVE, FIRST, SECOND, Key, Provider, rsa_key
from tests.web.authentication.site import client, tenants_file

STRANGER = rsa_key("first")  # names itself like the provider's own
SMALL_SECRET = b"0123456789abcdef0123456789abcdef"


def jwt_settings(provider: Provider, **more: Any) -> dict[str, Any]:
    return {"jwt": {"issuer": provider.url, "audience": AUDIENCE, "groups_claim": "groups", **more}}


@pytest.fixture
def site(tmp_path: Path, provider: Provider) -> TestClient:
    return client(tenants_file(tmp_path, jwt_settings(provider)))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def resigned(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token signed by HMAC, which PyJWT itself refuses to do with a public key."""
    import hashlib
    import hmac

    signed = f"{part(header)}.{part(claims)}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_a_good_token_is_believed(site: TestClient, provider: Provider) -> None:
    claims = provider.claims(groups=["delay", "x"])
    found = site.get("/runs", headers=bearer(provider.token(claims))).json()
    assert (found["user"], found["groups"]) == ("ana@example.com", ["delay", "x"])
    assert found["expires"] == claims["exp"] + 30, "with the leeway"


@pytest.mark.parametrize("key", [FIRST, CURVE], ids=["RS256", "ES256"])
def test_both_kinds_of_signature(site: TestClient, provider: Provider, key: Key) -> None:
    assert site.get("/", headers=bearer(provider.token(key=key))).status_code == 200


def now() -> int:
    return int(time.time())


BAD: dict[str, tuple[Callable[[Provider], str], str]] = {
    "no token at all": (lambda p: "", "holds no token"),
    "garbage": (lambda p: "garbage", "can't be read"),
    "two dots and nothing else": (lambda p: "..", "can't be read"),
    "four parts": (lambda p: p.token() + ".x", "can't be read"),
    "no signature": (lambda p: p.token().rpartition(".")[0] + ".", "signature is wrong"),
    "another's signature": (lambda p: p.token(key=STRANGER), "signature is wrong"),
    "claims changed after signing": (
        lambda p: with_part(p.token(), 1, part(p.claims(email="root@example.com"))),
        "signature is wrong",
    ),
    "alg none": (lambda p: jwt.encode(p.claims(), None, algorithm="none", headers={"kid": "first"}), "signed by none"),
    "alg NONE": (lambda p: f"{part({'alg': 'NONE', 'kid': 'first'})}.{part(p.claims())}.", "signed by NONE"),
    "alg empty": (lambda p: f"{part({'alg': '', 'kid': 'first'})}.{part(p.claims())}.", "signed by something else"),
    "alg missing": (lambda p: f"{part({'kid': 'first'})}.{part(p.claims())}.", "signed by something else"),
    "alg a list": (lambda p: f"{part({'alg': ['RS256'], 'kid': 'first'})}.{part(p.claims())}.", "something else"),
    "HS256 with the public key as the secret": (
        lambda p: resigned({"alg": "HS256", "kid": "first"}, p.claims(), FIRST.public_pem),
        "signed by HS256",
    ),
    "HS256 that says RS256": (
        lambda p: resigned({"alg": "RS256", "kid": "first"}, p.claims(), FIRST.public_pem),
        "signature is wrong",
    ),
    "HS256 with some secret": (lambda p: jwt.encode(p.claims(), SMALL_SECRET, "HS256"), "signed by HS256"),
    "RS512, which is not allowed": (
        lambda p: jwt.encode(p.claims(), FIRST.private, "RS512", headers={"kid": "first"}),
        "signed by RS512",
    ),
    "ES256 that names an RSA key": (
        lambda p: with_part(p.token(), 0, part({"alg": "ES256", "kid": "first"})),
        "has no key 'first' for ES256",
    ),
    "ES256 with an RSA signature": (
        lambda p: with_part(p.token(), 0, part({"alg": "ES256", "kid": "curve"})),
        "signature is wrong",
    ),
    "expired": (lambda p: p.token(p.claims(exp=now() - 31)), "has expired"),
    "expired long ago": (lambda p: p.token(p.claims(exp=1)), "has expired"),
    "exp no number": (lambda p: p.token(p.claims(exp="tomorrow")), "can't be read"),
    "exp infinite": (lambda p: p.token(p.claims(exp=float("inf"))), "can't be read"),
    "without exp": (lambda p: p.token(without(p, "exp")), "has no exp"),
    "without iss": (lambda p: p.token(without(p, "iss")), "has no iss"),
    "without aud": (lambda p: p.token(without(p, "aud")), "has no aud"),
    "not valid yet": (lambda p: p.token(p.claims(nbf=now() + 60)), "not valid yet"),
    "made in the future": (lambda p: p.token(p.claims(iat=now() + 60)), "not valid yet"),
    "for another audience": (lambda p: p.token(p.claims(aud="grafana")), "for another audience"),
    "for other audiences": (lambda p: p.token(p.claims(aud=["grafana", "dagster2"])), "for another audience"),
    "aud no text": (lambda p: p.token(p.claims(aud=[7])), "for another audience"),
    "of another issuer": (lambda p: p.token(p.claims(iss="https://evil.example")), "of another issuer"),
    "of an issuer that begins alike": (lambda p: p.token(p.claims(iss=p.url + "/")), "of another issuer"),
    "an unknown key": (lambda p: p.token(kid="third"), "has no key 'third'"),
    "a key by path": (lambda p: p.token(kid="../../../../dev/null"), "has no key '../../../../dev/null'"),
    "a key by SQL": (lambda p: p.token(kid="x' UNION SELECT 'y"), "has no key"),
    "a key with a line break": (lambda p: p.token(kid="a\nrefused nobody"), "has no key 'a\\nrefused nobody'"),
    "a key's name no text": (
        lambda p: f"{part({'alg': 'RS256', 'kid': {'a': 1}})}.{part(p.claims())}.AA",
        "can't be read",
    ),
    "no key named, where there are several": (lambda p: p.token(kid=None, key=SECOND), "signature is wrong"),
    "a key of its own in the header": (
        lambda p: p.token(key=Key("mine", STRANGER.private), jwk=STRANGER.jwk()),
        "has no key 'mine'",
    ),
    "keys of its own by URL": (
        lambda p: p.token(key=Key("mine", STRANGER.private), jku="https://evil.example/jwks"),
        "has no key 'mine'",
    ),
    "crit": (lambda p: p.token(crit=["exp"], exp=1), "can't be read"),
    "crit empty": (lambda p: p.token(crit=[]), "can't be read"),
    "crit that the library knows": (
        lambda p: with_part(p.token(), 0, part({"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": True})),
        "crit",
    ),
    "b64": (lambda p: f"{part({'alg': 'RS256', 'kid': 'first', 'b64': False})}..AA", "crit"),
    "a logout token": (lambda p: p.token(typ="logout+jwt"), "for something else"),
    "too long": (lambda p: p.token(p.claims(filling="x" * 65536)), "longer than 65536"),
    "deeply nested": (lambda p: f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.AA", "can't be read"),
    "a header that is a list": (lambda p: f"{part([])}.{part(p.claims())}.AA", "can't be read"),
    "claims that are a list": (lambda p: raw(p, b"[]"), "can't be read"),
    "claims that are no JSON": (lambda p: raw(p, b"{"), "can't be read"),
    "not UTF-8": (lambda p: raw(p, b'{"iss": "\xff"}'), "can't be read"),
    "encrypted": (lambda p: f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.AA.AA.AA.AA", "can't be read"),
    "without the user": (lambda p: p.token(without(p, "email")), "has no email"),
    "the user a number": (lambda p: p.token(p.claims(email=7)), "email is no text"),
    "the user empty": (lambda p: p.token(p.claims(email="")), "email is empty"),
    "the user with a line break": (lambda p: p.token(p.claims(email="ana\nroot")), "can't be printed"),
    "an email that nobody verified": (lambda p: p.token(p.claims(email_verified=False)), "email is not verified"),
    "an email verified by a word": (lambda p: p.token(p.claims(email_verified="no")), "email is not verified"),
    "groups that are no list": (lambda p: p.token(p.claims(groups={"delay": True})), "no list of groups"),
    "a group that is no text": (lambda p: p.token(p.claims(groups=["delay", 7])), "a group in the token's groups"),
}


def without(provider: Provider, name: str) -> dict[str, Any]:
    return {key: value for key, value in provider.claims().items() if key != name}


def with_part(token: str, index: int, other: str) -> str:
    parts = token.split(".")
    return ".".join([*parts[:index], other, *parts[index + 1 :]])


def raw(provider: Provider, payload: bytes) -> str:
    """What is no claims at all, rightly signed."""
    return jwt.api_jws.encode(payload, FIRST.private, "RS256", headers={"kid": "first"})


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_and_the_log_says_why_without_it(
    site: TestClient, provider: Provider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, reason = BAD[name]
    token = make(provider)
    caplog.set_level("DEBUG")
    answer = site.post("/graphql", headers=bearer(token))
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    (record,) = [record for record in caplog.records if record.name == "mlrepro" and "refused POST" in record.message]
    assert reason in record.message
    assert len(record.message) < 300
    assert "\n" not in record.message
    segments = [segment for segment in token.split(".") if len(segment) > 8]
    assert not any(segment in f"{caplog.text}{answer.text}" for segment in segments)


def test_one_header_only(site: TestClient, provider: Provider) -> None:
    token = provider.token()
    answer = site.get("/", headers=[("Authorization", f"Bearer {token}")] * 2)
    assert (answer.status_code, "sent 2 times" in answer.text) == (401, True)


@pytest.mark.parametrize(
    ("claims", "path", "groups"),
    [
        ({"realm_access": {"roles": ["delay"]}}, "realm_access.roles", ["delay"]),
        ({"https://example.com/groups": ["delay"]}, "https://example.com/groups", ["delay"]),
        ({"groups": "delay"}, "groups", ["delay"]),
        ({"groups": None}, "groups", []),
        ({}, "a.b.c", []),
        ({"a": ["b"]}, "a.b", []),
    ],
)
def test_where_groups_are(
    tmp_path: Path, provider: Provider, claims: dict[str, Any], path: str, groups: list[str]
) -> None:
    provider.user = {"sub": "1", "email": "ana@example.com", **claims}
    site = client(tenants_file(tmp_path, jwt_settings(provider, groups_claim=path)))
    assert site.get("/", headers=bearer(provider.token())).json()["groups"] == groups


def test_another_claim_and_another_header(tmp_path: Path, provider: Provider) -> None:
    identity = jwt_settings(provider, header="X-Goog-IAP-JWT-Assertion", user_claim="sub", audience=["a", AUDIENCE])
    site = client(tenants_file(tmp_path, identity, members="members: [{user: '1', role: viewer}]"))
    token = provider.token(provider.claims(email_verified=False))
    assert site.get("/", headers={"X-Goog-IAP-JWT-Assertion": token}).json()["user"] == "1"
    assert site.get("/", headers=bearer(token)).status_code == 401, "it is looked for in that header only"
    assert site.get("/", headers={"X_Goog_IAP_JWT_Assertion": token}).status_code == 401


def test_keys_at_a_url_that_the_settings_name(tmp_path: Path, provider: Provider) -> None:
    site = client(tenants_file(tmp_path, jwt_settings(provider, jwks=f"{provider.url}/jwks")))
    assert site.get("/", headers=bearer(provider.token())).status_code == 200
    assert provider.asked == {"jwks": 1}


def test_a_token_without_a_key_id_where_there_is_one_key(site: TestClient, provider: Provider) -> None:
    provider.keys = [FIRST]
    assert site.get("/", headers=bearer(provider.token(kid=None))).status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_a_good_token_is_a_good_token(site: TestClient, provider: Provider, data: st.DataObject) -> None:
    token = provider.token()
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCDEFghij0123456789-_.=~"))
    changed = token[:place] + letter + token[place + 1 :]
    expected = 200 if changed == token else 401
    assert site.get("/", headers=bearer(changed)).status_code == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x5u"]), st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.text(max_size=5)),
        st.sampled_from(["RS256", "first", "JWT"]),
    )),
    claims=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "email", "groups"]), st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    )),
)  # fmt: skip
def test_whatever_a_token_says_unsigned_it_is_refused(
    site: TestClient, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert site.get("/", headers=bearer(f"{part(header)}.{part(claims)}.AAAA")).status_code == 401
