"""A provider's keys: how often they are fetched, what follows when they rotate, and when the provider is away."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlrepro.errors import IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy.identity_settings import Claims
from mlrepro.web.authentication import remembering
from mlrepro.web.authentication.issuer import Issuer
from tests.web.authentication.provider import FIRST, SECOND, Provider, rsa_key
from tests.web.authentication.site import client, tenants_file
from tests.web.authentication.test_json_web_tokens import bearer, jwt_settings


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(remembering, "time", clock)
    return clock


@pytest.fixture
def site(tmp_path: Path, provider: Provider) -> Iterator[TestClient]:
    with client(tenants_file(tmp_path, jwt_settings(provider))) as site:  # one event loop, as in a server
        yield site


def status(site: TestClient, token: str) -> int:
    return int(site.get("/", headers=bearer(token)).status_code)


def test_keys_are_fetched_once_and_again_when_they_are_old(site: TestClient, provider: Provider, clock: Clock) -> None:
    for _ in range(20):
        assert status(site, provider.token()) == 200
    assert provider.asked == {"discovery": 1, "jwks": 1}
    clock.pass_by(remembering.FRESH + 1)
    assert status(site, provider.token()) == 200
    assert provider.asked["jwks"] == 2


def test_a_new_key_counts_as_soon_as_a_token_names_it(site: TestClient, provider: Provider, clock: Clock) -> None:
    assert status(site, provider.token()) == 200
    clock.pass_by(remembering.PAUSE + 1)
    provider.keys = [FIRST, SECOND]
    assert status(site, provider.token(key=SECOND)) == 200
    assert status(site, provider.token()) == 200
    assert provider.asked["jwks"] == 2


def test_a_key_that_was_withdrawn_does_not_count_any_more(site: TestClient, provider: Provider, clock: Clock) -> None:
    assert status(site, provider.token()) == 200
    provider.keys = [SECOND]
    clock.pass_by(remembering.FRESH + 1)
    assert status(site, provider.token()) == 401


def test_tokens_with_made_up_keys_do_not_make_the_site_ask_again_and_again(
    site: TestClient, provider: Provider, clock: Clock
) -> None:
    for seconds in range(30):
        assert status(site, provider.token(kid=f"made up {seconds}")) == 401
        clock.pass_by(1)
    assert provider.asked["jwks"] <= 3


def test_while_the_provider_is_away_known_keys_go_on_to_count_for_an_hour(
    site: TestClient, provider: Provider, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert status(site, provider.token()) == 200
    provider.down = True
    clock.pass_by(remembering.FRESH + 1)
    for _ in range(5):
        assert status(site, provider.token()) == 200
    told = [record.message for record in caplog.records if "can't be fetched" in record.message]
    reason = f"the keys of {provider.url} can't be fetched: {provider.url}/jwks answers 503"
    assert told[1:] == [f"{reason}; what was known before counts for 55 more minutes"]
    assert told[0].startswith(f"the settings of {provider.url} can't be fetched")
    clock.pass_by(remembering.STALE)
    answer = site.get("/", headers=bearer(provider.token()))
    assert answer.status_code == 503
    assert provider.url not in answer.text, "strangers learn nothing"
    assert "answers 503" in caplog.records[-1].message
    provider.down = False
    clock.pass_by(remembering.PAUSE + 1)
    assert status(site, provider.token()) == 200, "back as soon as the provider is"


def test_a_key_that_is_not_known_while_the_provider_is_away(site: TestClient, provider: Provider, clock: Clock) -> None:
    assert status(site, provider.token()) == 200
    provider.down = True
    clock.pass_by(remembering.PAUSE + 1)
    assert status(site, provider.token(key=SECOND)) == 503, "it may be a new one"
    assert status(site, provider.token()) == 200


def test_a_provider_that_was_never_there(site: TestClient, provider: Provider, clock: Clock) -> None:
    provider.down = True
    for _ in range(10):
        assert status(site, provider.token()) == 503
    assert provider.asked == {"discovery": 1}, "not asked at each request"
    provider.down = False
    clock.pass_by(remembering.PAUSE + 1)
    assert status(site, provider.token()) == 200


def ask(provider: Provider, *, key: str | None = "first", **more: Any) -> None:
    asyncio.run(Issuer(Claims(issuer=provider.url, **more)).key(key, "RS256"))


def test_many_at_once_ask_once(provider: Provider) -> None:
    async def many() -> None:
        issuer = Issuer(Claims(issuer=provider.url))
        await asyncio.gather(*(issuer.key("first", "RS256") for _ in range(50)))

    asyncio.run(many())
    assert provider.asked == {"discovery": 1, "jwks": 1}


def test_one_who_goes_away_while_waiting_does_not_take_the_others_along(provider: Provider) -> None:
    async def some() -> None:
        issuer = Issuer(Claims(issuer=provider.url))
        first = asyncio.create_task(issuer.key("first", "RS256"))
        second = asyncio.create_task(issuer.key("first", "RS256"))
        await asyncio.sleep(0)
        first.cancel()
        await second

    asyncio.run(some())


@pytest.mark.parametrize(
    ("discovery", "says"),
    [
        ({"issuer": "https://evil.example"}, "says that the issuer is 'https://evil.example'"),
        ({"issuer": None}, "says that the issuer is 'None'"),
        ({"jwks_uri": None}, "names no jwks_uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "a jwks_uri that does not begin with https://"),
        ({"jwks_uri": ["x"]}, "a jwks_uri that does not begin with https://"),
    ],
)
def test_a_provider_that_says_what_can_not_be(provider: Provider, discovery: dict[str, Any], says: str) -> None:
    provider.discovery = discovery
    with pytest.raises(IdentityUnavailableError, match=says):
        ask(provider)


@pytest.mark.parametrize("path", ["/nothing", "/authorize?scope=x"])
def test_an_address_that_holds_no_keys(provider: Provider, path: str) -> None:
    with pytest.raises(IdentityUnavailableError, match="answers 40"):
        ask(provider, jwks=f"{provider.url}/nothing")


def test_a_provider_that_nobody_answers_at() -> None:
    with pytest.raises(IdentityUnavailableError, match="does not answer"):
        asyncio.run(Issuer(Claims(issuer="http://127.0.0.1:9")).key("first", "RS256"))


def test_keys_that_are_not_for_signatures_do_not_count(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    made = FIRST.jwk()
    for change in ({"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "AAAA"}, {"n": "!"}, {"n": None}):
        monkeypatch.setattr(type(FIRST), "jwk", lambda self, change=change: {**made, **change})
        with pytest.raises(NotAuthenticatedError, match="no key 'first' for RS256"):
            ask(provider)


def test_a_key_that_is_too_short_does_not_count(site: TestClient, provider: Provider) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    short = replace(rsa_key("short"), private=rsa.generate_private_key(65537, 1024))
    provider.keys = [short]
    assert status(site, provider.token(key=short)) == 401


def test_without_a_key_id_several_keys_are_too_many(provider: Provider) -> None:
    provider.keys = [FIRST, SECOND]
    with pytest.raises(NotAuthenticatedError, match="not one key only"):
        ask(provider, key=None)
