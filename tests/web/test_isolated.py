"""An instance for each tenant in one webserver: what is another's is not there."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
from dagster._core.storage.compute_log_manager import ComputeIOType
from starlette.websockets import WebSocketDisconnect

from mlrepro.web.assembly import keep_copies_apart
from tests.web.installation import Installation
from tests.web.mutations import BY_NAME, MUTATIONS, Mutation, Team

ASSETS = "{assetsOrError {... on AssetConnection {nodes {key {path}}}}}"
RUNS = "{runsOrError {... on Runs {results {runId}}}}"
LOCATIONS = "{workspaceOrError {... on Workspace {locationEntries {name}}}}"
OF_RUN = "query($r: ID!) {runOrError(runId: $r) {__typename}}"
LOGS = "subscription($r: ID!) {pipelineRunLogs(runId: $r) {__typename}}"


@pytest.fixture(scope="module")
def run(isolated: Installation) -> str:
    """A run of team aircraft."""
    return Team(isolated, "fleet", "aircraft").run()


def test_a_member_sees_the_own_teams_locations_runs_and_assets_alone(isolated: Installation, run: str) -> None:
    eve, bob = isolated.user("eve", "delay"), isolated.user("bob", "aircraft")
    own = Team(isolated, "delay", "delay").run()
    assert _names(eve.post(LOCATIONS).json()) == ["delay"]
    assert _names(bob.post(LOCATIONS).json()) == ["fleet"]
    assert own in eve.post(RUNS).text
    assert run not in eve.post(RUNS).text
    assert run in bob.post(RUNS).text
    assert "fleet_model" not in eve.post("{assetNodes {assetKey {path}}}").text
    assert "delay_model" in eve.post("{assetNodes {assetKey {path}}}").text


def test_the_only_tenant_is_where_one_is_led_and_whoever_has_several_may_choose(isolated: Installation) -> None:
    eve, gina, rita = (isolated.user(name) for name in ("eve", "gina", "rita"))
    answer = eve.request("GET", "/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/tenants/delay/")
    page = gina.request("GET", "/", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert '<a href="/tenants/delay/">delay</a><br><small>Predicts how late a flight will be.' in page.text
    assert '<a href="/tenants/aircraft/">aircraft</a>' in page.text
    assert gina.request("GET", "/tenants").json() == {
        "tenants": {"aircraft": "/tenants/aircraft/", "delay": "/tenants/delay/"}
    }
    assert rita.request("GET", "/tenants").json() == {"tenants": {}}
    assert gina.request("GET", "/tenants/delay/").status_code == 200
    assert gina.request("GET", "/tenants/aircraft/").status_code == 200


def test_the_ui_of_a_tenant_asks_at_the_tenants_address(isolated: Installation) -> None:
    page = isolated.user("eve", "delay").request("GET", "/runs", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert '"pathPrefix": "/tenants/delay"' in page.text or "/tenants/delay" in page.text


NOT_THERE = [
    "/tenants/aircraft/graphql",
    "/tenants/aircraft/",
    "/tenants/aircraft/runs",
    "/tenants/aircraft/server_info",
    "/tenants/aircraft/favicon.png",
    "/tenants/aircraft/logs/a/compute_logs/b/out",
    "/tenants/aircraft/download_debug/a",
    "/tenants/aircraft/notebook?repoLocName=fleet&path=/a.ipynb",
    "/tenants/aircraft/report_asset_materialization/fleet_model",
    "/tenants/Aircraft/graphql",
    "/tenants//aircraft/graphql",
    "//tenants/aircraft/graphql",
    "/tenants/delay%2f..%2faircraft/graphql",
    "/tenants/aircraft%2fgraphql",
    "/graphql",
    "/logs/a/compute_logs/b/out",
    "/report_asset_materialization/fleet_model",
]


@pytest.mark.parametrize("url", NOT_THERE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_tenants_addresses_are_not_there(isolated: Installation, method: str, url: str) -> None:
    query = "mutation {setAutoMaterializePaused(paused: true)}"
    before = isolated.state("aircraft"), isolated.state("delay")
    body = {"json": {"query": query}} if method == "POST" else {}
    answer = isolated.user("eve").request(method, url, **body)
    assert answer.status_code == 404
    assert answer.text == "There is nothing here for you.\n"
    unknown = isolated.user("eve").request(method, url.replace("ircraft", "nother"), **body)
    assert (unknown.status_code, unknown.text) == (answer.status_code, answer.text), "which tenants there are shows"
    assert (isolated.state("aircraft"), isolated.state("delay")) == before


def test_the_attempt_is_written_down(isolated: Installation) -> None:
    before = len(isolated.audited())
    isolated.user("eve", "aircraft").post("mutation {setAutoMaterializePaused(paused: true)}")
    (entry,) = isolated.audited()[before:]
    assert (entry["user"], entry["allowed"], entry["why"]) == ("eve", False, "aircraft is no tenant of theirs")
    assert entry["target"] == {"path": "/tenants/aircraft/graphql"}


def test_a_websocket_to_another_tenant_does_not_open(isolated: Installation) -> None:
    before = len(isolated.audited())
    with pytest.raises(WebSocketDisconnect):
        isolated.user("eve", "aircraft").over_websocket(LOGS, {"r": "a"})
    assert [entry["allowed"] for entry in isolated.audited()[before:]] == [False]


def test_headers_and_cookies_do_not_choose_another_tenant(isolated: Installation, run: str) -> None:
    headers = {
        "x-mlrepro-tenant": "aircraft",
        "cookie": "mlrepro_tenant=aircraft",
        "x-original-url": "/tenants/aircraft/",
    }
    eve = isolated.user("eve", "delay")
    answer = eve.request("POST", "/graphql", json={"query": RUNS + LOCATIONS}, headers=headers)
    assert run not in answer.text
    assert "fleet" not in answer.text


def test_another_tenants_run_is_not_there_by_its_id(isolated: Installation, run: str) -> None:
    eve = isolated.user("eve", "delay")
    assert eve.post(OF_RUN, {"r": run}).json()["data"]["runOrError"]["__typename"] == "RunNotFoundError"
    assert eve.get(OF_RUN, {"r": run}).json()["data"]["runOrError"]["__typename"] == "RunNotFoundError"
    told = eve.over_websocket(LOGS, {"r": run})
    assert told["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionFailure"
    assert eve.request("GET", f"/download_debug/{run}").status_code == 404
    assert isolated.user("bob", "aircraft").request("GET", f"/download_debug/{run}").status_code == 200


def test_another_tenants_captured_output_is_not_there_by_its_key(isolated: Installation, run: str) -> None:
    eve, bob = isolated.user("eve", "delay"), isolated.user("bob", "aircraft")
    key = [run, "compute_logs", "fleet_op"]
    with isolated.instance("aircraft").compute_log_manager.open_log_stream(key, _stdout()) as stream:
        assert stream is not None
        stream.write("a secret of team aircraft")
    query = "query($k: [String!]!) {capturedLogs(logKey: $k) {stdout}}"
    assert "secret" in bob.post(query, {"k": key}).text
    assert "secret" not in eve.post(query, {"k": key}).text
    assert bob.request("GET", f"/logs/{'/'.join(key)}/out").text == "a secret of team aircraft"
    assert eve.request("GET", f"/logs/{'/'.join(key)}/out").status_code == 404
    for up in ("%2e%2e", "..%2f..", "..%2f..%2f..", "..%5c.."):
        for more in ("aircraft/storage/", "aircraft/"):
            answer = eve.request("GET", f"/logs/{up}/{more}{'/'.join(key)}/out")
            assert (answer.status_code, "secret" in answer.text) == (404, False)
    told = eve.post(query, {"k": ["..", "..", "aircraft", "storage", *key]}).json()
    assert "log key" in told["errors"][0]["message"]


@pytest.mark.parametrize("name", ["terminateRun", "deleteRun", "launchRunReexecution"])
def test_nothing_can_be_done_to_another_tenants_run(isolated: Installation, run: str, name: str) -> None:
    before = isolated.state("aircraft"), isolated.state("delay")
    mutation = BY_NAME[name]
    variables = {"p": {"parentRunId": run, "strategy": "ALL_STEPS"}} if name == "launchRunReexecution" else {"r": run}
    answer = isolated.user("eve", "delay").post(mutation.query, variables).json()["data"][name]
    assert answer == {"__typename": "UnauthorizedError", "message": f"there is no run {run} here"}
    assert (isolated.state("aircraft"), isolated.state("delay")) == before


INSTANCE_WIDE = [mutation for mutation in MUTATIONS if mutation.needs is None]


@pytest.mark.parametrize("mutation", INSTANCE_WIDE, ids=lambda mutation: mutation.name)
def test_what_is_the_instances_takes_its_administrator_in_an_instance_of_ones_own_too(
    isolated: Installation, mutation: Mutation
) -> None:
    team = Team(isolated, "delay", "delay")
    variables = mutation.variables(team)
    before = isolated.state("delay")
    answer = isolated.user("ada", "delay").post(mutation.query, variables).json()
    assert "administrator" in json.dumps(answer)
    assert isolated.state("delay") == before


def test_a_member_launches_in_the_own_instance(isolated: Installation) -> None:
    team = Team(isolated, "delay", "delay")
    before = isolated.state("aircraft")
    mutation = BY_NAME["launchRun"]
    answer = isolated.user("lars", "delay").post(mutation.query, mutation.variables(team)).json()
    assert answer["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert isolated.state("aircraft") == before
    assert isolated.audited()[-2]["tenants"] == ["delay"]


def test_what_the_server_is_may_be_asked_without_a_tenant(isolated: Installation) -> None:
    assert set(isolated.user(None).request("GET", "/server_info").json()) == {
        "dagster_webserver_version",
        "dagster_version",
        "dagster_graphql_version",
    }


def _names(told: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in told["data"]["workspaceOrError"]["locationEntries"]]


def _stdout() -> Any:
    from dagster._core.storage.compute_log_manager import ComputeIOType

    return ComputeIOType.STDOUT


def test_the_copy_of_a_tenants_captured_output_is_not_there_for_another(tmp_path: Path) -> None:
    key = ["a4c1", "compute_logs", "step"]
    with contextlib.ExitStack() as stack:
        managers = []
        for name in ("delay", "aircraft"):
            home = tmp_path / name
            home.mkdir()
            (home / "dagster.yaml").write_text(
                "compute_logs:\n  module: dagster_aws.s3.compute_log_manager\n  class: S3ComputeLogManager\n"
                f"  config: {{bucket: logs, prefix: {name}, region: us-east-1, local_dir: {tmp_path / 'shared'}}}\n"
            )
            instance = stack.enter_context(DagsterInstance.from_config(str(home)))
            keep_copies_apart(instance, stack)
            assert isinstance(instance.compute_log_manager, CloudStorageComputeLogManager)
            managers.append(instance.compute_log_manager)
        copies = [Path(each.local_manager.get_captured_local_path(key, "out")) for each in managers]
        copies[1].parent.mkdir(parents=True)
        copies[1].write_text("fleet's")
        found = [each.has_local_file(key, ComputeIOType.STDOUT) for each in managers]
        assert found == [False, True]
        assert copies[1].parents[2].stat().st_mode & 0o077 == 0
    assert not copies[1].exists()
