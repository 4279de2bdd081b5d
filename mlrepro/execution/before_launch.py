"""Dagster's view of a step before anything is started for it: what its key is made of, without its resources."""

import functools
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, Self

import dagster as dg
from dagster._core.definitions.input import InputDefinition
from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder
from dagster._core.execution.context.system import ExecutionData, PlanData, StepExecutionContext
from dagster._core.execution.plan.inputs import (
    FromDefaultValue,
    FromLoadableAsset,
    FromMultipleSourcesLoadSingleSource,
    FromStepOutput,
    StepInputSource,
)
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.resources_init import (
    get_transitive_required_resource_keys,
    resource_initialization_manager,
)
from dagster._core.log_manager import DagsterLogManager
from dagster._core.system_config.objects import ResolvedRunConfig

from mlrepro.execution.declared import computation_for
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers import InputHashIOManager
from mlrepro.io_managers.deferred import Deferred, DeferringIOManagerDefinition, DefersInputs
from mlrepro.store import Store


class StepsBeforeLaunch:
    """Contexts for the steps of a run that nobody has started.

    Of all resources only mlrepro's own IO managers are set up: they tell which store a step belongs to and what its
    inputs stand for. Somebody's database or cluster is not touched to find out that a step need not run.

    Args:
        plan_data: The run and its plan.
        log_manager: Where warnings go.
        io_managers: The IO managers by resource key.
        resolved: The run's config.
    """

    def __init__(
        self,
        plan_data: PlanData,
        log_manager: DagsterLogManager,
        io_managers: Mapping[str, Any],
        resolved: ResolvedRunConfig,
    ) -> None:
        self.plan_data = plan_data
        self.job_def = plan_data.job.get_definition()
        self._log_manager = log_manager
        self._io_managers = dict(io_managers)
        self._execution_data = ExecutionData(
            scoped_resources_builder=_SameForAll(self._io_managers),
            resolved_run_config=resolved,
            job_def=self.job_def,
            repository_def=plan_data.job.get_repository_definition(),
        )
        self._opened: dict[str, Store] = {}
        self._deferring = {key for key, manager in self._io_managers.items() if isinstance(manager, DefersInputs)}
        self._asset_keys: dict[str, list[dg.AssetKey]] = {}

    def context(self, step: ExecutionStep) -> StepExecutionContext:
        """The step's context, as its process would have it."""
        return _Context(
            plan_data=self.plan_data,
            execution_data=self._execution_data,
            log_manager=self._log_manager,
            step=step,
            output_capture=None,
            known_state=self.plan_data.execution_plan.known_state,
            event_loop=None,
        )

    def asset_keys(self, step: ExecutionStep) -> list[dg.AssetKey]:
        """Keys of the assets that a step computes in this run, in the order of its outputs."""
        if step.key not in self._asset_keys:
            layer = self.job_def.asset_layer
            selected = layer.get_selected_entity_keys_for_node(step.node_handle)
            found = [layer.get_asset_key_for_node_output(step.node_handle, output.name) for output in step.step_outputs]
            self._asset_keys[step.key] = [key for key in found if key is not None and key in selected]
        return self._asset_keys[step.key]

    def check_keys(self, step: ExecutionStep) -> list[dg.AssetCheckKey]:
        """Keys of the asset checks that a step makes in this run."""
        layer = self.job_def.asset_layer
        selected = layer.get_selected_entity_keys_for_node(step.node_handle)
        return sorted((key for key in selected if isinstance(key, dg.AssetCheckKey)), key=lambda key: key.name)

    def store_of(self, step: ExecutionStep) -> Store | None:
        """The store of a step whose results are cached; None for any other."""
        context = self.context(step)
        computation = computation_for(context)
        return None if computation is None else self.store(context, StepOutputs(context, computation).assets())

    def store(self, step_context: StepExecutionContext, outputs: list[str]) -> Store | None:
        """The store that a step's outputs go to; None if any of them goes somewhere else."""
        keys = {step_context.op_def.output_def_named(name).io_manager_key for name in outputs}
        if len(keys) != 1:
            return None
        key = keys.pop()
        manager = self._io_managers.get(key)
        if not isinstance(manager, InputHashIOManager):
            return None
        if key not in self._opened:
            self._opened[key] = manager.open_store(self.plan_data.instance)
        return self._opened[key]

    def inputs(self, step_context: StepExecutionContext) -> dict[str, Any] | None:
        """What stands for each argument of a step; None where that takes loading a value.

        Raises:
            UnknownVersionError: If an upstream asset is not in the store.
            AssetDefinitionError: If a source's file is not there.
        """
        found: dict[str, Any] = {}
        for step_input in step_context.step.step_inputs:
            definition = step_context.op_def.input_def_named(step_input.name)
            if definition.dagster_type.is_nothing:
                continue
            source = step_input.source
            if isinstance(source, FromDefaultValue):
                found[step_input.name] = definition.default_value
                continue
            key = self._manager_key(step_context, definition, source)
            if key not in self._deferring:
                return None
            context = step_context.for_input_manager(
                definition.name, None, definition.metadata, definition.dagster_type, resources=step_context.resources
            )
            if not context.has_asset_key:
                return None
            found[step_input.name] = self._io_managers[key].deferred_input(context)
        return found

    def _manager_key(
        self, step_context: StepExecutionContext, definition: InputDefinition, source: StepInputSource
    ) -> str | None:
        """Resource key of what would load an input: Dagster's own rule for each kind of source."""
        if isinstance(source, FromMultipleSourcesLoadSingleSource):
            source = source.source_to_load_from
        if definition.input_manager_key:
            return definition.input_manager_key
        if isinstance(source, FromStepOutput):
            return step_context.execution_plan.get_manager_key(source.step_output_handle, self.job_def)
        if isinstance(source, FromLoadableAsset):
            layer = self.job_def.asset_layer
            asset = layer.get_asset_key_for_node_input(step_context.node_handle, definition.name)
            return str(layer.get(asset).io_manager_key) if asset and layer.has(asset) else None
        return None


@contextmanager
def steps_before_launch(
    plan_data: PlanData, log_manager: DagsterLogManager, resolved: ResolvedRunConfig | None = None
) -> Iterator[StepsBeforeLaunch]:
    """Set up mlrepro's IO managers of a run, and nothing else of it.

    Args:
        plan_data: The run and its plan.
        log_manager: Where warnings go.
        resolved: The run's config, where it is resolved already.
    """
    job_def = plan_data.job.get_definition()
    resolved = resolved or ResolvedRunConfig.build(job_def, plan_data.dagster_run.run_config)
    definitions = job_def.get_required_resource_defs()
    wanted = {key for key, definition in definitions.items() if defers_inputs(definition)}
    manager = resource_initialization_manager(
        resource_defs=definitions,
        resource_configs=resolved.resources,
        log_manager=log_manager,
        execution_plan=None,
        dagster_run=plan_data.dagster_run,
        resource_keys_to_init=get_transitive_required_resource_keys(wanted, definitions),
        instance=plan_data.instance,
        emit_persistent_events=False,
        event_loop=None,
    )
    list(manager.generate_setup_events())
    try:
        built: ScopedResourcesBuilder = manager.get_object()
        yield StepsBeforeLaunch(plan_data, log_manager, built.build(wanted)._asdict(), resolved)
    finally:
        list(manager.generate_teardown_events())


def defers_inputs(definition: dg.ResourceDefinition) -> bool:
    """Whether a resource is an IO manager that can say what an input stands for."""
    kind = getattr(definition, "configurable_resource_cls", None)
    return isinstance(definition, DeferringIOManagerDefinition) or (
        isinstance(kind, type) and issubclass(kind, DefersInputs)
    )


def confirm(inputs: Mapping[str, Any]) -> None:
    """Say that a step uses its inputs, as loading them would."""
    for value in inputs.values():
        if isinstance(value, Deferred):
            value.confirm()


class _Context(StepExecutionContext):
    """Remembers what Dagster's own looks for in the graph each time: a plan asks for it dozens of times a step."""

    @functools.cached_property
    def op(self) -> Any:
        return super().op

    @functools.cached_property
    def op_def(self) -> dg.OpDefinition:
        return super().op_def

    @functools.cached_property
    def assets_def(self) -> dg.AssetsDefinition | None:
        return super().assets_def

    @functools.cached_property
    def selected_output_names(self) -> AbstractSet[str]:
        return super().selected_output_names

    @functools.cached_property
    def _output_asset_keys(self) -> AbstractSet[dg.AssetKey]:
        return frozenset(super().get_output_asset_keys())

    def get_output_asset_keys(self) -> AbstractSet[dg.AssetKey]:
        return self._output_asset_keys


class _SameForAll(ScopedResourcesBuilder):
    """Hands the same resources to every step: building a class of its own for each takes longer than the look-up."""

    built: Any

    def __new__(cls, resources: Mapping[str, Any]) -> Self:
        builder: Self = super().__new__(cls, resources, contains_generator=False)
        builder.built = ScopedResourcesBuilder.build(builder, set(resources))
        return builder

    def build(self, required_resource_keys: AbstractSet[str] | None) -> Any:  # noqa: ARG002 -- Dagster's signature
        return self.built
