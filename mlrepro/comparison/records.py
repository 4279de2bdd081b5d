"""Result records and version histories, read once each and many at a time; what is damaged counts as not there."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from mlrepro.catalog.derivations import as_derived, derivations
from mlrepro.catalog.history import Version, find_number, newest_version, partition_of_part, versions_of
from mlrepro.errors import StoreError
from mlrepro.store import Store

MOST_VERSIONS = 1000
"""Newest versions of a history that are looked at."""

_AT_ONCE = 16

_SHA256 = re.compile("[0-9a-f]{64}")

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


class Records:
    """What a store knows, remembered for as long as one question takes.

    Args:
        store: The store.

    Example:
        >>> from mlrepro.store import open_store
        >>> Records(open_store("memory://records-example")).versions(("model",), None)
        ()
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._results: dict[tuple[str, str | None], Mapping[str, Any] | None] = {}
        self._histories: dict[tuple[tuple[str, ...], str | None], tuple[Version, ...]] = {}
        self._ways: dict[tuple[tuple[str, ...], str | None], tuple[Version, ...]] = {}
        self._being_read: dict[tuple[tuple[str, ...], str | None], Lock] = {}
        self._newest: dict[tuple[tuple[str, ...], str | None], Version | None] = {}
        self._listed: dict[tuple[str, ...], tuple[tuple[tuple[str, ...], str | None], ...]] = {}
        self._replaced: frozenset[str] | None = None
        self._lock = Lock()

    def result(self, version: Version) -> Mapping[str, Any] | None:
        """Read the record of the result that a version is; None where there is none, or none that can be read.

        Where a result was computed again and came out otherwise, it is the record of this version's content.
        """
        if version.input_hash is None:
            return None
        record = self._result(version.input_hash, None)
        if record is None or _has(record, version.stored.content_hash):
            return record
        of_content = self._result(version.input_hash, version.stored.content_hash)
        return of_content if of_content is not None else record

    def inputs(self, input_hash: str) -> Mapping[str, Any] | None:
        """Read a record of any result with this input hash: all of them had the same inputs."""
        return self._result(input_hash, None)

    def _result(self, input_hash: str, content: str | None) -> Mapping[str, Any] | None:
        key = (input_hash, content)
        if key not in self._results:
            self._results[key] = self._read(input_hash, content)
        return self._results[key]

    def _read(self, input_hash: str, content: str | None) -> Mapping[str, Any] | None:
        if not isinstance(input_hash, str) or not _SHA256.fullmatch(input_hash):  # somebody edited it
            return None
        with self._lock:
            if self._replaced is None:
                self._replaced = self.store.replaced_results()
        usable = None if content is None else lambda record: _has(record, content)
        found = self.store.get_result(input_hash, usable=usable, replaced=self._replaced)
        return found.record if found else None

    def histories(self, prefix: Sequence[str]) -> tuple[tuple[tuple[str, ...], str | None], ...]:
        """List assets and partitions that have versions: all of the own scope, or those below a key in all scopes."""
        key = tuple(prefix)
        if key not in self._listed:
            scopes = (self.store.scope, *self.store.read_scopes) if key else (self.store.scope,)
            names = [name for scope in scopes for name in self.store.histories(("versions", *key), scope=scope)]
            self._listed[key] = tuple(dict.fromkeys((name[1:-1], partition_of_part(name[-1])) for name in names))
        return self._listed[key]

    def newest(self, asset: Sequence[str], partition: str | None) -> Version | None:
        """Find the newest version of an asset, None if it has none."""
        key = (tuple(asset), partition)
        if key not in self._newest:
            self._newest[key] = newest_version(self.store, asset, partition)
        return self._newest[key]

    def versions(self, asset: Sequence[str], partition: str | None) -> tuple[Version, ...]:
        """List an asset's versions, newest first, at most `MOST_VERSIONS`."""
        key = (tuple(asset), partition)
        if key not in self._histories:
            newest = self.newest(asset, partition)
            earlier = range(newest.number - 1, 0, -1)[: MOST_VERSIONS - 1] if newest else ()

            try:
                found = at_once(lambda number: find_number(self.store, asset, partition, number), earlier)
                listed = [*([newest] if newest else ()), *(version for version in found if version)]
            except StoreError:  # a damaged entry, which is passed over one by one; or the store fails again
                listed = list(itertools.islice(versions_of(self.store, asset, partition), MOST_VERSIONS))
            self._histories[key] = tuple(listed)
        return self._histories[key]

    def ways(self, asset: Sequence[str], partition: str | None) -> tuple[Version, ...]:
        """List an asset's versions with every way that they came about, the newest first.

        Where other inputs gave a version the same content once more, it comes again for each, with their input hash.
        """
        key = (tuple(asset), partition)
        with self._lock:
            being_read = self._being_read.setdefault(key, Lock())
        with being_read:  # one listing, however many ask at once
            if key not in self._ways:
                self._ways[key] = self._read_ways(asset, partition)
        return self._ways[key]

    def ways_of(self, version: Version) -> tuple[Version, ...]:
        """List a version, and the same for each further input hash that gave its content; the newest first."""
        ways = (way for way in self.ways(version.asset, version.partition) if way.number == version.number)
        others = tuple(way for way in ways if way.input_hash != version.input_hash)
        return (*others, version)

    def _read_ways(self, asset: Sequence[str], partition: str | None) -> tuple[Version, ...]:
        versions = self.versions(asset, partition)
        if not versions:
            return ()
        by_number = {version.number: version for version in versions}
        noted = derivations(self.store, asset, partition)
        read = at_once(lambda each: as_derived(self.store, *each, by_number), noted)
        found: dict[int, list[Version]] = {}
        for derived in sorted(filter(None, read), key=lambda each: str(each.body["created"]), reverse=True):
            found.setdefault(derived.number, []).append(derived)
        return tuple(way for version in versions for way in (*found.get(version.number, ()), version))


def at_once(look: Callable[[_Item], _Found], items: Iterable[_Item]) -> list[_Found]:
    """Look many things up concurrently: each is a round trip to a bucket."""
    listed = list(items)
    if len(listed) < 2:
        return [look(item) for item in listed]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(look, listed))


def _has(record: Mapping[str, Any], content: str) -> bool:
    return any(content_of(output) == content for output in outputs_of(record).values())


def outputs_of(record: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    """Take the outputs out of a record; none out of a damaged one."""
    outputs = (record or {}).get("outputs")
    if not isinstance(outputs, Mapping):
        return {}
    return {name: output for name, output in outputs.items() if isinstance(output, Mapping)}


def content_of(output: Mapping[str, Any]) -> str | None:
    """Content hash of an output; None for a range of partitions, or a damaged record."""
    stored = output.get("stored")
    return stored.get("content_hash") if isinstance(stored, Mapping) else None
