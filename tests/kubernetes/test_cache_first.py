"""`cache_first(k8s_job_executor)` on any cluster: which Jobs a run makes, and which it does not."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType

from tests.kubernetes.deployment import STEP, Deployment, until
from tests.kubernetes.slow import LEASE, tell

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

CACHED = "tests.kubernetes.cached"
FILL = "tests.kubernetes.cached_in_one_pod"
SLOW = "tests.kubernetes.slow"
GRAPH = ("base", "left", "right", "joined", "report", "other", "after_other")
AT_WORK = "the slow step is at work"
HEALTH_CHECK = 20.0
"""Seconds after which Dagster asks for the first time how its steps are."""


@pytest.fixture
def filled(deployment: Deployment) -> Deployment:
    """A deployment whose store holds the results of the graph."""
    _succeeds(deployment, deployment.launch(FILL, select=GRAPH))
    return deployment


def _succeeds(deployment: Deployment, run_id: str) -> str:
    run = deployment.wait(run_id)
    assert run.status == dg.DagsterRunStatus.SUCCESS, deployment.log(run_id)
    return run_id


def _fails(deployment: Deployment, run_id: str) -> str:
    run = deployment.wait(run_id)
    assert run.status == dg.DagsterRunStatus.FAILURE, deployment.log(run_id)
    return run_id


def _jobs(deployment: Deployment, run_id: str) -> dict[str, int]:
    """How many Jobs a run has made for each step. Jobs of runs that ended are still there."""
    found = deployment.cluster.jobs(f"dagster/run-id={run_id},{STEP}")
    return dict(Counter(job.metadata.labels["dagster/op"] for job in found))


def _config(**assets: dict[str, Any]) -> dict[str, Any]:
    return {"ops": {name: {"config": config} for name, config in assets.items()}}


def _materialized(deployment: Deployment, run_id: str) -> dict[str, dg.AssetMaterialization]:
    found = [
        entry.asset_materialization for entry in deployment.instance.all_logs(run_id) if entry.asset_materialization
    ]
    by_name = {each.asset_key.to_user_string(): each for each in found}
    assert len(by_name) == len(found), "an asset was materialized twice"
    return by_name


def _cache(deployment: Deployment, run_id: str) -> dict[str, Any]:
    """``hit`` or ``computed`` for each asset that a run materialized."""
    found = _materialized(deployment, run_id)
    return {name: materialization.metadata["mlrepro/cache"].value for name, materialization in found.items()}


def _events(deployment: Deployment, run_id: str, kind: DagsterEventType) -> list[str | None]:
    """The steps of a run's events of a kind, in their order."""
    return [entry.step_key for entry in deployment.instance.all_logs(run_id, of_type=kind)]


def _hits(deployment: Deployment, run_id: str) -> set[str]:
    return {name for name, cache in _cache(deployment, run_id).items() if cache == "hit"}


class TestWhichJobsAreMade:
    def test_first_run_makes_a_job_a_step_and_the_second_none(self, deployment: Deployment) -> None:
        select = ["base", "right", "other"]
        first = _succeeds(deployment, deployment.launch(CACHED, select=select))
        assert _jobs(deployment, first) == {"base": 1, "right": 1, "other": 1}
        second = _succeeds(deployment, deployment.launch(CACHED, select=select))
        assert _jobs(deployment, second) == {}
        assert len(deployment.run_jobs(second)) == 1
        assert _hits(deployment, second) == set(select)
        assert "3 of 3 steps are known and need not run" in deployment.log(second)
        before, after = _materialized(deployment, first), _materialized(deployment, second)
        for name in select:
            for tag in ("dagster/data_version", "dagster/code_version"):
                assert after[name].tags[tag] == before[name].tags[tag], (name, tag)
        # provenance: which materialization of base was read, and that it was this run's own
        assert after["right"].tags["dagster/input_data_version/base"] == after["base"].tags["dagster/data_version"]
        (record,) = deployment.instance.fetch_materializations(dg.AssetKey("base"), limit=1).records
        assert record.run_id == second
        assert after["right"].tags["dagster/input_event_pointer/base"] == str(record.storage_id)
        for kind in (DagsterEventType.STEP_START, DagsterEventType.STEP_OUTPUT, DagsterEventType.STEP_SUCCESS):
            assert sorted(map(str, _events(deployment, second, kind))) == sorted(select), kind
        if deployment.cluster.double:
            created = [job for job in deployment.cluster.double.created if second in job.labels.values()]
            assert len(created) == 1  # none was made and deleted again

    @pytest.mark.parametrize(
        ("config", "tags", "computed"),
        [
            pytest.param(
                _config(right={"factor": 4}), {}, ["right", "joined", "report"], id="diamond: the output is another"
            ),
            pytest.param(
                _config(right={"note": "again"}, other={"note": "again"}),
                {},
                ["right", "other"],
                id="diamond and another branch: the outputs are the same",
            ),
            pytest.param(
                _config(left={"note": "again"}),
                {"mlrepro/refresh": "right"},
                ["left", "right"],
                id="diamond: both sides, one of them refreshed",
            ),
        ],
    )
    def test_a_miss_makes_the_jobs_that_it_must(
        self, filled: Deployment, config: dict[str, Any], tags: dict[str, str], computed: list[str]
    ) -> None:
        run_id = _succeeds(filled, filled.launch(CACHED, select=GRAPH, run_config=config, tags=tags))
        assert _jobs(filled, run_id) == dict.fromkeys(computed, 1)
        assert _hits(filled, run_id) == set(GRAPH) - set(computed)
        assert sorted(map(str, _events(filled, run_id, DagsterEventType.STEP_SUCCESS))) == sorted(GRAPH)
        # what was replayed after something had run names what had run
        now = _materialized(filled, run_id)
        for name, parents in {"joined": ["left", "right"], "report": ["joined"], "after_other": ["other"]}.items():
            for parent in parents:
                (newest,) = filled.instance.fetch_materializations(dg.AssetKey(parent), limit=1).records
                assert now[name].tags[f"dagster/input_event_pointer/{parent}"] == str(newest.storage_id)


class TestFailure:
    def test_a_step_is_retried_next_to_replayed_ones(self, filled: Deployment) -> None:
        select = ["base", "flaky", "after_flaky", "other"]
        run_id = _succeeds(filled, filled.launch(CACHED, select=select))
        assert _jobs(filled, run_id) == {"flaky": 2, "after_flaky": 1}
        assert _hits(filled, run_id) == {"base", "other"}
        assert _events(filled, run_id, DagsterEventType.STEP_UP_FOR_RETRY) == ["flaky"]
        assert _events(filled, run_id, DagsterEventType.STEP_RESTARTED) == ["flaky"]
        assert _events(filled, run_id, DagsterEventType.STEP_FAILURE) == []

    def test_a_failed_run_fails_and_is_executed_again_from_its_failure(self, filled: Deployment) -> None:
        select = ["base", "fails_at_first", "after_failure", "other"]
        first = _fails(filled, filled.launch(CACHED, select=select))
        assert _jobs(filled, first) == {"fails_at_first": 1}
        assert _hits(filled, first) == {"base", "other"}
        assert "fails unless it is executed again" in filled.log(first)
        second = _succeeds(filled, filled.launch(CACHED, again=first))
        assert _jobs(filled, second) == {"fails_at_first": 1, "after_failure": 1}
        assert set(_materialized(filled, second)) == {"fails_at_first", "after_failure"}

    def test_a_store_out_of_the_run_workers_reach_launches_all_steps(self, deployment: Deployment) -> None:
        select = ["base", "right"]
        run_id = _succeeds(deployment, deployment.launch("tests.kubernetes.store_out_of_reach", select=select))
        assert _jobs(deployment, run_id) == {"base": 1, "right": 1}
        assert _cache(deployment, run_id) == {"base": "computed", "right": "computed"}  # the steps reach it


class Slow:
    """Runs of the slow asset."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def holder(self, *select: str) -> str:
        """Launch a run, and return when its step computes."""
        run_id = self.launch("ana", select or ["slow"])
        self.deployment.wait_for_message(run_id, AT_WORK)
        return run_id

    def waiter(self, holder: str, *, select: Sequence[str] = ("slow", "after_slow")) -> str:
        """Launch a run, and return when it waits for the one that computes."""
        run_id = self.launch("ben", select)
        whom = f"slow: waiting for step slow of run {holder} by ana in code location team-a, which computes the same"
        self.deployment.wait_for_message(run_id, whom)
        return run_id

    def launch(self, user: str, select: Sequence[str]) -> str:
        return self.deployment.launch(SLOW, select=select, tags={"user": user}, code_location="team-a")

    def tell(self, run_id: str, what: str = "go") -> None:
        tell(self.deployment.store, run_id, what)

    def kill_step(self, run_id: str) -> None:
        """Kill a run's slow step, with no time to say goodbye."""
        self._kill(self.deployment.step_jobs(run_id)["slow"].metadata.name)

    def kill_worker(self, run_id: str) -> None:
        """Kill a run's worker in the same way."""
        (job,) = self.deployment.run_jobs(run_id)
        self._kill(job.metadata.name)

    def _kill(self, job: str) -> None:
        cluster = self.deployment.cluster
        for pod in cluster.pods_of(job):
            cluster.core.delete_namespaced_pod(pod.metadata.name, cluster.namespace, grace_period_seconds=0)
        until(lambda: not cluster.pods_of(job), timeout=60, what="the Pod to be gone")


@pytest.fixture
def slow(deployment: Deployment) -> Iterator[Slow]:
    """The slow asset, which nobody has computed."""
    yield Slow(deployment)
    for run_id in deployment.launched:
        tell(deployment.store, run_id, "raise")


class TestSingleFlight:
    """`Cache(serialize=True)`."""

    def test_lease_held_the_waiting_run_makes_no_pod_and_goes_on_with_others(self, slow: Slow) -> None:
        deployment = slow.deployment
        first = slow.holder()
        second = slow.waiter(first, select=("slow", "after_slow", "other"))
        waits_since = time.monotonic()
        # an independent step of the waiting run is not held up
        until(
            lambda: "other" in _events(deployment, second, DagsterEventType.STEP_SUCCESS),
            timeout=60,
            what="the other step",
        )
        # nor is the one that waits taken for dead
        time.sleep(max(0.0, HEALTH_CHECK + 3 - (time.monotonic() - waits_since)))
        assert deployment.look(second).status == dg.DagsterRunStatus.STARTED
        assert _jobs(deployment, second) == {"other": 1}
        slow.tell(first)
        _succeeds(deployment, first)
        _succeeds(deployment, second)
        assert _jobs(deployment, first) == {"slow": 1}
        assert _jobs(deployment, second) == {"other": 1, "after_slow": 1}
        assert _cache(deployment, second)["slow"] == "hit"
        assert f"for step slow of run {first} by ana in code location team-a, which stored" in deployment.log(second)
        assert "health check" not in deployment.log(second)

    def test_holder_killed_after_the_lease_another_computes(self, slow: Slow) -> None:
        deployment = slow.deployment
        first = slow.holder()
        second = slow.waiter(first, select=["slow"])
        killed = time.monotonic()
        slow.kill_step(first)
        deployment.wait_for_message(second, "ended without a result: computing instead of it", timeout=60)
        assert time.monotonic() - killed > LEASE / 3
        deployment.wait_for_message(second, AT_WORK)
        slow.tell(second)
        _succeeds(deployment, second)
        assert _jobs(deployment, second) == {"slow": 1}
        assert _cache(deployment, second) == {"slow": "computed"}

    def test_holder_failed_another_computes_at_once(self, slow: Slow) -> None:
        deployment = slow.deployment
        first = slow.holder()
        second = slow.waiter(first, select=["slow"])
        slow.tell(first, "raise")
        slow.tell(second)
        deployment.wait_for_message(
            second, f"step slow of run {first} by ana in code location team-a ended without a result", timeout=30
        )
        _succeeds(deployment, second)
        _fails(deployment, first)
        assert _jobs(deployment, first) == {"slow": 1}
        assert _jobs(deployment, second) == {"slow": 1}

    def test_waiting_run_is_terminated(self, slow: Slow) -> None:
        deployment = slow.deployment
        first = slow.holder()
        second = slow.waiter(first)
        assert deployment.terminate(second)
        assert deployment.wait(second).status == dg.DagsterRunStatus.CANCELED
        until(lambda: not deployment.run_jobs(second), timeout=60, what="the waiting run's Job to be gone")
        assert _jobs(deployment, second) == {}
        assert deployment.look(first).status == dg.DagsterRunStatus.STARTED
        slow.tell(first)
        _succeeds(deployment, first)
        if deployment.cluster.double:
            created = [job for job in deployment.cluster.double.created if second in job.labels.values()]
            assert len(created) == 1  # the run's own


class TestResume:
    """A run worker that dies is resumed, as Dagster's run monitoring does it."""

    @pytest.fixture
    def instance_settings(self) -> dict[str, Any]:
        return {"run_monitoring": {"enabled": True, "max_resume_run_attempts": 2}}

    def test_nothing_is_replayed_twice_and_no_step_launched_twice(self, slow: Slow) -> None:
        deployment = slow.deployment
        _succeeds(deployment, deployment.launch(FILL, select=["other"]))
        first = slow.holder("other", "slow")
        second = slow.waiter(first, select=["other", "slow"])
        for run_id in (first, second):
            slow.kill_worker(run_id)
            deployment.instance.resume_run(run_id, None, 1)  # type: ignore[arg-type]  # as `launch_run`
            deployment.wait_for_message(run_id, "Resuming execution from failure")
        until(
            lambda: sum("slow: waiting for step slow" in message for message in deployment.messages(second)) == 2,
            timeout=60,
            what="the resumed run to wait again",
        )
        slow.tell(first)
        for run_id in (first, second):
            _succeeds(deployment, run_id)
            assert sorted(map(str, _events(deployment, run_id, DagsterEventType.STEP_SUCCESS))) == ["other", "slow"]
        assert _cache(deployment, first) == {"other": "hit", "slow": "computed"}
        assert _cache(deployment, second) == {"other": "hit", "slow": "hit"}
        assert _jobs(deployment, first) == {"slow": 1}
        assert _jobs(deployment, second) == {}
