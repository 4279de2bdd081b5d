"""`cache_first` around an executor: its config, its limits, and what `ml_definitions` makes of Dagster's default."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.executor_definition import multi_or_in_process_executor
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.multiprocess import MultiprocessExecutor

from mlrepro import cache_first, ml_asset, ml_definitions
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.cache_first import CacheFirstExecutor
from mlrepro.execution.default_executor import default_executor


@ml_asset
def three() -> int:
    return 3


def made(executor: dg.ExecutorDefinition, config: dict[str, Any]) -> Any:
    """The executor behind the wrapper, as a run with that config makes it."""
    job = dg.Definitions(assets=[three]).resolve_implicit_global_asset_job_def()
    recon = InMemoryJob(job)
    assert executor.executor_creation_fn is not None
    with dg.DagsterInstance.ephemeral() as instance:
        wrapper = executor.executor_creation_fn(InitExecutorContext(recon, executor, config, instance))
    assert isinstance(wrapper, CacheFirstExecutor)
    return wrapper.inner


class TestWrapper:
    def test_run_config_is_the_executors_own(self) -> None:
        wrapped = cache_first(dg.multiprocess_executor)
        assert wrapped.config_schema is dg.multiprocess_executor.config_schema
        job = dg.Definitions(assets=[three], executor=wrapped).resolve_implicit_global_asset_job_def()
        dg.validate_run_config(job, {"execution": {"config": {"max_concurrent": 2}}})
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(job, {"execution": {"config": {"max_konkurrent": 2}}})

    def test_config_that_was_given_stays(self) -> None:
        limited = cache_first(dg.in_process_executor.configured({"retries": {"disabled": {}}}))
        job = dg.Definitions(assets=[three], executor=limited).resolve_implicit_global_asset_job_def()
        dg.validate_run_config(job, {})

    def test_retries_are_the_executors_own(self) -> None:
        inner = made(cache_first(dg.in_process_executor), {"retries": {"disabled": {}}})
        assert CacheFirstExecutor(inner).retries == inner.retries
        assert inner.retries.disabled

    def test_name_says_what_it_is(self) -> None:
        assert cache_first(dg.multiprocess_executor).name == "cache_first(multiprocess)"

    def test_wrapping_twice_is_wrapping_once(self) -> None:
        twice = cache_first(cache_first(dg.in_process_executor))
        assert twice.name == "cache_first(in_process)"
        assert not isinstance(made(twice, {"retries": {"enabled": {}}}), CacheFirstExecutor)

    def test_what_is_no_executor_is_refused(self) -> None:
        with pytest.raises(AssetDefinitionError, match="takes an executor"):
            cache_first("in_process")  # type: ignore[arg-type]

    @pytest.mark.parametrize("executor", [dg.in_process_executor, dg.multiprocess_executor])
    def test_what_it_requires_of_jobs_is_what_the_executor_does(self, executor: dg.ExecutorDefinition) -> None:
        assert cache_first(executor).get_requirements({}) == executor.get_requirements({})


class TestDefaultExecutor:
    def test_ml_definitions_looks_first(self) -> None:
        job = ml_definitions(assets=[three]).resolve_implicit_global_asset_job_def()
        assert job.executor_def.name == "cache_first(multi_or_in_process_executor)"

    def test_executor_that_was_given_stays(self) -> None:
        given = ml_definitions(assets=[three], executor=dg.in_process_executor)
        assert given.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor

    @pytest.mark.parametrize("config", [{}, {"in_process": {}}, {"multiprocess": {"max_concurrent": 3}}])
    def test_run_config_of_dagsters_default_still_fits(self, config: dict[str, Any]) -> None:
        job = ml_definitions(assets=[three]).resolve_implicit_global_asset_job_def()
        dg.validate_run_config(job, {"execution": {"config": config}} if config else {})

    def test_steps_are_forked_from_a_process_that_has_the_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = self.processes({}, monkeypatch)
        assert inner._start_method == "forkserver"
        assert inner._explicit_forkserver_preload == ["tests.execution.test_cache_first"]

    def test_start_method_that_was_asked_for_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.processes({"start_method": {"spawn": {}}}, monkeypatch)._start_method == "spawn"

    def test_limits_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.processes({"max_concurrent": 3}, monkeypatch)._max_concurrent == 3

    def processes(self, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> MultiprocessExecutor:
        monkeypatch.setattr(ReconstructableJob, "get_module", lambda _: "tests.execution.test_cache_first")
        executor = default_executor()
        assert executor.executor_creation_fn is not None
        recon = dg.reconstructable(everything)
        with dg.DagsterInstance.ephemeral() as ephemeral, pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(ephemeral), "is_ephemeral", False)  # processes need a lasting one; none is started here
            wrapper = executor.executor_creation_fn(
                InitExecutorContext(
                    recon, executor, {"multiprocess": {"retries": {"enabled": {}}, **config}}, ephemeral
                )
            )
        assert isinstance(wrapper, CacheFirstExecutor)
        assert isinstance(wrapper.inner, MultiprocessExecutor)
        return wrapper.inner


def everything() -> dg.JobDefinition:
    return dg.Definitions(assets=[three], jobs=[dg.define_asset_job("everything")]).resolve_job_def("everything")


LOCATION = """
    import os

    import dagster as dg

    from mlrepro import ml_asset, ml_definitions

    @ml_asset
    def first() -> int:
        return os.getpid()

    @ml_asset(config_schema={"plus": dg.Field(int, default_value=0)})
    def second(context, first: int) -> int:
        return first + context.op_config["plus"]

    defs = ml_definitions(assets=[first, second], jobs=[dg.define_asset_job("everything")])
"""


@pytest.mark.slow
def test_real_run_in_processes_and_again_without_any(tmp_path: Path) -> None:
    (tmp_path / "proj.py").write_text(textwrap.dedent(LOCATION))
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")

    def run(*options: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "job", "execute", "-m", "proj", "-j", "everything", *options],
            cwd=tmp_path,
            env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            log = instance.all_logs(instance.get_runs(limit=1)[0].run_id)
        return [event.event_type_value for entry in log if (event := entry.dagster_event) is not None]

    assert run().count("STEP_WORKER_STARTED") == 2
    again = run()
    assert "STEP_WORKER_STARTING" not in again
    assert again.count("STEP_SUCCESS") == 2
    changed = tmp_path / "more.yaml"
    changed.write_text("ops: {second: {config: {plus: 1}}}")
    assert run("-c", str(changed)).count("STEP_WORKER_STARTED") == 1


def test_default_executor_wraps_dagsters_own() -> None:
    assert default_executor().config_schema is multi_or_in_process_executor.config_schema
