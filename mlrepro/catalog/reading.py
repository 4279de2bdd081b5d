"""Verbs on names: list an asset's versions, show one, compare two, load one."""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlrepro.catalog.channels import ChannelName, no_such_channel, served_version
from mlrepro.catalog.history import Version, find_number, versions_of
from mlrepro.catalog.names import VersionName, parse_version_name
from mlrepro.errors import StoreError, UnknownVersionError
from mlrepro.resources.location import default_read_scopes, default_scope, default_store_url
from mlrepro.store import Store, Trust, open_store
from mlrepro.versioning import Change, Evidence, differences


def find_store(store: Store | str | None = None, *, scope: str | None = None) -> Store:
    """Find the store as the resource does: what is given, then ``MLREPRO_STORE``, then DAGSTER_HOME.

    Raises:
        StoreError: If none is set, or it can't be opened.

    Example:
        >>> find_store("memory://find-store-example").scope
        'default'
    """
    if isinstance(store, Store):
        return store
    trust = Trust.from_environment()
    if scope is not None and ("MLREPRO_SCOPE" in os.environ or scope == "shared"):
        # to look into another scope does not make its pickles one's own
        trust = dataclasses.replace(trust, home=default_scope())
    return open_store(
        store or default_store_url(), scope=scope or default_scope(), read_scopes=default_read_scopes(), trust=trust
    )


def versions(
    asset: str, *, partition: str | None = None, store: Store | str | None = None, scope: str | None = None
) -> list[Version]:
    """List an asset's versions, newest first.

    Args:
        asset: Asset key as Dagster writes it ("team/churn_model").
        partition: Partition key, for a partitioned asset.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose history. Default: ``MLREPRO_SCOPE``, then ``default``.

    Raises:
        UnknownVersionError: If it has none.
        VersionNameError: If the name can't be read.

    Example:
        >>> versions("nobody", store="memory://versions-example")
        Traceback (most recent call last):
        mlrepro.errors.UnknownVersionError: nobody has no versions in memory://versions-example (scopes default, \
shared): materialize it first, or look at `mlrepro versions` for its name
    """
    opened = find_store(store, scope=scope)
    name = parse_version_name(asset)
    if name.channel is not None:
        return [version(asset, partition=partition, store=opened)]
    found = list(versions_of(opened, name.asset, partition))
    if name.number is not None:
        found = [version for version in found if version.number == name.number]
    if not found:
        raise unknown_version(opened, name, partition)
    return found


def version(
    name: str, *, partition: str | None = None, store: Store | str | None = None, scope: str | None = None
) -> Version:
    """Find one version by name.

    Args:
        name: ``asset`` for the newest, ``asset@v3``, or ``asset@production`` for what a channel serves.
        partition: Partition key, for a partitioned asset.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose history.

    Raises:
        UnknownVersionError: If there is none.
        ChannelError: If there is no such channel, or it serves nothing.
    """
    opened = find_store(store, scope=scope)
    parsed = parse_version_name(name)
    if parsed.channel is not None:
        channel = ChannelName(parsed.asset, parsed.channel, partition)
        served = served_version(opened, channel)
        if served is None:
            raise no_such_channel(opened, channel)
        return served
    found = find_number(opened, parsed.asset, partition, parsed.number)
    if found is None and parsed.number is None and len(parsed.asset) > 1:
        # the key of a channel's own asset, which has no versions of its own
        found = served_version(opened, ChannelName(parsed.asset[:-1], parsed.asset[-1], partition))
    if found is None:
        raise unknown_version(opened, parsed, partition)
    return found


def load(
    name: str,
    as_type: type[Any] | None = None,
    *,
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
) -> Any:
    """Load the value of a version, outside of any run: in a notebook, in a service.

    Args:
        name: ``asset`` for the newest version, ``asset@v3``, or ``asset@production`` for what a channel serves.
        as_type: Load it as this type, where the format can: a frame as pandas, polars or pyarrow.
        partition: Partition key, for a partitioned asset.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose history.

    Returns:
        The value, its bytes checked against their hash.

    Raises:
        UnknownVersionError: If there is no such version.
        BlobMissingError: If its bytes are gone.
        BlobDamagedError: If they are damaged.
    """
    opened = find_store(store, scope=scope)
    found = version(name, partition=partition, store=opened)
    try:
        return opened.read_value(found.stored, as_type=as_type)
    except StoreError as error:
        raise type(error)(f"{'/'.join(found.asset)} v{found.number} can't be loaded: {error}") from error


def export(
    name: str,
    path: str | Path,
    *,
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
) -> Path:
    """Write a version's stored bytes to a file, in the format that they are stored in.

    Args:
        name: ``asset`` or ``asset@v3``.
        path: File to write; a folder for a value that is one.
        partition: Partition key, for a partitioned asset.
        store: A store or its URL.
        scope: Whose history.

    Returns:
        The path that was written.
    """
    opened = find_store(store, scope=scope)
    found = version(name, partition=partition, store=opened)
    return opened.export_value(found.stored, Path(path))


def evidence(found: Version, store: Store) -> Evidence:
    """Collect what a version can be compared by: its record, sources, libraries and metrics.

    A version whose asset is not computed by mlrepro has metrics and nothing else.
    """
    result = store.get_result(found.input_hash) if found.input_hash else None
    metrics = found.body.get("metrics") or {}
    if result is None:
        return Evidence({}, metrics=metrics)
    record = result.record
    sources: Sequence[Any] = json.loads(store.read_bytes(record["code"]["sources"]))
    freeze = store.read_bytes(record["environment"]["freeze"]).decode()
    return Evidence(record, sources, freeze, metrics)


def diff(
    before: str,
    after: str,
    *,
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
) -> list[Change]:
    """Compare two versions: code line by line, config, inputs, environment and metrics.

    Args:
        before: ``asset@v2``.
        after: ``asset@v3``, of the same asset or another.
        partition: Partition key, for partitioned assets.
        store: A store or its URL.
        scope: Whose history.

    Returns:
        What differs, what makes the key differ first; empty if nothing does.

    Raises:
        UnknownVersionError: If there is no such version.
    """
    opened = find_store(store, scope=scope)
    old, new = (version(name, partition=partition, store=opened) for name in (before, after))
    return differences(evidence(old, opened), evidence(new, opened))


def assets(*, store: Store | str | None = None, scope: str | None = None) -> Iterator[str]:
    """List the assets that have versions, by key.

    Example:
        >>> list(assets(store="memory://assets-example"))
        []
    """
    opened = find_store(store, scope=scope)
    seen = {history[1:-1] for history in opened.histories(("versions",))}
    yield from sorted(str(VersionName(tuple(key), None)) for key in seen)


def unknown_version(store: Store, name: VersionName, partition: str | None) -> UnknownVersionError:
    """Say which version is not there, and what there is instead."""
    where = f"{store.url} (scopes {', '.join((store.scope, *store.read_scopes))})"
    asset = str(VersionName(name.asset, None)) + (f", partition {partition}," if partition else "")
    newest = find_number(store, name.asset, partition, None)
    if newest is not None:
        return UnknownVersionError(f"{asset} has no v{name.number} in {where}: its newest version is v{newest.number}")
    kept = sorted({history[-1] for history in store.histories(("versions", *name.asset)) if history[-1] != "_"})
    if kept and partition is None:
        shown = ", ".join(kept[:5]) + (", ..." if len(kept) > 5 else "")
        return UnknownVersionError(f"{asset} is partitioned in {where}: name one of its partitions ({shown})")
    return UnknownVersionError(
        f"{asset} has no versions in {where}: materialize it first, or look at `mlrepro versions` for its name"
    )
