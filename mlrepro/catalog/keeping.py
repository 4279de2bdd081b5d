"""Keeping a version in a scope: in the own one, so that what is promoted or pinned depends on nobody else's."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName
from mlrepro.errors import BlobDamagedError, BlobMissingError, MlreproError, UntrustedPickleError
from mlrepro.store import Origin, Store
from mlrepro.store.keys import check_sha256
from mlrepro.store.results import values_of

_GONE = (BlobMissingError, BlobDamagedError)


def keep(store: Store, version: Version, scope: str | None = None) -> Mapping[str, Any] | None:
    """Have a version's value and the record of its result in a scope, copied where they lie in another one.

    Args:
        store: Where the version is.
        version: The version.
        scope: Where to; by default the own scope.

    Returns:
        The record that stands there now; None where the version has none that can be read.

    Raises:
        BlobMissingError: The version's bytes are gone.
        UntrustedPickleError: It is a pickle of another scope, for which nobody who is trusted vouches.
        NoRightError: Nothing may be written there.
        StoreError: The store failed.
    """
    target = store.scope if scope is None else scope
    try:
        store.keep_value(version.stored, scope=target)
    except _GONE as error:
        raise BlobMissingError(
            f"the bytes of {VersionName(version.asset, version.number)} are gone: {error}"
        ) from error
    found = store.get_result(version.input_hash, usable=_well_formed) if version.input_hash else None
    if found is None or found.scope == target:
        return None if found is None else found.record
    return publish(store, str(version.input_hash), found.record, target, origin=found.scope)


def publish(
    store: Store,
    input_hash: str,
    record: Mapping[str, Any],
    scope: str,
    *,
    origin: str | None = None,
    replacing: bool = False,
) -> Mapping[str, Any]:
    """Have a result's values, what else its record names, and the record itself in another scope too.

    Values that are gone, and pickles that nobody vouches for, are left out.

    Args:
        store: Where the result is.
        input_hash: What it is stored under.
        record: Its record.
        scope: Where to.
        origin: The scope that the record was found in; None for what this process has just stored.
        replacing: Whether it takes the place of one that stands there.

    Returns:
        The record that stands there now.

    Raises:
        NoRightError: Nothing may be written there.
        StoreError: The store failed.
    """
    for stored in values_of(record, None if origin is None else Origin(origin, input_hash)):
        with contextlib.suppress(*_GONE, UntrustedPickleError):
            store.keep_value(stored, scope=scope)
    for blob in _blobs(record):
        with contextlib.suppress(*_GONE):
            store.write_bytes(store.read_bytes(blob), scope=scope)
    if replacing:
        return store.replace_result(input_hash, record, scope=scope)
    return store.put_result(input_hash, record, scope=scope)[0]


def _well_formed(record: Mapping[str, Any]) -> bool:
    try:
        list(values_of(record))
        _blobs(record)
    except (KeyError, TypeError, ValueError, AttributeError, MlreproError):
        return False
    return True


def _blobs(record: Mapping[str, Any]) -> list[str]:
    named = [record.get("code", {}).get("sources"), record.get("environment", {}).get("freeze")]
    # a range of partitions has the hash of a manifest for its data version
    named += [output.get("data_version") for output in record.get("outputs", {}).values() if output.get("partitions")]
    return [check_sha256(each, "content hash") for each in named if each]
