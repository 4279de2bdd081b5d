"""All versions of an asset with their metrics, and what its channels did: what a comparison is seen against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlrepro.catalog import Version, VersionName
from mlrepro.catalog.channels import ChannelEntry, channels_of, entries_of
from mlrepro.comparison.evaluations import Evaluations
from mlrepro.comparison.lineage import identity
from mlrepro.comparison.metrics import Number, own_metrics
from mlrepro.comparison.records import Records, at_once

MOST_MOVES = 200
"""Newest entries of a channel that are shown."""


@dataclass(frozen=True)
class Move:
    """A promotion or a rollback, as it is marked in a plot; or a pin.

    Attributes:
        channel: Name of the channel, or of the lane that pins are shown in.
        kind: ``promotion`` or ``rollback``; ``pin`` or ``release``.
        before: Number of the version that was served before, or None.
        after: Number of the version that was served from then on.
        when: When, as ISO 8601.
        who: Who.
        reason: Why.
    """

    channel: str
    kind: str
    before: int | None
    after: int
    when: str
    who: str
    reason: str


@dataclass(frozen=True)
class Past:
    """An asset's versions over time.

    Attributes:
        asset: Its name.
        versions: Its versions, oldest first.
        metrics: Their metrics, in the same order.
        moves: Promotions and rollbacks, oldest first.
        marked: Numbers of the versions that are compared, by label.
        left_out: How many older versions there are that are not shown.
    """

    asset: str
    versions: tuple[Version, ...]
    metrics: tuple[Mapping[str, Number], ...]
    moves: tuple[Move, ...]
    marked: Mapping[int, str]
    left_out: int = 0


def read_past(
    versions: Sequence[Version],
    labels: Sequence[str],
    entries: Sequence[ChannelEntry],
    records: Records,
    only: Sequence[str],
) -> Past:
    """Read the history of an asset.

    Args:
        versions: The versions of it that are compared, all of one partition.
        labels: How they are shown.
        entries: Entries of its channels, from `channel_entries`.
        records: The store's records.
        only: Names of the assets that may evaluate it; empty for all.
    """
    asset, partition = versions[0].asset, versions[0].partition
    by_number = {version.number: version for version in (*versions, *records.versions(asset, partition))}
    ordered = tuple(by_number[number] for number in sorted(by_number))
    return Past(
        asset=str(VersionName(asset, None)),
        versions=ordered,
        metrics=tuple(metrics_of(ordered, entries, records, only)[0]),
        moves=tuple(sorted(moves_of(entries), key=lambda move: move.when)),
        marked=dict(zip((version.number for version in versions), labels, strict=True)),
        left_out=max(0, ordered[0].number - 1) if len(ordered) < ordered[-1].number else 0,
    )


def moves_of(entries: Iterable[ChannelEntry]) -> list[Move]:
    """The promotions and rollbacks among a channel's entries, as plots mark them."""
    return [
        Move(
            entry.name.channel,
            entry.kind,
            entry.before.number if entry.before else None,
            entry.after.number,
            entry.when.isoformat(),
            entry.who,
            entry.reason,
        )
        for entry in entries
        if entry.kind in {"promotion", "rollback"} and entry.after is not None
    ]


def metrics_of(
    versions: Sequence[Version], entries: Sequence[ChannelEntry], records: Records, only: Sequence[str]
) -> tuple[list[dict[str, Number]], list[str]]:
    """Collect the metrics of versions of one asset and partition: own ones, then those of evaluations.

    What was known of a version at its promotion fills in what no evaluation in the store tells.

    Returns:
        Metrics of each version; and assets that were asked for, but do not tell what they evaluated.
    """
    evaluations = Evaluations(records, versions, only)
    evaluated = evaluations.metrics_of(versions)
    own = [
        own_metrics(version, record)
        for version, record in zip(versions, at_once(records.result, versions), strict=True)
    ]
    promoted = _known_at_promotion(entries, only)
    found = [
        {**promoted.get(identity(version), {}), **evaluation, **metrics}
        for version, evaluation, metrics in zip(versions, evaluated, own, strict=True)
    ]
    return found, evaluations.silent


def channel_entries(version: Version, records: Records) -> list[ChannelEntry]:
    """List what the channels of a version's asset and partition did, newest first for each channel."""
    names = [name for name in channels_of(records.store, version.asset) if name.partition == version.partition]
    entries: list[ChannelEntry] = []
    for name in names:
        entries += [entry for entry, _ in zip(entries_of(records.store, name), range(MOST_MOVES), strict=False)]
    return entries


def _known_at_promotion(entries: Sequence[ChannelEntry], only: Sequence[str]) -> dict[str, dict[str, Number]]:
    known: dict[str, dict[str, Number]] = {}
    for entry in entries:
        if entry.after is None:
            continue
        own = f"{VersionName(entry.name.asset, None)}."
        for name, value in entry.metrics.items():
            if not only or any(name.startswith(f"{asset}.") for asset in only) or name.startswith(own):
                known.setdefault(entry.after.content, {}).setdefault(name.removeprefix(own), value)
    return known
