"""The verbs that move channels and pins: the store first, then Dagster's log, then what stands downstream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import dagster as dg
from dagster._core.instance.config import is_dagster_home_set

from mlrepro.catalog import find_store, moving
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
from mlrepro.dagster_internals import DATA_VERSION_TAG
from mlrepro.errors import AssetDefinitionError, ChannelError, VersionNameError
from mlrepro.execution.cascade import Cascade, CodeLocation, cascade
from mlrepro.execution.channel_facts import entry_facts
from mlrepro.execution.exporting import export_served
from mlrepro.execution.promoting import own_metrics
from mlrepro.io_managers.facts import PREFIX
from mlrepro.io_managers.provenance import launched_by
from mlrepro.store import Store

_RECENT = 10
"""How many entries back a run looks for what it did before it was started again."""


@dataclass(frozen=True)
class Moved:
    """What a verb did.

    Attributes:
        what: The channel, or the asset that was pinned or released.
        kind: What was done.
        before: Number of the version that was served before, or None.
        after: Number of the version that is served, or pinned, now; None for what is pinned no more.
        who: Who did it.
        reason: Why.
        entry: Number of the entry in the history.
        told: Whether Dagster's event log has the materialization.
        exported: Where what is served was written to, or None.
        cascade: What became of the assets downstream; None if that was not asked for.
        note: What else one should know.
    """

    what: str
    kind: Literal["promotion", "rollback", "proposal", "release", "pin"]
    before: int | None
    after: int | None
    who: str
    reason: str
    entry: int
    told: bool = False
    exported: str | None = None
    cascade: Cascade | None = None
    note: str = ""

    def __str__(self) -> str:
        before = f"v{self.before}" if self.before is not None else "nothing"
        after = f"v{self.after}" if self.after is not None else "nothing"
        match self.kind:
            case "pin":
                first = f"{self.what} is pinned at {after} until it is released (mlrepro release {self.what})"
            case "release" if self.after is None:
                first = f"{self.what} is pinned no more: its next materialization goes by its code and inputs again"
            case "release":
                first = f"{self.what} serves {after} as before; the version may be promoted again"
            case _:
                first = f"{self.what}: {before} -> {after} ({self.kind}, entry {self.entry} of its history)"
        lines = [first]
        if self.kind != "release" and not self.told:
            lines.append(
                "Dagster was not told, as DAGSTER_HOME is not set: the next materialization of it will be the first"
            )
        if self.exported is not None:
            lines.append(f"written to {self.exported}")
        if self.cascade is not None:
            lines.append(str(self.cascade))
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What was done as a JSON object."""
        return {
            "what": self.what,
            "kind": self.kind,
            "from": self.before,
            "to": self.after,
            "who": self.who,
            "reason": self.reason,
            "entry": self.entry,
            "told_dagster": self.told,
            "exported": self.exported,
            "cascade": self.cascade.to_json() if self.cascade else None,
            "note": self.note,
        }


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
    """

    store: Store
    mover: Mover
    instance: dg.DagsterInstance | None
    report: Callable[[dg.AssetMaterialization], None] | None
    location: CodeLocation | None
    tags: Mapping[str, str]
    retry_of: frozenset[str] = frozenset()

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
        return self._served(moving.roll_back(self.store, name, self.mover, to=to, expected=expected))

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
        entry = moving.promote(self.store, name, version, self.mover, metrics=own_metrics(version))
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
        return self._served(moving.approve(self.store, name, number, self.mover))

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
        return _moved(entry)

    def channel_named(self, asset: str, channel: str | None, partition: str | None) -> ChannelName | None:
        """Find the channel that is meant: by its name, as ``asset@channel``, or by the key of its own asset."""
        parsed = parse_version_name(asset)
        if channel is not None and parsed.channel not in (None, channel):
            raise VersionNameError(f"{asset} names the channel {parsed.channel}, and not {channel}: name one of them")
        if channel is None and parsed.channel is None:
            name = ChannelName(parsed.asset[:-1], parsed.asset[-1], partition)
            return name if name.asset and newest_entry(self.store, name) is not None else None
        return ChannelName(parsed.asset, check_channel_name(channel or str(parsed.channel)), partition)

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
        return replace(_moved(entry), told=told, exported=str(exported) if exported else None, cascade=done)

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


def rollback(
    asset: str,
    *,
    channel: str | None = None,
    to: str | int | None = None,
    reason: str = "",
    partition: str | None = None,
    cascade: bool = False,
    definitions: dg.Definitions | str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    instance: dg.DagsterInstance | None = None,
    who: str | None = None,
) -> Moved:
    """Take a channel back to an earlier version; an asset without a channel is pinned at one.

    The version that a channel is rolled back from is quarantined: it is not promoted again until someone releases it.
    A pin holds until it is released: whatever the code and the inputs are, a materialization replays the version.

    Args:
        asset: Key of the asset; ``asset@production`` names its channel as well.
        channel: Name of the channel. None pins the asset itself.
        to: The version, such as ``v3``. Default: for a channel the newest one before the present that it has served
            and that is not quarantined; for an asset the newest one before the present with another content.
        reason: Why, for the history.
        partition: Partition key, for a partitioned asset.
        cascade: Whether what stands downstream is materialized too. What is known comes from the cache.
        definitions: The Definitions, or the name of a module that holds them: needed for a cascade.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose history. Default: ``MLREPRO_SCOPE``, then ``default``.
        instance: Dagster's instance, whose log gets the materialization. Default: that of DAGSTER_HOME; where it is
            not set, Dagster is not told.
        who: Who does it. Default: ``MLREPRO_USER``, then the operating system's user.

    Raises:
        NothingToRollBackToError: If there is no version to go back to.
        QuarantinedError: If the version asked for is quarantined.
        ChannelError: If there is no such channel, or the version is served already, or is newer.
        BlobMissingError: If the version's bytes are gone.
        AssetDefinitionError: If a cascade is asked for that can't be made. Nothing has moved then.

    Example:
        >>> from mlrepro import Metric, ReproStore, channel, load, ml_asset, ml_definitions
        >>> class Slope(dg.Config):
        ...     value: float = 0.5
        >>> @ml_asset
        ... def slope(config: Slope) -> float:
        ...     return config.value
        >>> defs = ml_definitions(
        ...     assets=[slope, channel("production", slope)], store=ReproStore(url="memory://rollback-example")
        ... )
        >>> job = defs.resolve_implicit_global_asset_job_def()
        >>> for value in (0.5, 0.1):
        ...     _ = job.execute_in_process(run_config={"ops": {"slope": {"config": {"value": value}}}})
        >>> print(rollback("slope", channel="production", reason="too flat", store="memory://rollback-example").to_json()["to"])
        1
        >>> load("slope@production", store="memory://rollback-example")
        0.5
    """
    number = version_number(to)
    scene = _scene(store, scope, instance, who, reason, definitions if cascade else None, cascade=cascade)
    return scene.rollback(asset, channel, number, partition, None)


def promote(
    version: str,
    *,
    channel: str,
    reason: str = "",
    partition: str | None = None,
    cascade: bool = False,
    definitions: dg.Definitions | str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    instance: dg.DagsterInstance | None = None,
    who: str | None = None,
) -> Moved:
    """Point a channel to a version by hand. No gate is asked.

    Args:
        version: ``asset@v4``, ``asset`` for the newest, or ``asset@staging`` for what another channel serves.
        channel: Name of the channel.
        reason: Why, for the history.
        partition: As for `rollback`, like the rest.
        cascade: Whether what stands downstream is materialized too.
        definitions: The Definitions, or the name of a module that holds them: needed for a cascade.
        store: A store or its URL.
        scope: Whose history.
        instance: Dagster's instance.
        who: Who does it.

    Raises:
        QuarantinedError: If the channel was rolled back from the version.
        UnknownVersionError: If there is no such version.
        ChannelError: If the channel serves it already.

    Example:
        >>> promote("nobody@v1", channel="production", store="memory://promote-example")
        Traceback (most recent call last):
        mlrepro.errors.UnknownVersionError: nobody has no versions in memory://promote-example (scopes default, \
shared): materialize it first
    """
    scene = _scene(store, scope, instance, who, reason, definitions if cascade else None, cascade=cascade)
    return scene.promote(version, channel, partition)


def approve(
    asset: str,
    *,
    channel: str,
    reason: str = "",
    partition: str | None = None,
    cascade: bool = False,
    definitions: dg.Definitions | str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    instance: dg.DagsterInstance | None = None,
    who: str | None = None,
) -> Moved:
    """Promote the version of a channel that waits for approval.

    Args:
        asset: Key of the asset; ``asset@v4`` approves that version and no other.
        channel: Name of the channel.
        reason: Why, for the history.
        partition: As for `rollback`, like the rest.
        cascade: Whether what stands downstream is materialized too.
        definitions: The Definitions, or the name of a module that holds them: needed for a cascade.
        store: A store or its URL.
        scope: Whose history.
        instance: Dagster's instance.
        who: Who approves.

    Raises:
        ChannelError: If no version waits, or another one does, or the channel names others who may approve.

    Example:
        >>> approve("nobody", channel="production", store="memory://approve-example")
        Traceback (most recent call last):
        mlrepro.errors.ChannelError: no version of nobody/production waits for approval
    """
    scene = _scene(store, scope, instance, who, reason, definitions if cascade else None, cascade=cascade)
    return scene.approve(asset, channel, parse_version_name(asset).number, partition)


def release(
    asset: str,
    *,
    channel: str | None = None,
    reason: str = "",
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    who: str | None = None,
) -> Moved:
    """Release an asset from its pin, or a version from a channel's quarantine.

    Args:
        asset: Key of the asset that is pinned; with a channel ``asset@v4``, the version.
        channel: Name of the channel whose quarantine is meant.
        reason: Why, for the history.
        partition: Partition key, for a partitioned asset.
        store: A store or its URL.
        scope: Whose history.
        who: Who does it.

    Raises:
        ChannelError: If it is not pinned, or not quarantined.

    Example:
        >>> release("features", store="memory://release-example")
        Traceback (most recent call last):
        mlrepro.errors.ChannelError: features is not pinned in memory://release-example (nothing is)
    """
    mover = Mover(who or launched_by(), reason)
    return Scene(find_store(store, scope=scope), mover, None, None, None, {}).release(asset, channel, partition)


def _scene(
    store: Store | str | None,
    scope: str | None,
    instance: dg.DagsterInstance | None,
    who: str | None,
    reason: str,
    definitions: dg.Definitions | str | None,
    *,
    cascade: bool,
) -> Scene:
    if instance is None and is_dagster_home_set():
        instance = dg.DagsterInstance.get()
    if cascade and definitions is None:
        raise AssetDefinitionError(
            "a cascade needs the definitions whose assets stand downstream: name their module (-m)"
        )
    if cascade and instance is None:
        raise AssetDefinitionError("a cascade is a run, and needs an instance of Dagster: set DAGSTER_HOME")
    mover = Mover(who or launched_by(), reason)
    return Scene(
        store=find_store(store, scope=scope),
        mover=mover,
        instance=instance,
        report=instance.report_runless_asset_event if instance else None,
        location=CodeLocation.of_definitions(definitions) if cascade and definitions is not None else None,
        tags={"user": mover.who},
    )


def _moved(entry: ChannelEntry) -> Moved:
    return Moved(
        what=str(entry.name),
        kind=entry.kind,
        before=entry.before.number if entry.before else None,
        after=entry.after.number if entry.after else None,
        who=entry.who,
        reason=entry.reason,
        entry=entry.number,
    )


def version_number(version: str | int | None) -> int | None:
    """Read the number of a version: ``v3``, ``3``; None for nothing.

    Raises:
        VersionNameError: If it is none.

    Example:
        >>> version_number("v3")
        3
    """
    if version is None or version == "":
        return None
    parsed = parse_version_name(f"asset@{version}")
    if parsed.number is None:
        raise VersionNameError(f"{version!r} is no version to go back to: write v1, v2, ...")
    return parsed.number
