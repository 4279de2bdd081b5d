"""The IO manager of a run that is launched again: what it had from outside is what it was, the rest as ever."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mlrepro.io_managers.deferred import Deferred, DeferringIOManagerDefinition
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.io_managers.upstream import step_of
from mlrepro.reproducing.recipe import RecordedInput
from mlrepro.reproducing.recorded_inputs import RecordedInputs
from mlrepro.store import Store


class PinnedInputs(RecordedInputs):
    """Stores what the run makes in the store itself.

    Args:
        store: The store.
        inputs: What each op had from outside of the run, by its name and then by argument name.
        folder: Where copies of files are put.
    """

    _pinned: Mapping[str, Mapping[str, RecordedInput]] = PrivateAttr()

    def __init__(self, store: Store, inputs: Mapping[str, Mapping[str, RecordedInput]], folder: Path) -> None:
        super().__init__(scratch=folder / "unused", recorded=store, inputs={}, folder=folder)
        self._pinned = inputs

    def as_resource(self) -> dg.IOManagerDefinition:
        """The manager as it is: Dagster would make it anew."""
        return DeferringIOManagerDefinition(self)

    def open_store(self, instance: dg.DagsterInstance | None = None) -> Store:  # noqa: ARG002 -- the one that was given
        """The store."""
        return self._recorded

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an input, and have Dagster name the version that it really is as what the output was made from."""
        found = self._of(context)
        step_context = step_of(context)
        if found is not None and step_context is not None and len(found.given) == 1:
            known = step_context.maybe_fetch_and_get_input_asset_version_info(context.asset_key)
            if known is not None:
                known.data_version = dg.DataVersion(found.given[0].stored.content_hash)
        return super().load_input(context)

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """Find what an input was, or is where the run itself makes it."""
        found = self._of(context)
        return InputHashIOManager.deferred_input(self, context) if found is None else self._deferred(context, found)

    def _of(self, context: dg.InputContext) -> RecordedInput | None:
        return self._pinned.get(context.step_context.op_def.name, {}).get(context.name)
