"""`View`: what a condition may look at when it is judged."""

import datetime as dt
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

from mlrepro.catalog.channels import ChannelEntry, Pointer
from mlrepro.dagster_internals import DATA_VERSION_TAG, BaseAssetGraph, named_as_input
from mlrepro.quality.event_log import EventLog
from mlrepro.quality.reading import Reading
from mlrepro.quality.verdict import Verdict

if TYPE_CHECKING:
    from mlrepro.quality.metric import Metric

NEWEST = 25
"""How many of an asset's newest events are looked at for one that is of the version at hand."""


@dataclass(frozen=True)
class Failure:
    """A step downstream of the channel that failed, and with it its run.

    Attributes:
        run_id: The run.
        asset: The asset that the step would have made.
        timestamp: When, in seconds since the epoch.
    """

    run_id: str
    asset: dg.AssetKey
    timestamp: float


@dataclass(frozen=True, kw_only=True)
class View:
    """What a condition may look at: the event log, and the channel as it is now.

    A gate judges a `candidate`: what descends from the model counts only if it was made of it. A rollback sensor judges
    what the channel serves: what came before the channel moved, or is of another version, does not count.

    Attributes:
        instance: Dagster's instance.
        model: Key of the model.
        channel: The channel's newest entry; None if nothing was promoted yet.
        partition: Partition of the model, or None.
        candidate: For a gate: the version that wants to be promoted.
        graph: The code location's assets, as Dagster knows them.
        since: For a sensor: when the channel moved last.
        now: The present time, UTC.
        kept: For a sensor: readings by asset, newest first, that were fetched already.
        failures: For a sensor: what failed downstream of the channel since it moved, newest first.
    """

    instance: dg.DagsterInstance
    model: dg.AssetKey
    channel: ChannelEntry | None = None
    partition: str | None = None
    candidate: Pointer | None = None
    graph: "BaseAssetGraph | None" = None  # type: ignore[type-arg]
    since: dt.datetime | None = None
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    kept: Mapping[dg.AssetKey, Sequence[Reading]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()

    @cached_property
    def log(self) -> EventLog:
        """The event log around the model."""
        return EventLog(self.instance, self.model, self.graph, self.partition)

    def value(self, asset: dg.AssetKey | str, name: str) -> float | None:
        """A metric's newest value, for conditions that are plain functions.

        Returns:
            The number; NaN if it is NaN or infinite; None if there is none of the version at hand.
        """
        from mlrepro.quality.metric import Metric

        metric = Metric(asset, name)
        readings = self.readings(metric.asset, 1)
        return readings[0].numbers.get(name) if readings else None

    def readings(self, asset: dg.AssetKey, count: int) -> Sequence[Reading]:
        """An asset's newest readings that count here, newest first; for a gate none where the newest does not."""
        if asset in self.kept:
            return self.kept[asset][:count]
        return self.read(asset, count)

    def read(self, asset: dg.AssetKey, count: int) -> list[Reading]:
        """Fetch an asset's newest readings that count here, newest first.

        Args:
            asset: Key of the asset.
            count: How many at most.
        """
        return self.readings_among(asset, self.log.records(asset, max(count, NEWEST)))[:count]

    def readings_among(self, asset: dg.AssetKey, records: Sequence[dg.EventLogRecord]) -> list[Reading]:
        """Keep of an asset's events, newest first, those that count here."""
        found: list[Reading] = []
        for record in records:
            if self.since is not None and record.timestamp <= self.since.timestamp():
                continue
            if self.is_of_version(asset, record.event_log_entry):
                found.append(Reading.of(record))
            elif self.candidate is not None:
                break  # the newest value counts, or none
        return found

    def is_of_version(self, asset: dg.AssetKey, entry: dg.EventLogEntry) -> bool | None:
        """Whether an asset's event was made of the version at hand; None if that can't be told.

        An asset that has nothing to do with the model always is. One of another code location goes by what its events
        name. For a sensor so is one whose events don't tell:
        what is reported from outside has its time alone.
        """
        asset = self.log.actual(asset)
        wanted = self.candidate or (self.channel.after if self.channel else None)
        if wanted is None:
            return True
        versions = {wanted.data_version, wanted.stored.content_hash}
        if asset == self.model:
            return (entry.tags or {}).get(DATA_VERSION_TAG) in versions
        ancestor = self._ancestor(asset)
        made_of = self.log.versions_of(ancestor, asset, entry) if ancestor else self._named_abroad(asset, entry)
        if ancestor is None and not made_of:
            return True
        if not made_of:
            return None if self.candidate is not None else True
        return made_of <= {name for version in versions for name in named_as_input(version)}

    def promoted(self, metric: "Metric") -> float | None:
        """A metric of the version that the channel serves.

        Returns:
            The number that was recorded when it was promoted, else that of the newest event that is of this version;
            None if there is neither.
        """
        if self.channel is None or self.channel.after is None:
            return None
        recorded = self.channel.metrics.get(str(metric))
        if recorded is not None:
            return recorded
        asset = self.log.actual(metric.asset)
        if asset != self.model and not self.log.descends(asset, self.model):
            return None
        served = View(
            instance=self.instance,
            model=self.model,
            partition=self.partition,
            candidate=self.channel.after,
            graph=self.graph,
        )
        for record in self.log.records(metric.asset, NEWEST):
            if served.is_of_version(metric.asset, record.event_log_entry):
                return Reading.of(record).numbers.get(metric.name)
        return None

    def missing(self, asset: dg.AssetKey) -> Verdict:
        """Say why there is no reading of an asset, and what to do about it."""
        asset = self.log.actual(asset)
        name = asset.to_user_string()
        records = self.log.records(asset, 1)
        if not records:
            if self.graph is not None and not self.log.knows(asset):
                there = [key.to_user_string() for key in self.graph.get_all_asset_keys()]
                close = difflib.get_close_matches(name, there, 3, 0.5) or sorted(there)[:8]
                return Verdict.unknown(
                    f"there is no asset {name}, and no event of one: name an asset of this code location"
                    f" ({', '.join(close)}), or one that reports events to this Dagster"
                )
            where = f" in partition {self.partition}" if self.log.partition_of(asset) else ""
            return Verdict.unknown(f"{name} was never materialized or observed{where}: materialize {name}")
        if self.candidate is None:
            late = self.since is not None and records[0].timestamp > self.since.timestamp()
            said = f"the newest event of {name} is of another version than" if late else f"{name} has no event yet for"
            return Verdict.unknown(f"{said} what the channel serves since it moved last")
        model = self.model.to_user_string()
        made_of = self.log.versions_of(self.model, asset, records[0].event_log_entry)
        if asset == self.model:
            made_of = {(records[0].event_log_entry.tags or {}).get(DATA_VERSION_TAG, "")}
        if not made_of:
            return Verdict.unknown(
                f"it can't be told which version of {model} the newest {name} is of, as its event names no input:"
                f" materialize {name}"
            )
        others = ", ".join(sorted(each[:12] for each in made_of)) or "none"
        return Verdict.unknown(
            f"{name} is of another version of {model} (data version {others}, not"
            f" v{self.candidate.number}, {self.candidate.data_version[:12]}): materialize {name}"
        )

    def series(self, metric: "Metric", count: int) -> list[float] | Verdict:
        """A metric's newest values, newest first; a verdict that says so where the newest event has none."""
        readings = self.readings(metric.asset, count)
        if not readings:
            return self.missing(metric.asset)
        if metric.name not in readings[0].numbers:
            # what is kept over ticks holds no more than was asked for
            newest = self.log.records(metric.asset, 1)
            there = sorted(Reading.of(newest[0]).numbers) if newest else []
            return Verdict.unknown(
                f"the newest event of {metric.asset.to_user_string()} has no metric {metric.name}: it has"
                f" {', '.join(there[:12]) or 'no numbers'}"
            )
        return [reading.numbers[metric.name] for reading in readings if metric.name in reading.numbers]

    def _named_abroad(self, asset: dg.AssetKey, entry: dg.EventLogEntry) -> set[str]:
        """What the events of another code location's asset say that it was made of; empty if they don't tell."""
        if self.log.made_here(asset):
            return set()
        channel = dg.AssetKey(list(self.channel.name.key)) if self.channel and self.candidate is None else None
        of_channel = self.log.versions_of(channel, asset, entry) if channel else set()
        return of_channel or self.log.versions_of(self.model, asset, entry)

    def _ancestor(self, asset: dg.AssetKey) -> dg.AssetKey | None:
        """The asset whose version tells what an asset was made of: the channel or the model; None for an outsider."""
        if self.candidate is None and self.channel is not None:
            channel = dg.AssetKey(list(self.channel.name.key))
            if self.log.descends(asset, channel):
                return channel
        return self.model if self.log.descends(asset, self.model) else None


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that are numbers."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
