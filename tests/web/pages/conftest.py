from collections.abc import Iterator

import pytest

from tests import browser
from tests.web.fixtures import served
from tests.web.pages.shop import shop

shared = served(shop, "shared")
isolated = served(shop, "isolated")


@pytest.fixture(autouse=True)
def _store_of_the_shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shared", "isolated"):
        if name in request.fixturenames:
            monkeypatch.setenv("MLREPRO_STORE", request.getfixturevalue(name).store_url)
            monkeypatch.delenv("MLREPRO_SCOPE", raising=False)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A browser."""
    with browser.chromium() as started:
        yield started
