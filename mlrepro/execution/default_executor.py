"""The executor of `ml_definitions`: Dagster's own default, looked up first, with steps that start sooner."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

import dagster as dg
from dagster._core.definitions.executor_definition import multi_or_in_process_executor
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext

from mlrepro.errors import AssetDefinitionError, MissingExtraError
from mlrepro.execution.cache_first import cache_first

EXECUTOR_VARIABLE: Final = "MLREPRO_EXECUTOR"
"""Environment variable: ``kubernetes`` where each step is to be a pod, for code servers, run workers and steps."""

SLOW_TO_IMPORT = ("numpy", "pandas", "polars", "pyarrow", "scipy", "sklearn", "torch")
"""Libraries worth importing once for all steps, where the code location has imported them anyway."""


def default_executor() -> dg.ExecutorDefinition:
    """Make the executor that `ml_definitions` uses where it is given none.

    It is Dagster's default, a process for each step, under its own config schema; only that steps are forked from a
    process that has imported the code location already. A start method in the run config is obeyed. Where
    ``MLREPRO_EXECUTOR`` is ``kubernetes`` it is dagster-k8s' executor, a pod for each step.

    Raises:
        AssetDefinitionError: The variable names no executor.
        MissingExtraError: Steps are to be pods, and dagster-k8s is not installed.

    Example:
        >>> default_executor().name
        'cache_first(multi_or_in_process_executor)'
    """
    chosen = os.environ.get(EXECUTOR_VARIABLE, "")
    if chosen == "kubernetes":
        return cache_first(_k8s_job_executor())
    if chosen:
        raise AssetDefinitionError(f"{EXECUTOR_VARIABLE} is {chosen!r}: set it to kubernetes, or leave it out")
    inner = multi_or_in_process_executor
    create = inner.executor_creation_fn
    assert create is not None, "Dagster's own executor can be made"

    def start_sooner(context: InitExecutorContext) -> Executor:
        return create(context._replace(executor_config=_forked(context.executor_config, _preloaded(context))))

    return cache_first(
        dg.ExecutorDefinition(
            name=inner.name,
            config_schema=inner.config_schema,  # type: ignore[arg-type]  # a schema that is made already will do
            requirements=inner.get_requirements,
            executor_creation_fn=start_sooner,
            description=inner.description,
        )
    )


def _k8s_job_executor() -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise MissingExtraError("running steps as pods", "k8s") from error
    return k8s_job_executor


def _forked(config: Mapping[str, object], preloaded: list[str]) -> dict[str, Any]:
    """Choose how steps are started, where the run config says nothing about it."""
    chosen = cast("dict[str, Any]", dict(config))
    processes = chosen.get("multiprocess")
    if (
        processes is None
        or processes.get("start_method")
        or "forkserver" not in multiprocessing.get_all_start_methods()
    ):
        return chosen
    start = {"forkserver": {"preload_modules": preloaded}}
    return {**chosen, "multiprocess": {**processes, "start_method": start}}


def _preloaded(context: InitExecutorContext) -> list[str]:
    module = context.job.get_module() if isinstance(context.job, ReconstructableJob) else None
    # a code location that is a file has no name to be imported by
    return [module] if module else ["mlrepro.definitions", *(name for name in SLOW_TO_IMPORT if name in sys.modules)]
