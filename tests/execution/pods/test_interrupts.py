"""A step whose pod is told to end, while its run goes on. The signal is raised as Dagster raises it in a step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEventType

from mlrepro import InputHashIOManager, ReproStore, ml_asset


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


def interrupted(times: int, **arguments: Any) -> dg.AssetsDefinition:
    """An asset that is interrupted in its first attempts."""

    @ml_asset(**arguments)
    def model(context: dg.AssetExecutionContext) -> int:
        if context.retry_number < times:
            raise DagsterExecutionInterruptedError
        return 1

    return model


def run(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, tmp_path: Path) -> dg.ExecuteInProcessResult:
    store = ReproStore(url=(tmp_path / "store").as_uri())
    resources = {"io_manager": InputHashIOManager(store=store)}
    return dg.materialize([asset], instance=instance, resources=resources, raise_on_error=False)


def in_a_pod(monkeypatch: pytest.MonkeyPatch, restarts: int = 2) -> None:
    monkeypatch.setenv("DAGSTER_RUN_STEP_KEY", "model")
    monkeypatch.setenv("MLREPRO_POD_RESTARTS", str(restarts))


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.error is not None
    return event.step_failure_data.error.message


def retries(result: dg.ExecuteInProcessResult) -> int:
    return sum(event.event_type is DagsterEventType.STEP_UP_FOR_RETRY for event in result.all_events)


def test_in_a_pod_it_is_started_again(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_pod(monkeypatch)
    result = run(interrupted(2), instance, tmp_path)
    assert result.success
    assert retries(result) == 2


def test_there_is_an_end_to_it(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_pod(monkeypatch)
    result = run(interrupted(99), instance, tmp_path)
    assert retries(result) == 2
    assert "the step's pod was told to end, while its run goes on" in failure(result)
    assert "(in attempt 3, the last)" in failure(result)


def test_the_retries_of_a_policy_come_on_top(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_pod(monkeypatch)
    result = run(interrupted(3, retry_policy=dg.RetryPolicy(max_retries=1)), instance, tmp_path)
    assert result.success
    assert retries(result) == 3


def test_a_step_with_a_deadline_of_its_own_is_not(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_pod(monkeypatch)
    tags = {"dagster-k8s/config": {"job_spec_config": {"active_deadline_seconds": 90}}}
    result = run(interrupted(1, op_tags=tags), instance, tmp_path)
    assert retries(result) == 0
    assert "its time of 90 s (active_deadline_seconds) was over" in failure(result)


@pytest.mark.parametrize("step", ["", "another"])
def test_elsewhere_an_interrupt_ends_the_run_as_ever(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("DAGSTER_RUN_STEP_KEY", step)
    result = run(interrupted(1), instance, tmp_path)
    assert not result.success
    assert retries(result) == 0
