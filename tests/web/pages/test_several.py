"""Several webservers of one site, below a path: a form that one of them gave is taken by the others."""

from collections.abc import Iterator

import pytest

from mlrepro.errors import WebserverError
from mlrepro.tenancy import TenantsFile
from mlrepro.web.assembly import Settings, application
from mlrepro.web.pages.token import VARIABLE, Tokens
from mlrepro.web.witness import Witness
from tests.web.installation import Vouching
from tests.web.pages.shop import Shop
from tests.web.pages.test_channel import CHANNEL, launched

PREFIX = "/ml/dagster"


def another(shop: Shop, secret: str) -> Iterator[Shop]:
    settings = Settings(tenants=TenantsFile(shop.tenants_file), home=shop.folder, path_prefix=PREFIX)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, secret)
        patch.setenv("MLREPRO_STORE", shop.store_url)
        with application(settings) as (app, audit):
            yield Shop(shop.folder, Witness(Vouching(app, {}), audit=audit))


@pytest.fixture(scope="module")
def first(shared: Shop) -> Iterator[Shop]:
    """A webserver that has the secret."""
    yield from another(shared, "s" * 32)


@pytest.fixture(scope="module")
def second(shared: Shop) -> Iterator[Shop]:
    """Another that has the same."""
    yield from another(shared, "s" * 32)


def released(shop: Shop, token: str) -> int:
    fields = {"token": token, "key": CHANNEL, "scope": "delay", "version": "2"}
    answer = shop.user("eve").request("POST", f"{PREFIX}/mlrepro/channel/release", data=fields)
    assert answer.status_code != 303 or answer.headers["location"].startswith(f"{PREFIX}/mlrepro/run?id=")
    return int(answer.status_code)


def test_a_form_of_one_is_taken_by_another_with_the_same_secret(shared: Shop, first: Shop, second: Shop) -> None:
    page = first.user("eve").request("GET", f"{PREFIX}/mlrepro/channel?key={CHANNEL}").text
    token = page.split('name="token" value="')[1].split('"')[0]

    assert f'action="{PREFIX}/mlrepro/channel/release"' in page
    before = len(launched(shared, "release"))
    assert released(second, token) == 303
    assert len(launched(shared, "release")) == before + 1
    # a webserver that has its own secret does not take it
    mine = {"token": token, "key": CHANNEL, "scope": "delay", "version": "2"}
    assert shared.user("eve").request("POST", "/mlrepro/channel/release", data=mine).status_code == 400


def test_each_link_and_address_of_a_page_begins_with_the_prefix(first: Shop) -> None:
    for path in ("/", f"/channel?key={CHANNEL}", "/asset?key=delay_model", "/runs", "/plan?selection=*"):
        page = first.user("eve").request("GET", f"{PREFIX}/mlrepro{path}").text
        for name in ("href", "action", "src"):
            for address in page.split(f' {name}="')[1:]:
                assert address.startswith((PREFIX, "#", "data:")), address[:80]


@pytest.mark.parametrize("secret", ["x", "s" * 31])
def test_a_secret_that_could_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv(VARIABLE, secret)
    with pytest.raises(WebserverError, match=f"{VARIABLE} has {len(secret)} characters, at least 32 are needed"):
        Tokens()
