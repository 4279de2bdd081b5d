"""Time travel, and what lies in a store, for the tests of housekeeping."""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mlrepro.store import Store, StoredValue
from mlrepro.store.housekeeping import store_clock
from mlrepro.store.housekeeping.gc import Collected, collect
from mlrepro.store.housekeeping.retention import Policy

DAY = dt.timedelta(days=1)
STRICT = Policy(keep_versions=1, keep_promotions=1, younger_than=dt.timedelta(days=30))


@contextlib.contextmanager
def days_later(days: float) -> Iterator[None]:
    """The time that the store tells is later by so many days than the times of its objects."""
    with mock.patch.object(store_clock, "now", return_value=time.time() + days * 86_400):
        yield


def collect_later(store: Store, days: float, policy: Policy = STRICT) -> Collected:
    with days_later(days):
        return collect(store, policy, delete=True)


def collect_for_good(store: Store, days: float = 100, policy: Policy = STRICT) -> Collected:
    """Set aside, and after the grace period delete."""
    collect_later(store, days, policy)
    return collect_later(store, days + 2, policy)


def grow_old(store: Store, days: float) -> None:
    """Date every object of a folder store back."""
    for path in files(store):
        found = path.stat()
        os.utime(path, (found.st_atime - days * 86_400, found.st_mtime - days * 86_400))


def files(store: Store) -> list[Path]:
    return [path for path in root(store).rglob("*") if path.is_file()]


def root(store: Store) -> Path:
    return Path(store.url.removeprefix("file://"))


def contents(store: Store, folder: str = "") -> dict[str, bytes]:
    """Every object below a folder of the own scope, wherever the store is."""
    start = f"{store.scope}/{folder}".rstrip("/")
    keys = [item.key for item in store._objects.walk(start)]
    return {key.removeprefix(f"{store.scope}/"): store._objects.get(key) or b"" for key in keys}


def blobs(store: Store) -> set[str]:
    return {key.rpartition("/")[2] for key in contents(store, "blobs")}


def result_of(stored: StoredValue, **more: Any) -> dict[str, Any]:
    return {"outputs": {"result": {"stored": stored.to_json()}}, **more}
