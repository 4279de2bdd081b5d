"""`cache_first` among processes: steps in processes of their own, runs that are killed, runs at the same time."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob

from mlrepro import versions
from tests.execution import flows
from tests.execution.lab import Both, Lab, Pair, Ran, fresh, told, two_labs
from tests.instances import ON_POSTGRES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KNOWN = {"root", "top", *(f"leaf{number:02}" for number in range(flows.COUNT))}


class Runs:
    """Runs of the jobs in `flows`, in both labs."""

    def __init__(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        self.both = both
        self._monkeypatch = monkeypatch

    def one(self, lab: Lab, job: Callable[[], dg.JobDefinition], retry_of: Ran | None = None, **arguments: Any) -> Ran:
        for name, value in environment(self.both, lab).items():
            self._monkeypatch.setenv(name, value)
        # Dagster keeps the definitions that it loaded last: those are the other lab's
        ReconstructableJob.get_definition.cache_clear()
        ReconstructableJob.get_repository_definition.cache_clear()
        options = dg.ReexecutionOptions.from_failure(retry_of.run_id, lab.instance) if retry_of else None
        result = dg.execute_job(
            dg.reconstructable(job), instance=lab.instance, reexecution_options=options, **arguments
        )
        return Ran(lab.instance, job(), result.run_id)

    def __call__(self, job: Callable[[], dg.JobDefinition], retry_of: Pair | None = None, **arguments: Any) -> Pair:
        plain = self.one(self.both.plain, job, retry_of and retry_of.plain, **arguments)
        first = self.one(self.both.first, job, retry_of and retry_of.first, **arguments)
        self.both.compare(plain, first)
        return Pair(plain, first)


def environment(both: Both, lab: Lab) -> dict[str, str]:
    return {
        "DAGSTER_HOME": str(lab.home),
        "FLOW_EXECUTOR": "first" if lab is both.first else "plain",
        "FLOW_STORE": lab.url,
    }


@pytest.fixture
def runs(both: Both, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(both, monkeypatch)


class TestStepsInProcesses:
    @pytest.fixture(autouse=True)
    def processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLOW_PROCESSES", "1")

    def test_hits_and_steps_that_run(self, runs: Runs) -> None:
        runs(flows.mixed)
        again = runs(flows.mixed).first
        assert again.success
        assert again.replayed == {"root", "leaf00", "leaf01", "top"}
        assert {"flaky", "squares.square[n2]"} <= again.ran
        refreshed = runs(flows.mixed, tags={"mlrepro/refresh": "leaf00"}).first
        assert refreshed.replayed == {"root", "leaf01"}
        assert refreshed.cache["top"] == "hit"

    def test_reexecution_from_failure(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLOW_BROKEN", "1")
        runs(flows.sent)
        failed = runs(flows.sent)
        assert failed.first.replayed == {"root", "leaf00", "leaf01", "top"}
        monkeypatch.delenv("FLOW_BROKEN")
        again = runs(flows.sent, retry_of=failed).first
        assert again.success
        assert again.ran == {"published", "last"}

    def test_all_hits_start_no_process(self, runs: Runs) -> None:
        for _ in range(2):
            again = runs.one(runs.both.first, flows.sent, asset_selection=[dg.AssetKey("root"), dg.AssetKey("leaf00")])
        assert again.replayed == {"root", "leaf00"}
        assert not again.events(dg.DagsterEventType.STEP_WORKER_STARTING)


def start(both: Both, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.execution.flows"],
        cwd=ROOT,
        env={**os.environ, **environment(both, both.first), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize(
    "place", ["histories", "before events", "between two tables", "after some events", "after all events"]
)
def test_run_that_is_killed_in_the_middle_of_a_replay(runs: Runs, place: str) -> None:
    runs(flows.known)
    process = start(runs.both, FLOW_KILLED=place)
    process.communicate(timeout=120)
    assert process.returncode == -9
    lab = runs.both.first
    (killed,) = lab.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    lab.instance.report_run_failed(killed)  # as Dagster's run monitoring does
    again = runs.one(lab, flows.known)
    assert again.success
    assert again.replayed == KNOWN
    assert fresh(again, *KNOWN)
    for name in KNOWN:
        assert [version.number for version in versions(name, store=lab.store())] == [1]
        (record,) = lab.instance.get_asset_records([dg.AssetKey(name)])
        newest = record.asset_entry.last_materialization_record
        assert newest is not None
        assert newest.run_id == again.run_id
    ours, plains = told(again), told(runs.one(runs.both.plain, flows.known))
    assert ours["steps"] == plains["steps"]
    assert ours["run stats"] == plains["run stats"]


def test_two_runs_that_replay_the_same_at_once(runs: Runs, tmp_path: Path) -> None:
    lab = runs.both.first
    runs.one(lab, flows.known)
    processes = [start(runs.both, FLOW_WAITS_FOR=str(tmp_path / "go")) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    found = [Ran(lab.instance, flows.known(), run.run_id) for run in lab.instance.get_runs()]
    assert len(found) == 3
    assert all(ran.success for ran in found)
    assert [ran.replayed for ran in found] == [KNOWN, KNOWN, set()]
    for ran in found:
        assert told(ran)["materializations"], "each pointer names an event that is there"
    for name in KNOWN:
        assert len(lab.instance.fetch_materializations(dg.AssetKey(name), limit=10).records) == 3
        assert [version.number for version in versions(name, store=lab.store())] == [1]
    assert fresh(found[0], *KNOWN)


@pytest.mark.skipif(ON_POSTGRES, reason="only SQLite's files are locked as a whole")
def test_database_that_another_process_holds_for_a_while(runs: Runs) -> None:
    lab = runs.both.first
    runs.one(lab, flows.known)
    go, held = threading.Event(), threading.Event()

    def hold() -> None:
        (index,) = lab.home.rglob("index.db")
        connection = sqlite3.connect(index, isolation_level=None)
        go.wait()
        connection.execute("BEGIN EXCLUSIVE")
        held.set()
        time.sleep(1.5)
        connection.execute("COMMIT")
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    process = start(runs.both)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    go.set()
    held.wait()
    process.communicate(timeout=120)
    thread.join()
    again = Ran(lab.instance, flows.known(), lab.instance.get_runs(limit=1)[0].run_id)
    assert again.success
    assert again.replayed == KNOWN


class TestPostgres:
    @pytest.fixture
    def on_postgres(self, tmp_path: Path, empty_home: Path) -> Iterator[Both]:
        from tests.postgres import PostgresError, throwaway_postgres

        with two_labs(tmp_path, empty_home, dg.in_process_executor) as both:
            try:
                with throwaway_postgres() as one, throwaway_postgres() as other:
                    for lab, url in zip(both.labs, (one, other), strict=True):
                        settings = f"telemetry:\n  enabled: false\nstorage:\n  postgres:\n    postgres_url: {url}\n"
                        (lab.home / "dagster.yaml").write_text(settings)
                        lab.instance = dg.DagsterInstance.from_config(str(lab.home))
                    yield both
                    for lab in both.labs:
                        lab.instance.dispose()
            except PostgresError as error:
                pytest.skip(str(error))

    def test_chain_check_and_failure(self, on_postgres: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = Runs(on_postgres, monkeypatch)
        runs(flows.known)
        again = runs(flows.known).first
        assert again.replayed == KNOWN
        assert fresh(again, *KNOWN)
        monkeypatch.setenv("FLOW_BROKEN", "1")
        failed = runs(flows.sent)
        monkeypatch.delenv("FLOW_BROKEN")
        assert runs(flows.sent, retry_of=failed).first.success

    def test_partitions(self, on_postgres: Both) -> None:
        from tests.execution import test_partitions

        test_partitions.TestRangeInOneRun().test_of_two_dimensions(on_postgres)
        test_partitions.test_self_dependent(on_postgres)
