"""Keeping the results of plain `@asset`s with a `code_version`.

Nothing of ours runs inside their steps but the IO manager, which sees one output at a time and nothing of what else the
function said. The executor sees it all go by: the step's start, when its inputs are what they are, its materializations
and checks, and its success.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
)
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep

from mlrepro.catalog.history import find_version
from mlrepro.execution.before_launch import StepsBeforeLaunch, steps_before_launch
from mlrepro.execution.declared import DeclaredComputation, computation_for
from mlrepro.execution.look_ahead import KnownStep, LookAhead
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.commit import metadata_to_json, result_record
from mlrepro.io_managers.lookup import Miss

_OURS = ("mlrepro/", "dagster/")


@dataclass
class _Started:
    """A step that is running, and what it has said so far."""

    known: KnownStep
    at: dt.datetime
    materializations: list[dg.AssetMaterialization] = field(default_factory=list)
    checks: list[dg.AssetCheckEvaluation] = field(default_factory=list)


class PlainResults:
    """Follows the events of a run.

    Args:
        plan_context: The run.
        plan: What is left of its plan to be executed.
    """

    def __init__(self, plan_context: PlanOrchestrationContext, plan: ExecutionPlan) -> None:
        self._plan_context = plan_context
        self._plan = plan
        self._steps: StepsBeforeLaunch | None = None
        self._declared: set[str] = set()
        self._started: dict[str, _Started] = {}

    def follow(self, events: Iterator[DagsterEvent]) -> Iterator[DagsterEvent]:
        """Pass events on, and keep what they tell."""
        with contextlib.ExitStack() as open_stores:
            try:
                self._find(open_stores)
            except Exception as error:  # noqa: BLE001 -- a cache problem never fails a run
                self._plan_context.log.warning(f"results of plain assets are not cached: {error}")
            for event in events:
                if event.step_key in self._declared:
                    try:
                        self._see(event)
                    except Exception as error:  # noqa: BLE001 -- likewise
                        self._started.pop(event.step_key, None)
                        self._plan_context.log.warning(f"the result of {event.step_key} is not cached: {error}")
                yield event

    def _find(self, open_stores: contextlib.ExitStack) -> None:
        """Find the steps that are plain assets with a code version, and with values in a store."""
        plan_data = self._plan_context.plan_data._replace(execution_plan=self._plan)
        steps = open_stores.enter_context(steps_before_launch(plan_data, self._plan_context.log))
        for step in self._plan.get_steps_to_execute_in_topo_order():
            context = steps.context(step)
            computation = computation_for(context)
            if not isinstance(computation, DeclaredComputation):
                continue
            outputs = StepOutputs(context, computation)
            # what a run that selected only some of the assets computes is no result of the whole
            whole = len(outputs.selected()) == len(outputs.assets())
            if whole and steps.store(context, outputs.assets()) is not None:
                self._declared.add(step.key)
        self._steps = steps

    def _see(self, event: DagsterEvent) -> None:
        key = str(event.step_key)
        started = self._started.get(key)
        match event.event_type:
            case DagsterEventType.STEP_START | DagsterEventType.STEP_RESTARTED:
                self._started.pop(key, None)
                self._start(self._plan.get_executable_step_by_key(key))
            case DagsterEventType.ASSET_MATERIALIZATION if started:
                started.materializations.append(event.step_materialization_data.materialization)
            case DagsterEventType.ASSET_CHECK_EVALUATION if started:
                started.checks.append(event.asset_check_evaluation_data)
            case DagsterEventType.STEP_SUCCESS if started:
                del self._started[key]
                self._keep(started)
            case DagsterEventType.STEP_FAILURE | DagsterEventType.STEP_UP_FOR_RETRY:
                self._started.pop(key, None)

    def _start(self, step: ExecutionStep) -> None:
        assert self._steps is not None, "only steps that were found are followed"
        known = LookAhead(self._steps).know(step)
        if not isinstance(known, KnownStep) or known.key.uncacheable is not None:
            return
        self._started[step.key] = _Started(known, dt.datetime.now(dt.UTC))
        if isinstance(known.found, Miss):
            # no closer: the versions of a plain asset do not say which results they belong to
            self._plan_context.for_step(step).log.info(f"computing: {known.found.reason}")

    def _keep(self, started: _Started) -> None:
        known = started.known
        context = known.outputs.step_context
        by_output: dict[str, list[dg.AssetMaterialization]] = {}
        for event in started.materializations:
            if not _of_these_inputs(known, event):
                return  # an input changed between our look at it and the step's
            name = context.assets_def.get_output_name_for_asset_key(event.asset_key) if context.assets_def else ""
            by_output.setdefault(name, []).append(event)
        outputs = {name: _output(known, events) for name, events in by_output.items()}
        if any(entry is None for entry in outputs.values()):
            return
        record = result_record(
            context,
            known.store,
            known.outputs.computation,
            known.key,
            outputs={name: entry for name, entry in outputs.items() if entry is not None},
            skipped=sorted(set(known.outputs.selected()) - set(outputs)),
            checks=[known.outputs.read_evaluation(event) for event in started.checks],
            started=started.at,
            seconds=(dt.datetime.now(dt.UTC) - started.at).total_seconds(),
        )
        if isinstance(known.found, Miss) and known.found.supersedes:
            known.store.replace_result(known.key.input_hash, record, lost=known.found.lost)
        else:
            known.store.put_result(known.key.input_hash, record)


def _of_these_inputs(known: KnownStep, event: dg.AssetMaterialization) -> bool:
    """Whether Dagster saw the same versions of a step's inputs as the key was made of."""
    context = known.outputs.step_context
    tags = event.tags or {}
    for parent in context.job_def.asset_layer.get(event.asset_key).parent_keys - context.get_output_asset_keys():
        info = context.maybe_fetch_and_get_input_asset_version_info(parent)
        seen = tags.get(get_input_data_version_tag(parent))
        if info is not None and info.data_version is not None and seen not in (None, info.data_version.value):
            return False
    return True


def _output(known: KnownStep, events: list[dg.AssetMaterialization]) -> dict[str, Any] | None:
    """An output's part of the record, from its materializations; None where its value is not in the store."""
    first = events[0]
    data_version = (first.tags or {}).get(DATA_VERSION_TAG)
    if data_version is None:
        return None
    entry: dict[str, Any] = {
        "data_version": data_version,
        "metadata": metadata_to_json(first.metadata),
        "tags": {name: value for name, value in (first.tags or {}).items() if not name.startswith(_OURS)},
    }
    if DATA_VERSION_IS_USER_PROVIDED_TAG not in (first.tags or {}):
        entry["derived"] = True  # Dagster made the data version from code version and inputs
    path = first.asset_key.path
    content = first.metadata.get("mlrepro/content_hash")
    if len(events) > 1:
        versions = {
            str(event.partition): find_version(known.store, path, event.partition, data_version) for event in events
        }
        if any(version is None for version in versions.values()):
            return None
        return entry | {"partitions": {name: each.stored.to_json() for name, each in versions.items() if each}}
    if content is None:  # the function returned no value, so that no IO manager was asked to keep one
        return entry | {"stored": known.store.write_value(None).to_json(), "valueless": True}
    version = find_version(known.store, path, first.partition, str(content.value))
    return None if version is None else entry | {"stored": version.stored.to_json()}
