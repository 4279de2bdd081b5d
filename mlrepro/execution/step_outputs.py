"""The outputs of a step: between what a user's function returned, what a record keeps, and Dagster's events."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import NoValueSentinel, StepExecutionContext
from mlrepro.errors import NoRightError, StoreError
from mlrepro.io_managers.commit import ComputedOutput, metadata_from_json, metadata_to_json
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.deferred import Replayed
from mlrepro.io_managers.input_hash_io_manager import mark_stored
from mlrepro.store import Store


@dataclass(frozen=True)
class StepOutputs:
    """The outputs of one step that runs one cached function.

    Attributes:
        step_context: The step.
        computation: Its function.
    """

    step_context: StepExecutionContext
    computation: Computation
    _kept_to_itself: list[str] = field(default_factory=list, repr=False, compare=False)

    def assets(self) -> list[str]:
        """Names of the outputs that are assets, in their order."""
        return list(self._assets)

    def scope(self, store: Store) -> str | None:
        """The scope that the step's results go to: where its author publishes them, if these credentials may write it.

        Where they may not, a warning in the run's log says so, once, and the results stay in the own scope.

        Args:
            store: The store.

        Returns:
            A scope, None for the own one.
        """
        published = self.computation.cache.scope
        if published is None or published == store.scope or self._kept_to_itself:
            return None
        try:
            store.check(published)
        except NoRightError as error:
            self._kept_to_itself.append(published)
            self.step_context.log.warning(
                f"the result is not published to scope {published!r} but kept in {store.scope!r}: {error}"
            )
            return None
        except StoreError:
            pass  # whether it can be written is seen when it is
        return published

    def selected(self) -> list[str]:
        """Names of the assets' outputs that the run selected."""
        return list(self._selected)

    def is_selected(self, check: Mapping[str, Any]) -> bool:
        """Whether the run selected a recorded asset check."""
        return (check["output"], check["name"]) in self.selected_checks()

    def selected_checks(self) -> set[tuple[str, str]]:
        """The asset checks that the run selected: the output of the asset that each is about, and its name."""
        selected = self.step_context.selected_output_names
        definition = self.step_context.assets_def
        specs = definition.node_check_specs_by_output_name if definition else {}
        return {(self._output_of(spec.asset_key), spec.name) for output, spec in specs.items() if output in selected}

    def check_outputs(self) -> list[str]:
        """Names of the outputs that stand for the asset checks that the run selected."""
        selected = self.step_context.selected_output_names
        return [output for output in self._check_names if output in selected]

    def read(self, event: Any) -> ComputedOutput | None:
        """Read an event as one of the step's outputs; None for anything else (a check, an observation)."""
        if isinstance(event, dg.MaterializeResult):
            definition = self.step_context.assets_def
            assert definition is not None, "only an asset's function is wrapped"
            name = definition.get_output_name_for_asset_key(event.asset_key or definition.key)
            given = event.value is not NoValueSentinel
        elif isinstance(event, dg.Output) and event.output_name not in self._check_names:
            name, given = event.output_name, True
        else:
            return None
        nothing = self.step_context.op_def.output_def_named(name).dagster_type.is_nothing
        declared = self.computation.outputs.get(name)
        added = self.step_context.get_output_metadata(name) or {}
        key = self._asset(name)
        on_asset = (self.step_context.get_asset_metadata(key) or {}) if key else {}
        return ComputedOutput(
            name=name,
            value=event.value,
            has_value=given and not nothing,
            metadata={**(event.metadata or {}), **added, **on_asset},
            tags=event.tags or {},
            data_version=event.data_version.value if event.data_version else None,
            format=declared.format if declared else None,
        )

    def event(self, name: str, value: Any, entry: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
        """Make the event that gives Dagster a value, its data version and its metadata."""
        asset = self._asset(name)
        if asset is not None:
            self.step_context.set_data_version(asset, dg.DataVersion(entry["data_version"]))
        tags = dict(entry.get("tags") or {})
        dagster_type = self.step_context.op_def.output_def_named(name).dagster_type
        if isinstance(value, Replayed) and value.stored is None and dagster_type.is_any:
            # without a value, so that no IO manager is called; a type of ours lets the stand-in pass instead
            return dg.MaterializeResult(asset_key=asset, metadata=metadata, tags=tags)
        mark_stored(self.step_context, name)
        return dg.Output(None if dagster_type.is_nothing else value, name, metadata=metadata, tags=tags)

    def type_checks(self, output: ComputedOutput) -> bool:
        """Whether a value passes the check that Dagster will make."""
        if output.value is NoValueSentinel or (not output.has_value and output.value is None):
            return True
        dagster_type = self.step_context.op_def.output_def_named(output.name).dagster_type
        return dagster_type.type_check(self.step_context.for_type(dagster_type), output.value).success

    def read_checks(self, event: Any) -> list[dict[str, Any]]:
        """Read the check results that an event carries, as a record keeps them."""
        results = event.check_results if isinstance(event, dg.MaterializeResult) else [event]
        return [
            self.read_evaluation(result.to_asset_check_evaluation(self.step_context))
            for result in results or ()
            if isinstance(result, dg.AssetCheckResult)
        ]

    def read_evaluation(self, evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
        """Read a check's evaluation, as a record keeps it."""
        return {
            "name": evaluation.check_name,
            "output": self._output_of(evaluation.asset_key),
            "passed": evaluation.passed,
            "severity": evaluation.severity.value,
            "description": evaluation.description,
            "metadata": metadata_to_json(evaluation.metadata),
        }

    def check_result(self, check: Mapping[str, Any]) -> dg.AssetCheckResult:
        """Make the event that repeats a recorded check."""
        return dg.AssetCheckResult(
            passed=check["passed"],
            check_name=check["name"],
            asset_key=self._asset(check["output"]),
            severity=dg.AssetCheckSeverity(check["severity"]),
            description=check["description"],
            metadata=metadata_from_json(check["metadata"]),
        )

    @functools.cached_property
    def _assets(self) -> tuple[str, ...]:
        names = (definition.name for definition in self.step_context.op_def.output_defs)
        return tuple(name for name in names if name not in self._check_names)

    @functools.cached_property
    def _selected(self) -> tuple[str, ...]:
        selected = self.step_context.selected_output_names
        return tuple(name for name in self._assets if name in selected)

    @functools.cached_property
    def _check_names(self) -> dict[str, str]:
        """Name of the check behind each output that stands for one."""
        definition = self.step_context.assets_def
        specs = definition.node_check_specs_by_output_name if definition else {}
        return {output: spec.name for output, spec in specs.items()}

    def _asset(self, output_name: str) -> dg.AssetKey | None:
        layer = self.step_context.job_def.asset_layer
        return layer.get_asset_key_for_node_output(self.step_context.node_handle, output_name)

    def _output_of(self, asset_key: dg.AssetKey) -> str:
        definition = self.step_context.assets_def
        assert definition is not None, "only an asset's function is wrapped"
        # all of the function's assets: a run may have selected the check alone
        return next(name for name, key in definition.node_keys_by_output_name.items() if key == asset_key)
