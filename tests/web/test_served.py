"""`mlrepro webserver` as it is started, over real connections."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, environment, free_port
from tests.web.installation import installation_files

pytestmark = pytest.mark.slow


@dataclass
class Served:
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, query: str, **variables: Any) -> httpx2.Response:
        return httpx2.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"origin": self.url},
            timeout=60,
        )

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The webserver of two teams, for everybody on this machine, who is lars."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    installation_files(folder, "shared")
    programs = Programs(folder)
    command = ["mlrepro", "webserver", "--tenants", "tenants.yaml", "--home", ".", "--auth", "none", "--user", "lars"]
    with programs.running("webserver", [*command, "-p", str(port)], environment(PYTHONPATH=str(ROOT))):
        programs.wait_for_port("webserver", port)
        programs.wait("answer", lambda: _answers(f"http://127.0.0.1:{port}/server_info"))
        yield Served(folder, port)


LAUNCH = (
    "mutation($p: ExecutionParams!) {launchRun(executionParams: $p) {__typename ... on LaunchRunSuccess {run {runId}}}}"
)


def launching(team: str) -> dict[str, Any]:
    selector = {"repositoryLocationName": team, "repositoryName": "__repository__", "jobName": f"{team}_job"}
    return {"selector": selector}


def test_a_launcher_launches_the_own_teams_job_and_not_the_others(served: Served) -> None:
    told = [
        served.post(LAUNCH, p=launching(team)).json()["data"]["launchRun"]["__typename"] for team in ("delay", "fleet")
    ]
    assert told == ["LaunchRunSuccess", "UnauthorizedError"]
    assert [(each["user"], each["from"], each["allowed"]) for each in served.audited() if each["entry"] == "asked"][
        -2:
    ] == [
        ("lars", "127.0.0.1", True),
        ("lars", "127.0.0.1", False),
    ]


def test_the_ui_is_served(served: Served) -> None:
    page = httpx2.get(f"{served.url}/runs", headers={"accept": "text/html"}, timeout=60)
    assert page.status_code == 200
    assert "Content-Security-Policy" in page.headers


def test_another_site_can_change_nothing_in_a_users_browser(served: Served) -> None:
    before = len(served.audited())
    answer = httpx2.post(
        f"{served.url}/graphql",
        json={"query": LAUNCH, "variables": {"p": launching("delay")}},
        headers={"origin": "https://evil.example"},
        timeout=60,
    )
    assert answer.status_code == 403
    assert [entry["allowed"] for entry in served.audited()[before:]] == [False]


def test_a_websocket_brings_events_changes_nothing_and_ends_with_its_users_role(served: Served) -> None:
    run_id = served.post(LAUNCH, p=launching("delay")).json()["data"]["launchRun"]["run"]["runId"]
    asyncio.run(_watch(served, run_id))
    refused = [entry for entry in served.audited() if entry.get("by") == "websocket"]
    assert [(entry["what"], entry["allowed"]) for entry in refused] == [("launchRun", False)]


async def _watch(served: Served, run_id: str) -> None:
    logs = "subscription($r: ID!) {pipelineRunLogs(runId: $r) {__typename}}"
    async with websockets.connect(
        f"ws://127.0.0.1:{served.port}/graphql", subprotocols=[websockets.Subprotocol("graphql-ws")], origin=served.url
    ) as socket:

        async def start(number: str, query: str, **variables: Any) -> dict[str, Any]:
            payload = {"query": query, "variables": variables}
            await socket.send(json.dumps({"type": "start", "id": number, "payload": payload}))
            return dict(json.loads(await asyncio.wait_for(socket.recv(), 60)))

        told = await start("1", logs, r=run_id)
        assert told["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"
        told = await start("2", LAUNCH, p=launching("delay"))
        assert (told["type"], "websocket" in told["payload"]["message"]) == ("error", True)
        file = served.folder / "tenants.yaml"
        text = file.read_text()
        file.write_text(text.replace("{user: lars, role: launcher}", "{user: somebody, role: launcher}"))
        try:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await start("3", logs, r=run_id)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403
        finally:
            file.write_text(text)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
