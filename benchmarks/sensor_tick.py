"""A tick of a rollback sensor with 10,000 earlier events in the log, against one with an empty log.

Two Dagster instances on SQLite, each with a store, a channel and the same sensor; one has earlier materializations of
the asset whose metric is watched, evaluations of the check, failed runs, and entries of the channel. Ticks of both take
turns in one process: those that find nothing new, those that find one new event, and first ones, without a cursor.

Usage: python benchmarks/sensor_tick.py [--events 10000] [--rounds 40]
"""

import argparse
import contextlib
import datetime as dt
import gc
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEvent, JobFailureData, RunFailureReason
from dagster._core.events.log import EventLogEntry

from mlrepro import (
    CheckFailed,
    DownstreamFailed,
    InputHashIOManager,
    Metric,
    ReproStore,
    Stale,
    channel,
    ml_asset,
    ml_definitions,
    rollback_sensor,
)
from mlrepro.catalog.channels import ChannelName
from mlrepro.catalog.history import append_version
from mlrepro.catalog.moving import Mover, promote
from mlrepro.store import open_store

NAME = ChannelName(("churn_model",), "production")
LIVE = Metric("live_quality", "auc")


@ml_asset
def churn_model() -> dict[str, float]:
    return {"slope": 1.0}


@dg.asset
def live_quality() -> None: ...


@dg.asset_check(asset=live_quality)
def in_range() -> None: ...


production = channel("production", churn_model)


@dg.asset(deps=[production])
def predictions() -> None: ...


watchdog = rollback_sensor(
    production,
    [
        LIVE < 0.75,
        LIVE.dropped_by(0.5, median_of=5),
        (LIVE < 0.8).in_windows(3, of=5),
        CheckFailed(live_quality, "in_range"),
        DownstreamFailed(),
        Stale(live_quality, dt.timedelta(days=1)),
    ],
)


class Place:
    """An instance with a store, and how long its ticks take."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.manager = InputHashIOManager(store=ReproStore(url=str(folder / "store")))
        self.store = open_store(str(folder / "store"))
        self.repository = ml_definitions(
            assets=[churn_model, production, predictions, live_quality],
            asset_checks=[in_range],
            resources={"io_manager": self.manager},
            sensors=[watchdog],
        ).get_repository_def()
        self.cursor: str | None = None
        self.times: dict[str, list[float]] = {"nothing new": [], "one new event": [], "no cursor": []}

    def report(self, auc: float = 0.9) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization("live_quality", metadata={"auc": auc}))

    def check(self) -> None:
        evaluation = dg.AssetCheckEvaluation(asset_key=live_quality.key, check_name="in_range", passed=True)
        self.instance.report_runless_asset_event(evaluation)

    def fail(self) -> None:
        run = self.instance.create_run_for_job(self.repository.get_implicit_global_asset_job_def())
        event = DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_FAILURE.value,
            job_name=run.job_name,
            event_specific_data=JobFailureData(error=None, failure_reason=RunFailureReason.UNKNOWN),
        )
        self.instance.event_log_storage.store_event(
            EventLogEntry(None, logging.ERROR, "", run.run_id, time.time(), None, run.job_name, event)
        )

    def promote(self, content: int) -> None:
        stored = self.store.write_value(content)
        facts = {"data_version": stored.content_hash, "input_hash": None}
        version, _ = append_version(self.store, NAME.asset, None, stored, facts)
        promote(self.store, NAME, version, Mover("anna"))

    def tick(self, kind: str) -> None:
        if kind == "one new event":
            self.report()
        cursor = None if kind == "no cursor" else self.cursor
        gc.collect()
        started = time.perf_counter()
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            repository_def=self.repository,
            resources={"io_manager": self.manager},
        ) as context:
            result = watchdog.evaluate_tick(context)
        self.times[kind].append(time.perf_counter() - started)
        assert not result.run_requests, result.run_requests
        self.cursor = result.cursor


@contextlib.contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name:
        folder = Path(name)
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield Place(folder, instance)


def fill(one: Place, events: int) -> None:
    """Give a place a past: of a hundred events, 89 are evaluations, ten are checks, and one is a failed run."""
    for number in range(events):
        if number % 10 == 8:
            one.check()
        elif number % 100 == 9:
            one.fail()
        else:
            one.report()
    for content in range(20):
        one.promote(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    with place() as empty, place() as full:
        started = time.perf_counter()
        fill(full, arguments.events)
        print(f"{arguments.events} earlier events written in {time.perf_counter() - started:.0f} s", flush=True)
        empty.promote(0)
        for one in (empty, full):
            one.promote(100)  # what is judged begins here
            for _ in range(8):
                one.report()
            one.check()
            for _ in range(3):
                one.tick("nothing new")  # pays for imports
            one.times["nothing new"].clear()
        for number in range(arguments.rounds):
            for kind in empty.times:
                for one in (empty, full) if number % 2 else (full, empty):
                    one.tick(kind)
        for kind in empty.times:
            ratios = [ours / theirs for ours, theirs in zip(full.times[kind], empty.times[kind], strict=True)]
            print(
                f"tick, {kind:13}  empty log {statistics.median(empty.times[kind]) * 1000:6.1f} ms"
                f"  {arguments.events} earlier events {statistics.median(full.times[kind]) * 1000:6.1f} ms"
                f"  ratio {statistics.median(ratios):.2f}"
            )


if __name__ == "__main__":
    main()
