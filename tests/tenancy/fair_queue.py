"""How long two teams' runs wait for each other: the real daemon and PostgreSQL, runs that take a given time."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, environment
from tests.postgres import throwaway_postgres
from tests.tenancy.company import TENANTS, Company, company

PLAIN = {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}


@dataclass(frozen=True)
class Waits:
    """Seconds from being queued to being started, of each of a team's runs."""

    seconds: list[float]

    @property
    def mean(self) -> float:
        return statistics.mean(self.seconds)

    @property
    def longest(self) -> float:
        return max(self.seconds)


@contextlib.contextmanager
def queue_of(*, places: int, run_seconds: float, fair: bool) -> Iterator[Company]:
    """A company on PostgreSQL with as many places as each team may have, without a daemon yet."""
    with throwaway_postgres() as url, tempfile.TemporaryDirectory(prefix="queue-") as folder:
        settings: dict[str, Any] = {
            "storage": {"postgres": {"postgres_url": url}},
            "run_launcher": {
                "module": "tests.tenancy.timed_launcher",
                "class": "TimedRunLauncher",
                "config": {"seconds": run_seconds},
            },
        }
        config: dict[str, Any] = {"dequeue_interval_seconds": 1}
        if not fair:
            settings["run_coordinator"] = PLAIN | {"config": config | {"max_concurrent_runs": places}}
        with company(Path(folder), config, settings) as firm:
            text = TENANTS.replace("max_concurrent_runs: 4", f"max_concurrent_runs: {places}")
            firm.file.write_text(text.replace("{runs: 3}", f"{{runs: {places}}}"))
            firm.instance.optimize_for_webserver(60_000, 3600, 10)  # keeps its connections, as the webserver does
            yield firm


@contextlib.contextmanager
def daemon(firm: Company) -> Iterator[Programs]:
    """Dagster's daemon, as a process."""
    programs = Programs(firm.home)
    (firm.home / "workspace.yaml").write_text("load_from: []\n")
    variables = environment(DAGSTER_HOME=str(firm.home), PYTHONPATH=str(ROOT))
    with programs.running("daemon", ["dagster-daemon", "run", "-w", "workspace.yaml"], variables):
        yield programs


def submit(firm: Company, location: str, count: int) -> list[str]:
    """Queue runs of a team."""
    user = {"a": "ana", "b": "bob"}[location]
    runs = [firm.create(location) for _ in range(count)]
    for run in runs:
        firm.submit(run, firm.by(user))
    return runs


def waits_of_b(*, a: int, b: int, places: int, run_seconds: float, fair: bool) -> Waits:
    """How long B's runs wait that are queued while A's are at work."""
    with queue_of(places=places, run_seconds=run_seconds, fair=fair) as firm:
        theirs = submit(firm, "a", a) if a else []
        with daemon(firm) as programs:
            if theirs:
                programs.wait("A's first runs", lambda: _started(firm, theirs[places - 1]))
            else:
                first = submit(firm, "b", 1)  # the daemon is up when this one has ended
                programs.wait("the daemon", lambda: firm.run(first[0]).status is dg.DagsterRunStatus.SUCCESS)
            mine = submit(firm, "b", b)
            seconds = 60 + (a + b) * run_seconds / places * 5
            programs.wait("B's last run", lambda: all(_started(firm, run) for run in mine), seconds)
        return Waits([_wait(firm, run) for run in mine])


def _started(firm: Company, run: str) -> bool:
    return firm.run(run).status not in {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}


def _wait(firm: Company, run: str) -> float:
    stats: Any = firm.instance.get_run_stats(run)
    return float(stats.launch_time - stats.enqueued_time)


def submit_seconds(firm: Company, count: int) -> float:
    """Median seconds of submitting one run."""
    runs = [firm.create("a") for _ in range(count)]
    took = []
    for run in runs:
        begun = time.perf_counter()
        firm.submit(run, firm.by("ana"))
        took.append(time.perf_counter() - begun)
    return statistics.median(took)
