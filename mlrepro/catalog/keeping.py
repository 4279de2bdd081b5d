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
    # what stands beside the version is not what is kept, and may be gone, or a pickle that nobody vouches for
    for stored in values_of(found.record, Origin(found.scope, version.input_hash)):
        with contextlib.suppress(*_GONE, UntrustedPickleError):
            store.keep_value(stored, scope=target)
    for blob in _blobs(found.record):
        with contextlib.suppress(*_GONE):
            store.write_bytes(store.read_bytes(blob), scope=target)
    return store.put_result(str(version.input_hash), found.record, scope=target)[0]


def _well_formed(record: Mapping[str, Any]) -> bool:
    try:
        list(values_of(record))
        _blobs(record)
    except (KeyError, TypeError, ValueError, AttributeError, MlreproError):
        return False
    return True


def _blobs(record: Mapping[str, Any]) -> list[str]:
    named = [record.get("code", {}).get("sources"), record.get("environment", {}).get("freeze")]
    return [check_sha256(each, "content hash") for each in named if each]
