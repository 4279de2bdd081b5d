"""What the event log knows of an asset, and which version of the model it belongs to. Reads the newest events only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import dagster as dg

from mlrepro.dagster_internals import (
    DATA_VERSION_TAG,
    BaseAssetGraph,
    latest_check,
    named_as_input,
    newest_checks,
    read_input_data_version_from_tags,
    read_inputs_from_tags,
)
from mlrepro.quality.reading import event_of

_NEWEST = 25
"""How far back the event is looked for that an asset was made from. Further back, the event that it names counts."""


@dataclass(frozen=True)
class EventLog:
    """Events of the assets around a model, in the partition at hand where an asset has the same partitions.

    Attributes:
        instance: Dagster's instance.
        model: Key of the model.
        graph: The code location's assets, or None where they are not known.
        partition: The model's partition, or None.
    """

    instance: dg.DagsterInstance
    model: dg.AssetKey
    graph: "BaseAssetGraph | None"  # type: ignore[type-arg]
    partition: str | None
    _downstream: dict[dg.AssetKey, frozenset[dg.AssetKey]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def actual(self, asset: dg.AssetKey) -> dg.AssetKey:
        """The asset that is meant: where the model was given a prefix after a condition was written, so was this.

        Dagster prefixes the keys of whole modules; what a condition names is not among them.
        """
        if self.graph is None or self.graph.has(asset):
            return asset
        for length in range(len(self.model.path) - 1, 0, -1):
            beside = dg.AssetKey([*self.model.path[:length], *asset.path])
            if self.graph.has(beside):
                return beside
        return asset

    def knows(self, asset: dg.AssetKey) -> bool:
        """Whether the code location has such an asset."""
        return self.graph is not None and self.graph.has(self.actual(asset))

    def records(self, asset: dg.AssetKey, limit: int, *, after: int | None = None) -> list[dg.EventLogRecord]:
        """Fetch an asset's newest events, newest first: materializations, and observations where nobody makes it here.

        Args:
            asset: Key of the asset.
            limit: How many at most.
            after: Only events with a larger storage id.
        """
        asset = self.actual(asset)
        partition = self.partition_of(asset)
        wanted = dg.AssetRecordsFilter(
            asset, asset_partitions=None if partition is None else [partition], after_storage_id=after
        )
        found = list(self.instance.fetch_materializations(wanted, limit=limit).records)
        if not self.made_here(asset):
            found += self.instance.fetch_observations(wanted, limit=limit).records
            found.sort(key=lambda record: record.storage_id, reverse=True)
        if self.partition is not None and not self.knows(asset):
            # another code location's asset: whether it has the same partitions is told by its events alone
            found = [record for record in found if event_of(record.event_log_entry).partition in (None, self.partition)]
        return found[:limit]

    def record(self, asset: dg.AssetKey, storage_id: int) -> dg.EventLogRecord | None:
        """Fetch one materialization; None if it was wiped."""
        wanted = dg.AssetRecordsFilter(asset, storage_ids=[storage_id])
        return next(iter(self.instance.fetch_materializations(wanted, limit=1).records), None)

    def check(self, check: dg.AssetCheckKey) -> tuple[dg.AssetCheckEvaluation, float] | None:
        """The newest finished evaluation of an asset check, and when it was (seconds since the epoch)."""
        check = dg.AssetCheckKey(self.actual(check.asset_key), check.name)
        partition = self.partition_of(check.asset_key)
        found = latest_check(self.instance, check, partition)
        if found is not None or partition is None:
            return found
        # the check has no partitions: in which one it looked is told by what it looked at
        for evaluation, when in newest_checks(self.instance, check, _NEWEST):
            target = evaluation.target_materialization_data
            record = self.record(check.asset_key, target.storage_id) if target else None
            if record is not None and event_of(record.event_log_entry).partition == partition:
                return evaluation, when
        return None

    def partition_of(self, asset: dg.AssetKey) -> str | None:
        """The partition in which an asset is read: ours, where it has the model's partitions."""
        asset = self.actual(asset)
        if self.partition is None or self.graph is None or not self.graph.has(asset):
            return None
        theirs = self.graph.get(asset).partitions_def
        ours = self.graph.get(self.model).partitions_def if self.graph.has(self.model) else None
        if theirs is None or (ours is not None and ours != theirs):
            return None
        # of a model in another code location nothing is known but the partition at hand
        alike = ours is not None or theirs.has_partition_key(self.partition, dynamic_partitions_store=self.instance)
        return self.partition if alike else None

    def descends(self, asset: dg.AssetKey, ancestor: dg.AssetKey) -> bool:
        """Whether an asset stands downstream of another."""
        return asset in self.downstream_of(ancestor)

    def downstream_of(self, ancestor: dg.AssetKey) -> frozenset[dg.AssetKey]:
        """All assets downstream of one."""
        if ancestor not in self._downstream:
            self._downstream[ancestor] = _downstream_of(self.graph, ancestor)
        return self._downstream[ancestor]

    def versions_of(self, ancestor: dg.AssetKey, asset: dg.AssetKey, entry: dg.EventLogEntry) -> set[str]:
        """The data versions of an ancestor that an asset's event was made from; empty if the log does not tell.

        Where it is named by the event itself, that is it. Otherwise the assets that lie between are followed, each
        by its newest event with the data version that was used.
        """
        return self._versions(ancestor, asset, entry, self.downstream_of(ancestor), {})

    def _versions(
        self,
        ancestor: dg.AssetKey,
        asset: dg.AssetKey,
        entry: dg.EventLogEntry,
        between: frozenset[dg.AssetKey],
        known: dict[tuple[dg.AssetKey, str], set[str]],
    ) -> set[str]:
        tags = entry.tags or {}
        if (named := read_input_data_version_from_tags(tags, ancestor)) is not None:
            return {named.value}
        found: set[str] = set()
        for parent in self._parents(asset, tags, between):
            used = read_input_data_version_from_tags(tags, parent)
            if used is None:
                continue
            step = (parent, used.value)
            if step not in known:
                known[step] = set()
                made = self._made(parent, used.value, tags)
                if made is not None:
                    known[step] = self._versions(ancestor, parent, made, between, known)
            found |= known[step]
        return found

    def _parents(
        self, asset: dg.AssetKey, tags: Mapping[str, str], between: frozenset[dg.AssetKey]
    ) -> Collection[dg.AssetKey]:
        """What an asset was made from, as far as it can lead to the ancestor."""
        if self.made_here(asset):
            assert self.graph is not None, "nothing is made where no graph is known"
            parents: frozenset[dg.AssetKey] = self.graph.get(asset).parent_keys & between
            return parents
        # another code location's asset: what it depends on is told by its events alone
        named = read_inputs_from_tags(tags)
        return [parent for parent in named if parent in between or not self.made_here(parent)]

    def made_here(self, asset: dg.AssetKey) -> bool:
        """Whether the code location at hand makes an asset, rather than another one."""
        return self.graph is not None and self.graph.has(asset) and self.graph.get(asset).is_materializable

    def _made(self, asset: dg.AssetKey, data_version: str, tags: Mapping[str, str]) -> dg.EventLogEntry | None:
        """The newest event of an asset with a data version, else the one that its consumer's tags point to."""
        for record in self.records(asset, _NEWEST):
            made = (record.event_log_entry.tags or {}).get(DATA_VERSION_TAG)
            if made is not None and data_version in named_as_input(made):
                return record.event_log_entry
        pointer = tags.get(f"dagster/input_event_pointer/{asset.to_user_string()}", "")
        pointed = self.record(asset, int(pointer)) if pointer.isdecimal() else None
        return pointed.event_log_entry if pointed else None


def _downstream_of(graph: "BaseAssetGraph | None", ancestor: dg.AssetKey) -> frozenset[dg.AssetKey]:  # type: ignore[type-arg]
    if graph is None or not graph.has(ancestor):
        return frozenset()
    found: set[dg.AssetKey] = set()
    waiting = [ancestor]
    while waiting:
        new = graph.get(waiting.pop()).child_keys - found
        found |= new
        waiting.extend(new)
    return frozenset(found)
