"""A code location whose steps are launched by a step handler as on a cluster, in threads of this process."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
from dagster._cli.api import _execute_step_command_body
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)

from mlrepro import Cache, InputHashIOManager, ReproStore, cache_first, ml_asset


@dataclass
class Threads(StepHandler):
    """Runs each step in a thread, and does wrong what a test asks for."""

    launched: list[str] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    in_launch: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return "Threads"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        (key,) = step_handler_context.execute_step_args.step_keys_to_execute or []
        self.in_launch.set()
        assert self.go_on.wait(60)
        if key in self.refused:
            raise RuntimeError("no more pods are allowed")
        self.launched.append(key)
        yield DagsterEvent.step_worker_starting(step_handler_context.get_step_context(key), "in a thread", {})
        if key not in self.lost:
            threading.Thread(target=_run, args=(self, key, step_handler_context), daemon=True).start()

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        (key,) = step_handler_context.execute_step_args.step_keys_to_execute or []
        if key in self.launched and key not in self.lost:
            return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy("there is no such pod")

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        self.terminated += step_handler_context.execute_step_args.step_keys_to_execute or []
        yield from ()


def _run(handler: Threads, key: str, context: StepHandlerContext) -> None:
    try:
        list(_execute_step_command_body(context.execute_step_args, context.instance, context.dagster_run))
    except BaseException:
        handler.lost.add(key)  # as a pod that ended without a word
        raise


HANDLER = Threads()
SLOW = {"raises": False}


@dg.executor(name="threads", requirements=multiple_process_executor_requirements())
def threads(init_context: dg.InitExecutorContext) -> StepDelegatingExecutor:
    return StepDelegatingExecutor(
        HANDLER, RetryMode.ENABLED, sleep_seconds=0.02, check_step_health_interval_seconds=0, should_verify_step=True
    )


class Note(dg.Config):
    note: str = ""


class Behaviour(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Outside of what the code fingerprint covers."""

    def act(self) -> None:
        if SLOW["raises"]:
            raise RuntimeError("asked to raise")


@ml_asset
def first() -> int:
    return 1


@ml_asset
def middle(first: int, config: Note) -> int:
    return first + 1


@ml_asset
def last(middle: int) -> int:
    return middle + 1


@ml_asset(cache=Cache(serialize=True, ignore_resources=("behaviour",)))
def slow(first: int, behaviour: Behaviour) -> int:
    behaviour.act()
    return first + 5


@ml_asset(check_specs=[dg.AssetCheckSpec("positive", asset="checked", blocking=True)], cache=Cache(serialize=True))
def checked(first: int):  # type: ignore[no-untyped-def]
    failed = dg.AssetCheckResult(passed=False, check_name="positive")
    return dg.MaterializeResult(value=-first, check_results=[failed])


defs = dg.Definitions(
    assets=[first, middle, last, slow, checked],
    resources={
        "io_manager": InputHashIOManager(store=ReproStore(url=dg.EnvVar("MLREPRO_TEST_STORE"))),
        "behaviour": Behaviour(),
    },
    executor=cache_first(threads),
)
