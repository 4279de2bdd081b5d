"""Whose runs Dagster's own queue daemon starts next."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, RunsFilter
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from mlrepro.errors import TenantsError
from mlrepro.tenancy.coordinator import DAEMON_THREAD
from tests.tenancy.company import Company, company

LAUNCHER = {"run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}}


class Line:
    """The queue of a company, and the daemon that serves it."""

    def __init__(self, firm: Company) -> None:
        self.firm = firm
        self.daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)

    def queue(self, location: str, count: int = 1, job: str = "plain", **tags: str) -> list[str]:
        user = {"a": "ana", "b": "bob", "c": "root"}[location]
        tags = {f"dagster/{name}": value for name, value in tags.items()}
        runs = [self.firm.create(location, tags, job) for _ in range(count)]
        for run in runs:
            self.firm.submit(run, self.firm.by(user))
        return runs

    def round(self) -> list[str]:
        """The runs that the daemon starts in one round, in its order."""
        before, error = set(self.running()), []

        def iterate() -> None:
            try:
                list(self.daemon.run_iteration(self.firm.process))
            except Exception as raised:
                error.append(raised)

        thread = threading.Thread(target=iterate, name=DAEMON_THREAD)
        thread.start()
        thread.join()
        if error:
            raise error[0]
        return [run for run in self.running() if run not in before]

    def running(self) -> list[str]:
        records = self.firm.instance.get_run_records(RunsFilter(statuses=ACTIVE_RUN_STATUSES), ascending=True)
        return [record.dagster_run.run_id for record in records]

    def end(self, *runs: str) -> None:
        for run in runs:
            self.firm.instance.report_run_failed(self.firm.run(run))

    def tenants(self, runs: list[str]) -> Counter[str]:
        return Counter(self.firm.run(run).tags["mlrepro/tenant"] for run in runs)

    def shown(self) -> dict[str, int]:
        """The limits as everybody sees them."""
        config = self.firm.instance.get_concurrency_config().run_queue_config
        assert config is not None
        return {limit.get("value", "*"): limit["limit"] for limit in config.tag_concurrency_limits}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with company(tmp_path, settings=LAUNCHER) as firm:  # four places, three for each tenant
        yield Line(firm)


def test_a_long_queue_keeps_nobody_else_waiting(line: Line) -> None:
    line.queue("a", 12)
    first = line.round()
    assert line.tenants(first) == {"a": 3}, "a tenant alone has what its limit allows"
    line.queue("b", 3)
    assert line.tenants(line.round()) == {"b": 1}, "the place that is left"
    line.end(*first[:2])
    assert line.tenants(line.round()) == {"b": 1, "a": 1}, "two each from then on"


def test_a_round_has_one_answer_however_often_dagster_asks(line: Line) -> None:
    # it asks again for each page of the queue, and a second answer would count as a round in which nobody started
    first = line.queue("a", 4)
    line.round()
    line.queue("b", 3)
    answers: list[dict[str, int]] = []

    def ask() -> None:
        answers.append(line.shown())
        line.end(first[0])
        answers.append(line.shown())
        assert not line.firm.instance.run_coordinator.dequeue_use_threads
        answers.append(line.shown())

    thread = threading.Thread(target=ask, name=DAEMON_THREAD)
    thread.start()
    thread.join()
    assert answers == [{"a": 3, "b": 1}, {"a": 3, "b": 1}, {"a": 2, "b": 2}]


def test_within_a_tenant_by_priority_then_by_age_and_nobody_passes(line: Line) -> None:
    low, first, second, high = (
        *line.queue("a", priority="-3"), *line.queue("a", 2), *line.queue("a", priority="10"),
    )  # fmt: skip
    assert set(line.round()) == {high, first, second}
    late = line.queue("a")
    line.end(high)
    assert line.round() == late, "before what said that it can wait"
    line.end(first)
    assert line.round() == [low]


def test_a_high_priority_does_not_pass_other_tenants(line: Line) -> None:
    line.queue("b", 6)
    line.queue("a", 6, priority="10")
    assert line.tenants(line.round()) == {"a": 2, "b": 2}


def test_admins_runs_of_nobodys_locations_have_a_share_too(line: Line) -> None:
    line.queue("c", 9)
    line.queue("a", 3)
    assert line.tenants(line.round()) == {"-": 2, "a": 2}


def test_limits_change_with_the_file(line: Line) -> None:
    line.queue("a", 9)
    assert len(line.round()) == 3
    text = line.firm.file.read_text()
    line.firm.file.write_text(text.replace("limits: {runs: 3}", "limits: {runs: 4}"))
    assert line.shown() == {"a": 4, "b": 4}
    assert len(line.round()) == 1
    line.firm.file.write_text(
        text.replace("max_concurrent_runs: 4", "max_concurrent_runs: 8").replace("runs: 3", "runs: 6")
    )
    assert len(line.round()) == 2


def test_only_the_daemon_sees_shares(line: Line) -> None:
    line.queue("a", 2)
    line.round()
    assert line.shown() == {"a": 3, "b": 3}


def test_a_file_that_is_gone_from_the_start_starts_nothing(tmp_path: Path) -> None:
    with company(tmp_path, settings=LAUNCHER) as firm:
        firm.file.unlink()
        with pytest.raises(TenantsError, match="can't be read"):
            Line(firm).round()


def test_limits_in_dagster_yaml_that_would_replace_the_tenants_start_nothing(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"concurrency": {"runs": {"tag_concurrency_limits": []}}}
    with company(tmp_path, settings=LAUNCHER | wrong) as firm, pytest.raises(TenantsError, match="would replace"):
        Line(firm).round()


def test_limits_of_other_tags_stay(tmp_path: Path) -> None:
    limits = {"tag_concurrency_limits": [{"key": "gpu", "limit": 1}]}
    with company(tmp_path, limits, LAUNCHER) as firm:
        line = Line(firm)
        assert line.shown() == {"a": 3, "b": 3, "*": 1}
        runs = [firm.create("a", {"gpu": "1"}) for _ in range(3)]
        for run in runs:
            firm.submit(run, firm.by("ana"))
        assert line.round() == runs[:1]


@pytest.mark.parametrize("where", ["coordinator", "concurrency"])
def test_how_many_run_at_once_may_be_said_in_dagster_yaml(where: str, tmp_path: Path) -> None:
    config = {"max_concurrent_runs": 2} if where == "coordinator" else {}
    settings = {"concurrency": {"runs": {"max_concurrent_runs": 2}}} if where == "concurrency" else {}
    with company(tmp_path, config, LAUNCHER | settings) as firm:
        line = Line(firm)
        line.queue("a", 5)
        line.queue("b", 5)
        assert line.tenants(line.round()) == {"a": 1, "b": 1}


def test_without_a_limit_of_all_each_has_its_own(tmp_path: Path) -> None:
    with company(tmp_path, {"max_concurrent_runs": -1}, LAUNCHER) as firm:
        line = Line(firm)
        line.queue("a", 5)
        line.queue("b", 5)
        assert line.tenants(line.round()) == {"a": 3, "b": 3}


def test_runs_that_wait_for_a_pool_keep_nobody_from_the_places(line: Line) -> None:
    line.firm.instance.event_log_storage.set_concurrency_slots("narrow", 0)
    line.queue("a", 2, job="pooled")
    free = line.queue("a", 1)
    line.queue("b", 5)
    assert line.tenants(line.round()) == {"b": 2}, "two places are kept for a, whose runs can't start"
    assert line.round() == []
    found = line.round()
    assert line.tenants(found) == {"a": 1, "b": 1}, "both are taken: a does not need more, b is at its limit"
    assert set(free) < set(found), "and what stands behind those that can't start does"


def test_what_the_thread_is_called() -> None:
    assert f"dagster-daemon-{QueuedRunCoordinatorDaemon.daemon_type()}" == DAEMON_THREAD


def test_a_run_that_was_written_past_the_coordinator_starts_as_the_docs_warn(line: Line) -> None:
    # docs/tenants.md, "Shared or isolated": when this is no longer so, the page can say so
    run = line.firm.run(line.firm.create("a", {"dagster/user": "root"}))
    line.firm.instance.report_dagster_event(dg.DagsterEvent.job_enqueue(run), run_id=run.run_id)
    assert line.round() == [run.run_id]
    assert "mlrepro/tenant" not in line.firm.run(run.run_id).tags
