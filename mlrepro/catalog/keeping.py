"""Keeping a version in the own scope, so that what is promoted or pinned depends on nobody else's scope."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName
from mlrepro.errors import BlobDamagedError, BlobMissingError, MlreproError
from mlrepro.store import Store, StoredValue
from mlrepro.store.keys import check_sha256

_GONE = (BlobMissingError, BlobDamagedError)


def keep(store: Store, version: Version) -> None:
    """Have a version's value and the record of its result in the own scope, copied where they lie in another one.

    Raises:
        BlobMissingError: The version's bytes are gone.
        StoreError: The store failed.
    """
    try:
        store.keep_value(version.stored)
    except _GONE as error:
        raise BlobMissingError(
            f"the bytes of {VersionName(version.asset, version.number)} are gone: {error}"
        ) from error
    found = store.get_result(version.input_hash, usable=_well_formed) if version.input_hash else None
    if found is None or found.scope == store.scope:
        return
    # what stands beside the version is not what is promoted, and may be gone
    for stored in _values(found.record):
        with contextlib.suppress(*_GONE):
            store.keep_value(stored)
    for blob in _blobs(found.record):
        with contextlib.suppress(*_GONE):
            store.write_bytes(store.read_bytes(blob))
    store.put_result(str(version.input_hash), found.record)


def _well_formed(record: Mapping[str, Any]) -> bool:
    try:
        _values(record)
        _blobs(record)
    except (KeyError, TypeError, ValueError, AttributeError, MlreproError):
        return False
    return True


def _values(record: Mapping[str, Any]) -> list[StoredValue]:
    outputs = record.get("outputs", {}).values()
    written = [output["stored"] for output in outputs if output.get("stored")]
    written += [value for output in outputs for value in (output.get("partitions") or {}).values()]
    return [StoredValue.from_json(each) for each in written]


def _blobs(record: Mapping[str, Any]) -> list[str]:
    named = [record.get("code", {}).get("sources"), record.get("environment", {}).get("freeze")]
    return [check_sha256(each, "content hash") for each in named if each]
