"""Versions that a channel passed over, as its steps told Dagster: which gates failed, and what they said."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from dagster import AssetKey, AssetRecordsFilter, EventLogEntry
from pydantic import BaseModel

from mlrepro.catalog.channels import ChannelEntry, ChannelName
from mlrepro.execution.channel_facts import REFUSED
from mlrepro.io_managers.facts import PREFIX
from mlrepro.web.pages.asked import Asked

_MOST_GATES: Final = 100


class Gate(BaseModel):
    """What a gate said."""

    gate: str
    passed: bool
    said: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Gate":
        """From what an entry or an event keeps of it, which anybody may have edited."""
        return cls(gate=str(told.get("gate")), passed=bool(told.get("passed")), said=str(told.get("said")))


class Refusal(BaseModel):
    """A version that did not pass its gates."""

    version: int
    when: dt.datetime
    said: str
    gates: list[Gate]
    run_id: str
    run_page: str

    def is_after(self, entry: ChannelEntry | None) -> bool:
        """Whether the channel has not moved since."""
        return entry is None or entry.when < self.when


def refusals_of(asked: Asked, channel: ChannelName, most: int = 1) -> list[Refusal]:
    """What a channel passed over, newest first, at most so many.

    Args:
        asked: Who asks.
        channel: The channel.
        most: How many observations of the channel are looked at.
    """
    partitions = None if channel.partition is None else [channel.partition]
    chosen = AssetRecordsFilter(asset_key=AssetKey(list(channel.key)), asset_partitions=partitions)
    records = asked.instance.fetch_observations(chosen, limit=most).records
    found = [_refusal(asked, record.event_log_entry) for record in records]
    return [refusal for refusal in found if refusal is not None]


def _refusal(asked: Asked, entry: EventLogEntry) -> Refusal | None:
    observation = entry.asset_observation
    said = {name: getattr(value, "value", None) for name, value in observation.metadata.items()} if observation else {}
    version, gates = said.get(f"{PREFIX}{REFUSED}"), said.get(f"{PREFIX}verdicts")
    if not isinstance(version, int):
        return None  # somebody else observed the channel
    return Refusal(
        version=version,
        when=dt.datetime.fromtimestamp(entry.timestamp, dt.UTC),
        said=str(said.get(f"{PREFIX}said") or ""),
        gates=[Gate.of(gate) for gate in gates[:_MOST_GATES] if isinstance(gate, Mapping)]
        if isinstance(gates, list)
        else [],
        run_id=entry.run_id,
        run_page=asked.page("run", id=entry.run_id),
    )
