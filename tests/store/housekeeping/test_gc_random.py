"""Whatever was trained, promoted, rolled back and pinned: what a policy keeps stays readable, all else is gone."""

import datetime as dt
import json
import re
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro.catalog.channels import ChannelName, entries_of
from mlrepro.catalog.history import append_version, versions_of
from mlrepro.catalog.moving import approve, promote, propose, roll_back
from mlrepro.catalog.pins import pin, pin_entries, release_pin
from mlrepro.errors import MlreproError
from mlrepro.store import Store, StoredValue, open_store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.housekeeping.naming import parts_found, values_in
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.records import from_bytes
from tests.catalog.lab import ADA, input_hash
from tests.store.housekeeping.aging import blobs, collect_later, contents, grow_old, result_of

ASSETS: list[tuple[tuple[str, ...], str | None]] = [
    (("model",), None),
    (("model",), "monday"),
    (("team", "data"), None),
]
VALUES: list[Any] = [None, 1, "x", b"1", {"auc": 1.0}, {"a": np.arange(3)}, {"a": np.arange(3), "b": np.arange(2)}]
_DIGEST = re.compile("[0-9a-f]{64}")

AN_ASSET = st.sampled_from(range(len(ASSETS)))
A_VALUE = st.sampled_from(range(len(VALUES)))
TRAINED = st.tuples(st.just("train"), AN_ASSET, A_VALUE)
MOVED = st.tuples(
    st.sampled_from(["promote", "propose", "approve", "roll back", "pin", "release", "compute", "again"]),
    AN_ASSET,
    st.integers(0, 6),
)
ACTIONS = st.lists(TRAINED | MOVED, max_size=25)


@dataclass
class World:
    store: Store
    values: dict[tuple[str, str], Any] = field(default_factory=dict)

    def act(self, action: str, place: int, choice: int) -> None:
        asset, partition = ASSETS[place]
        channel = ChannelName(asset, "production", partition)
        made = list(versions_of(self.store, asset, partition))
        version = made[choice % len(made)] if made else None
        match action:
            case "train":
                self.train(asset, partition, VALUES[choice])
            case "compute":  # a result without a version
                self.result(("alone", choice), self.write(["alone", choice]))
            case "again":
                self.store.replace_result(input_hash(("alone", choice)), result_of(self.write(["replaced", choice])))
            case "promote" if version:
                promote(self.store, channel, version, ADA)
            case "propose" if version:
                propose(self.store, channel, version, ADA)
            case "approve":
                approve(self.store, channel, None, ADA)
            case "roll back":
                roll_back(self.store, channel, ADA)
            case "pin" if version:
                pin(self.store, asset, ADA, partition=partition, to=version.number)
            case "release":
                release_pin(self.store, asset, ADA, partition=partition)

    def train(self, asset: tuple[str, ...], partition: str | None, value: Any) -> None:
        stored, key = self.write(value), (asset, partition, repr(value))
        self.result(key, stored)
        body = {"data_version": stored.content_hash, "input_hash": input_hash(key)}
        append_version(self.store, asset, partition, stored, body)

    def result(self, key: object, stored: StoredValue) -> None:
        source = self.store.write_bytes(f"source of {key}".encode())
        self.store.put_result(input_hash(key), result_of(stored, code={"sources": source}))

    def write(self, value: Any) -> StoredValue:
        stored = self.store.write_value(value)
        self.values[stored.format, stored.content_hash] = value
        return stored

    def blobs_of(self, stored: StoredValue) -> set[str]:
        scopes = (self.store.scope,)
        parts = parts_found(self.store._objects, scopes, stored) if stored.parts_size else []
        return {stored.content_hash, *(part.digest for part in parts)}


@dataclass
class Expected:
    """What a policy keeps, worked out from what the catalog shows.

    Attributes:
        values: Have to stay readable.
        results: Input hashes of the results that have to stay.
        digests: All other digests that kept records name: their blobs may stay.
    """

    values: list[StoredValue] = field(default_factory=list)
    results: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    def record(self, body: Any) -> None:
        """A record that is kept keeps every digest in it."""
        found = set(_DIGEST.findall(json.dumps(body)))
        self.digests |= found
        self.results |= found


def expected(store: Store, policy: Policy) -> Expected:
    found = Expected()
    for asset, partition in ASSETS:
        for version in list(versions_of(store, asset, partition))[: policy.keep_versions]:
            found.values.append(version.stored)
            found.record(version.body)
        entries = list(entries_of(store, ChannelName(asset, "production", partition)))
        for entry in entries[: policy.keep_promotions]:
            found.values += [each.stored for each in (entry.before, entry.after, entry.proposed) if each]
            found.record(entry.to_json())
    for pinned in list(pin_entries(store))[:1]:
        found.values += [each.pointer.stored for each in (pinned.pin, *pinned.pins)]
        found.record([each.to_json() for each in (pinned.pin, *pinned.pins)])
    found.results |= {name for name, paths in families(store).items() if any(is_young(path, policy) for path in paths)}
    return found


def families(store: Store) -> dict[str, list[Path]]:
    """The records of each result, the replacements among them."""
    found: dict[str, list[Path]] = {}
    for path in Path(store.url, "default/results").rglob("*.json"):
        found.setdefault(_DIGEST.findall(str(path))[0], []).append(path)
    return found


def is_young(path: Path, policy: Policy) -> bool:
    # the collections come 10 and 12 days later, and what was made long ago is 100 days older
    age = 112 if path.stat().st_mtime < time.time() - 50 * 86_400 else 12
    return policy.younger_than > dt.timedelta(days=age)


@given(
    long_ago=ACTIONS,
    lately=ACTIONS,
    versions=st.integers(1, 4),
    promotions=st.integers(1, 4),
    younger_than=st.sampled_from([0, 30, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_what_a_policy_keeps_stays_and_all_else_goes(
    long_ago: list[tuple[str, int, int]],
    lately: list[tuple[str, int, int]],
    versions: int,
    promotions: int,
    younger_than: int,
) -> None:
    policy = Policy(versions, promotions, dt.timedelta(days=younger_than))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = open_store(folder, options={"durable": "false"})
        world = World(store)
        for actions in (long_ago, lately):
            for action in actions:
                try:
                    world.act(*action)
                except MlreproError:
                    continue  # nothing to approve, to release, to go back to
            if actions is long_ago:
                grow_old(store, 100)
        check(world, policy)


def check(world: World, policy: Policy) -> None:
    store = world.store
    histories = {kind: contents(store, kind) for kind in ("versions", "channels", "pins")}
    kept = expected(store, policy)
    records = [path for name, paths in families(store).items() if name in kept.results for path in paths]
    texts = [path.read_bytes() for path in records]
    named = [*kept.values, *(value for text in texts for value in values_in(from_bytes(text)))]
    allowed = kept.digests.union(*(_DIGEST.findall(text.decode()) for text in texts), *map(world.blobs_of, named))

    for days in (10, 12):
        collect_later(store, days, policy)

    for stored in named:
        np.testing.assert_equal(store.read_value(stored), world.values[stored.format, stored.content_hash])
    assert all(path.exists() for path in records)
    assert set(families(store)) <= kept.results
    assert blobs(store) <= allowed
    assert not contents(store, "trash")
    assert {kind: contents(store, kind) for kind in histories} == histories
    assert fsck.check(store).problems == ()
