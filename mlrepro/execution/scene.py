"""Moving channels and pins: the store first, then Dagster's log, then what stands downstream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import dagster as dg

from mlrepro.catalog import moving
from mlrepro.catalog.channels import (
    ChannelEntry,
    ChannelName,
    Pointer,
    channels_of,
    entries_of,
    newest_entry,
    no_such_channel,
)
from mlrepro.catalog.history import find_number
from mlrepro.catalog.moving import Mover
from mlrepro.catalog.names import VersionName, check_channel_name, parse_version_name
from mlrepro.catalog.pins import pin, release_pin
from mlrepro.catalog.reading import unknown_version
from mlrepro.dagster_internals import DATA_VERSION_TAG, BaseAssetGraph
from mlrepro.errors import ChannelError, VersionNameError
from mlrepro.execution.cascade import CodeLocation, cascade
from mlrepro.execution.channel_facts import entry_facts
from mlrepro.execution.exporting import export_served
from mlrepro.execution.moved import Moved
from mlrepro.execution.promoting import own_metrics
from mlrepro.io_managers.facts import PREFIX
from mlrepro.io_managers.promotion import approvers_in
from mlrepro.store import Store

_RECENT = 10
"""How many entries back a run looks for what it did before it was started again."""


@dataclass(frozen=True)
class Scene:
    """Where a verb acts.

    Attributes:
        store: The store.
        mover: Who acts, and why.
        instance: Dagster's instance, or None where there is none.
        report: Writes a materialization into its event log; None where there is none.
        location: Whose assets stand downstream; None if nobody asked for a cascade.
        tags: Tags of the run of a cascade.
        retry_of: Runs that this one repeats: what they moved is not moved once more.
        graph: The assets of the code location, which say who may approve; None where only the store tells.
    """

    store: Store
    mover: Mover
    instance: dg.DagsterInstance | None
    report: Callable[[dg.AssetMaterialization], None] | None
    location: CodeLocation | None
    tags: Mapping[str, str]
    retry_of: frozenset[str] = frozenset()
    graph: BaseAssetGraph[Any] | None = None

    def rollback(
        self, asset: str, channel: str | None, to: int | None, partition: str | None, expected: int | None
    ) -> Moved:
        """Take a channel, or an asset without one, back to an earlier version."""
        if (number := parse_version_name(asset).number) is not None:
            raise VersionNameError(
                f"{asset} names a version, and it is not said whether to go back to it or from it: name the asset"
                f" alone, and where to go back to with --to v{number} (the field `to` of the job)"
            )
        name = self.channel_named(asset, channel, partition)
        if name is None:
            return self._pin(parse_version_name(asset).asset, to, partition)
        self._check_downstream(dg.AssetKey(name.key))
        if (done := self._done_before(name, "rollback")) is not None:
            return self._served(done)
        approvers = self._approvers(name)
        return self._served(
            moving.roll_back(self.store, name, self.mover, to=to, expected=expected, approvers=approvers)
        )

    def promote(self, asset: str, channel: str, partition: str | None) -> Moved:
        """Point a channel to a version that somebody chose."""
        parsed = parse_version_name(asset)
        name = ChannelName(parsed.asset, check_channel_name(channel), partition)
        version = find_number(self.store, parsed.asset, partition, parsed.number)
        if parsed.channel is not None:
            source = newest_entry(self.store, ChannelName(parsed.asset, parsed.channel, partition))
            if source is None or source.after is None:
                raise no_such_channel(self.store, ChannelName(parsed.asset, parsed.channel, partition))
            version = find_number(self.store, parsed.asset, partition, source.after.number)
        if version is None:
            raise unknown_version(self.store, parsed, partition)
        self._check_downstream(dg.AssetKey(name.key))
        if (done := self._done_before(name, "promotion")) is not None:
            return self._served(done)
        others = sorted({each.channel for each in channels_of(self.store, name.asset)} - {name.channel})
        metrics, approvers = own_metrics(version), self._approvers(name)
        entry = moving.promote(self.store, name, version, self.mover, metrics=metrics, approvers=approvers)
        if entry is None:
            raise ChannelError(f"{name} serves the content of v{version.number} already")
        moved = self._served(entry)
        if entry.number > 1 or not others:
            return moved
        # nothing in the store tells a new channel from one that is misspelt
        return replace(moved, note=f"{name} is a new channel; there was {', '.join(others)} before")

    def approve(self, asset: str, channel: str, number: int | None, partition: str | None) -> Moved:
        """Promote the version that waits for approval."""
        name = ChannelName(parse_version_name(asset).asset, check_channel_name(channel), partition)
        self._check_downstream(dg.AssetKey(name.key))
        if (done := self._done_before(name, "promotion")) is not None:
            return self._served(done)
        return self._served(moving.approve(self.store, name, number, self.mover, approvers=self._approvers(name)))

    def release(self, asset: str, channel: str | None, partition: str | None) -> Moved:
        """Lift a quarantine, or a pin."""
        parsed = parse_version_name(asset)
        if channel is None:
            released = release_pin(self.store, parsed.asset, self.mover, partition=partition)
            return Moved(
                released.pin.name,
                "release",
                released.pin.pointer.number,
                None,
                self.mover.who,
                self.mover.reason,
                released.number,
            )
        if parsed.number is None:
            raise VersionNameError(f"name the version to release from quarantine: {asset}@v3")
        name = ChannelName(parsed.asset, check_channel_name(channel), partition)
        entry = moving.release(self.store, name, parsed.number, self.mover)
        return Moved.of(entry)

    def channel_named(self, asset: str, channel: str | None, partition: str | None) -> ChannelName | None:
        """Find the channel that is meant: by its name, as ``asset@channel``, or by the key of its own asset."""
        parsed = parse_version_name(asset)
        if channel is not None and parsed.channel not in (None, channel):
            raise VersionNameError(f"{asset} names the channel {parsed.channel}, and not {channel}: name one of them")
        if channel is None and parsed.channel is None:
            name = ChannelName(parsed.asset[:-1], parsed.asset[-1], partition)
            return name if name.asset and newest_entry(self.store, name) is not None else None
        return ChannelName(parsed.asset, check_channel_name(channel or str(parsed.channel)), partition)

    def _approvers(self, name: ChannelName) -> tuple[str, ...] | None:
        """Who may approve, as the channel's definition says; None where it is not at hand."""
        key = dg.AssetKey(name.key)
        return approvers_in(self.graph.get(key).metadata) if self.graph is not None and self.graph.has(key) else None

    def _done_before(self, name: ChannelName, kind: str) -> ChannelEntry | None:
        """The channel's newest entry, where this very run, or one that it repeats, has moved it already."""
        recent = list(islice(entries_of(self.store, name), _RECENT)) if self.retry_of else []
        return recent[0] if any(each.kind == kind and each.run_id in self.retry_of for each in recent) else None

    def _pin(self, asset: tuple[str, ...], to: int | None, partition: str | None) -> Moved:
        key = dg.AssetKey(asset)
        self._check_downstream(key)
        if partition is None and find_number(self.store, asset, None, None) is None:
            if known := channels_of(self.store, asset):
                raise ChannelError(f"name the channel of {key.to_user_string()}: {', '.join(map(str, known))}")
            raise unknown_version(self.store, VersionName(asset, None), None)
        entry = pin(self.store, asset, self.mover, partition=partition, to=to)
        held = entry.pin
        moved = Moved(
            held.name, "pin", None, held.pointer.number, held.who, held.reason, entry.number, note=self._serving(asset)
        )
        if self.location is not None and self.instance is not None:
            # the run replays what is pinned, and with it tells Dagster
            done = cascade(self.location, key, partition=partition, instance=self.instance, tags=self.tags, also=[key])
            return replace(moved, told=True, cascade=done)
        facts = {f"{PREFIX}cache": "pinned", f"{PREFIX}pinned": str(held), f"{PREFIX}version": held.pointer.number}
        return replace(moved, told=self._tell(key, partition, held.pointer, facts))

    def _serving(self, asset: tuple[str, ...]) -> str:
        """Say that a pin moves no channel, where there are some: it may be the channel that was meant."""
        names = sorted({each.channel for each in channels_of(self.store, asset)})
        if not names:
            return ""
        key = VersionName(asset, None)
        return (
            f"{key} has the channels {', '.join(names)}, which serve what they served: to take one of them back,"
            f" mlrepro rollback {key} --channel {names[0]}"
        )

    def _served(self, entry: ChannelEntry) -> Moved:
        """After a channel moved: export what it serves, tell Dagster, and have what stands downstream follow."""
        assert entry.after is not None, "it serves what it was moved to"
        key = dg.AssetKey(entry.name.key)
        told = self._tell(key, entry.name.partition, entry.after, entry_facts(self.store, entry))
        exported = export_served(self.store, entry)
        done = None
        if self.location is not None and self.instance is not None:
            done = cascade(self.location, key, partition=entry.name.partition, instance=self.instance, tags=self.tags)
        return replace(Moved.of(entry), told=told, exported=str(exported) if exported else None, cascade=done)

    def _tell(self, key: dg.AssetKey, partition: str | None, pointer: Pointer, facts: Mapping[str, Any]) -> bool:
        if self.report is None:
            return False
        self.report(
            dg.AssetMaterialization(
                key, partition=partition, metadata=facts, tags={DATA_VERSION_TAG: pointer.data_version}
            )
        )
        return True

    def _check_downstream(self, key: dg.AssetKey) -> None:
        """Find out before anything moves whether the cascade that is asked for can be made."""
        if self.location is not None:
            self.location.downstream(key, None)
