"""A model with versions, a channel, and an event log that anything can be reported to."""

from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer, newest_entry
from mlrepro.catalog.history import Version, append_version
from mlrepro.catalog.moving import Mover, promote, roll_back
from mlrepro.quality import View
from mlrepro.store import open_store
from tests.instances import new_instance

MODEL = dg.AssetKey("churn_model")
ANNA = Mover("anna")


class ModelLab:
    """A store with versions of `churn_model`, and a Dagster instance; both thrown away with the test."""

    def __init__(self, folder: Path, partition: str | None = None) -> None:
        self.url = str(folder / "store")
        self.store = open_store(self.url, options={"durable": "false"})
        self.instance = new_instance()
        self.partition = partition

    def name(self, partition: str | None = None) -> ChannelName:
        return ChannelName(("churn_model",), "production", partition or self.partition)

    def version(self, content: object, partition: str | None = None) -> Version:
        """Append a version with some content."""
        stored = self.store.write_value({"content": content})
        facts = {"data_version": stored.content_hash, "input_hash": None}
        return append_version(self.store, ("churn_model",), partition or self.partition, stored, facts)[0]

    def promote(self, content: object, partition: str | None = None, **metrics: float) -> ChannelEntry:
        """Make a version, and have the channel serve it."""
        recorded = {name.replace("__", "."): value for name, value in metrics.items()}
        promote(self.store, self.name(partition), self.version(content, partition), ANNA, metrics=recorded)
        return self.entry(partition)

    def roll_back(self, to: int | None = None, sensor: str | None = None) -> ChannelEntry:
        roll_back(self.store, self.name(), Mover("anna", sensor=sensor), to=to)
        return self.entry()

    def entry(self, partition: str | None = None) -> ChannelEntry:
        entry = newest_entry(self.store, self.name(partition))
        assert entry is not None
        return entry

    @property
    def served(self) -> int:
        after = self.entry().after
        assert after is not None
        return after.number

    def report(
        self, asset: str, partition: str | None = None, tags: dict[str, str] | None = None, **numbers: Any
    ) -> None:
        """Report a materialization from outside, with its metrics."""
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, metadata=numbers, partition=partition, tags=tags)
        )

    def observe(self, asset: str, **numbers: Any) -> None:
        self.instance.report_runless_asset_event(dg.AssetObservation(asset, metadata=numbers))

    def view(self, **facts: Any) -> View:
        """What a gate sees; a `candidate` may be given as a version."""
        if isinstance(candidate := facts.get("candidate"), Version):
            facts["candidate"] = Pointer.to(candidate)
        return View(**{"instance": self.instance, "model": MODEL, "partition": self.partition, **facts})
