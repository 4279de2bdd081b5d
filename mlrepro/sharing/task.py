"""What the process of a shared asset does: it computes one step of somebody else's run from its team's bundle."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mlrepro.definitions.file_source import FileSourceIOManager
from mlrepro.errors import MlreproError
from mlrepro.execution.loading import one_line
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.io_managers.deferred import Deferred, DeferringIOManagerDefinition, UpstreamVersion
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.reproducing.computing import cause, io_manager_keys, run_once
from mlrepro.reproducing.finding import FoundAsset, OtherCodeError, find_asset, strays
from mlrepro.reproducing.task import Answer
from mlrepro.store import Store, StoredValue


@dataclass(frozen=True)
class HandedInput:
    """An argument as the step has it: what counts in its key, and where the value is.

    Attributes:
        versions: See `Deferred`; so are the next four.
        as_mapping: Whether the value is a mapping of partition key to value.
        loaded_as: How the declared type makes it load.
        code: Fingerprint of code that took part in loading.
        source: For a file, what a record says of it.
        values: What to load, by partition.
        file: Name of a file that the function's process reads as its annotation says.
    """

    versions: tuple[UpstreamVersion, ...]
    as_mapping: bool
    loaded_as: str | None
    code: str | None
    source: Mapping[str, Any] | None
    values: Mapping[str | None, StoredValue]
    file: str | None = None


@dataclass(frozen=True)
class SharedTask:
    """One computation of a shared asset, for a process that has its team's code and no other.

    Attributes:
        workspace: The temporary folder that all of it is in.
        folder: Folder for files.
        answer: File for the answer.
        tree: The extracted bundle.
        roots: Import roots of the code.
        variables: Environment variables that say which code it is.
        store: The store of whoever runs it: takes the result.
        record: What `find_asset` goes by.
        sources: Sources of its closure.
        definitions: How the definitions of its code location are loaded.
        distributions: The libraries that count, as they were when it was pushed.
        renamed: The keys that its assets, and those that they are made from, have here.
        inputs: By argument name.
        upstream: Data version of each upstream asset, by key.
        config: The config.
        partitions: Partition keys, None for an asset without.
        run_id: The run.
        tags: Tags of the run.
    """

    workspace: Path
    folder: Path
    answer: Path
    tree: Path
    roots: tuple[Path, ...]
    variables: Mapping[str, str]
    store: Store
    record: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]
    definitions: Mapping[str, Any]
    distributions: Mapping[str, str]
    renamed: Mapping[str, str]
    inputs: Mapping[str, HandedInput]
    upstream: Mapping[str, str]
    config: Any
    partitions: Sequence[str] | None
    run_id: str
    tags: Mapping[str, str]

    def perform(self) -> Answer:
        """Compute it in this process."""
        logging.getLogger("dagster").setLevel(logging.WARNING)
        os.environ.update(self.variables)
        os.chdir(self.tree)  # as its code server does
        try:
            found = find_asset(self.record, self.sources, self.definitions, self.roots)
        except OtherCodeError as error:
            return Answer("other code", [str(error)])
        if elsewhere := strays(self.sources, self.roots):
            return Answer("other code", [f"{', '.join(elsewhere[:3])} came from outside of its bundle"])
        if differing := self._libraries(found):
            return Answer("missing", [differing])
        # whether results on the data of whoever runs it are published is not its author's to say
        private = replace(found.computation.cache, scope=None)
        object.__setattr__(found.computation, "cache", private)  # frozen elsewhere; this process runs it once
        try:
            done = run_once(
                self._under_the_names_here(found),
                dict.fromkeys(io_manager_keys(found), self._io_manager()),
                self.upstream,
                config=self.config,
                partitions=self.partitions,
                tags=self.tags,
                run_id=self.run_id,
            )
        except dg.DagsterError as error:
            return Answer("failed", [cause(error)])
        except MlreproError as error:
            return Answer("failed", [str(error)])
        except Exception as error:  # noqa: BLE001 -- whatever their code raises is what there is to tell
            return Answer("failed", [f"{type(error).__name__}: {one_line(error)}"])
        record = _record(self.store, done)
        if record is None:
            return Answer("failed", ["it left no result: its function returned nothing that can be stored"])
        return Answer("computed", record=record, seconds=record["seconds"])

    def _libraries(self, found: FoundAsset) -> str | None:
        """How the libraries that count differ from those that its team had."""
        if found.code.digest == self.record["code"]["fingerprint"]:
            return None
        here = found.code.distributions
        names = sorted(self.distributions.keys() | here.keys())
        lines = [
            f"{name} {self.distributions.get(name, 'not used')} there, {here.get(name, 'not installed')} here"
            for name in names
            if self.distributions.get(name) != here.get(name)
        ]
        return f"its libraries differ ({'; '.join(lines) or 'or its Python, or what it reads from the environment'})"

    def _under_the_names_here(self, found: FoundAsset) -> FoundAsset:
        keys = {*found.assets.keys, *found.assets.keys_by_input_name.values()}
        changed = {
            key: dg.AssetKey.from_user_string(new)
            for key in keys
            if (new := self.renamed.get(key.to_user_string(), key.to_user_string())) != key.to_user_string()
        }
        return replace(found, assets=found.assets.with_attributes(asset_key_replacements=changed)) if changed else found

    def _io_manager(self) -> dg.IOManagerDefinition:
        return DeferringIOManagerDefinition(_HandedInputs(self.store, self.inputs, self.folder / "inputs"))


class _HandedInputs(InputHashIOManager):
    """Loads what was handed over, and stores results where whoever runs it has theirs."""

    _store: Store = PrivateAttr()
    _inputs: Mapping[str, HandedInput] = PrivateAttr()
    _folder: Path = PrivateAttr()

    def __init__(self, store: Store, inputs: Mapping[str, HandedInput], folder: Path) -> None:
        super().__init__()
        self._store, self._inputs, self._folder = store, inputs, folder

    def open_store(self, instance: dg.DagsterInstance | None = None) -> Store:  # noqa: ARG002 -- the one that was given
        """The store."""
        return self._store

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """What stands for an input."""
        handed = self._inputs[context.name]
        as_type = plain_type(context.dagster_type.typing_type)

        def load() -> Any:
            values = {each: self._store.read_value(stored, as_type=as_type) for each, stored in handed.values.items()}
            return values if handed.as_mapping else next(iter(values.values()), None)

        return Deferred(
            versions=handed.versions,
            as_mapping=handed.as_mapping,
            load=load if handed.file is None else lambda: self._file(context, handed, handed.file or "").load(),
            loaded_as=handed.loaded_as,
            code=handed.code,
            source=handed.source,
        )

    def _file(self, context: dg.InputContext, handed: HandedInput, name: str) -> Deferred:
        (stored,) = handed.values.values()
        path = self._folder / stored.content_hash / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileSourceIOManager(self._store.export_value(stored, path), None, keep=False).deferred_input(context)


def _record(store: Store, done: dg.ExecuteInProcessResult) -> Mapping[str, Any] | None:
    """The record of what the run computed: the one that stands, or one that is noted beside it as it differs."""
    for event in done.get_asset_materialization_events():
        said = event.materialization.metadata.get("mlrepro/input_hash")
        if said is None:
            continue
        input_hash = str(said.value)
        records = [*store.deviations(input_hash, only=store.scope)]
        mine = store.get_result(input_hash, usable=lambda record: record.get("run_id") == done.run_id)
        records += [mine.record] if mine else []
        for record in records:
            if record.get("run_id") == done.run_id:
                return record
        found = store.get_result(input_hash)
        return found.record if found else None
    return None
