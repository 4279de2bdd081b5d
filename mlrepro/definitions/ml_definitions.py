"""`ml_definitions`: `Definitions` with mlrepro's IO manager and executor filled in."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlrepro.definitions.jobs import channel_jobs
from mlrepro.definitions.plan_job import plan_job
from mlrepro.definitions.workflow_job import is_from_bundle, workflow_job
from mlrepro.execution.default_executor import default_executor
from mlrepro.io_managers import InputHashIOManager
from mlrepro.resources import ReproStore


def ml_definitions(
    *,
    store: ReproStore | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: dg.ExecutorDefinition | dg.Executor | None = None,
    **definitions: Any,
) -> dg.Definitions:
    """Make `Definitions` whose values go to the store, and whose runs skip what is known.

    Whatever you give is left as it is. The IO manager is filled in where ``resources`` has none, and the executor where
    there is none: Dagster's default behind `cache_first`, or a pod for each step where the environment variable
    ``MLREPRO_EXECUTOR`` is ``kubernetes``. The jobs ``rollback``, ``promote`` and ``release``, which move channels and
    pins, and ``mlrepro_plan`` are added unless there are jobs or assets of these names; where the code is from a
    bundle, ``rollback_workflow`` too. Each piece can be used alone:
    ``Definitions(resources={"io_manager": InputHashIOManager()}, executor=cache_first(...), jobs=channel_jobs())``.

    Args:
        store: The store. Default: the one that the environment names, see `ReproStore`.
        resources: As in `dagster.Definitions`.
        executor: As in `dagster.Definitions`.
        **definitions: As in `dagster.Definitions`: ``assets``, ``jobs``, ``schedules``, ``sensors``, …

    Example:
        >>> @dg.asset
        ... def numbers() -> list[int]:
        ...     return [1, 2, 3]
        >>> defs = ml_definitions(assets=[numbers])
        >>> sorted(defs.resources)
        ['io_manager']
    """
    filled = dict(resources or {})
    filled.setdefault("io_manager", InputHashIOManager(store=store))
    given = list(definitions.pop("jobs", None) or ())
    names = {getattr(job, "name", None) for job in given}
    assets = list(definitions.get("assets") or ())
    # Dagster takes an asset's function and a job of one name for two definitions of the same
    names |= {each.node_def.name for each in assets if isinstance(each, dg.AssetsDefinition) and each.is_executable}
    ours = [*channel_jobs(assets), plan_job(), *([workflow_job()] if is_from_bundle() else [])]
    jobs = [job for job in ours if job.name not in names]
    if assets:
        definitions["assets"] = assets  # it may have been a generator
    return dg.Definitions(
        resources=filled, executor=executor or default_executor(), jobs=[*given, *jobs], **definitions
    )
