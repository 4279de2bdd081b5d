"""What the clean process of a run that is launched again does."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.reproducing.recipe import RecordedInput
from mlrepro.reproducing.task import Answer
from mlrepro.store import Store


@dataclass(frozen=True)
class RerunStep:
    """One function of the run.

    Attributes:
        record: Its result record.
        sources: Sources of its closure.
        inputs: What it had from outside of the run, by argument name.
        config: The config.
        definitions: How the definitions of its code location are loaded, where that is known.
    """

    record: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]
    inputs: Mapping[str, RecordedInput]
    config: Any
    definitions: Mapping[str, Any] | None


@dataclass(frozen=True)
class RerunTask:
    """A run to launch again.

    Attributes:
        workspace: The temporary folder that all of it is in.
        folder: Folder for files.
        answer: File for the answer.
        roots: Import roots of the code.
        store: The store.
        instance: What Dagster's instance is opened again by.
        steps: Its functions.
        resources: Config of resources.
        tags: Tags of the run.
    """

    workspace: Path
    folder: Path
    answer: Path
    roots: tuple[Path, ...]
    store: Store
    instance: Any
    steps: tuple[RerunStep, ...]
    resources: Mapping[str, Any]
    tags: Mapping[str, str]

    def perform(self) -> Answer:
        """Run it in this process."""
        from mlrepro.reproducing.computing import io_manager_keys
        from mlrepro.reproducing.finding import OtherCodeError, find_asset, strays
        from mlrepro.reproducing.pinned_inputs import PinnedInputs

        logging.getLogger("dagster").setLevel(logging.WARNING)
        assets, config, inputs = [], {}, {}
        resources: dict[str, Any] = {}
        keys = {"io_manager"}
        for step in self.steps:
            try:
                found = find_asset(step.record, step.sources, step.definitions, self.roots)
            except OtherCodeError as error:
                return Answer("other code", [str(error)])
            if elsewhere := strays(step.sources, self.roots):
                return Answer("other code", [f"{', '.join(elsewhere[:3])} came from outside of the stored code"])
            name = found.assets.node_def.name
            assets.append(found.assets)
            inputs[name] = step.inputs
            resources |= found.resources
            keys |= io_manager_keys(found)
            if step.config not in (None, {}):
                config[name] = {"config": step.config}
        manager = PinnedInputs(self.store, inputs, self.folder / "inputs").as_resource()
        resources |= dict.fromkeys(keys, manager)
        given = {key: value for key, value in self.resources.items() if key in resources and key not in keys}
        own = {key for each in assets for key in each.keys}
        upstream = {key for each in assets for key in each.keys_by_input_name.values()} - own
        try:
            definitions = dg.Definitions(
                assets=[*assets, *(dg.AssetSpec(key) for key in sorted(upstream))], resources=resources
            )
            job = definitions.resolve_implicit_global_asset_job_def()
        except dg.DagsterError as error:
            return Answer("missing", [f"its assets do not go together any more: {error}".splitlines()[0]])
        with dg.DagsterInstance.from_ref(self.instance) as instance:
            done = job.execute_in_process(
                instance=instance,
                run_config={"ops": config} | ({"resources": given} if given else {}),
                asset_selection=sorted(own),
                partition_key=self.tags.get("dagster/partition"),
                tags={name: value for name, value in self.tags.items() if name != "dagster/partition"},
                raise_on_error=False,
            )
        failed = [] if done.success else [f"the run failed: see its log, {done.run_id}"]
        return Answer("computed" if done.success else "failed", failed, record={"run_id": done.run_id})
