from collections.abc import Iterator

import pytest

from tests import browser
from tests.web.pages.shop import Shop, shop


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two teams in one instance, with models that were trained, promoted and rolled back."""
    with shop(tmp_path_factory.mktemp("pages"), "shared") as found:
        yield found


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The same teams, an instance each."""
    with shop(tmp_path_factory.mktemp("pages-isolated"), "isolated") as found:
        yield found


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
