"""Garbage collection that is killed, meets another one, meets writers and readers, or a store that fails."""

import datetime as dt
import itertools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrepro.catalog.history import versions_of
from mlrepro.catalog.moving import promote
from mlrepro.errors import StoreError
from mlrepro.store import Claim, Store, open_store
from mlrepro.store.housekeeping import fsck, store_clock
from mlrepro.store.housekeeping.gc import collect
from mlrepro.store.housekeeping.retention import Policy
from tests.catalog.lab import ADA, MODEL, PRODUCTION, garble, input_hash, lose, train
from tests.store.conftest import OpenHere
from tests.store.housekeeping.aging import (
    STRICT,
    blobs,
    collect_for_good,
    collect_later,
    contents,
    days_later,
    files,
    grow_old,
    result_of,
)

PARTS = {"a": np.arange(3), "b": np.arange(4)}
CHANGES = ("create", "move", "copy", "delete")


class Killed(BaseException):
    """The process ends here."""


class Watched:
    """A store's objects; before and after each change something can happen."""

    def __init__(self, objects: Any, before: Callable[[str, str], None], after: Callable[[str, str], None]) -> None:
        self._objects = objects
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._objects, name)
        if name not in CHANGES:
            return method

        def call(key: str, *rest: Any) -> Any:
            self._before(name, key)
            done = method(key, *rest)
            self._after(name, key)
            return done

        return call


def nothing(name: str, key: str) -> None:
    """Nothing happens."""


def killing(store: Store, at: int) -> Store:
    """The store of a process that is killed before its n-th change, or right after it where that is odd."""
    count = itertools.count(1)
    dead = threading.Event()

    def step(name: str, key: str) -> None:
        if dead.is_set() or next(count) >= at:
            dead.set()
            raise Killed

    store._objects = Watched(store._objects, step, step)
    return store


def opened(folder: Path) -> Store:
    return open_store(str(folder), options={"durable": "false"})


def used_for_long(folder: Path) -> Store:
    """Something of each kind that goes, and something that has to come back from the trash."""
    store = opened(folder)
    first = train(store, "served once")
    store.put_result(input_hash("served once"), result_of(first.stored))
    train(store, "newest")
    for value in ("old", "older"):
        store.put_result(input_hash(value), result_of(store.write_value(value)))
        for again in (1, 2):
            store.replace_result(input_hash(value), result_of(store.write_value([value, again])))
            store.note_deviation(input_hash(value), {"again": again})
    grow_old(store, 100)
    collect_later(store, 0)
    grow_old(store, 2)
    with store.acquire_lease(input_hash("x"), Claim(holder="h", who="ada", run_id="r", step="s")):
        pass
    (folder / "default/tmp/remains").write_bytes(b"of a killed writer")
    store.put_result(input_hash("old since"), result_of(store.write_value("old since")))
    store.replace_result(input_hash("old since"), result_of(store.write_value("anew")))
    store.note_deviation(input_hash("old since"), {"who": "ben"})
    grow_old(store, 100)
    promote(store, PRODUCTION, first, ADA)
    return store


def lasting(store: Store) -> dict[str, bytes]:
    return {key: data for key, data in contents(store).items() if not key.startswith("gc/")}


def test_killed_anywhere_it_leaves_a_clean_store_and_the_next_one_completes_it(tmp_path: Path) -> None:
    used_for_long(tmp_path / "store")
    whole = opened(shutil.copytree(tmp_path / "store", tmp_path / "whole"))
    report = collect(whole, STRICT, delete=True)
    assert {"result", "replacement", "deviation", "replaced", "lease", "tmp", "blob"} <= {
        *report.set_aside, *report.deleted, *report.put_back
    }  # fmt: skip
    collect_for_good(whole, 2)
    points = 0
    for at in itertools.count(1):
        store = opened(shutil.copytree(tmp_path / "store", tmp_path / str(at)))
        try:
            collect(killing(opened(tmp_path / str(at)), at), STRICT, delete=True)
        except Killed:
            points += 1
        else:
            break
        checked = fsck.check(store)
        assert checked.clean, (at, checked.problems)
        assert store.read_value(next(versions_of(store, MODEL)).stored) == "newest"
        collect(store, STRICT, delete=True)
        collect_for_good(store, 2)
        assert lasting(store) == lasting(whole), at
        shutil.rmtree(tmp_path / str(at))
    assert points > 50


def test_two_at_once_do_no_harm(open_here: OpenHere) -> None:
    store = open_here()
    versions = [train(store, ["version", value]) for value in range(20)]
    for value in range(10):
        store.put_result(input_hash(value), result_of(store.write_value(value)))
        store.replace_result(input_hash(value), result_of(store.write_value([value])))
    problems: list[BaseException] = []

    def run() -> None:
        try:
            collect(open_here(), STRICT, delete=True)
        except BaseException as error:
            problems.append(error)

    for days in (100, 102, 104):
        with days_later(days):
            threads = [threading.Thread(target=run) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert problems == []
    assert [store.has_value(each.stored) for each in versions] == [False] * 19 + [True]
    assert not [key for key in contents(store) if key.startswith(("results", "replaced", "trash"))]
    assert fsck.check(store).clean


def test_what_a_writer_comes_to_count_on_meanwhile_is_not_lost(open_here: OpenHere) -> None:
    store, writer = open_here(), open_here()
    stored = store.write_value(["wanted", "again"])
    writing = []

    def write_the_same(name: str, key: str) -> None:
        if name == "move" and not writing:
            writing.append(writer.write_value(["wanted", "again"]))
            writer.put_result(input_hash("new"), result_of(writing[0]))
            train(writer, ["wanted", "again"])

    store._objects = Watched(store._objects, write_the_same, nothing)
    collect_later(store, 100)
    assert writing == [stored]
    assert writer.read_value(stored) == ["wanted", "again"]
    collect_later(open_here(), 2)
    collect_later(open_here(), 4)
    assert writer.read_value(stored) == ["wanted", "again"]
    assert fsck.check(writer).clean


def test_a_hit_of_a_result_that_goes_meanwhile_can_still_be_read_and_stays(open_here: OpenHere) -> None:
    store, reader = open_here(), open_here()
    hit = input_hash("wanted")
    version = train(store, "wanted")
    store.put_result(hit, result_of(version.stored))
    train(store, "newer")
    assert reader.get_result(hit) is not None
    collect_later(store, 100)
    # the reader's own step goes on from what it found
    assert reader.has_value(version.stored)
    assert train(reader, "wanted").number == 3
    collect_later(store, 2)
    assert reader.get_result(hit) is not None
    assert reader.read_value(version.stored) == "wanted"


def test_a_result_that_was_computed_anew_keeps_its_own_replacements_only(open_here: OpenHere) -> None:
    store, key = open_here(), input_hash("x")
    store.put_result(key, result_of(store.write_value("first")))
    store.replace_result(key, result_of(store.write_value("replaced")))
    collect_later(store, 100)
    anew = result_of(store.write_value("anew"))
    store.put_result(key, anew)
    collect_later(store, 0)
    assert store.get_result(key).record == anew
    collect_later(store, 2, Policy(younger_than=dt.timedelta(days=90)))
    assert store.get_result(key).record == anew
    assert not [key for key in contents(store) if key.startswith("trash")]


@pytest.mark.parametrize("folder", ["versions", "results", "blobs"])
def test_a_store_that_fails_while_it_is_marked_loses_nothing(tmp_path: Path, folder: str) -> None:
    store = opened(tmp_path)
    train(store, PARTS)
    store.put_result(input_hash(0), result_of(store.write_value(0)))
    before = contents(store)

    class Failing(Watched):
        def get(self, key: str) -> bytes | None:
            if key.startswith(f"default/{folder}"):
                raise StoreError("the network is down")
            return self._objects.get(key)

    store._objects = Failing(store._objects, nothing, nothing)
    with pytest.raises(StoreError, match="the network is down"):
        collect_later(store, 100)
    assert contents(opened(tmp_path)) == before


def test_a_damaged_result_stays_and_is_told_of(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put_result(input_hash(0), result_of(store.write_value(0)))
    (record,) = (path for path in files(store) if "results" in path.parts)
    record.write_bytes(b"{")
    report = collect_later(store, 100)
    assert record.exists()
    assert "is damaged and stays" in " ".join(report.notes)


def test_in_the_place_of_a_damaged_version_the_one_before_is_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    versions = [train(store, value) for value in range(4)]
    garble(store, ("versions", *MODEL, "_"), 4)
    garble(store, ("versions", *MODEL, "_"), 3)
    report = collect_later(store, 100)
    assert [each.stored.content_hash in blobs(store) for each in versions] == [False, True, False, False]
    assert len(report.notes) == 2
    assert "what it names may go" in report.notes[0]


def test_a_lost_list_of_parts_is_told_of_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = opened(tmp_path)
    version = train(store, PARTS)
    assert version.stored.parts_size > 0
    lose(store, version)
    report = collect_later(store, 100)
    assert version.stored.content_hash in report.notes[0]


def test_a_wrong_clock_of_this_machine_makes_nothing_old(open_here: OpenHere, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_here()
    stored = store.write_value([1])
    wrong = store_clock.time.time() + 1000 * 86_400
    monkeypatch.setattr(store_clock.time, "time", lambda: wrong)
    assert collect(store, STRICT, delete=True).set_aside == {}
    assert store.has_value(stored)
    assert not [key for key in contents(store) if key.startswith("tmp")]
