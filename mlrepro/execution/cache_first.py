"""`cache_first`: an executor that replays what is known, and lets another executor run the rest."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.event_api import EventLogCursor
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import check_captured_interrupt

from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.before_launch import steps_before_launch
from mlrepro.execution.event_log import RunEvents
from mlrepro.execution.look_ahead import KnownStep, LookAhead, Outlook
from mlrepro.execution.plain_results import PlainResults
from mlrepro.execution.pods.hook import speaking
from mlrepro.execution.replay import Replay, ready_outputs
from mlrepro.execution.step_handler import CacheFirstStepHandler
from mlrepro.execution.workflow_tag import stamp
from mlrepro.io_managers.lookup import Miss
from mlrepro.io_managers.modes import VERIFY_TAG


def cache_first(executor: dg.ExecutorDefinition | dg.Executor) -> dg.ExecutorDefinition:
    """Wrap an executor so that steps whose results are known are never started.

    Before the executor is asked to run anything, the run's plan is looked up level by level. Each hit is replayed as
    the events that the step would have logged; the executor gets the rest. Its config, retries and concurrency limits
    are its own.

    Args:
        executor: Any executor: `dagster.in_process_executor`, `dagster.multiprocess_executor`,
            `dagster_k8s.k8s_job_executor`, … Wrapping twice is the same as wrapping once.

    Raises:
        AssetDefinitionError: If it is no executor.

    Example:
        >>> cache_first(dg.in_process_executor).name
        'cache_first(in_process)'
    """
    definition = dg.ExecutorDefinition.hardcoded_executor(executor) if isinstance(executor, dg.Executor) else executor
    if not isinstance(definition, dg.ExecutorDefinition) or definition.executor_creation_fn is None:
        raise AssetDefinitionError(
            f"cache_first(...) takes an executor, such as dagster.in_process_executor, not {executor!r}"
        )
    make = definition.executor_creation_fn

    def create(context: InitExecutorContext) -> Executor:
        inner = make(context._replace(executor_def=definition))
        if isinstance(inner, CacheFirstExecutor):
            return inner
        if isinstance(inner, StepDelegatingExecutor) and not isinstance(inner._step_handler, CacheFirstStepHandler):
            inner._step_handler = CacheFirstStepHandler(speaking(inner))  # there is no setter
        return CacheFirstExecutor(inner)

    return dg.ExecutorDefinition(
        name=definition.name if definition.name.startswith("cache_first(") else f"cache_first({definition.name})",
        config_schema=definition.config_schema,  # type: ignore[arg-type]  # a schema that is made already will do
        requirements=definition.get_requirements,
        executor_creation_fn=create,
        description=f"Replays steps whose results are known; the rest runs as in {definition.name}."
        + (f"\n\n{definition.description}" if definition.description else ""),
    )


class CacheFirstExecutor(Executor):
    """Replays hits, then hands what is left to another executor.

    Args:
        inner: The other executor.
    """

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    @property
    def retries(self) -> RetryMode:
        """The other executor's."""
        return self.inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """The other executor's."""
        return self.inner.step_dependency_config

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Replay the hits of a plan and execute the rest."""
        left = execution_plan
        stamp(plan_context)
        # A run that is resumed told its hits before; a run that verifies computes on purpose.
        if not plan_context.resume_from_failure and VERIFY_TAG not in plan_context.dagster_run.tags:
            try:
                hits = self._hits(plan_context)
            except Exception:  # noqa: BLE001 -- a cache problem never fails a run: its steps look for themselves
                hits = []
                yield DagsterEvent.engine_event(
                    plan_context,
                    "The cache could not be looked up before steps are launched: each step looks for itself",
                    EngineEventData(error=serializable_error_info_from_exc_info(sys.exc_info())),
                )
            if hits:
                replay = Replay(hits, RunEvents(plan_context))
                yield from self._replay(plan_context, execution_plan, replay, hits)
                left = _without(plan_context, execution_plan, replay.done)
        if left.step_keys_to_execute:
            running = self.inner.execute(_with_plan(plan_context, left), left)
            for event in PlainResults(plan_context, left).follow(running):
                if isinstance(self.inner, StepDelegatingExecutor):
                    _tell_handler(self.inner, event)
                yield event

    def _hits(self, plan_context: PlanOrchestrationContext) -> list[KnownStep]:
        outlooks: list[Outlook] = []
        with steps_before_launch(plan_context.plan_data, plan_context.log) as steps:
            for level in LookAhead(steps).walk():
                outlooks += level
                if check_captured_interrupt():
                    return []
        failed = [
            outlook.reason
            for outlook in outlooks
            if outlook.known and isinstance(outlook.known.found, Miss) and outlook.known.found.warning
        ]
        if failed:
            plan_context.log.warning(f"{len(failed)} steps are started that could be hits: {failed[0]}")
        return [outlook.known for outlook in outlooks if outlook.verdict == "hit" and outlook.known]

    def _replay(
        self, plan_context: PlanOrchestrationContext, plan: ExecutionPlan, replay: Replay, hits: list[KnownStep]
    ) -> Iterator[DagsterEvent]:
        saved = sum(float(hit.hit.record["seconds"]) for hit in hits)
        yield DagsterEvent.engine_event(
            plan_context,
            f"{len(hits)} of {len(plan.step_keys_to_execute)} steps are known and need not run: {saved:.1f} s saved",
            EngineEventData(
                metadata={"pid": str(os.getpid()), "hits": len(hits), "seconds_saved": saved},
            ),
        )
        try:
            yield from replay.run()
        except Exception:  # noqa: BLE001 -- likewise: the steps that are left replay themselves, or fail and say why
            yield DagsterEvent.engine_event(
                plan_context,
                f"{len(replay.done)} of them were replayed, then that failed: the rest is started",
                EngineEventData(error=serializable_error_info_from_exc_info(sys.exc_info())),
            )
        if isinstance(self.inner, StepDelegatingExecutor):
            # It follows the run's log from here on: what was replayed before is not news of a step that it launched.
            self.inner._event_cursor = _end_of_log(plan_context)


def _tell_handler(executor: StepDelegatingExecutor, event: DagsterEvent) -> None:
    """Let the handler know of a step that ended: it may hold a lease for one whose function was never called."""
    handler = executor._step_handler
    if isinstance(handler, CacheFirstStepHandler) and (event.is_step_failure or event.is_step_up_for_retry):
        handler.give_back(str(event.step_key))


def _without(plan_context: PlanOrchestrationContext, plan: ExecutionPlan, hits: list[KnownStep]) -> ExecutionPlan:
    """The plan of the steps that are left, which may load what was replayed."""
    replayed = {hit.outputs.step_context.step.key for hit in hits}
    job_def = plan_context.job.get_definition()
    left = plan.build_subset_plan(
        [key for key in plan.step_keys_to_execute if key not in replayed],
        job_def,
        ResolvedRunConfig.build(job_def, plan_context.run_config),
    )
    known = left.known_state
    return left._replace(known_state=known._replace(ready_outputs=known.ready_outputs | ready_outputs(hits)))


def _with_plan(plan_context: PlanOrchestrationContext, plan: ExecutionPlan) -> PlanOrchestrationContext:
    """The context with another plan: the in-process executor reads it from there."""
    return PlanOrchestrationContext(
        plan_data=plan_context.plan_data._replace(execution_plan=plan),
        log_manager=plan_context.log,
        executor=plan_context.executor,
        output_capture=plan_context.output_capture,
        resume_from_failure=plan_context.resume_from_failure,
    )


def _end_of_log(plan_context: PlanOrchestrationContext) -> str | None:
    newest: Any = plan_context.instance.get_records_for_run(plan_context.run_id, limit=1, ascending=False).records
    return EventLogCursor.from_storage_id(newest[0].storage_id).to_string() if newest else None
