"""What a run will do, before any of its steps is started: hits, level by level, and what has to run."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.data_version import (
    SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD,
    DataVersion,
)
from dagster._core.events import DagsterEventType
from dagster._core.execution.context.data_version_cache import InputAssetVersionInfo
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.step import ExecutionStep

from mlrepro.errors import MlreproError
from mlrepro.execution.before_launch import StepsBeforeLaunch
from mlrepro.execution.decision import decide, reason_not_to_look
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.computation import Computation, computation_of
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.key import StepKey, step_key
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.upstream import look_ahead_of_log, partition_versions
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import FingerprintSession

Verdict = Literal["hit", "run", "depends", "unknown"]

CONCURRENT_LOOK_UPS = 32
"""Look-ups under way at a time. Each is a few round trips to a bucket."""


@dataclass(frozen=True)
class Outlook:
    """What one step will do.

    Attributes:
        step: The step.
        verdict: ``hit``: its result is known. ``run``: it has to compute. ``depends``: on what steps before it
            yield. ``unknown``: only the step itself can tell.
        reason: Why, in words; empty for a hit.
        known: For a hit, or a step that has to compute: what was found out about it.
    """

    step: ExecutionStep
    verdict: Verdict
    reason: str = ""
    known: "KnownStep | None" = None


@dataclass(frozen=True)
class KnownStep:
    """A step whose key is known.

    Attributes:
        outputs: Its outputs, with its context and its function.
        store: Its store.
        key: Its key.
        inputs: What stands for each argument.
        found: The look-up's answer.
    """

    outputs: StepOutputs
    store: Store
    key: StepKey
    inputs: Mapping[str, Any]
    found: Hit | Miss

    @property
    def hit(self) -> Hit:
        """The hit, for a step that is one."""
        assert isinstance(self.found, Hit)
        return self.found


@dataclass
class LookAhead:
    """Walks the plan of a run.

    Attributes:
        steps: The steps, not started.
        ahead: What the hits found so far will have replayed, by asset and partition.
        outlooks: What was found out, by step key, in the order of the plan.
    """

    steps: StepsBeforeLaunch
    ahead: dict[tuple[dg.AssetKey, str | None], tuple[str, UpstreamVersion | None]] = field(default_factory=dict)
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    _sessions: dict[tuple[str, ...], FingerprintSession] = field(default_factory=dict)
    _in_log: dict[dg.AssetKey, InputAssetVersionInfo | None] = field(default_factory=dict)

    def walk(self) -> Iterator[list[Outlook]]:
        """Look the plan up level by level; the look-ups of a level run concurrently.

        Yields:
            The outlooks of a level.
        """
        plan = self.steps.plan_data.execution_plan
        levels = plan.get_steps_to_execute_by_level()
        dependencies = plan.get_executable_step_deps()
        self._fetch_versions_in_log([step for level in levels for step in level])
        with ThreadPoolExecutor(max_workers=CONCURRENT_LOOK_UPS) as pool:
            for level in levels:
                waiting: list[Outlook | Future[Outlook]] = []
                for step in level:
                    open_steps = [key for key in sorted(dependencies[step.key]) if self.outlooks[key].verdict != "hit"]
                    if open_steps:
                        waiting.append(Outlook(step, "depends", f"depends on what {_names(open_steps)} yields"))
                        continue
                    prepared = self._prepare(step)
                    # keys are made here, one after the other: they are Python's work; the store is asked meanwhile
                    waiting.append(prepared if isinstance(prepared, Outlook) else pool.submit(_look_up, *prepared))
                done = [each if isinstance(each, Outlook) else each.result() for each in waiting]
                for outlook in done:
                    self.outlooks[outlook.step.key] = outlook
                    if outlook.verdict == "hit" and outlook.known is not None:
                        self._remember(outlook.known)
                yield done

    def look_up_one(self, step: ExecutionStep) -> Outlook:
        """Look one step up whose inputs are all in Dagster's event log."""
        prepared = self._prepare(step)
        return prepared if isinstance(prepared, Outlook) else _look_up(*prepared)

    def _prepare(self, step: ExecutionStep) -> Outlook | tuple[StepOutputs, Store, StepKey, Mapping[str, Any]]:
        """Find a step's key, or why only the step itself can."""
        job_def = self.steps.job_def
        computation = computation_of(job_def.get_node(step.node_handle).definition)
        if computation is None:
            return Outlook(step, "unknown", "not an @ml_asset")
        if job_def.get_all_hooks_for_handle(step.node_handle):
            return Outlook(step, "unknown", "its hooks run in the step")
        context = self.steps.context(step)
        outputs = StepOutputs(context, computation)
        store = self.steps.store(context, outputs.assets())
        if store is None:
            return Outlook(step, "unknown", "its values go to another IO manager")
        if (declined := reason_not_to_look(outputs)) is not None:
            return Outlook(step, "run", declined.reason)
        self._give_versions(context)
        try:
            inputs = self.steps.inputs(context)
            if inputs is None:
                return Outlook(step, "unknown", "an input comes through another IO manager")
            return outputs, store, step_key(context, computation, inputs, store, self._session(computation)), inputs
        except MlreproError as error:
            return Outlook(step, "run", str(error))

    def _session(self, computation: Computation) -> FingerprintSession:
        party = computation.first_party
        return self._sessions.setdefault(party, FingerprintSession(first_party=party))

    # --- versions of inputs, those that hits of this run will replay included

    def _fetch_versions_in_log(self, steps: list[ExecutionStep]) -> None:
        """Take the newest events of all assets that the run only reads, in one call rather than one a step."""
        layer = self.steps.job_def.asset_layer
        contexts = [self.steps.context(step) for step in steps]
        own = {key for context in contexts for key in context.get_output_asset_keys()}
        parents = {parent for key in own if layer.has(key) for parent in layer.get(key).parent_keys}
        plain = [key for key in sorted(parents - own) if not (layer.has(key) and layer.get(key).is_partitioned)]
        if contexts and plain:
            cache = contexts[0]._data_version_cache
            cache._fetch_input_asset_version_info(plain)
            self._in_log = dict(cache.input_asset_version_info)

    def _give_versions(self, context: StepExecutionContext) -> None:
        """Let a step see the versions of its inputs, from the log and from the hits before it."""
        look_ahead_of_log(context, self.ahead)
        layer = context.job_def.asset_layer
        cache = context._data_version_cache
        own = context.get_output_asset_keys()
        replayed = {asset for asset, _ in self.ahead}
        for parent in {parent for key in own if layer.has(key) for parent in layer.get(key).parent_keys} - own:
            if parent in replayed:
                cache.input_asset_version_info[parent] = self._version_ahead(context, parent)
            elif parent in self._in_log:
                cache.input_asset_version_info[parent] = self._in_log[parent]
        cache.is_external_input_asset_version_info_loaded = True

    def _version_ahead(self, context: StepExecutionContext, parent: dg.AssetKey) -> InputAssetVersionInfo:
        """The version of an upstream asset that a hit of this run replays, as Dagster would tell it afterwards."""
        version = next(version for (asset, _), (version, _) in reversed(self.ahead.items()) if asset == parent)
        name = context.job_def.asset_layer.get_node_input_name(context.node_handle, parent)
        if name and context.has_asset_partitions_for_input(name):
            by_partition = partition_versions(context, parent, name)
            if len(by_partition) < SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD:
                joined = "".join(by_partition[partition] for partition in sorted(by_partition))
                version = hashlib.sha256(joined.encode()).hexdigest()
        return InputAssetVersionInfo(
            storage_id=NOT_IN_LOG,
            event_type=DagsterEventType.ASSET_MATERIALIZATION,
            data_version=DataVersion(version),
            run_id=context.run_id,
            timestamp=0.0,
        )

    def _remember(self, known: KnownStep) -> None:
        """Note what a hit's assets will be once it is replayed."""
        context = known.outputs.step_context
        layer = context.job_def.asset_layer
        for name, output in known.hit.record["outputs"].items():
            asset = layer.get_asset_key_for_node_output(context.node_handle, name)
            if asset is None or name not in known.outputs.selected():
                continue
            values = output.get("partitions") or {
                (known.key.partitions[0] if known.key.partitions else None): output.get("stored")
            }
            for partition, stored in values.items():
                version = (
                    UpstreamVersion(asset.to_user_string(), partition, None, StoredValue.from_json(stored))
                    if stored
                    else None
                )
                self.ahead[asset, partition] = (output["data_version"], version)


NOT_IN_LOG = -1
"""Stands for the place in the event log of an event that is still to be written."""


def _look_up(outputs: StepOutputs, store: Store, key: StepKey, inputs: Mapping[str, Any]) -> Outlook:
    step = outputs.step_context.step
    found = decide(outputs, store, key)
    known = KnownStep(outputs, store, key, inputs, found)
    if isinstance(found, Miss):
        return Outlook(step, "run", found.reason, known)
    if reason := _only_in_step(outputs, found):
        return Outlook(step, "unknown", reason, known)
    return Outlook(step, "hit", known=known)


def _only_in_step(outputs: StepOutputs, hit: Hit) -> str | None:
    """Why a hit is left to the step: Dagster acts on what it yields in ways that a replay can't."""
    skipped = set(outputs.selected()) - set(hit.record["outputs"])
    plan = outputs.step_context.execution_plan
    if skipped and any(
        handle.step_key == outputs.step_context.step.key and handle.output_name in skipped
        for level in plan.get_steps_to_execute_by_level()
        for step in level
        for each in step.step_inputs
        for handle in each.get_step_output_handle_dependencies()
    ):
        return "steps after it are skipped with its optional outputs"
    definition = outputs.step_context.assets_def
    blocking = {spec.name for spec in definition.check_specs if spec.blocking} if definition else set()
    if any(
        check["name"] in blocking and not check["passed"] and check["severity"] == "ERROR"
        for check in hit.record["checks"]
    ):
        return "a blocking check failed"
    return None


def _names(steps: list[str]) -> str:
    return ", ".join(steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
