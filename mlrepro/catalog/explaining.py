"""Why a result is new: what differs from the nearest earlier result of the same asset."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from mlrepro.catalog.history import Version, find_number, newest_version
from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store import Store
from mlrepro.versioning import Change, Evidence, key_changes, sentence

LOOKED_AT = 10
"""Newest versions among which the nearest is looked for. Each costs three requests, all versions at once."""


@dataclass(frozen=True)
class Explanation:
    """Why a result was, or is to be, computed.

    Attributes:
        partition: Partition key, or None.
        newest: The newest earlier version of the asset, None if there is none.
        earlier: The version whose result differs in the fewest things, None if nothing is known of any result.
        record: The record of its result.
        changes: What differs from it, code first, with the lines that differ.
        same: A version with the very input hash, whether or not its result is there.
    """

    partition: str | None
    newest: Version | None = None
    earlier: Version | None = None
    record: Mapping[str, Any] | None = None
    changes: tuple[Change, ...] = ()
    same: Version | None = None

    @property
    def sentence(self) -> str:
        """The reason in one line, for people."""
        if self.newest is None:
            return "first result of this asset" + (f" (partition {self.partition})" if self.partition else "")
        if self.same is not None:
            number = f"v{self.same.number}"
            if self.same is self.earlier:
                return f"same code, config and inputs as {number}"
            return f"{number} had the same code, config and inputs, but its result was not kept, is lost or damaged"
        if self.earlier is None:
            if self.newest.input_hash is None:
                return f"v{self.newest.number} was not computed by an @ml_asset, so nothing tells what changed"
            return f"the result of v{self.newest.number} can't be read, so nothing tells what changed"
        if not self.changes:
            return (
                f"something that counts differs from v{self.earlier.number}, but the earlier record does not tell what"
            )
        # who changed something just now thinks of the newest version
        other = f" (compared with v{self.earlier.number})" if self.earlier.number != self.newest.number else ""
        return sentence(self.changes) + other


def explain_result(
    store: Store, asset: Sequence[str], partition: str | None, result: Evidence, *, before: int | None = None
) -> Explanation:
    """Compare a result, there already or still to be computed, with the nearest earlier one of its asset.

    Args:
        store: Where histories and results are.
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        result: Its record, or what is known of it before it is computed, and its sources.
        before: Look at versions before this number. Default: at all.

    Returns:
        What differs. The nearest is the one that differs in the fewest things, of such the newest.

    Raises:
        StoreError: If the store fails.

    Example:
        >>> from mlrepro.store import open_store
        >>> explain_result(open_store("memory://explain-example"), ["model"], None, Evidence({})).sentence
        'first result of this asset'
    """
    newest = newest_version(store, asset, partition)
    last = newest.number if newest is not None else 0
    numbers = range(last if before is None else min(last, before - 1), 0, -1)[:LOOKED_AT]
    if not numbers:
        return Explanation(partition)

    def fetch(number: int) -> "_Candidate | StoreError":
        try:
            known = newest if newest is not None and newest.number == number else None
            return _candidate(store, known or find_number(store, asset, partition, number), result)
        except StoreError as error:
            return error

    with ThreadPoolExecutor(max_workers=LOOKED_AT) as pool:
        fetched = list(pool.map(fetch, numbers))
    candidates = [each for each in fetched if isinstance(each, _Candidate)]
    comparable = [each for each in candidates if each.changes is not None]
    failures = [each for each in fetched if isinstance(each, StoreError)]
    if failures and not comparable:
        raise failures[0]
    versions = [each.version for each in candidates if each.version is not None]
    explanation = Explanation(partition, newest=versions[0] if versions else None)
    if (same := _same(candidates, result)) is not None:
        earlier = same.version if same.record is not None else None
        return replace(explanation, earlier=earlier, record=same.record, same=same.version)
    if not comparable:
        return explanation
    # of equally near ones `min` takes the first, which is the newest
    nearest = min(comparable, key=lambda each: len(each.changes or ()))
    assert nearest.record is not None, "only what has a record was compared"
    changes = key_changes(Evidence(nearest.record, _sources(store, nearest.record, result)), result)
    return replace(explanation, earlier=nearest.version, record=nearest.record, changes=tuple(changes))


def explain_version(version: Version, store: Store) -> Explanation:
    """Explain a version that is there: what differed from the nearest result before it.

    Args:
        version: The version.
        store: The store that holds it.

    Raises:
        StoreError: If the store fails.
    """
    found = store.get_result(version.input_hash) if version.input_hash else None
    record: Mapping[str, Any] = found.record if found else {}
    result = Evidence(record, _read_sources(store, record))
    return explain_result(store, version.asset, version.partition, result, before=version.number)


@dataclass(frozen=True)
class _Candidate:
    """An earlier version, with what is known of its result; without changes where nothing is."""

    version: Version | None
    record: Mapping[str, Any] | None = None
    changes: Sequence[Change] | None = None


def _candidate(store: Store, version: Version | None, result: Evidence) -> _Candidate:
    found = store.get_result(version.input_hash) if version is not None and version.input_hash else None
    if found is None or not _is_sound(found.record):
        return _Candidate(version)
    try:
        changes = key_changes(Evidence(found.record), Evidence(result.record))
    except (TypeError, AttributeError, KeyError, ValueError):  # somebody edited the record
        return _Candidate(version)
    return _Candidate(version, found.record, changes)


def _is_sound(record: Mapping[str, Any]) -> bool:
    code = record.get("code")
    return isinstance(code, Mapping) and isinstance(code.get("fingerprint"), str) and "config" in record


def _same(candidates: Sequence[_Candidate], result: Evidence) -> _Candidate | None:
    wanted = result.record.get("input_hash")
    return next((each for each in candidates if each.version and wanted and each.version.input_hash == wanted), None)


def _sources(store: Store, record: Mapping[str, Any], result: Evidence) -> Sequence[Mapping[str, Any]]:
    """Read the sources behind an earlier result, where they have something to tell."""
    fingerprints = [each["code"]["fingerprint"] for each in (record, result.record) if each.get("code")]
    return _read_sources(store, record) if len(set(fingerprints)) == 2 else ()


def _read_sources(store: Store, record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    digest = (record.get("code") or {}).get("sources")
    if not isinstance(digest, str):
        return ()
    try:
        sources = json.loads(store.read_bytes(digest))
    except (BlobMissingError, BlobDamagedError, ValueError):
        return ()
    fields = {"name", "file", "line", "text"}
    sound = isinstance(sources, list) and all(isinstance(each, dict) and fields <= each.keys() for each in sources)
    return sources if sound else ()
