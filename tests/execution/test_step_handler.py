"""`CacheFirstStepHandler` around a step handler that launches threads: what is launched, waits, and is stopped."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import DagsterEventType
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.active import ActiveExecution

from mlrepro.errors import StoreError
from mlrepro.execution import replay, step_handler
from mlrepro.store import Claim, Lease, Store, open_store
from tests.execution import handled
from tests.execution.handled import Threads
from tests.instances import dagster_home

ALL = ("first", "middle", "last")
STRANGER = Claim(holder="another run/slow", who="ana", run_id="another run", step="slow", code_location="team-a")


class Lab:
    """Runs of the location in a Dagster and a store of the test's own."""

    def __init__(self, instance: dg.DagsterInstance, url: str, handler: Threads) -> None:
        self.instance = instance
        self.url = url
        self.handler = handler

    @property
    def store(self) -> Store:
        return open_store(self.url)

    def run(
        self, *select: str, tags: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
    ) -> dg.DagsterRun:
        self.handler.launched.clear()
        code = ReconstructableRepository.for_module("tests.execution.handled", "defs").get_reconstructable_job(
            "__ASSET_JOB"
        )
        assets = frozenset(map(dg.AssetKey, select))
        run = self.instance.create_run_for_job(
            code.get_definition().get_subset(asset_selection=assets),
            asset_selection=assets,
            tags=tags,
            run_config={"ops": {name: {"config": given} for name, given in (config or {}).items()}},
            job_code_origin=code.get_python_origin(),
        )
        execute_run(code, run, self.instance, raise_on_error=False)
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def succeeds(self, *select: str, **options: Any) -> list[str]:
        """Run assets; return the steps that were launched."""
        run = self.run(*select, **options)
        assert run.status == dg.DagsterRunStatus.SUCCESS, self.messages(run)
        return list(self.handler.launched)

    def messages(self, run: dg.DagsterRun) -> str:
        return "\n".join(f"{entry.step_key}: {entry.message}" for entry in self.instance.all_logs(run.run_id))

    def steps(self, run: dg.DagsterRun, kind: DagsterEventType) -> list[str | None]:
        return [entry.step_key for entry in self.instance.all_logs(run.run_id, of_type=kind)]

    def failures(self, run: dg.DagsterRun) -> str:
        entries = self.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
        return "\n".join(str(entry.dagster_event) for entry in entries)

    def lease_of(self, asset: str = "slow") -> str:
        """Have a step end without a result; return its input hash, whose lease is free again."""
        handled.SLOW["raises"] = True
        self.handler.refused = {"checked"}
        assert self.run("first", asset).status == dg.DagsterRunStatus.FAILURE
        handled.SLOW["raises"] = False
        self.handler.refused = set()
        (folder,) = Path(self.url).glob("*/leases/*/*")
        return folder.name

    def taken(self, input_hash: str) -> Lease:
        """Take a lease as a stranger, who must not have to wait for it."""
        lease = self.store.acquire_lease(input_hash, STRANGER)
        assert isinstance(lease, Lease)
        return lease


@pytest.fixture
def lab(tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    home = dagster_home(tmp_path / "home", empty_home)
    monkeypatch.setenv("MLREPRO_TEST_STORE", str(tmp_path / "store"))
    handler = Threads()
    handler.go_on.set()
    monkeypatch.setattr(handled, "HANDLER", handler)
    # each step configures Python's logging, which is for processes: steps in threads that log meanwhile would block
    monkeypatch.setattr(dg.DagsterInstance, "get_yaml_python_handlers", lambda _: [])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield Lab(instance, str(tmp_path / "store"), handler)
    _until(lambda: not _waiting(), "a thread still waits")


def _waiting() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("waits: ")]


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _meanwhile(*acts: Callable[[], object]) -> threading.Thread:
    """Do things one after the other while a run is under way."""
    thread = threading.Thread(target=lambda: [act() for act in acts], daemon=True)
    thread.start()
    return thread


class TestLaunching:
    def test_hits_are_not_launched(self, lab: Lab) -> None:
        assert lab.succeeds(*ALL) == list(ALL)
        assert lab.succeeds(*ALL) == []

    def test_early_cutoff_launches_what_changed_alone(self, lab: Lab) -> None:
        lab.succeeds(*ALL)
        assert lab.succeeds(*ALL, config={"middle": {"note": "again"}}) == ["middle"]

    def test_verifying_computes_on_purpose(self, lab: Lab) -> None:
        lab.succeeds(*ALL)
        assert lab.succeeds(*ALL, tags={"mlrepro/verify": "true"}) == list(ALL)

    @pytest.mark.parametrize("part", ["steps_before_launch", "LookAhead"])
    def test_look_up_that_fails_launches(self, lab: Lab, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.succeeds(*ALL)
        monkeypatch.setattr(step_handler, part, _raising(RuntimeError("no such thing")))
        assert lab.succeeds(*ALL, config={"middle": {"note": "again"}}) == ["middle", "last"]
        log = lab.messages(lab.instance.get_runs(limit=1)[0])
        assert "last: launching a step that could not be looked up: no such thing" in log

    def test_hit_whose_version_can_not_be_stored_is_launched(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.succeeds(*ALL)

        def fails(hit: Any, *rest: Any, **named: Any) -> Any:
            if hit.step.key == "last":
                raise StoreError("the store is read-only")
            return append(hit, *rest, **named)

        append = replay.append_versions
        monkeypatch.setattr(replay, "append_versions", fails)
        assert lab.succeeds(*ALL, config={"middle": {"note": "again"}}) == ["middle", "last"]


class TestLeases:
    def test_no_lease_is_left_after_a_result(self, lab: Lab) -> None:
        input_hash = lab.lease_of()
        assert lab.succeeds("first", "slow") == ["slow"]
        lab.taken(input_hash)

    def test_lease_held_waits_without_a_launch_and_takes_what_was_stored(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        input_hash = lab.lease_of()
        held = lab.taken(input_hash)
        meanwhile = _meanwhile(
            lambda: _until(_waiting, "nobody waits"),
            lambda: time.sleep(1),  # some health checks, all of which the launching handler would fail
            lambda: held.release(failed=True),
        )
        run = lab.run(*ALL, "slow")
        meanwhile.join()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        # those that need not wait did not, so the one that waited was the last to be launched
        assert lab.handler.launched == ["middle", "last", "slow"]
        log = lab.messages(run)
        assert "slow: waiting for step slow of run another run by ana in code location team-a" in log
        assert "ended without a result: computing instead of it" in log
        assert "health check" not in log

    def test_lease_expired_is_taken_over(self, lab: Lab) -> None:
        input_hash = lab.lease_of()
        assert isinstance(lab.store.acquire_lease(input_hash, STRANGER, ttl=0.5), Lease)
        run = lab.run("first", "slow")
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert "ended without a result: computing instead of it" in lab.messages(run)

    def test_launch_that_fails_fails_the_step_and_frees_the_lease(self, lab: Lab) -> None:
        input_hash = lab.lease_of()
        lab.handler.refused = {"slow"}
        run = lab.run(*ALL, "slow")
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert lab.steps(run, DagsterEventType.STEP_FAILURE) == ["slow"]
        assert "last" in lab.steps(run, DagsterEventType.STEP_SUCCESS)
        assert "no more pods are allowed" in lab.failures(run)
        lab.taken(input_hash)

    def test_pod_that_is_lost_before_it_starts_frees_the_lease(self, lab: Lab) -> None:
        input_hash = lab.lease_of()
        lab.handler.lost = {"slow"}
        run = lab.run("first", "slow")
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert "there is no such pod" in lab.failures(run)
        lab.taken(input_hash)

    def test_error_while_waiting_launches(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(step_handler, "take_turn", _raising(RuntimeError("nobody thought of this")))
        run = lab.run("first", "slow")
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert "launching without waiting for others: RuntimeError('nobody thought of this')" in lab.messages(run)

    def test_logging_is_not_configured_while_a_step_waits(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        # Dagster configures Python's logging whenever it makes a log manager, under a lock that whoever logs needs too
        input_hash = lab.lease_of()
        lab.succeeds(*ALL, "slow")
        (result,) = Path(lab.url).glob(f"*/results/*/{input_hash}.json")
        aside = result.rename(result.with_suffix(".aside"))
        held = lab.taken(input_hash)
        configured: list[str] = []

        def get(instance: dg.DagsterInstance) -> Any:
            thread = threading.current_thread()
            if _waiting() and (thread is threading.main_thread() or thread.name in _waiting()):
                configured.append(thread.name)
            return get_handlers(instance)

        get_handlers = dg.DagsterInstance.get_handlers
        monkeypatch.setattr(dg.DagsterInstance, "get_handlers", get)
        replayed: list[str] = []

        def note(hits: Any, *rest: Any) -> Any:
            replayed.extend(hit.outputs.step_context.step.key for hit in hits)
            return replay.Replay(hits, *rest)

        monkeypatch.setattr(step_handler, "Replay", note)
        meanwhile = _meanwhile(
            lambda: _until(lambda: "last" in replayed, "last was not replayed while slow waited"),
            lambda: aside.rename(result),
            held.release,
        )
        assert lab.succeeds(*ALL, "slow", config={"middle": {"note": "again"}}) == ["middle"]
        meanwhile.join()
        assert replayed == ["last", "slow"]
        assert configured == []

    def test_hit_that_only_a_step_can_replay_is_launched_after_the_wait(self, lab: Lab) -> None:
        input_hash = lab.lease_of("checked")
        # a blocking check fails, whether the asset is computed or replayed: Dagster acts on that inside the step
        lab.run("first", "checked")
        (result,) = Path(lab.url).glob(f"*/results/*/{input_hash}.json")
        aside = result.rename(result.with_suffix(".aside"))
        held = lab.taken(input_hash)
        meanwhile = _meanwhile(lambda: _until(_waiting, "nobody waits"), lambda: aside.rename(result), held.release)
        run = lab.run("first", "checked")
        meanwhile.join()
        assert lab.handler.launched == ["checked"]
        assert "which stored the result" in lab.messages(run)
        assert "hit: computed by" in lab.messages(run)


class TestTermination:
    @pytest.fixture
    def interrupt(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Set to have the executor see a signal."""
        event = threading.Event()
        monkeypatch.setattr(ActiveExecution, "check_for_interrupts", lambda _: event.is_set())
        return event

    def test_waiting_step_is_stopped_without_a_launch(self, lab: Lab, interrupt: threading.Event) -> None:
        held = lab.taken(lab.lease_of())
        lab.handler.launched.clear()
        _meanwhile(lambda: _until(_waiting, "nobody waits"), interrupt.set)
        run = lab.run("first", "slow")
        assert run.status != dg.DagsterRunStatus.SUCCESS
        assert _waiting() == []
        held.release(failed=True)
        time.sleep(0.5)
        assert (lab.handler.launched, lab.handler.terminated) == ([], [])

    def test_step_that_is_being_launched_is_stopped_after_its_launch(
        self, lab: Lab, interrupt: threading.Event
    ) -> None:
        input_hash = lab.lease_of()
        lab.handler.lost = {"slow"}
        lab.handler.in_launch.clear()
        lab.handler.go_on.clear()
        _meanwhile(
            lambda: lab.handler.in_launch.wait(30),
            interrupt.set,
            lambda: time.sleep(0.5),
            lab.handler.go_on.set,
        )
        run = lab.run("first", "slow")
        assert run.status != dg.DagsterRunStatus.SUCCESS
        assert (lab.handler.launched, lab.handler.terminated) == (["slow"], ["slow"])
        lab.taken(input_hash)


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail
