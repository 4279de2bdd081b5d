"""What a run will do, before any of its steps is started: hits, level by level, and what has to run."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal, TypeAlias

import dagster as dg
from dagster._core.definitions.data_version import (
    SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD,
    DataVersion,
)
from dagster._core.events import DagsterEventType
from dagster._core.execution.context.data_version_cache import InputAssetVersionInfo
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.step import ExecutionStep

from mlrepro.catalog.pins import Pinned, pins
from mlrepro.errors import MlreproError, StoreError
from mlrepro.execution.before_launch import StepsBeforeLaunch
from mlrepro.execution.decision import decide, reason_not_to_look
from mlrepro.execution.declared import DeclaredComputation, computation_for
from mlrepro.execution.loading import one_line
from mlrepro.execution.pinned import is_pinned
from mlrepro.execution.schedule import Schedule
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.deferred import UpstreamVersion
from mlrepro.io_managers.key import StepKey, step_key
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.promotion import Promotion
from mlrepro.io_managers.upstream import look_ahead_of_log, partition_versions
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import FingerprintSession

Verdict = Literal["hit", "run", "depends", "unknown"]

Prepared: TypeAlias = tuple[StepOutputs, Store, StepKey, Mapping[str, Any]]
"""What a look-up is made with: a step's outputs, its store, its key, and what stands for each argument."""

CONCURRENT_LOOK_UPS = 32
"""Look-ups under way at a time. Each is a few round trips to a bucket."""


@dataclass(frozen=True)
class Outlook:
    """What one step will do.

    Attributes:
        step: The step.
        verdict: ``hit``: its result is known. ``run``: it has to compute. ``depends``: on what steps before it
            yield. ``unknown``: only the step itself can tell.
        reason: Why, in words; empty for a hit by its key.
        known: For a hit, or a step that has to compute: what was found out about it.
        waits_for: Keys of the steps before it that are no hits.
    """

    step: ExecutionStep
    verdict: Verdict
    reason: str = ""
    known: "KnownStep | None" = None
    waits_for: tuple[str, ...] = ()


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
        check_values: Whether a hit's values have to be in the store. Without, each hit is a request less for each of
            its blobs: for a plan, which a run makes again before it replays anything.
        ahead: What the hits found so far will have replayed, by asset and partition.
        outlooks: What was found out, by step key, in the order of the plan.
    """

    steps: StepsBeforeLaunch
    check_values: bool = True
    ahead: dict[tuple[dg.AssetKey, str | None], tuple[str, UpstreamVersion | None]] = field(default_factory=dict)
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    _newest_ahead: dict[dg.AssetKey, str] = field(default_factory=dict)
    _replaced: dict[int, frozenset[str] | None] = field(default_factory=dict)
    _held: dict[int, Pinned] = field(default_factory=dict)
    _sessions: dict[tuple[str, ...], FingerprintSession] = field(default_factory=dict)
    _in_log: dict[dg.AssetKey, InputAssetVersionInfo | None] = field(default_factory=dict)

    def walk(self) -> Iterator[list[Outlook]]:
        """Look the whole plan up: a step as soon as all before it are known to be hits, many at a time.

        Yields:
            The outlooks of each level of the plan, in its order.
        """
        schedule = Schedule(self.steps.plan_data.execution_plan)
        self._fetch_versions_in_log([step for level in schedule.levels for step in level])
        found: dict[str, Outlook] = {}
        answers: SimpleQueue[Future[Outlook]] = SimpleQueue()
        with ThreadPoolExecutor(max_workers=CONCURRENT_LOOK_UPS) as pool:
            for level in schedule.levels:
                for wanted in level:
                    while wanted.key not in found:
                        # an answer first: it makes other steps known
                        step = schedule.next() if answers.empty() else None
                        outlook = self._outlook(step, schedule, found) if step else answers.get().result()
                        if not isinstance(outlook, Outlook):
                            # keys are made here, one by one: they are Python's work; the store is asked meanwhile
                            future = pool.submit(
                                _look_up,
                                *outlook,
                                check_values=self.check_values,
                                replaced=self._replaced_in(outlook[1]),
                                held=self._held_in(outlook[1]),
                            )
                            future.add_done_callback(answers.put)
                            continue
                        found[outlook.step.key] = outlook
                        if outlook.verdict == "hit" and outlook.known is not None:
                            self._remember(outlook.known)
                        schedule.known(outlook.step)
                self.outlooks |= {step.key: found[step.key] for step in level}
                yield [found[step.key] for step in level]

    def _outlook(self, step: ExecutionStep, schedule: Schedule, found: Mapping[str, Outlook]) -> Outlook | Prepared:
        """What can be said of a step whose predecessors are known without asking the store."""
        waits_for = [key for key in sorted(schedule.dependencies[step.key]) if found[key].verdict != "hit"]
        if waits_for:
            return Outlook(step, "depends", f"depends on what {_names(waits_for)} yields", waits_for=tuple(waits_for))
        return self._prepare(step)

    def _replaced_in(self, store: Store) -> frozenset[str] | None:
        """All replaced results of a store, asked for once: each hit is a request less."""
        if id(store) not in self._replaced:
            try:
                self._replaced[id(store)] = store.replaced_results()
            except StoreError:
                self._replaced[id(store)] = None  # the look-ups will say what is wrong
        return self._replaced[id(store)]

    def _held_in(self, store: Store) -> Pinned:
        """All pins of a store, likewise asked for once."""
        if id(store) not in self._held:
            try:
                self._held[id(store)] = pins(store)
            except StoreError:
                self._held[id(store)] = {}  # the look-ups will say what is wrong
        return self._held[id(store)]

    def look_up_one(self, step: ExecutionStep) -> Outlook:
        """Look one step up whose inputs are all in Dagster's event log."""
        prepared = self._prepare(step)
        return prepared if isinstance(prepared, Outlook) else _look_up(*prepared)

    def know(self, step: ExecutionStep) -> KnownStep | Outlook:
        """Find a step's key, though it computes whatever the store holds."""
        prepared = self._prepare(step, declined=True)
        if isinstance(prepared, Outlook):
            return prepared
        outputs, store, key, inputs = prepared
        return KnownStep(outputs, store, key, inputs, decide(outputs, store, key))

    def _prepare(self, step: ExecutionStep, *, declined: bool = False) -> Outlook | Prepared:
        """Find a step's key, or why only the step itself can."""
        job_def = self.steps.job_def
        if job_def.get_all_hooks_for_handle(step.node_handle):
            return Outlook(step, "unknown", "its hooks run in the step")
        context = self.steps.context(step)
        computation = computation_for(context)
        if computation is None:
            return Outlook(step, "unknown", "neither an @ml_asset nor an @asset with a code_version")
        outputs = StepOutputs(context, computation)
        store = self.steps.store(context, outputs.assets())
        if store is None:
            return Outlook(step, "unknown", "its values go to another IO manager")
        held = isinstance(computation, Promotion) or is_pinned(outputs, self._held_in(store))
        if not declined and not held and (not_looked := reason_not_to_look(outputs)) is not None:
            return Outlook(step, "run", not_looked.reason)
        self._give_versions(context)
        try:
            inputs = self.steps.inputs(context)
            if inputs is None:
                return Outlook(step, "unknown", "an input comes through another IO manager")
            return outputs, store, step_key(context, computation, inputs, store, self._session(computation)), inputs
        except MlreproError as error:
            return Outlook(step, "run", str(error))
        except Exception as error:  # noqa: BLE001 -- a partition that is not there, say: the step says it, others go on
            return Outlook(step, "unknown", one_line(error))

    def _session(self, computation: Computation) -> FingerprintSession:
        party = computation.first_party
        return self._sessions.setdefault(party, FingerprintSession(first_party=party))

    # --- versions of inputs, those that hits of this run will replay included

    def _fetch_versions_in_log(self, steps: list[ExecutionStep]) -> None:
        """Take the newest events of all assets that the run only reads, in one call rather than one a step."""
        layer = self.steps.job_def.asset_layer
        own = {key for step in steps for key in self.steps.asset_keys(step)}
        parents = {parent for key in own if layer.has(key) for parent in layer.get(key).parent_keys}
        plain = [key for key in sorted(parents - own) if not (layer.has(key) and layer.get(key).is_partitioned)]
        if plain:
            cache = self.steps.context(steps[0])._data_version_cache
            cache._fetch_input_asset_version_info(plain)
            self._in_log = dict(cache.input_asset_version_info)

    def _give_versions(self, context: StepExecutionContext) -> None:
        """Let a step see the versions of its inputs, from the log and from the hits before it."""
        look_ahead_of_log(context, self.ahead)
        layer = context.job_def.asset_layer
        cache = context._data_version_cache
        own = context.get_output_asset_keys()
        for parent in {parent for key in own if layer.has(key) for parent in layer.get(key).parent_keys} - own:
            if parent in self._newest_ahead:
                cache.input_asset_version_info[parent] = self._version_ahead(context, parent)
            elif parent in self._in_log:
                cache.input_asset_version_info[parent] = self._in_log[parent]
        cache.is_external_input_asset_version_info_loaded = True

    def _version_ahead(self, context: StepExecutionContext, parent: dg.AssetKey) -> InputAssetVersionInfo:
        """The version of an upstream asset that a hit of this run replays, as Dagster would tell it afterwards."""
        version = self._newest_ahead[parent]
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
                self._newest_ahead[asset] = output["data_version"]


def is_followed(known: KnownStep) -> bool:
    """Whether a step's versions tell which results they belong to: those of a plain asset do not."""
    return not isinstance(known.outputs.computation, DeclaredComputation | Promotion)


NOT_IN_LOG = -1
"""Stands for the place in the event log of an event that is still to be written."""


def _look_up(
    outputs: StepOutputs,
    store: Store,
    key: StepKey,
    inputs: Mapping[str, Any],
    *,
    check_values: bool = True,
    replaced: frozenset[str] | None = None,
    held: Pinned | None = None,
) -> Outlook:
    step = outputs.step_context.step
    try:
        found = decide(outputs, store, key, check_values=check_values, replaced=replaced, held=held)
    except MlreproError as error:  # pins that contradict one another: the step fails, and says why
        return Outlook(step, "unknown", str(error))
    known = KnownStep(outputs, store, key, inputs, found)
    if isinstance(found, Miss):
        return Outlook(step, "run", found.reason, known)
    if reason := _only_in_step(outputs, found):
        return Outlook(step, "unknown", reason, known)
    return Outlook(step, "hit", found.said, known)


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
    assert definition is not None, "only an asset's function is wrapped"
    blocking = {(spec.asset_key, spec.name) for spec in definition.check_specs if spec.blocking}
    if any(
        (definition.node_keys_by_output_name[check["output"]], check["name"]) in blocking
        and not check["passed"]
        and check["severity"] == "ERROR"
        for check in hit.record["checks"]
    ):
        return "a blocking check failed"
    return None


def _names(steps: list[str]) -> str:
    return ", ".join(steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
