"""The audit log: what it says, what it leaves out, and that nothing is changed without it."""

import asyncio
import json
import multiprocessing
import stat
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from mlrepro.errors import AuditError
from mlrepro.tenancy import Identity
from mlrepro.web.audit import AuditLog
from mlrepro.web.witness import Witness
from tests.web.installation import Installation
from tests.web.mutations import BY_NAME, Team

LAUNCH = BY_NAME["launchRun"].query


def test_a_launch_says_who_what_when_from_where_and_which_run_came_of_it(shared: Installation) -> None:
    before = len(shared.audited())
    shared.user("gina").post(LAUNCH, {"p": Team(shared, "fleet").launch()})
    asked, done = shared.audited()[before:]
    assert asked.pop("time") < done.pop("time")
    assert asked.pop("id") == done.pop("id")
    assert asked == {
        "entry": "asked",
        "user": "gina",
        "groups": ["both"],
        "from": "testclient",
        "by": "POST",
        "what": "launchRun",
        "target": {"location": "fleet", "job": "fleet_job"},
        "tenants": ["aircraft"],
        "allowed": True,
    }
    (run_id,) = done.pop("runs")
    assert done == {"entry": "done", "outcome": "LaunchRunSuccess"}
    assert shared.instance().has_run(run_id)


def test_configuration_and_descriptions_are_not_written(shared: Installation) -> None:
    team = Team(shared, "delay")
    config = {"ops": {"delay_op": {"config": {"password": "hunter2"}}}}
    eve = shared.user("eve")
    before = len(shared.audited())
    eve.post(LAUNCH, {"p": team.launch(runConfigData=config)})
    eve.post(LAUNCH, {"p": team.launch(executionMetadata={"tags": [{"key": "token", "value": "hunter2"}]})})
    event = {"eventType": "ASSET_MATERIALIZATION", "assetKey": team.key(), "description": "hunter2"}
    eve.post(BY_NAME["reportRunlessAssetEvents"].query, {"e": event})
    eve.request("POST", "/report_asset_materialization/delay_model", json={"metadata": {"password": "hunter2"}})
    assert len(shared.audited()) >= before + 6
    assert "hunter2" not in shared.audit_file.read_text()


def test_a_reported_event_is_written_down_and_says_who_reported_it(shared: Installation) -> None:
    before = len(shared.audited())
    answer = shared.user("eve").request("POST", "/report_asset_materialization/delay_model", json={"data_version": "7"})
    assert answer.status_code == 200
    asked, done = shared.audited()[before:]
    assert (asked["what"], asked["target"]) == ("report_asset_materialization", {"assets": ["delay_model"]})
    assert done["outcome"] == 200
    (record,) = shared.instance().fetch_materializations(_key("delay_model"), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.tags["dagster/user"] == "eve"
    assert record.asset_materialization.tags["dagster/reporting_user"] == "eve"


def test_a_backfill_is_whoever_launched_it_last(shared: Installation) -> None:
    team = Team(shared, "delay")
    first = team.backfill("job", ended=True)
    mutation = BY_NAME["reexecutePartitionBackfill"]
    again = mutation.query.replace("{__typename", "{__typename ... on LaunchBackfillSuccess {backfillId}")
    told = shared.user("lars").post(again, {"p": {"parentRunId": first, "strategy": "ALL_STEPS"}}).json()
    second = shared.instance().get_backfill(told["data"]["reexecutePartitionBackfill"]["backfillId"])
    assert second is not None
    assert second.tags["dagster/user"] == "lars"
    assert second.tags["mlrepro/tenant"] == "delay"
    assert shared.audited()[-1]["backfill"] == second.backfill_id


def test_a_run_that_is_executed_again_is_whoever_did_that(shared: Installation) -> None:
    run_id = Team(shared, "delay").run()
    mutation = BY_NAME["launchRunReexecution"]
    shared.user("lars").post(mutation.query, {"p": {"parentRunId": run_id, "strategy": "ALL_STEPS"}})
    run = shared.instance().get_run_by_id(shared.audited()[-1]["runs"][0])
    assert run is not None
    assert run.parent_run_id == run_id
    assert {run.tags[name] for name in ("dagster/user", "user")} == {"lars"}


def test_tags_that_the_job_or_the_earlier_run_has_may_be_sent_back_as_dagsters_ui_does(shared: Installation) -> None:
    team = Team(shared, "delay")
    earlier = shared.instance().get_run_by_id(team.run())
    assert earlier is not None
    tags = [{"key": key, "value": value} for key, value in earlier.tags.items()]
    tags += [{"key": "dagster/parent_run_id", "value": earlier.run_id}, {"key": "why", "value": "to see"}]
    metadata = {"parentRunId": earlier.run_id, "rootRunId": earlier.run_id, "tags": tags}
    query = LAUNCH.replace("launchRun(", "launchRunReexecution(")
    told = shared.user("lars").post(query, {"p": team.launch(executionMetadata=metadata)}).json()
    assert told["data"]["launchRunReexecution"]["__typename"] == "LaunchRunSuccess"
    run = shared.instance().get_run_by_id(shared.audited()[-1]["runs"][0])
    assert run is not None
    assert (run.tags["dagster/user"], run.tags["why"], run.tags["dagster/priority"]) == ("lars", "to see", "2")


def test_without_the_log_nothing_is_changed_and_the_answer_says_why(
    shared: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def full(file: int, line: bytes) -> int:
        raise OSError(28, "No space left on device")

    team = Team(shared, "delay")
    before, entries = shared.state(), len(shared.audited())
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        told = shared.user("eve").post(LAUNCH, {"p": team.launch()}).json()["data"]["launchRun"]
        reported = shared.user("eve").request("POST", "/report_asset_materialization/delay_model")
    assert told["__typename"] == "UnauthorizedError"
    assert "can't be written (No space left on device), so nothing may be changed" in told["message"]
    assert (reported.status_code, "nothing may be changed" in reported.text) == (503, True)
    assert shared.state() == before
    assert len(shared.audited()) == entries
    shared.user("vera").post(LAUNCH, {"p": team.launch()})
    assert len(shared.audited()) == entries + 1, "what could not be written left nothing behind"


def test_only_its_owner_reads_the_log(tmp_path: Path) -> None:
    AuditLog(tmp_path / "audit.jsonl")
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        AuditError, match=r"gone/audit\.jsonl can't be written: No such file or directory\. Name another"
    ):
        AuditLog(tmp_path / "gone" / "audit.jsonl")


def test_a_log_that_was_moved_away_begins_anew(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    _write(log, "first")
    log.path.rename(tmp_path / "audit.1.jsonl")
    _write(log, "second")
    assert [json.loads(line)["what"] for line in log.path.read_text().splitlines()] == ["second"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_entry_that_a_full_disk_cut_off_does_not_take_the_next_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    import os

    log, write = AuditLog(tmp_path / "audit.jsonl"), os.write
    _write(log, "first")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, line: write(file, line[:20]))
        with pytest.raises(AuditError, match="the disk took only a part"):
            _write(log, "cut off")
    if restarted:
        log = AuditLog(log.path)
    _write(log, "second")
    _write(log, "third")
    first, cut, second, third = log.path.read_text().splitlines()
    assert [json.loads(line)["what"] for line in (first, second, third)] == ["first", "second", "third"]
    assert len(cut) == 20


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(path, str(number))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(entry["user"], entry["what"]) for entry in entries} == {
        (str(n), str(i)) for n in range(3) for i in range(200)
    }
    assert len(entries) == 600


def test_a_user_with_line_breaks_in_the_name_writes_one_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    forged = 'eve\n{"user": "root", "allowed": true}\u2028'
    log.asked("x", connection=None, identity=Identity(forged), target={"assets": [forged]}, tenants=[])
    (line,) = log.path.read_bytes().splitlines()
    assert json.loads(line)["user"] == forged


async def _ask(witness: Witness, times: int) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None: ...

    for _ in range(times):
        scope = {"type": "http", "method": "POST", "path": "/graphql", "headers": [], "client": ("10.0.0.1", 1)}
        await witness(scope, receive, send)


def test_whoever_is_refused_often_does_not_fill_the_disk(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    witness = Witness(PlainTextResponse("no", 401), audit=log, most=5)
    asked = 1000
    asyncio.run(_ask(witness, asked))
    while "left_out_before" not in (last := json.loads(log.path.read_text().splitlines()[-1]))["target"]:
        asyncio.run(_ask(witness, 1))
        asked += 1
    entries = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert len(entries) < 100
    assert len(entries) + sum(entry["target"].get("left_out_before", 0) for entry in entries) == asked
    assert (last["user"], last["from"], last["why"]) == (None, "10.0.0.1", "not authenticated")


def test_a_user_who_asks_for_very_much_does_not_fill_the_disk_and_keeps_nobody_else_from_working(
    tmp_path: Path,
) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", most="5/second")
    told = []
    for number in range(1000):
        try:
            _write(log, str(number), "eve")
        except AuditError as error:
            told.append(str(error))
    assert set(told) == {"eve may ask for 5 changes a second, and did so: try again later"}
    _write(log, "launch", "ana")
    while not _taken(log, "eve"):
        told.append("")
    entries = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [entry["user"] for entry in entries].count("ana") == 1
    assert len(entries) < 100
    assert sum(entry.get("left_out_before", 0) for entry in entries) == len(told)


def _taken(log: AuditLog, user: str) -> bool:
    try:
        _write(log, "again", user)
    except AuditError:
        return False
    return True


def _write(log: AuditLog, what: str, user: str = "ana") -> None:
    connection = HTTPConnection({"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("::1", 1)})
    log.asked(what, connection=connection, identity=Identity(user), target={}, tenants=[])


def _write_many(path: Path, user: str) -> None:
    log = AuditLog(path)
    for number in range(200):
        log.asked(str(number), connection=None, identity=Identity(user), target={"assets": ["a" * 3000]}, tenants=[])


def _key(name: str):  # type: ignore[no-untyped-def]
    from dagster import AssetKey

    return AssetKey(name)
