"""Keeping a version in a scope: in the own one, so that what is promoted or pinned depends on nobody else's."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName
from mlrepro.errors import BlobDamagedError, BlobMissingError, MlreproError
from mlrepro.store import Origin, Store
from mlrepro.store.keys import check_sha256
from mlrepro.store.results import names, values_of

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
    if not version.input_hash:
        return None

    def names_it(record: Mapping[str, Any]) -> bool:
        return _well_formed(record) and names(record, version.stored)

    # as strictly as for a hit: what is kept here counts as one's own from now on, and is loaded
    found = store.get_result(version.input_hash, usable=names_it, to_load=True)
    if found is None or found.scope == target:
        return None if found is None else found.record
    origin = None if found.scope == store.scope else found.scope
    return publish(store, version.input_hash, found.record, target, origin=origin)


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

    Values that are gone are left out. A record of another scope is signed anew only where somebody trusted vouches for
    it: the own signature must not make others trust what one does not trust oneself.

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
        UntrustedPickleError: There is a pickle of another scope in it, for which nobody who is trusted vouches.
        NoRightError: Nothing may be written there.
        StoreError: The store failed.
    """
    for stored in values_of(record, None if origin is None else Origin(origin, input_hash)):
        with contextlib.suppress(*_GONE):
            store.keep_value(stored, scope=scope)
    # whole files may hold more than the code of this result: others get its sources, and no files
    files = [record.get("code", {}).get("files")] if scope == store.scope else []
    for blob in [*_blobs(record), *filter(None, files)]:
        with contextlib.suppress(*_GONE):
            store.write_bytes(store.read_bytes(blob), scope=scope)
    if replacing:
        return store.replace_result(input_hash, record, scope=scope)
    sign = origin is None or store.is_vouched(input_hash, record, origin)
    return store.put_result(input_hash, record, scope=scope, sign=sign)[0]


def _well_formed(record: Mapping[str, Any]) -> bool:
    try:
        list(values_of(record))
        _blobs(record)
    except (KeyError, TypeError, ValueError, AttributeError, MlreproError):
        return False
    return True


def _blobs(record: Mapping[str, Any]) -> list[str]:
    code = record.get("code", {})
    named = [code.get("sources"), record.get("environment", {}).get("freeze")]
    # a range of partitions has the hash of a manifest for its data version
    named += [output.get("data_version") for output in record.get("outputs", {}).values() if output.get("partitions")]
    return [check_sha256(each, "content hash") for each in named if each]
