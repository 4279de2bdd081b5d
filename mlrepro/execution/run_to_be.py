"""A run that nobody starts: all that its steps would have before them, and nothing of it written anywhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.execution.context.system import PlanData
from dagster._core.execution.execute_in_process import merge_run_tags
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.log_manager import DagsterLogManager
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._core.utils import make_new_run_id

from mlrepro.errors import AssetDefinitionError, MlreproError
from mlrepro.execution.before_launch import StepsBeforeLaunch, steps_before_launch
from mlrepro.execution.loading import one_line


@contextmanager
def steps_of_run(
    assets: dg.JobDefinition,
    keys: frozenset[dg.AssetKey],
    *,
    partition: str | None,
    config: Mapping[str, Any] | None,
    tags: Mapping[str, str] | None,
    instance: dg.DagsterInstance | None,
) -> Iterator[StepsBeforeLaunch]:
    """Set up the steps of a run that would materialize some assets.

    Args:
        assets: The code location's job of all assets.
        keys: Those that would be materialized.
        partition: Partition key, where some of them are partitioned.
        config: Run config.
        tags: Tags of the run.
        instance: Whose event log tells the versions of inputs. Default: DAGSTER_HOME's, else an empty one.

    Raises:
        AssetDefinitionError: If Dagster would not make such a run: a partition is missing or unknown, the config
            does not fit.
    """
    with _instance(instance) as where:
        job = _job(assets, keys)
        _check_partition(job, keys, partition, where)
        try:
            if not config and partition is not None:
                config = job.get_run_config_for_partition_key(partition)
            run_tags = merge_run_tags(job, partition, tags, sorted(keys), where, config)
            resolved = ResolvedRunConfig.build(job, config)
            plan = ExecutionPlan.build(job, resolved, tags=run_tags)
        except MlreproError:
            raise
        except dg.DagsterError as error:
            raise AssetDefinitionError(f"Dagster would refuse the run: {_told(error)}") from error
        run = DagsterRun(
            job_name=job.name,
            run_id=make_new_run_id(),
            run_config=dict(config or {}),
            tags=dict(run_tags),
            asset_selection=keys,
        )
        plan_data = PlanData(job=InMemoryJob(job), dagster_run=run, instance=where, execution_plan=plan)
        # a log manager without the instance's handlers: they would write to its event log
        with steps_before_launch(plan_data, DagsterLogManager.create(loggers=[]), resolved) as steps:
            yield steps


@contextmanager
def _instance(instance: dg.DagsterInstance | None) -> Iterator[dg.DagsterInstance]:
    if instance is not None:
        yield instance
        return
    try:
        found = dg.DagsterInstance.get() if is_dagster_home_set() else dg.DagsterInstance.ephemeral()
    except Exception as error:  # YAML that is none, a database that is down: each raises something of its own
        raise AssetDefinitionError(f"Dagster's instance can't be opened: {one_line(error)}") from error
    with found as opened:
        yield opened


def _job(job: dg.JobDefinition, keys: frozenset[dg.AssetKey]) -> dg.JobDefinition:
    if keys == job.asset_layer.selected_asset_keys:
        return job  # making a subset of everything takes as long as making the job
    try:
        return job.get_subset(asset_selection=keys)
    except dg.DagsterError as error:
        raise AssetDefinitionError(f"Dagster can't select these assets alone: {_told(error)}") from error


def _check_partition(
    job: dg.JobDefinition, keys: frozenset[dg.AssetKey], partition: str | None, instance: dg.DagsterInstance
) -> None:
    definitions = {key.to_user_string(): job.asset_layer.get(key).partitions_def for key in sorted(keys)}
    partitioned = {name: found for name, found in definitions.items() if found is not None}
    if partition is None:
        if partitioned:
            raise AssetDefinitionError(f"{next(iter(partitioned))} is partitioned: name the partition to compute")
        return
    if not partitioned:
        raise AssetDefinitionError(
            f"{next(iter(definitions))} has no partitions, so there is no {partition!r} to compute"
        )
    with partition_loading_context(dynamic_partitions_store=instance):
        for name, found in partitioned.items():
            if not found.has_partition_key(partition):
                raise AssetDefinitionError(f"{name} has no partition {partition!r}")


def _told(error: Exception) -> str:
    """Dagster's message, that of each wrong config field where there are some."""
    fields = [each.message for each in getattr(error, "errors", ()) if getattr(each, "message", None)]
    return one_line(ValueError("; ".join(fields))) if fields else one_line(error)
