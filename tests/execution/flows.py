"""A job that other processes can load; the environment says which executor it has and what goes wrong.

`python -m tests.execution.flows` runs it: ``FLOW_EXECUTOR`` is ``plain`` or ``first``, and the process kills itself at
the place that ``FLOW_KILLED`` names.
"""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.execution.api import execute_run

from mlrepro import InputHashIOManager, ReproStore, cache_first, ml_asset
from mlrepro.execution import event_log, replay

COUNT = 12
LETTERS = dg.StaticPartitionsDefinition(["a", "b"])


def leaf(number: int) -> dg.AssetsDefinition:
    @ml_asset(name=f"leaf{number:02}", seed=number)
    def one(root: list[int]) -> int:
        return len(root)

    return one


@ml_asset
def root() -> list[int]:
    return [1, 2, 3]


@ml_asset(check_specs=[dg.AssetCheckSpec("sound", asset="top")])
def top(leaf00: int, leaf01: int):
    yield dg.Output(leaf00 + leaf01, metadata={"n": 2})
    yield dg.AssetCheckResult(passed=True)


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
def flaky(context: dg.AssetExecutionContext, top: int) -> int:
    if context.retry_number == 0:
        raise ConnectionError("nobody is there")
    return top


@dg.asset
def published(top: int) -> int:
    if os.environ.get("FLOW_BROKEN"):
        raise ConnectionError("nobody is there")
    return top


@ml_asset
def last(published: int) -> int:
    return published


@dg.op(out=dg.DynamicOut(int))
def fan_out(root: list[int]) -> Iterator[dg.DynamicOutput[int]]:
    for number in root:
        yield dg.DynamicOutput(number, mapping_key=f"n{number}")


@dg.op
def square(number: int) -> int:
    return number * number


@dg.op
def add_up(squares: list[int]) -> int:
    return sum(squares)


@dg.graph_asset
def squares(root: list[int]) -> int:
    return add_up(fan_out(root).map(square).collect())


def definitions() -> dg.Definitions:
    executor = dg.multiprocess_executor if os.environ.get("FLOW_PROCESSES") else dg.in_process_executor
    leaves = [leaf(number) for number in range(COUNT)]
    return dg.Definitions(
        assets=[root, *leaves, top, flaky, published, last, squares],
        jobs=[
            dg.define_asset_job("known", dg.AssetSelection.assets(root, *leaves, top)),
            dg.define_asset_job("mixed", dg.AssetSelection.assets(root, *leaves[:2], top, flaky, squares)),
            dg.define_asset_job("sent", dg.AssetSelection.assets(root, *leaves[:2], top, published, last)),
        ],
        resources={"io_manager": InputHashIOManager(store=ReproStore(url=os.environ["FLOW_STORE"]))},
        executor=cache_first(executor) if os.environ["FLOW_EXECUTOR"] == "first" else executor,
    )


def known() -> dg.JobDefinition:
    return definitions().resolve_job_def("known")


def mixed() -> dg.JobDefinition:
    return definitions().resolve_job_def("mixed")


def sent() -> dg.JobDefinition:
    return definitions().resolve_job_def("sent")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(place: str) -> None:
    """Have this process killed at a place in the replay."""
    if place == "histories":
        append, count = replay.append_versions, iter(range(COUNT // 2))

        def append_versions(*arguments: Any, **named: Any) -> Any:
            return append(*arguments, **named) if next(count, None) is not None else die()

        replay.append_versions = append_versions
    elif place == "before events":
        event_log._store = die
    elif place == "between two tables":
        index = event_log._store_in_index
        event_log._store_in_index = lambda *arguments: (index(*arguments), die())
    elif place == "after some events":
        event_log.ROWS = replay.EVENTS_AT_ONCE = 20
        store, batches = event_log._store, iter(range(2))
        event_log._store = lambda *arguments: store(*arguments) if next(batches, None) is not None else die()
    elif place == "after all events":
        RunEvents = event_log.RunEvents
        write = RunEvents.write

        def write_and_die(self: Any) -> None:
            waiting = self.waiting
            write(self)
            if waiting > COUNT:
                die()

        RunEvents.write = write_and_die  # type: ignore[method-assign]


def main() -> None:
    killed_at(os.environ.get("FLOW_KILLED", ""))
    job = dg.reconstructable(known)
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
        print("ready", flush=True)
        while os.environ.get("FLOW_WAITS_FOR") and not os.path.exists(os.environ["FLOW_WAITS_FOR"]):  # noqa: PTH110
            time.sleep(0.01)
        execute_run(job, run, instance)


if __name__ == "__main__":
    main()
