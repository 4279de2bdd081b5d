"""Attempts to touch what is another team's, or the instance's: each is refused, written down, and without effect.

eve is an editor of team delay, and goes for team aircraft's code location ``fleet``. Whatever is refused to an editor
is refused to whoever may less. Tokens are attacked in ``authentication``, and what the queue checks in ``tenancy``.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from dagster._core.remote_representation.handle import CompoundID

from tests.web.installation import Installation, User
from tests.web.mutations import ANYBODY, BY_NAME, MUTATIONS, Mutation, Team

OTHERS = [mutation for mutation in MUTATIONS if mutation.needs != ANYBODY]


@dataclass
class Scene:
    """Who attacks whom. What the victim has is made once, as no attack may change it."""

    at: Installation
    eve: User
    own: Team
    other: Team

    @cache  # noqa: B019 -- lives as long as the tests
    def run(self, team: str = "fleet") -> str:
        return (self.other if team == "fleet" else self.own).run()

    @cache  # noqa: B019
    def backfill(self) -> str:
        return self.other.backfill("job")

    @cache  # noqa: B019
    def instigator(self, what: str, team: str = "fleet") -> str:
        return (self.other if team == "fleet" else self.own).compound_id(what)

    @cache  # noqa: B019
    def variables(self, name: str) -> str:
        return json.dumps(BY_NAME[name].variables(self.other))

    __hash__ = object.__hash__


@pytest.fixture(scope="module")
def scene(shared: Installation) -> Scene:
    scene = Scene(shared, shared.user("eve"), Team(shared, "delay"), Team(shared, "fleet"))
    for what in ("Schedule", "Sensor"):  # they run, so that stopping them would show
        mutation = BY_NAME[f"start{what}"]
        for team in (scene.own, scene.other):
            assert refused(shared.user("root").post(mutation.query, mutation.variables(team)).json()) is False
    return scene


@contextlib.contextmanager
def without_effect(at: Installation, attempts: int = 1, home: str = "", tenant: str | None = None) -> Iterator[None]:
    """Nothing in the instance is another afterwards, and the audit log has each attempt as refused."""
    before, servers, entries = at.state(home), at.servers(tenant), len(at.audited())
    yield
    assert at.state(home) == before
    assert at.servers(tenant) == servers
    new = at.audited()[entries:]
    refusals = [entry for entry in new if entry.get("allowed") is False or entry.get("outcome") == "UnauthorizedError"]
    assert len(refusals) >= attempts, new


def refused(told: Any) -> bool:
    """Whether an answer says that nothing was done: an error, and no data but refusals."""
    if isinstance(told, list) or not isinstance(told, dict):
        return False
    answers = list((told.get("data") or {}).values())
    said = [each for each in answers if isinstance(each, dict) and each.get("__typename") == "UnauthorizedError"]
    return bool(told.get("errors") or told.get("error") or said) and len(said) == len(
        [each for each in answers if each]
    )


# every mutation, on the other team's things, by every way that leads to it


@pytest.mark.parametrize("mutation", OTHERS, ids=lambda mutation: mutation.name)
def test_on_another_team_by_post_get_and_websocket(scene: Scene, mutation: Mutation) -> None:
    variables = json.loads(scene.variables(mutation.name))
    with without_effect(scene.at, attempts=3):
        assert refused(scene.eve.post(mutation.query, variables).json())
        assert refused(scene.eve.get(mutation.query, variables).json())
        answer = scene.eve.over_websocket(mutation.query, variables)
        assert answer["type"] == "error"
        assert "websocket" in answer["payload"]["message"]


@pytest.mark.parametrize("mutation", OTHERS, ids=lambda mutation: mutation.name)
def test_hidden_behind_something_harmless_in_one_document(scene: Scene, mutation: Mutation) -> None:
    variables = json.loads(scene.variables(mutation.name))
    field = mutation.query[mutation.query.index("{") + 1 : -1]
    declared = f"({mutation.declared})" if mutation.declared else ""
    document = (
        "query Harmless {version} "
        f"mutation Hidden{declared} {{seen: setNuxSeen ...Rest}} "
        f"fragment Rest on Mutation {{__typename first: {field} ... @include(if: true) {{second: {field}}}}}"
    )
    sent = {"query": document, "operationName": "Hidden", "variables": variables}
    with without_effect(scene.at, attempts=1):
        told = scene.eve.request("POST", "/graphql", json=sent).json()
    answers = {name: answer for name, answer in (told["data"] or {}).items() if name in {"first", "second"}}
    assert told.get("errors") or {answer["__typename"] for answer in answers.values()} == {"UnauthorizedError"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_link_changes_nothing_even_for_whoever_may_do_everything(scene: Scene, mutation: Mutation) -> None:
    variables = json.loads(scene.variables(mutation.name))
    root = scene.at.user("root")
    with without_effect(scene.at, attempts=2):
        assert refused(root.get(mutation.query, variables).json())
        assert root.over_websocket(mutation.query, variables)["type"] == "error"


# attempts with a name of their own


def launch(scene: Scene, **metadata: Any) -> Any:
    """A launch of eve's own job, with something that is not hers about it."""
    sent = scene.own.launch(executionMetadata=metadata)
    return scene.eve.post(BY_NAME["launchRun"].query, {"p": sent}).json()


def tagged(key: str, value: str) -> Callable[[Scene], Any]:
    return lambda scene: launch(scene, tags=[{"key": key, "value": value}])


def sent(name: str, make: Callable[[Scene], dict[str, Any]]) -> Callable[[Scene], Any]:
    return lambda scene: scene.eve.post(BY_NAME[name].query, make(scene)).json()


def asked(query: str, make: Callable[[Scene], dict[str, Any]]) -> Callable[[Scene], Any]:
    return lambda scene: scene.eve.post(query, make(scene)).json()


def path(method: str, url: str, **more: Any) -> Callable[[Scene], Any]:
    def send(scene: Scene) -> Any:
        response = scene.eve.request(method, url, **more)
        assert response.status_code in {400, 401, 403, 404, 405}, response.text
        return {"error": response.text}

    return send


K8S = json.dumps({"pod_spec_config": {"service_account_name": "aircraft"}, "pod_template_spec_metadata": {}})
NAMESPACE = json.dumps({"job_config": {}, "raw_k8s_config": {"namespace": "team-aircraft"}})
HOST_PATH = json.dumps({"pod_spec_config": {"volumes": [{"name": "host", "host_path": {"path": "/"}}]}})
PRIVILEGED = json.dumps({"container_config": {"security_context": {"privileged": True}}})
MARK = "mutation($r: String!) {terminateRun(runId: $r, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) {__typename}}"
STOP_SCHEDULE = (
    "mutation($o: String, $s: String) {stopRunningSchedule(scheduleOriginId: $o, scheduleSelectorId: $s)"
    " {__typename ... on UnauthorizedError {message}}}"
)
STOP_SENSOR = (
    "mutation($o: String, $s: String) {stopSensor(jobOriginId: $o, jobSelectorId: $s)"
    " {__typename ... on UnauthorizedError {message}}}"
)
WIPE_TOO = (
    "mutation($s: RepositorySelector!, $k: [String!]!) {deleteDynamicPartitions(repositorySelector: $s,"
    ' partitionsDefName: "days", partitionKeys: $k, wipeMaterializations: true)'
    " {__typename ... on UnauthorizedError {message}}}"
)
AGAIN = (
    "mutation($p: ExecutionParams!) {launchRunReexecution(executionParams: $p)"
    " {__typename ... on UnauthorizedError {message}}}"
)


def halves(scene: Scene, what: str) -> dict[str, Any]:
    """The origin's id of eve's own schedule or sensor, the selector's of the other's."""
    own, other = scene.instigator(what, "delay"), scene.instigator(what)
    return {"o": CompoundID.from_string(own).remote_origin_id, "s": CompoundID.from_string(other).selector_id}


def evaluation(scene: Scene) -> Any:
    query = (
        "query($s: ScheduleSelector!) {scheduleOrError(scheduleSelector: $s) {... on Schedule"
        " {futureTick(tickTimestamp: 1700000000) {evaluationResult {skipReason}}}}}"
    )
    selector = {**scene.other.repository, "scheduleName": "fleet_schedule"}
    told = scene.eve.post(query, {"s": selector}).json()
    assert told["data"]["scheduleOrError"]["futureTick"]["evaluationResult"] is None
    return {"errors": told["errors"]}


ATTACKS: dict[str, Callable[[Scene], Any]] = {
    # tags, by which quotas, queue, attribution and pods go
    "launch as another tenant's": tagged("mlrepro/tenant", "aircraft"),
    "launch as of another code location": tagged("mlrepro/location", "fleet"),
    "launch as another workflow version's": tagged("mlrepro/workflow_version", "fleet@v9"),
    "launch in another user's name": tagged("dagster/user", "bob"),
    "launch in another user's name, as the UI shows it": tagged("user", "bob"),
    "launch before everybody else": tagged("dagster/priority", "1000"),
    "launch with another service account": tagged("dagster-k8s/config", K8S),
    "launch in another namespace": tagged("dagster-k8s/config", NAMESPACE),
    "launch with the node's disk": tagged("dagster-k8s/config", HOST_PATH),
    "launch a privileged pod": tagged("dagster-k8s/config", PRIVILEGED),
    "launch with another role on ECS": tagged("ecs/task_overrides", '{"taskRoleArn": "arn:aws:iam::1:role/other"}'),
    "launch another image": tagged("dagster/image", "registry.example.com/evil:1"),
    "launch as an automatic retry": tagged("dagster/auto_retry_run_id", "a4c1"),
    "launch as a schedule's": tagged("dagster/schedule_name", "fleet_schedule"),
    "launch as another repository's": tagged(".dagster/repository", "__repository__@fleet"),
    "launch into another team's backfill": lambda scene: tagged("dagster/backfill", scene.backfill())(scene),
    "launch with a tag twice": lambda scene: launch(
        scene,
        tags=[{"key": "mlrepro/tenant", "value": "delay"}, {"key": "mlrepro/tenant", "value": "aircraft"}],
    ),
    # runs that a launch follows: it would read their outputs
    "follow another team's run": lambda scene: launch(scene, parentRunId=scene.run(), rootRunId=scene.run()),
    "follow another team's run as the root alone": lambda scene: launch(
        scene, parentRunId=scene.run("delay"), rootRunId=scene.run()
    ),
    "follow another team's run by a tag": lambda scene: tagged("dagster/parent_run_id", scene.run())(scene),
    "follow another team's run by the root's tag": lambda scene: tagged("dagster/root_run_id", scene.run())(scene),
    "follow a run that is not there": lambda scene: launch(scene, parentRunId="../../etc/passwd", rootRunId="x"),
    "execute steps of another team's run again in one's own job": asked(
        AGAIN,
        lambda scene: {
            "p": scene.own.launch(
                stepKeys=["delay_op"], executionMetadata={"parentRunId": scene.run(), "rootRunId": scene.run()}
            )
        },
    ),
    "resume another team's run in one's own job": asked(
        AGAIN,
        lambda scene: {
            "p": scene.own.launch(
                executionMetadata={
                    "parentRunId": scene.run(),
                    "rootRunId": scene.run(),
                    "tags": [{"key": "dagster/is_resume_retry", "value": "true"}],
                }
            )
        },
    ),
    "execute one's own run again as another tenant's": sent(
        "launchRunReexecution",
        lambda scene: {
            "p": {
                "parentRunId": scene.run("delay"),
                "strategy": "ALL_STEPS",
                "extraTags": [{"key": "mlrepro/tenant", "value": "aircraft"}],
            }
        },
    ),
    "execute one's own run again with another service account": sent(
        "launchRunReexecution",
        lambda scene: {
            "p": {
                "parentRunId": scene.run("delay"),
                "strategy": "ALL_STEPS",
                "extraTags": [{"key": "dagster-k8s/config", "value": K8S}],
            }
        },
    ),
    # some of one's own, and some of the other's
    "launch several, one of them another team's": sent(
        "launchMultipleRuns", lambda scene: {"p": [scene.own.launch(), scene.other.launch()]}
    ),
    "terminate several, one of them another team's": sent(
        "terminateRuns", lambda scene: {"r": [scene.run("delay"), scene.run()]}
    ),
    "mark another team's run as canceled": asked(MARK, lambda scene: {"r": scene.run()}),
    "terminate a run that is not there": sent("terminateRun", lambda scene: {"r": "../../x"}),
    "terminate no run at all": sent("terminateRuns", lambda scene: {"r": []}),
    "wipe several assets, one of them another team's": sent(
        "wipeAssets", lambda scene: {"r": [{"assetKey": scene.own.key()}, {"assetKey": scene.other.key()}]}
    ),
    "wipe an asset that is nobody's": sent("wipeAssets", lambda scene: {"r": [{"assetKey": {"path": ["old"]}}]}),
    "wipe by a path trick": sent(
        "wipeAssets", lambda scene: {"r": [{"assetKey": {"path": ["delay_model", "..", "fleet_model"]}}]}
    ),
    "wipe by an empty part": sent("wipeAssets", lambda scene: {"r": [{"assetKey": {"path": ["", "fleet_model"]}}]}),
    "wipe an empty key": sent("wipeAssets", lambda scene: {"r": [{"assetKey": {"path": []}}]}),
    "wipe what one's own team only reads": lambda scene: (
        scene.at.user("bob").post(BY_NAME["wipeAssets"].query, {"r": [{"assetKey": {"path": ["shared_model"]}}]}).json()
    ),
    "report of what one's own team only reads": lambda scene: (
        scene.at.user("bob")
        .post(
            BY_NAME["reportRunlessAssetEvents"].query,
            {"e": {"eventType": "ASSET_MATERIALIZATION", "assetKey": {"path": ["shared_model"]}}},
        )
        .json()
    ),
    "wipe an asset of another team that one's own team defines again": sent(
        "wipeAssets", lambda scene: {"r": [{"assetKey": {"path": ["claimed"]}}]}
    ),
    "wipe an asset of another team that one's own team defines again, the other way round": lambda scene: (
        scene.at.user("bob").post(BY_NAME["wipeAssets"].query, {"r": [{"assetKey": {"path": ["claimed"]}}]}).json()
    ),
    "report an asset of another team that one's own team defines again": path(
        "POST", "/report_asset_materialization/claimed"
    ),
    "backfill assets, one of them another team's": sent(
        "launchPartitionBackfill",
        lambda scene: {
            "p": {"assetSelection": [scene.own.key("letters"), scene.other.key("letters")], "allPartitions": True}
        },
    ),
    "backfill assets by ranges, one of them another team's": sent(
        "launchPartitionBackfill",
        lambda scene: {
            "p": {"partitionsByAssets": [{"assetKey": each.key("letters")} for each in (scene.own, scene.other)]}
        },
    ),
    "backfill one's own job with another team's assets": sent(
        "launchPartitionBackfill",
        lambda scene: {"p": {**scene.own.filling("job"), "assetSelection": [scene.other.key()]}},
    ),
    "backfill as another tenant's": sent(
        "launchPartitionBackfill",
        lambda scene: {"p": {**scene.own.filling(), "tags": [{"key": "mlrepro/tenant", "value": "aircraft"}]}},
    ),
    "backfill in another user's name": sent(
        "launchPartitionBackfill",
        lambda scene: {"p": {**scene.own.filling("job"), "tags": [{"key": "dagster/user", "value": "bob"}]}},
    ),
    "backfill another team's job at once": sent(
        "launchPartitionBackfill",
        lambda scene: {"p": {**scene.other.filling("job"), "forceSynchronousSubmission": True}},
    ),
    # jobs of assets, which Dagster judges by the assets
    "launch another location's job of assets on one's own asset": sent(
        "launchRun",
        lambda scene: {
            "p": {
                "selector": {
                    **scene.other.repository,
                    "jobName": "__ASSET_JOB",
                    "assetSelection": [scene.own.key()],
                }
            }
        },
    ),
    "launch one's own job of assets on another team's asset": sent(
        "launchRun",
        lambda scene: {
            "p": {
                "selector": {
                    **scene.own.repository,
                    "jobName": "__ASSET_JOB",
                    "assetSelection": [scene.other.key()],
                }
            }
        },
    ),
    "launch in a location that is not loaded": sent(
        "launchRun",
        lambda scene: {
            "p": {"selector": {"repositoryLocationName": "gone", "repositoryName": "x", "jobName": "fleet_job"}}
        },
    ),
    # two ids, of which Dagster checks one and uses the other
    "stop another team's schedule by the id of one's own": asked(
        STOP_SCHEDULE, lambda scene: halves(scene, "schedule")
    ),
    "stop another team's sensor by the id of one's own": asked(STOP_SENSOR, lambda scene: halves(scene, "sensor")),
    "stop a schedule that is not there": sent("stopRunningSchedule", lambda scene: {"i": "a" * 40 + ":" + "b" * 40}),
    "stop a sensor by half an id": sent("stopSensor", lambda scene: {"i": "a" * 40}),
    # partitions are the whole instance's
    "add a partition that both teams use": sent(
        "addDynamicPartition", lambda scene: {"s": scene.own.repository, "n": "days", "k": "2026-11-29"}
    ),
    "add to another team's partitions from one's own location": sent(
        "addDynamicPartition", lambda scene: {"s": scene.own.repository, "n": "fleet_regions", "k": "south"}
    ),
    "delete partitions that both teams use, with what was made of them": asked(
        WIPE_TOO, lambda scene: {"s": scene.own.repository, "k": ["2026-11-28"]}
    ),
    # the endpoints beside GraphQL
    "report a materialization of another team's asset": path("POST", "/report_asset_materialization/fleet_model"),
    "report an observation of another team's asset": path("POST", "/report_asset_observation/fleet_model"),
    "report a check of another team's asset": path(
        "POST", "/report_asset_check/fleet_model", json={"check_name": "fine", "passed": False}
    ),
    "report another team's asset in the body": path(
        "POST", "/report_asset_materialization/", json={"asset_key": ["fleet_model"]}
    ),
    "report another team's asset in the query": path(
        "POST", "/report_asset_materialization/", params={"asset_key": '["fleet_model"]'}
    ),
    "report another team's asset by a path trick": path(
        "POST", "/report_asset_materialization/delay_model%2f..%2ffleet_model"
    ),
    "report what can't be read": path("POST", "/report_asset_materialization/", json={"asset_key": {"path": 1}}),
    "read another team's notebook": path("GET", "/notebook", params={"repoLocName": "fleet", "path": "/a.ipynb"}),
    "read another team's notebook by the old address": path(
        "GET", "/dagit/notebook", params={"repoLocName": "fleet", "path": "/a.ipynb"}
    ),
    "read files beside the logs": path("GET", "/logs/..%2f..%2f..%2fetc/passwd"),
    "read files beside the logs by backslashes": path("GET", "/logs/..%5c..%5caudit/jsonl"),
    "read files beside the logs by dots": path("GET", "/logs/a/%2e%2e/%2e%2e/audit/jsonl"),
    # bodies that are none
    "send a batch": path("POST", "/graphql", json=[{"query": "mutation {setAutoMaterializePaused(paused: true)}"}] * 2),
    "send a text instead of an object": path("POST", "/graphql", json="mutation {reloadWorkspace {__typename}}"),
    # by other ways of saying POST
    "a mutation as application/graphql": lambda scene: scene.eve.request(
        "POST",
        "/graphql",
        content="mutation {reloadWorkspace {__typename}}",
        headers={"content-type": "application/graphql"},
    ).json(),
    "a mutation in the query of a POST": lambda scene: scene.eve.request(
        "POST",
        "/graphql",
        params={"query": "mutation {setAutoMaterializePaused(paused: true)}"},
        headers={"content-type": "text/plain"},
    ).json(),
    "a mutation in the query of a multipart POST": lambda scene: scene.eve.request(
        "POST",
        "/graphql",
        params={"query": "mutation {setAutoMaterializePaused(paused: true)}"},
        files={"operations": b'{"query": "mutation {reloadWorkspace {__typename}}"}'},
    ).json(),
    "a GET that says it is a POST": lambda scene: (
        scene.at.user("root")
        .request(
            "GET",
            "/graphql",
            params={"query": "mutation {setAutoMaterializePaused(paused: true)}"},
            headers={"x-http-method-override": "POST"},
        )
        .json()
    ),
    "another user's name in a header that proxies set": lambda scene: scene.eve.request(
        "POST",
        "/graphql",
        json={"query": "mutation {setAutoMaterializePaused(paused: true)}"},
        headers=dict.fromkeys(("x-forwarded-user", "x-auth-request-user", "remote-user", "x-forwarded-email"), "root"),
    ).json(),
    # code that runs when something is looked at
    "evaluate another team's schedule by looking at its ticks": evaluation,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(scene: Scene, attack: str) -> None:
    for what in ("schedule", "sensor"):
        scene.instigator(what)
        scene.instigator(what, "delay")
    scene.run(), scene.run("delay"), scene.backfill()
    with without_effect(scene.at):
        assert refused(ATTACKS[attack](scene)), attack


@pytest.mark.parametrize("key", [["..", "..", "etc", "passwd"], ["a", "../../x"], [""], [], ["a\\..\\b"], ["a\x00b"]])
def test_no_key_of_a_log_leads_anywhere_else(scene: Scene, key: list[str]) -> None:
    for query in (
        "query($k: [String!]!) {capturedLogs(logKey: $k) {stdout}}",
        "query($k: [String!]!) {capturedLogsMetadata(logKey: $k) {stdoutLocation}}",
    ):
        with without_effect(scene.at):
            told = scene.eve.post(query, {"k": key}).json()
            assert "log key" in told["errors"][0]["message"]
            assert not told["data"]
    answer = scene.eve.over_websocket("subscription($k: [String!]!) {capturedLogs(logKey: $k) {stdout}}", {"k": key})
    assert answer["type"] == "error"
    assert "log key" in answer["payload"]["message"]


def test_no_file_of_a_run_leads_to_what_is_none_of_its_logs(scene: Scene) -> None:
    secret = scene.at.folder / "storage" / "secret.out"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("nobody's log")
    query = "query($id: ID!, $k: String!) {runOrError(runId: $id) {... on Run {capturedLogs(fileKey: $k) {stdout}}}}"
    own = scene.run("delay")
    with without_effect(scene.at):
        told = scene.eve.post(query, {"id": own, "k": "../../secret"})
        assert "nobody's log" not in told.text
    assert "log key" in told.json()["errors"][0]["message"]


@pytest.mark.parametrize("kind", ["json", "db", "out.partial", ""])
def test_nothing_but_captured_output_is_downloaded_as_such(scene: Scene, kind: str) -> None:
    folder = scene.at.folder / "storage"
    folder.mkdir(exist_ok=True)
    (folder / f"other.{kind}").write_text("a secret")
    (folder / "other.out").write_text("a log")
    with without_effect(scene.at):
        refusal = scene.eve.request("GET", f"/logs/other/{kind}")
    assert refusal.status_code == 404
    assert "a secret" not in refusal.text
    assert scene.eve.request("GET", "/logs/other/out").text == "a log"


def test_scripts_of_a_notebook_do_not_run_as_whoever_reads_it(scene: Scene) -> None:
    shown = scene.eve.request("GET", "/notebook", params={"repoLocName": "delay", "path": "/a.ipynb"})
    assert shown.headers["Content-Security-Policy"] == "sandbox"


@pytest.mark.parametrize(("user", "status"), [(None, 401), ("rita", 403)])
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/"),
        ("GET", "/runs"),
        ("POST", "/graphql"),
        ("GET", "/graphql?query={version}"),
        ("GET", "/logs/a/compute_logs/b/out"),
        ("GET", "/download_debug/a"),
        ("GET", "/notebook?repoLocName=delay&path=a.ipynb"),
        ("POST", "/report_asset_materialization/delay_model"),
        ("POST", "/report_asset_check/delay_model"),
        ("POST", "/report_asset_observation/delay_model"),
    ],
)
def test_strangers_and_users_without_a_role_get_nowhere(
    scene: Scene, user: str | None, status: int, method: str, url: str
) -> None:
    with without_effect(scene.at):
        body = {"json": {"query": "{version}"}} if method == "POST" else {}
        assert scene.at.user(user).request(method, url, **body).status_code == status


def test_a_refused_mutation_does_not_keep_the_others_of_its_document_from_being_made(scene: Scene) -> None:
    query = (
        "mutation($own: ExecutionParams!, $other: ExecutionParams!) {own: launchRun(executionParams: $own)"
        " {__typename} other: launchRun(executionParams: $other) {__typename}}"
    )
    told = scene.eve.post(query, {"own": scene.own.launch(), "other": scene.other.launch()}).json()["data"]
    assert (told["own"]["__typename"], told["other"]["__typename"]) == ("LaunchRunSuccess", "UnauthorizedError")


def test_only_administrators_read_the_instances_settings(scene: Scene) -> None:
    for user, shown in (("eve", False), ("root", True)):
        info = scene.at.user(user).post("{instance {info}}").json()["data"]["instance"]["info"]
        assert bool(info) == shown
