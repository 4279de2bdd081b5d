"""A model that is trained to order, and ways to break its store."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of, newest_entry
from mlrepro.catalog.history import Version, append_version
from mlrepro.catalog.moving import Mover, promote
from mlrepro.store import Store
from mlrepro.store.keys import blob_key, entry_name, history_folder

MODEL = ("churn_model",)
PRODUCTION = ChannelName(MODEL, "production")
ADA, BEN = Mover("ada"), Mover("ben")


def train(store: Store, value: Any, *, of: tuple[str, ...] = MODEL, partition: str | None = None) -> Version:
    """Make a version; the newest one where that has the same content."""
    stored = store.write_value(value)
    body = {"data_version": stored.content_hash, "input_hash": input_hash(value)}
    return append_version(store, of, partition, stored, body)[0]


def input_hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def record(version: Version, **more: Any) -> dict[str, Any]:
    """What a result says of the version, as far as it names blobs."""
    return {"outputs": {"result": {"stored": version.stored.to_json()}}, **more}


def serve(store: Store, *values: Any, name: ChannelName = PRODUCTION) -> list[Version]:
    """Train and promote, one value after the other."""
    versions = [train(store, value, of=name.asset, partition=name.partition) for value in values]
    for version in versions:
        promote(store, name, version, ADA)
    return versions


def served(store: Store, name: ChannelName = PRODUCTION) -> int | None:
    """Number of the version that a channel serves."""
    entry = newest_entry(store, name)
    return entry.after.number if entry and entry.after else None


def history(store: Store, name: ChannelName = PRODUCTION) -> list[ChannelEntry]:
    """A channel's sound entries, the oldest first."""
    return list(entries_of(store, name))[::-1]


def moves(store: Store, name: ChannelName = PRODUCTION) -> list[tuple[str, int | None, int | None]]:
    """What each entry did, from which version to which."""
    return [
        (each.kind, each.before and each.before.number, each.after and each.after.number)
        for each in history(store, name)
    ]


def lose(store: Store, version: Version, scope: str | None = None) -> None:
    """Delete a version's bytes."""
    store._objects.delete(blob_key(scope or store.scope, version.stored.content_hash))


def entry_key(store: Store, name: tuple[str, ...], number: int) -> str:
    return f"{history_folder(store.scope, name)}/{entry_name(number)}"


def garble(store: Store, name: tuple[str, ...], number: int, data: bytes = b"\xffgarbage") -> None:
    """Put other bytes in the place of an entry."""
    key = entry_key(store, name, number)
    store._objects.delete(key)
    assert store._objects.create(key, data)


def edit(store: Store, name: tuple[str, ...], number: int, change: Mapping[str, Any]) -> None:
    """Change fields of an entry as somebody with an editor would: NaN and all."""
    key = entry_key(store, name, number)
    whole = json.loads(store._objects.get(key) or b"")
    whole["entry"] |= change
    del whole["sha256"]
    garble(store, name, number, json.dumps(whole).encode())


def files_of(store: Store, scope: str) -> Path:
    return Path(store.url.removeprefix("file://")) / scope
