"""An asset's past for a page: its newest versions, their metrics, and what its channels and pins did."""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlrepro.catalog import Version, VersionName, parse_version_name
from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of
from mlrepro.catalog.history import find_number, newest_version, partition_of_part, versions_of
from mlrepro.catalog.pins import pin_entries
from mlrepro.comparison.metrics import Number, own_metrics
from mlrepro.comparison.past import MOST_MOVES, Move, Past, metrics_of, moves_of
from mlrepro.comparison.plot import Plot, plots
from mlrepro.comparison.records import Records, at_once
from mlrepro.errors import StoreError
from mlrepro.store import Store

MOST_VERSIONS = 200
"""Newest versions that a plot shows."""

_MOST_PINS = 100
_MOST_CHANNELS = 200
_MOST_PLOTS = 24


@dataclass(frozen=True)
class History:
    """What happened to an asset.

    Attributes:
        versions: Its newest versions, newest first.
        metrics: Their metrics, in the same order.
        moves: What channels and pins did, oldest first.
        entries: The entries of its channels, newest first for each channel.
    """

    versions: tuple[Version, ...]
    metrics: tuple[Mapping[str, Number], ...]
    moves: tuple[Move, ...]
    entries: Mapping[ChannelName, tuple[ChannelEntry, ...]]

    def served(self) -> dict[int, list[str]]:
        """The channels that serve each version, by its number."""
        found: dict[int, list[str]] = {}
        for name, entries in self.entries.items():
            if entries and entries[0].after is not None:
                found.setdefault(entries[0].after.number, []).append(name.channel)
        return found

    def plots(self, asset: tuple[str, ...]) -> list[Plot]:
        """Draw each metric over the versions, the newest and what is served marked."""
        if not self.versions or not any(self.metrics):
            return []
        newest = self.versions[0].number
        numbers = {version.number for version in self.versions}
        marked = {newest: f"v{newest}"}
        marked |= {number: f"v{number}" for number in sorted(self.served()) if number in numbers}
        ordered = self.versions[::-1]
        past = Past(
            asset=str(VersionName(asset, None)),
            versions=ordered,
            metrics=self.metrics[::-1],
            moves=self.moves,
            marked=marked,
            left_out=ordered[0].number - 1,
        )
        return plots(past)[:_MOST_PLOTS]


def read_history(
    store: Store,
    asset: tuple[str, ...],
    partition: str | None,
    *,
    channels: Sequence[str] = (),
    evaluations: Sequence[str] = (),
    before: int | None = None,
    most: int = MOST_VERSIONS,
) -> History:
    """Read an asset's past. What it costs depends on how much is shown, not on how much there is.

    Args:
        store: As the asset's scope sees it.
        asset: Its key.
        partition: Partition key, or None.
        channels: Names of the channels that Dagster knows; those that only the store knows are found beside them.
        evaluations: Names of the assets whose metrics speak of it.
        before: Only versions before this number.
        most: At most so many versions.

    Raises:
        StoreError: The store can't be read.
    """
    versions = newest_versions(store, asset, partition, before=before, most=most)
    names = channels_of_asset(store, asset, partition, channels)
    entries = dict(
        zip(
            names,
            at_once(lambda name: tuple(itertools.islice(entries_of(store, name), MOST_MOVES)), names),
            strict=True,
        )
    )
    moves = sorted(
        [*(move for each in entries.values() for move in moves_of(each)), *_pins(store, asset, partition)],
        key=lambda move: move.when,
    )
    metrics: Sequence[Mapping[str, Number]] = ()
    if versions:
        told = [entry for each in entries.values() for entry in each]
        # an asset evaluates itself no more than nothing does: naming it keeps the whole store from being searched
        records = Records(store)
        only = _with_metrics(records, evaluations, partition) or [str(VersionName(asset, None))]
        metrics = metrics_of(versions, told, records, only)[0]
    return History(tuple(versions), tuple(metrics), tuple(moves), entries)


def _with_metrics(records: Records, names: Sequence[str], partition: str | None) -> list[str]:
    """Those assets whose newest version has metrics: the histories of the others need not be read."""

    def has_some(name: str) -> bool:
        key = parse_version_name(f"{name}@latest").asset
        newest = records.newest(key, partition) or records.newest(key, None)
        return newest is not None and bool(own_metrics(newest, records.result(newest)))

    return [name for name, some in zip(names, at_once(has_some, names), strict=True) if some]


def newest_versions(
    store: Store, asset: Sequence[str], partition: str | None, *, before: int | None = None, most: int = MOST_VERSIONS
) -> list[Version]:
    """An asset's newest versions, newest first, read at once."""
    newest = newest_version(store, asset, partition)
    if newest is None:
        return []
    last = newest.number if before is None else min(newest.number, before - 1)
    numbers = range(last, max(0, last - most), -1)
    try:
        found = at_once(
            lambda number: newest if number == newest.number else find_number(store, asset, partition, number), numbers
        )
    except StoreError:  # a damaged entry, which is passed over one by one; or the store fails again
        found = [
            version
            for version in itertools.takewhile(
                lambda each: each.number > last - most, versions_of(store, asset, partition)
            )
            if version.number <= last
        ]
    return [version for version in found if version is not None]


def channels_of_asset(
    store: Store, asset: tuple[str, ...], partition: str | None, known: Sequence[str] = ()
) -> list[ChannelName]:
    """The channels of an asset's partition: those that are known, and those that the store has."""
    prefix = ("channels", *asset)
    names = dict.fromkeys(known)
    for history in itertools.islice(store.histories(prefix), _MOST_CHANNELS):
        if len(history) == len(prefix) + 2 and partition_of_part(history[-1]) == partition:
            names[history[-2]] = None
    return [ChannelName(asset, name, partition) for name in names]


def partitions_of(store: Store, asset: tuple[str, ...], most: int) -> list[str]:
    """Partitions of an asset that have versions, in the order of their names, at most so many."""
    prefix = ("versions", *asset)
    found = (partition_of_part(history[-1]) for history in store.histories(prefix) if len(history) == len(prefix) + 1)
    return list(itertools.islice((each for each in found if each is not None), most))


def _pins(store: Store, asset: tuple[str, ...], partition: str | None) -> list[Move]:
    with contextlib.suppress(StoreError):
        return [
            Move("pinned", entry.kind, None, entry.pin.pointer.number, entry.when.isoformat(), entry.who, entry.reason)
            for entry in itertools.islice(pin_entries(store), _MOST_PINS)
            if (entry.pin.asset, entry.pin.partition) == (asset, partition)
        ]
    return []
