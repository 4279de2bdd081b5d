"""What stands downstream of a channel that moved, or of an asset that was pinned, comes after: from the cache."""

import importlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.job_base import IJob
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RemoteJobOrigin

from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.loading import definitions_in

CASCADE_TAG = "mlrepro/cascade_of"
"""Run tag of such a run: the channel or asset that moved."""

MOVED_TAG = "mlrepro/moved_in"
"""Run tag of such a run: the run that moved it, where one did."""


@dataclass(frozen=True)
class Cascade:
    """A run that materialized what stands downstream.

    Attributes:
        run_id: The run; None where nothing stands downstream.
        success: Whether it succeeded.
        replayed: How many assets came from the cache, or from what a channel serves.
        computed: Keys of the assets that had to be computed.
        seconds: How long the run took.
        left: Keys of assets downstream that have other partitions, and were left alone.
    """

    run_id: str | None
    success: bool
    replayed: int = 0
    computed: tuple[str, ...] = ()
    seconds: float = 0.0
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        left = f"; left alone, as they have other partitions: {', '.join(self.left)}" if self.left else ""
        if self.run_id is None:
            return f"nothing stands downstream{left}"
        done = "" if self.success else "FAILED, "
        which = f" ({', '.join(self.computed[:5])}{', ...' if len(self.computed) > 5 else ''})" if self.computed else ""
        return (
            f"downstream in run {self.run_id}: {done}{self.replayed} from the cache, {len(self.computed)} computed"
            f"{which}, {self.seconds:.1f} s{left}"
        )

    def to_json(self) -> dict[str, Any]:
        """The cascade as a JSON object."""
        return {
            "run_id": self.run_id,
            "success": self.success,
            "replayed": self.replayed,
            "computed": list(self.computed),
            "seconds": self.seconds,
            "left": list(self.left),
        }


@dataclass(frozen=True)
class CodeLocation:
    """The definitions whose assets a cascade materializes, and how a run of them is made.

    Attributes:
        job: The job of all assets: one that other processes can load, or one that lives in this process only.
        origin: Where Dagster's UI finds that job, or None.
    """

    job: IJob | dg.JobDefinition
    origin: RemoteJobOrigin | None = None

    @classmethod
    def of_step(cls, step_context: Any) -> "CodeLocation | None":
        """The code location that a step runs in; None for a run without one."""
        job: IJob = step_context.job
        if isinstance(job, ReconstructableJob):
            origin = step_context.dagster_run.remote_job_origin
            asked = origin.repository_origin.get_job_origin(IMPLICIT_ASSET_JOB_NAME) if origin else None
            repository = job.repository.get_definition()
            if not repository.has_job(IMPLICIT_ASSET_JOB_NAME):
                return None
            return cls(job.repository.get_reconstructable_job(IMPLICIT_ASSET_JOB_NAME), asked)
        repository = getattr(step_context, "_execution_data").repository_def  # noqa: B009 -- Dagster's own raises
        if repository is None or not repository.has_job(IMPLICIT_ASSET_JOB_NAME):
            return None
        return cls(repository.get_job(IMPLICIT_ASSET_JOB_NAME))

    @classmethod
    def of_definitions(cls, definitions: dg.Definitions | str) -> "CodeLocation":
        """The code location of a module, or of Definitions that are at hand.

        Raises:
            AssetDefinitionError: If the module has no Definitions.
        """
        found = definitions_in(definitions)
        if isinstance(definitions, str):
            names = [name for name, value in vars(importlib.import_module(definitions)).items() if value is found]
            repository = ReconstructableRepository.for_module(definitions, names[0])
            return cls(repository.get_reconstructable_job(IMPLICIT_ASSET_JOB_NAME))
        return cls(found.resolve_implicit_global_asset_job_def())

    @property
    def definition(self) -> dg.JobDefinition:
        """The job's definition."""
        return self.job if isinstance(self.job, dg.JobDefinition) else self.job.get_definition()

    def downstream(self, key: dg.AssetKey, partition: str | None) -> tuple[frozenset[dg.AssetKey], tuple[str, ...]]:
        """Assets downstream of one that a run can materialize in its partition, and those that it can't.

        Raises:
            AssetDefinitionError: If there is no such asset here.
        """
        graph = self.definition.asset_layer.asset_graph
        if not graph.has(key):
            raise AssetDefinitionError(
                f"the definitions have no asset {key.to_user_string()}: nothing is downstream of it"
            )
        own = graph.get(key).partitions_def if partition is not None else None
        taken, left = set(), set()
        waiting = [key]
        seen = {key}
        while waiting:
            for child in graph.get(waiting.pop()).child_keys - seen:
                seen.add(child)
                node = graph.get(child)
                if not node.is_materializable:
                    continue
                # what stands below an asset that is left alone is not stale either
                if node.partitions_def is None or node.partitions_def == own:
                    taken.add(child)
                    waiting.append(child)
                else:
                    left.add(child.to_user_string())
        return frozenset(taken), tuple(sorted(left))


def cascade(
    location: CodeLocation,
    key: dg.AssetKey,
    *,
    partition: str | None,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str],
    also: Iterable[dg.AssetKey] = (),
) -> Cascade:
    """Materialize what stands downstream of an asset, in a run of its own, and wait for it.

    Args:
        location: Whose assets.
        key: The asset.
        partition: Its partition, or None. Assets with other partitions are left alone.
        instance: Dagster's instance.
        tags: Tags of the run.
        also: Further assets that the run materializes.

    Raises:
        AssetDefinitionError: If there is no such asset here.
    """
    keys, left = location.downstream(key, partition)
    keys |= frozenset(also)
    if not keys:
        return Cascade(None, success=True, left=left)
    told = {**tags, CASCADE_TAG: key.to_user_string(), **({"dagster/partition": partition} if partition else {})}
    started = time.perf_counter()
    if isinstance(location.job, ReconstructableJob):
        subset = location.job.get_subset(asset_selection=keys)
        definition = subset.get_definition()
        run = instance.create_run_for_job(
            job_def=definition,
            tags=told,
            asset_selection=keys,
            remote_job_origin=location.origin,
            job_code_origin=subset.get_python_origin(),
            repository_load_data=subset.repository.get_definition().repository_load_data,
        )
        success = execute_run(subset, run, instance).success
        run_id = run.run_id
    else:
        result = location.definition.execute_in_process(
            instance=instance,
            asset_selection=sorted(keys),
            partition_key=partition if any(_partitioned(location.definition, each) for each in keys) else None,
            tags=told,
            raise_on_error=False,
        )
        success, run_id = result.success, result.run_id
    seconds = time.perf_counter() - started
    replayed, computed = _outcome(instance, run_id)
    return Cascade(run_id, success, replayed, computed, seconds, left)


def _partitioned(job: dg.JobDefinition, key: dg.AssetKey) -> bool:
    return job.asset_layer.get(key).partitions_def is not None


def _outcome(instance: dg.DagsterInstance, run_id: str) -> tuple[int, tuple[str, ...]]:
    """How many assets of a run were replayed, and which were computed."""
    replayed: set[str] = set()
    computed: set[str] = set()
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        event = entry.asset_materialization
        if event is None or "mlrepro/moved" in event.metadata:  # a channel downstream that took its own decision
            continue
        outcome = event.metadata.get("mlrepro/cache")
        known = outcome is not None and outcome.value in ("hit", "pinned", "served")
        (replayed if known else computed).add(event.asset_key.to_user_string())
    return len(replayed), tuple(sorted(computed))
