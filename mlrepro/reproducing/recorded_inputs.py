"""The IO manager of a reproduction: inputs are what the record says they were, outputs go to a temporary store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mlrepro.definitions.file_source import FileSourceIOManager
from mlrepro.errors import UnknownVersionError
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.io_managers.deferred import Deferred, UpstreamVersion
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.reproducing.recipe import Given, RecordedInput
from mlrepro.resources import ReproStore
from mlrepro.store import Store, loads_as, open_store
from mlrepro.versioning import resolve_reference


class RecordedInputs(InputHashIOManager):
    """Loads inputs by the recorded content, whatever Dagster or a history would name now.

    Args:
        scratch: URL of the temporary store.
        recorded: Where the recorded values are; only read.
        inputs: By argument name.
        folder: Where copies of files are put.
    """

    _recorded: Store = PrivateAttr()
    _inputs: Mapping[str, RecordedInput] = PrivateAttr()
    _folder: Path = PrivateAttr()

    def __init__(self, *, scratch: Path, recorded: Store, inputs: Mapping[str, RecordedInput], folder: Path) -> None:
        options = {"durable": "false"}  # it is thrown away
        super().__init__(store=ReproStore(url=str(scratch), scope="default", read_scopes=[], options=options))
        self._recorded, self._inputs, self._folder = recorded, inputs, folder

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """Find what an input was.

        Raises:
            UnknownVersionError: If the record has no such input.
        """
        found = self._inputs.get(context.name)
        if found is None:
            raise UnknownVersionError(f"the record has no input {context.name!r}: this is not the code that it is of")
        return self._deferred(context, found)

    def _deferred(self, context: dg.InputContext, found: RecordedInput) -> Deferred:
        if found.source is not None:
            return self._file(context, found)
        as_type = plain_type(context.dagster_type.typing_type)

        def load() -> Any:
            values = {each.partition: self._read(each, as_type) for each in found.given}
            return values if found.as_mapping else next(iter(values.values()), None)

        kinds = {loads_as(each.stored.format, as_type) for each in found.given}
        return Deferred(
            versions=tuple(
                UpstreamVersion(found.asset, each.partition, each.number, each.stored) for each in found.given
            ),
            as_mapping=found.as_mapping,
            load=load,
            loaded_as=",".join(sorted(kind for kind in kinds if kind)) or None,
        )

    def _read(self, given: Given, as_type: type | None) -> Any:
        if given.place is None:
            return self._recorded.read_value(given.stored, as_type=as_type)
        return open_store(str(given.place), read_scopes=[]).read_value(given.stored, as_type=as_type)

    def _file(self, context: dg.InputContext, found: RecordedInput) -> Deferred:
        """A file under its own name, read as its source reads it."""
        assert found.source is not None, "it was looked at before"
        path = self._folder / found.given[0].stored.content_hash / Path(str(found.source["file"])).name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._recorded.export_value(found.given[0].stored, path)
        reader = found.source.get("reader")
        read: Any = resolve_reference(str(reader)) if reader else None
        return FileSourceIOManager(path, read, keep=False).deferred_input(context)
