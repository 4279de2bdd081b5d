"""An asset's versions: what one entry holds, and how entries are found and appended (design, section 8)."""

import datetime as dt
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlrepro.errors import BlobDamagedError, BlobMissingError, CacheWarning, StoreError, UnknownVersionError
from mlrepro.store import Origin, Store, StoredValue

WITHOUT_PARTITION = "_"
"""Stands for the partition in the history of an asset that has none."""

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Version:
    """One entry of an asset's history.

    Attributes:
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        number: 1, 2, 3, …
        stored: What was stored, for `Store.read_value`.
        body: The entry as it stands in the store.
    """

    asset: tuple[str, ...]
    partition: str | None
    number: int
    stored: StoredValue
    body: Mapping[str, Any]

    @property
    def data_version(self) -> str:
        """Dagster's data version of the materialization that made it."""
        return str(self.body["data_version"])

    @property
    def input_hash(self) -> str | None:
        """The result that it belongs to; None for an asset that is not computed by mlrepro."""
        return self.body.get("input_hash")


def history_name(asset: Sequence[str], partition: str | None) -> tuple[str, ...]:
    """Name the history of an asset, or of one of its partitions, in the store.

    Example:
        >>> history_name(["team", "model"], None)
        ('versions', 'team', 'model', '_')
    """
    return ("versions", *asset, partition_part(partition))


def partition_part(partition: str | None) -> str:
    """Name a partition as the last part of a history's name; an asset without partitions has one too.

    Example:
        >>> partition_part(None), partition_part("2026-11-01"), partition_part("_")
        ('_', '2026-11-01', '__')
    """
    # a partition that is itself called "_" must not meet the history of an asset without partitions, nor "__" it
    return WITHOUT_PARTITION if partition is None else partition + WITHOUT_PARTITION * (set(partition) == {"_"})


def partition_of_part(part: str) -> str | None:
    """The partition that `partition_part` named.

    Example:
        >>> partition_of_part("_"), partition_of_part("__")
        (None, '_')
    """
    if part == WITHOUT_PARTITION:
        return None
    return part[: -len(WITHOUT_PARTITION)] if set(part) == {"_"} else part


def versions_of(
    store: Store, asset: Sequence[str], partition: str | None = None, *, only: str | None = None
) -> Iterator[Version]:
    """List an asset's versions, newest first: its own scope's, else those of the first scope that has some."""
    name = history_name(asset, partition)
    for scope in _scopes(store, only):
        found = False
        for entry in store.entries(name, scope=scope):
            if (version := _version(asset, partition, entry.number, entry.body, scope)) is not None:
                found = True
                yield version
        if found:
            return


def find_number(
    store: Store, asset: Sequence[str], partition: str | None, number: int | None, *, only: str | None = None
) -> Version | None:
    """Find a version by its number, None for the newest; None if there is none (in the only scope to look in)."""
    if number is None:
        return newest_version(store, asset, partition, only=only)
    for scope in _scopes(store, only):
        try:
            entry = store.entry(history_name(asset, partition), number, scope=scope)
        except UnknownVersionError:
            continue
        if (version := _version(asset, partition, entry.number, entry.body, scope)) is not None:
            return version
    return None


def newest_version(
    store: Store, asset: Sequence[str], partition: str | None = None, *, only: str | None = None
) -> Version | None:
    """Find an asset's newest version; None if it has none. The cost does not grow with the history.

    Args:
        store: The store.
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        only: The only scope to look in; by default the own one, then those that are read besides.
    """
    name = history_name(asset, partition)
    for scope in _scopes(store, only):
        entry = store.newest(name, scope=scope)
        if entry is None:
            continue
        if (version := _version(asset, partition, entry.number, entry.body, scope)) is not None:
            return version
    return next(versions_of(store, asset, partition, only=only), None)


def find_version(store: Store, asset: Sequence[str], partition: str | None, data_version: str) -> Version | None:
    """Find the newest version with a data version, or with that content; None if there is none.

    A range of partitions that was computed by one step has one data version, the hash of a manifest that names
    each partition's content.
    """
    newest = newest_version(store, asset, partition)
    if newest is None or _is(newest, data_version):
        return newest
    manifest = _range_manifest(store, data_version) if partition is not None else {}
    wanted = {data_version, manifest.get(partition)} if partition is not None else {data_version}
    return next(
        (version for version in versions_of(store, asset, partition) if any(_is(version, one) for one in wanted)), None
    )


def _scopes(store: Store, only: str | None) -> tuple[str, ...]:
    return (store.scope, *store.read_scopes) if only is None else (only,)


def _is(version: Version, data_version: str | None) -> bool:
    return data_version in (version.data_version, version.stored.content_hash)


def append_version(
    store: Store, asset: Sequence[str], partition: str | None, stored: StoredValue, body: Mapping[str, Any]
) -> tuple[Version, bool]:
    """Append a version, unless the newest one has the same content already.

    Returns:
        The version that has this content: the new one, or the newest that was found; and whether it was appended.
    """
    made = {
        "schema": 1,
        "created": dt.datetime.now(dt.UTC).isoformat(),
        "partition": partition,
        "output": stored.to_json(),
        **body,
    }

    same: Version | None = None

    def unless_same(newest: Any) -> Mapping[str, Any] | None:
        nonlocal same
        same = None
        # the bytes of b"1" and of the number 1 are the same: only the format tells them apart
        now = (stored.content_hash, stored.format)
        before = _version(asset, partition, newest.number, newest.body, store.scope) if newest is not None else None
        if before is None or (before.stored.content_hash, before.stored.format) != now:
            return made
        # None has one content for ever; what tells two runs of such an asset apart is what went into them
        if stored.python_type == "builtins:NoneType" and before.data_version != made["data_version"]:
            return made
        same = before
        return None

    entry = store.append(history_name(asset, partition), unless_same)
    version = same if entry is None else _version(asset, partition, entry.number, entry.body, store.scope)
    assert version is not None, "an entry is refused as a repetition of a sound one only"
    return version, entry is not None


def _version(
    asset: Sequence[str], partition: str | None, number: int, body: Mapping[str, Any], scope: str
) -> Version | None:
    """Read an entry; None, with a warning, for one that is no version: somebody edited it, or a disk failed."""
    try:
        stored = StoredValue.from_json(body["output"], Origin(scope, body.get("input_hash")))
        version = Version(tuple(asset), partition, number, stored, body)
        str(body["data_version"])
    except (KeyError, TypeError, ValueError, StoreError):
        message = f"version {number} of {'/'.join(asset)} is damaged in the store and counts as missing"
        warnings.warn(message, CacheWarning, stacklevel=2)
        return None
    return version


def _range_manifest(store: Store, data_version: str) -> Mapping[str, Any]:
    if _SHA256.fullmatch(data_version) is None:  # a data version of the user's own
        return {}
    try:
        manifest = json.loads(store.read_bytes(data_version))
    except (BlobMissingError, BlobDamagedError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
