"""The verbs that move channels and pins, in Python: `rollback`, `promote`, `approve`, `release`."""

import dagster as dg
from dagster._core.instance.config import is_dagster_home_set

from mlrepro.catalog import find_store
from mlrepro.catalog.moving import Mover
from mlrepro.catalog.names import parse_version_name
from mlrepro.errors import AssetDefinitionError, VersionNameError
from mlrepro.execution.cascade import CodeLocation
from mlrepro.execution.moved import Moved
from mlrepro.execution.scene import Scene
from mlrepro.io_managers.provenance import launched_by
from mlrepro.store import Store


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
    """Point a channel to a version by hand. No gate is asked. Where it names who approves, it takes one of them.

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
        ChannelError: If the channel serves it already, or names others who may approve.

    Example:
        >>> promote("nobody@v1", channel="production", store="memory://promote-example")
        Traceback (most recent call last):
        mlrepro.errors.UnknownVersionError: nobody has no versions in memory://promote-example (scopes default, \
shared): materialize it first, or look at `mlrepro versions` for its name
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
    location = CodeLocation.of_definitions(definitions) if cascade and definitions is not None else None
    return Scene(
        store=find_store(store, scope=scope),
        mover=mover,
        instance=instance,
        report=instance.report_runless_asset_event if instance else None,
        location=location,
        tags={"user": mover.who},
        graph=location.definition.asset_layer.asset_graph if location is not None else None,
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
