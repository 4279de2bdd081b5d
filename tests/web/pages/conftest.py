import os
import shutil
from collections.abc import Iterator

import pytest

from tests.web.pages.shop import Shop, shop

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
            os.environ.pop("MLREPRO_SCOPE", None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
