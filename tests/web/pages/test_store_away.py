"""Pages while the store does not answer: each says so, names the store, and is there again when the store is."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.store.faults.proxy import bad_network
from tests.store.s3_server import KEY, SECRET, s3_server
from tests.web.pages.shop import Shop, serving
from tests.web.pages.team import definitions, train

LOCATIONS = {"": {"delay": "delay", "fleet": "fleet"}}
READING = [
    "",
    "asset?key=delay_model",
    "version?of=delay_model@v1",
    "compare?of=delay_model@v1&of=delay_model@v2",
    "channel?key=delay_model/production",
]
"""What is read from the store. Runs and plans are told from Dagster's records alone."""


class Away(Shop):
    """The webserver, whose store may be elsewhere than in its folder."""

    url = ""

    def answers(self, path: str, status: int) -> float:
        """Check what a page and its twin say; tells how long the page took."""
        begun = time.monotonic()
        page = self.user("eve").request("GET", f"/mlrepro/{path}")
        took = time.monotonic() - begun
        name, _, query = path.partition("?")
        twin = self.user("eve").request("GET", f"/mlrepro/api/{name or 'overview'}?{query}")
        assert (page.status_code, twin.status_code) == (status, status), page.text
        if status == 503:
            assert page.headers["content-type"].startswith("text/html")
            for text in (page.text, twin.json()["error"]):
                assert self.url in text
                assert "Traceback" not in text
            assert twin.json()["store"] == self.url
            assert "load the page again" in page.text
            assert page.headers["retry-after"] == twin.headers["retry-after"] == "20"
            assert SECRET not in page.text + twin.text
        return took


def _away(found: Shop, url: str) -> Away:
    found.__class__, found.url = Away, url
    return found


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    """A bucket at an address where nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with serving(tmp_path, "shared", LOCATIONS, lambda *_: None, store="s3://closed/ml") as found:
        yield _away(found, "s3://closed/ml")


def test_a_store_out_of_reach_is_named_and_what_to_do(closed: Away) -> None:
    for path in READING:
        closed.answers(path, 503)
    for path in ("runs", "plan?selection=*delay_board"):
        closed.answers(path, 200)
    page = closed.user("eve").request("GET", "/mlrepro/").text
    assert "check the endpoint and the network" in page


def test_a_file_where_the_store_should_be_is_no_empty_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no store")
    url = str(tmp_path / "file" / "store")
    with serving(tmp_path, "shared", LOCATIONS, lambda *_: None, store=url) as found:
        for path in READING:
            _away(found, url).answers(path, 503)


@pytest.mark.slow
def test_pages_are_back_when_the_bucket_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def live(instance: DagsterInstance, home: str) -> None:
        for slope in (0.5, 0.6):
            assert train(definitions("delay"), instance, "delay", slope, "ana").success

    (tmp_path / "weed").mkdir()
    (tmp_path / "home").mkdir()
    with s3_server(tmp_path / "weed") as server, bad_network(server.endpoint, faults={}) as network:
        monkeypatch.setenv("AWS_ENDPOINT_URL", network.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        url = "s3://mlrepro/pages"
        with serving(tmp_path / "home", "shared", LOCATIONS, live, store=url) as found:
            away = _away(found, url)
            for path in READING:
                away.answers(path, 200)
            network.faults = {"reset before the server was asked": 1.0}
            took = [away.answers(path, 503) for path in READING]
            assert max(took) < 45, took
            assert max(took[1:]) < 5, "the first that waited told the others"
            network.faults = {}
            deadline = time.monotonic() + 60
            while away.user("eve").request("GET", "/mlrepro/").status_code == 503 and time.monotonic() < deadline:
                time.sleep(1)
            for path in READING:
                away.answers(path, 200)
