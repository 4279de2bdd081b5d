"""Other inputs that gave a version its content too: they append no version, and are noted beside the history."""

import datetime as dt
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlrepro.catalog.history import Version, partition_part
from mlrepro.errors import CacheWarning
from mlrepro.store import Store

MOST = 1000
"""Newest derivations of an asset that are looked at."""

_TOLD = ("created", "who", "run_id", "code_location", "seconds")


def note_derivation(store: Store, version: Version, input_hash: str, body: Mapping[str, Any]) -> None:
    """Note that an input hash gave the content of a version; nothing happens where that is noted.

    Args:
        store: The store, in whose own scope the version is.
        version: The version that has the content.
        input_hash: What gave it as well.
        body: What a version of its own would say.

    Raises:
        StoreError: If the store fails.
    """
    mark = {
        "schema": 1,
        "asset": list(version.asset),
        "partition": version.partition,
        "version": version.number,
        "content_hash": version.stored.content_hash,
        "created": dt.datetime.now(dt.UTC).isoformat(),
        **{name: body[name] for name in _TOLD if name in body},
    }
    store.note_derivation(_name(version.asset, version.partition), input_hash, mark)


def derivations(store: Store, asset: Sequence[str], partition: str | None) -> list[tuple[str, str]]:
    """List what gave versions their content too, newest first, at most `MOST`: a request a scope.

    Returns:
        Scope and input hash of each: those of the first scope that has some.
    """
    for scope in (store.scope, *store.read_scopes):
        if found := store.derivations(_name(asset, partition), limit=MOST, scope=scope):
            return [(scope, input_hash) for input_hash in found]
    return []


def as_derived(store: Store, scope: str, input_hash: str, versions: Mapping[int, Version]) -> Version | None:
    """Read a derivation, as the version would be that it spared.

    Args:
        store: The store.
        scope: Where it is noted.
        input_hash: Which one.
        versions: Versions of the asset and partition, by number; one at least.

    Returns:
        The version that has the content, with the input hash, run and time of the derivation. None if the version is
        not among those given, or, with a warning, where the mark is damaged.
    """
    some = next(iter(versions.values()))
    mark = store.derivation(_name(some.asset, some.partition), input_hash, scope=scope)
    if mark is None:
        return None
    number, created = mark.get("version"), mark.get("created")
    if type(number) is not int or not isinstance(created, str) or mark.get("asset") != list(some.asset):
        name = "/".join(some.asset)
        message = f"what is noted of input hash {input_hash} beside the versions of {name} is damaged and left out"
        warnings.warn(message, CacheWarning, stacklevel=2)
        return None
    version = versions.get(number)
    # another scope numbers its versions by itself
    if version is None or version.stored.content_hash != mark.get("content_hash"):
        return None
    told = {name: mark[name] for name in _TOLD if name in mark}
    return replace(version, body={**version.body, **told, "input_hash": input_hash})


def _name(asset: Sequence[str], partition: str | None) -> tuple[str, ...]:
    return (*asset, partition_part(partition))
