"""Two laboratories: the same runs under a plain executor and under `cache_first`, and what Dagster tells of them."""

import asyncio
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_health.asset_check_health import AssetCheckHealthState
from dagster._core.definitions.asset_health.asset_materialization_health import AssetMaterializationHealthState
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import DagsterEventType
from dagster._core.execution.api import _reexecute_job, execute_run
from dagster._core.loader import LoadingContextForTest

from mlrepro import InputHashIOManager, ReproStore, cache_first
from mlrepro.store import Store, open_store
from tests.instances import dagster_home, open_instance

NOT_REPLAYED = {
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "RESOURCE_INIT_FAILURE",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_INPUT",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
}
"""Events of a step's process and of its function's arguments: a step that is replayed has neither."""

ITS_OWN = {
    "path",
    "mlrepro/because",
    "mlrepro/comparison",
    "mlrepro/computed_at",
    "mlrepro/computed_in_run",
    "mlrepro/pinned",
    "mlrepro/seconds",
    "mlrepro/seconds_saved",
    "mlrepro/when",
}
"""Metadata whose values differ from run to run; that they are there is compared."""

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass
class Ran:
    """What a run left in Dagster's event log."""

    instance: dg.DagsterInstance
    job: dg.JobDefinition
    run_id: str
    _places: dict[dg.AssetKey, dict[int, str]] = field(default_factory=dict)

    @property
    def run(self) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run

    @property
    def success(self) -> bool:
        return self.run.status == dg.DagsterRunStatus.SUCCESS

    @functools.cached_property
    def log(self) -> Sequence[dg.EventLogEntry]:
        return self.instance.all_logs(self.run_id)

    def events(self, kind: DagsterEventType) -> list[Any]:
        return [entry.dagster_event for entry in self.log if entry.dagster_event_type == kind]

    @property
    def cache(self) -> dict[str, str]:
        """``hit`` or ``computed`` for each asset that mlrepro materialized."""
        done = [event.materialization for event in self.events(DagsterEventType.ASSET_MATERIALIZATION)]
        return {
            each.asset_key.to_user_string(): str(each.metadata["mlrepro/cache"].value)
            for each in done
            if "mlrepro/cache" in each.metadata
        }

    def places(self, key: dg.AssetKey) -> dict[int, str]:
        """Number of each event of an asset, by its place in the log."""
        if key not in self._places:
            materialized = self.instance.fetch_materializations(key, limit=1000, ascending=True).records
            observed = self.instance.fetch_observations(key, limit=1000, ascending=True).records
            self._places[key] = {
                record.storage_id: f"{kind} {number}, partition {record.partition_key}"
                for kind, records in (("materialization", materialized), ("observation", observed))
                for number, record in enumerate(records, 1)
            }
        return self._places[key]

    @property
    def replayed(self) -> set[str]:
        """Steps that succeeded without running."""
        done = self.events(DagsterEventType.STEP_SUCCESS)
        return {event.step_key for event in done if "without running it" in event.message}

    @property
    def ran(self) -> set[str]:
        """Steps that were started."""
        started = self.events(DagsterEventType.STEP_START) + self.events(DagsterEventType.STEP_RESTARTED)
        return {event.step_key for event in started} - self.replayed

    @property
    def errors(self) -> str:
        told = [entry.dagster_event.event_specific_data for entry in self.log if entry.dagster_event]
        return "\n".join(str(error) for data in told if (error := getattr(data, "error", None)))


class Lab:
    """A Dagster instance with SQLite files, and a store, thrown away with the test."""

    def __init__(self, folder: Path, template: Path, executor: dg.ExecutorDefinition) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.home = dagster_home(folder / "home", template)
        self.url = str(folder / "store")
        self.executor = executor
        self.instance = open_instance(self.home)

    def store(self) -> Store:
        return open_store(self.url, options={"durable": "false"})

    def io_manager(self, url: str | None = None) -> InputHashIOManager:
        return InputHashIOManager(store=ReproStore(url=url or self.url, options={"durable": "false"}))

    def definitions(self, *assets: Any, **arguments: Any) -> dg.Definitions:
        resources = {"io_manager": self.io_manager(), **arguments.pop("resources", {})}
        files = {
            key: dg.FilesystemIOManager(base_dir=str(self.folder / key))
            for key, value in resources.items()
            if value is FILES
        }
        return dg.Definitions(
            assets=list(assets), resources={**resources, **files}, executor=self.executor, **arguments
        )

    def run(
        self,
        *assets: Any,
        job: str | None = None,
        select: Sequence[str] | None = None,
        partition: str | None = None,
        span: tuple[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        retry_of: Ran | None = None,
        **definitions: Any,
    ) -> Ran:
        """Run a job with its own executor, the one of all assets if none is named."""
        defs = self.definitions(*assets, **definitions)
        found = defs.resolve_job_def(job) if job else defs.resolve_implicit_global_asset_job_def()
        if retry_of is not None:
            options = dg.ReexecutionOptions.from_failure(retry_of.run_id, self.instance)
            again = _reexecute_job(found, retry_of.run.run_config, options, None, self.instance, False)
            return Ran(self.instance, found, again.run_id)
        span_tags = {RANGE_START: span[0], RANGE_END: span[1]} if span else {}
        chosen = frozenset(dg.AssetKey.from_user_string(key) for key in select) if select else None
        run = self.instance.create_run_for_job(
            found.get_subset(asset_selection=chosen) if chosen else found,
            run_config=config or {},
            tags={**(tags or {}), **span_tags, **({"dagster/partition": partition} if partition else {})},
            asset_selection=chosen,
        )
        execute_run(InMemoryJob(found), run, self.instance)
        return Ran(self.instance, found, run.run_id)


FILES = object()
"""Stands for Dagster's own IO manager for files, each lab with a folder of its own."""


class Both:
    """Runs everything in two labs, and compares what Dagster tells of both."""

    def __init__(self, plain: Lab, first: Lab) -> None:
        self.plain = plain
        self.first = first

    @property
    def labs(self) -> tuple[Lab, Lab]:
        return self.plain, self.first

    def run(self, *assets: Any, retry_of: "Pair | None" = None, **arguments: Any) -> "Pair":
        """Run in both labs; everything that Dagster tells of the runs has to be the same."""
        plain = self.plain.run(*assets, retry_of=retry_of.plain if retry_of else None, **arguments)
        first = self.first.run(*assets, retry_of=retry_of.first if retry_of else None, **arguments)
        self.compare(plain, first)
        return Pair(plain, first)

    @staticmethod
    def compare(plain: Ran, first: Ran) -> None:
        """Everything that Dagster tells of the two runs has to be the same."""
        assert not plain.replayed, "a plain executor replays nothing"
        assert told(first) == told(plain), f"{plain.errors}\n{first.errors}"

    def twice(self, *assets: Any, **arguments: Any) -> Ran:
        """Run in both labs, and again; return the second run under `cache_first`."""
        self.run(*assets, **arguments)
        return self.run(*assets, **arguments).first


@dataclass
class Pair:
    """One run in both labs."""

    plain: Ran
    first: Ran


@contextmanager
def two_labs(folder: Path, template: Path, executor: dg.ExecutorDefinition) -> Iterator[Both]:
    plain = Lab(folder / "plain", template, executor)
    first = Lab(folder / "first", template, cache_first(executor))
    with plain.instance, first.instance:
        yield Both(plain, first)


# --- what Dagster tells of a run


def told(ran: Ran) -> dict[str, Any]:
    """Everything that the UI, sensors and later runs learn of a run, ids and times left out."""
    keys = sorted(key for key in ran.job.asset_layer.asset_graph.get_all_asset_keys())
    return {
        "status": ran.run.status,
        "steps": _steps(ran),
        "step stats": _step_stats(ran),
        "run stats": _run_stats(ran),
        "materializations": [_materialization(ran, event) for event in _materializations(ran)],
        "checks": _checks(ran),
        "observations": {key.to_user_string(): _observations(ran, key) for key in keys},
        "assets": {key.to_user_string(): _asset(ran, key) for key in keys},
    }


def _steps(ran: Ran) -> dict[str, list[Any]]:
    steps: dict[str, list[Any]] = {}
    for entry in ran.log:
        event = entry.dagster_event
        if event is None or event.step_key is None or event.event_type_value in NOT_REPLAYED:
            continue
        happened: Any = event.event_type_value
        if event.is_successful_output:
            data = event.step_output_data
            happened = (
                happened,
                data.step_output_handle,
                data.type_check_data,
                _metadata(data.metadata),
            )
        steps.setdefault(event.step_key, []).append(happened)
    return steps


def _step_stats(ran: Ran) -> dict[str, Any]:
    return {
        each.step_key: (
            each.status,
            each.attempts,
            each.start_time is not None and each.end_time is not None and each.start_time <= each.end_time,
            len(each.materialization_events),
            [attempt.start_time is not None and attempt.end_time is not None for attempt in each.attempts_list],
        )
        for each in ran.instance.get_run_step_stats(ran.run_id)
    }


def _run_stats(ran: Ran) -> tuple[Any, ...]:
    stats: Any = ran.instance.get_run_stats(ran.run_id)
    return (
        stats.steps_succeeded,
        stats.steps_failed,
        stats.materializations,
        stats.expectations,
        stats.start_time is not None and stats.end_time is not None and stats.start_time <= stats.end_time,
    )


def _materializations(ran: Ran) -> list[dg.DagsterEvent]:
    events = ran.events(DagsterEventType.ASSET_MATERIALIZATION)
    return sorted(events, key=lambda event: (event.asset_key, str(event.partition)))


def _materialization(ran: Ran, event: dg.DagsterEvent) -> dict[str, Any]:
    materialization = event.step_materialization_data.materialization
    return {
        "asset": materialization.asset_key.to_user_string(),
        "partition": materialization.partition,
        "step": event.step_key,
        "tags": {name: _tag(ran, name, value) for name, value in sorted((materialization.tags or {}).items())},
        "metadata": _metadata(materialization.metadata),
        "description": materialization.description,
    }


def _tag(ran: Ran, name: str, value: str) -> Any:
    pointer = "dagster/input_event_pointer/"
    if value == ran.run_id:
        return "this run"
    if not name.startswith(pointer) or not value.isdigit():
        return value
    return _ordinal(ran, dg.AssetKey(name.removeprefix(pointer).split("/")), int(value))


def _ordinal(ran: Ran, key: dg.AssetKey, storage_id: int) -> str:
    """Which of an asset's events stands at a place in the log: ``materialization 2, partition a``."""
    return ran.places(key)[storage_id]


def _metadata(metadata: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Metadata in the order in which the UI shows it."""
    return [(name, type(value).__name__, "its own" if name in ITS_OWN else value) for name, value in metadata.items()]


def _checks(ran: Ran) -> list[Any]:
    evaluations = []
    for event in ran.events(DagsterEventType.ASSET_CHECK_EVALUATION):
        each = event.asset_check_evaluation_data
        target = each.target_materialization_data
        evaluations.append(
            (
                each.asset_key.to_user_string(),
                each.check_name,
                event.step_key,
                each.passed,
                each.severity,
                each.blocking,
                each.description,
                each.partition,
                _metadata(each.metadata),
                target and (target.run_id == ran.run_id, _ordinal(ran, each.asset_key, target.storage_id)),
            )
        )
    return sorted(evaluations, key=str)


def _observations(ran: Ran, key: dg.AssetKey) -> list[Any]:
    records = ran.instance.fetch_observations(key, limit=1000, ascending=True).records
    observed: list[Any] = [record.asset_observation for record in records]
    return [(each.partition, dict(each.tags), sorted(each.metadata)) for each in observed]


def _asset(ran: Ran, key: dg.AssetKey) -> dict[str, Any]:
    instance, graph = ran.instance, ran.job.asset_layer.asset_graph
    partitions_def = graph.get(key).partitions_def
    loading = LoadingContextForTest(instance)
    stale = CachingStaleStatusResolver(instance, graph, loading)
    (record,) = instance.get_asset_records([key]) or [None]
    newest = record.asset_entry.last_materialization_record if record else None
    partitions = instance.get_materialized_partitions(key) if partitions_def else set()
    storage = instance.event_log_storage
    checks = {check for check in graph.asset_check_keys if check.asset_key == key}
    health = asyncio.run(AssetMaterializationHealthState.compute_for_asset(key, partitions_def, loading))
    check_health = asyncio.run(AssetCheckHealthState.compute_for_asset_checks(checks, loading)) if checks else None
    return {
        "newest": newest and (newest.run_id == ran.run_id, _ordinal(ran, key, newest.storage_id)),
        "last run": record and record.asset_entry.last_run_id == ran.run_id,
        "tags to filter by": Counter(
            (name, value)
            for found in storage.get_event_tags_for_asset(key)
            for name, value in found.items()
            if not name.startswith("dagster/input_event_pointer/")
        ),
        "stale": {
            partition: (
                stale.get_status(key, partition),
                [cause.reason for cause in stale.get_stale_causes(key, partition)],
            )
            for partition in sorted(partitions)[:5] or ([None] if newest and not partitions_def else [])
        },
        "partitions": sorted(partitions),
        "never finished": sorted(
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        ),
        "health": (health.health_status, health.materialized_subset, health.failed_subset),
        "check health": check_health and check_health.health_status,
        "check state": _check_state(ran, checks),
    }


def _check_state(ran: Ran, checks: set[dg.AssetCheckKey]) -> dict[str, Any]:
    newest = ran.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks)) if checks else {}
    return {check.to_user_string(): (record.status, record.run_id == ran.run_id) for check, record in newest.items()}


def fresh(ran: Ran, *assets: str) -> bool:
    """Whether assets are neither stale nor missing in Dagster's eyes."""
    graph = ran.job.asset_layer.asset_graph
    resolver = CachingStaleStatusResolver(ran.instance, graph, LoadingContextForTest(ran.instance))
    return all(resolver.get_status(dg.AssetKey.from_user_string(name)) == StaleStatus.FRESH for name in assets)
