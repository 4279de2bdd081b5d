"""`webhook`: a notice arrives at a real HTTP server, and a failing one harms nobody."""

import datetime as dt
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from mlrepro import webhook
from mlrepro.definitions.notices import Notice, give
from mlrepro.errors import NoticeError

NOTICE = Notice(
    "churn_model/production",
    "rollback",
    "live_quality.auc is 0.7",
    "watchdog",
    2,
    dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
)


class Service(ThreadingHTTPServer):
    """A chat service: keeps what is posted, answers as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.posted: list[tuple[str, Any]] = []
        self.status = 200
        self.released = threading.Event()
        self.released.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/secret"


class Answering(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.headers["Content-Type"], json.loads(body)))
        self.server.released.wait(30)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def test_posts_what_slack_understands(service: Service) -> None:
    webhook(service.url)(NOTICE)
    text = "[churn_model/production] rollback: live_quality.auc is 0.7"
    assert service.posted == [("application/json", {"text": text})]


def test_url_from_the_environment_when_the_sensor_runs(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = webhook(dg.EnvVar("CHAT_URL"))
    with pytest.raises(NoticeError, match="set the environment variable CHAT_URL"):
        hook(NOTICE)
    monkeypatch.setenv("CHAT_URL", service.url)
    hook(NOTICE)
    assert len(service.posted) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "hooks.slack.com/x", "", "https://"])
def test_url_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoticeError, match="begins with https://"):
        webhook(url)
    monkeypatch.setenv("CHAT_URL", url or " ")
    with pytest.raises(NoticeError, match="begins with https://"):
        webhook(dg.EnvVar("CHAT_URL"))(NOTICE)


def test_failures_are_logged_without_the_url(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.status = 500
    heard: list[Notice] = []
    unreachable = webhook("http://127.0.0.1:9/services/secret")
    with caplog.at_level(logging.WARNING):
        give(NOTICE, [webhook(service.url), unreachable, heard.append], logging.getLogger("tests"))
    assert heard == [NOTICE]
    assert [record.getMessage()[:41] for record in caplog.records] == ["the notice could not be given by Webhook:"] * 2
    assert "secret" not in caplog.text
    assert "secret" not in repr(unreachable)


def test_service_that_does_not_answer(service: Service) -> None:
    service.released.clear()
    with pytest.raises(TimeoutError):
        webhook(service.url, timeout=0.2)(NOTICE)
