"""What a check of a store finds, and what it does not take for a problem."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from mlrepro.catalog.derivations import note_derivation
from mlrepro.catalog.moving import roll_back
from mlrepro.catalog.pins import pin
from mlrepro.errors import StoreError
from mlrepro.store import Claim, Store, open_store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.housekeeping.fsck import Problem
from mlrepro.store.housekeeping.retention import Policy
from tests.catalog.lab import ADA, MODEL, PRODUCTION, entry_key, garble, input_hash, lose, serve, train
from tests.store.conftest import OpenHere
from tests.store.golden_values import GOLDEN
from tests.store.housekeeping.aging import blobs, collect_for_good, collect_later, result_of

HISTORY = ("versions", *MODEL, "_")


@pytest.fixture
def store(open_here: OpenHere) -> Store:
    """A store in which everything was used."""
    store = open_here()
    versions = serve(store, "one", "two", {"a": np.arange(3), "b": np.arange(2)})
    for version in versions:
        source = store.write_bytes(b"the source")
        store.put_result(
            version.input_hash, result_of(version.stored, code={"sources": source}, assets=["churn_model"])
        )
    roll_back(store, PRODUCTION, ADA)
    pin(store, MODEL, ADA, to=1)
    store.replace_result(input_hash("one"), result_of(store.write_value("one again")))
    store.note_deviation(input_hash("one"), {"who": "ben"})
    note_derivation(store, versions[0], input_hash("else"), {})
    return store


def only(store: Store, **options: bool) -> Problem:
    (problem,) = fsck.check(store, **options).problems
    return problem


def overwrite(store: Store, key: str, data: bytes) -> None:
    store._objects.delete(key)
    assert store._objects.create(key, data)


def blob_key(digest: str) -> str:
    return f"default/blobs/sha256/{digest[:2]}/{digest}"


def test_a_store_that_was_used_is_clean(store: Store) -> None:
    checked = fsck.check(store)
    assert checked.problems == ()
    assert checked.records > 10
    assert checked.blobs.count == len(blobs(store))
    assert (checked.orphans.count, checked.foreign.count, checked.no_longer_kept) == (0, 0, 0)
    assert fsck.check(store, quick=True).clean


@pytest.mark.parametrize("place", ["store", "before_checksums"])
def test_what_released_versions_stored_is_clean(place: str) -> None:
    checked = fsck.check(open_store(str(GOLDEN / place)), quick=True)
    assert checked.problems == ()


def test_what_a_killed_writer_leaves_is_no_problem(store: Store) -> None:
    store._objects.create("default/tmp/4711-abc", b"half of it")
    orphan = store.write_bytes(b"no result yet")
    store.put_result(input_hash("no version yet"), result_of(store.write_value("no version yet")))
    store.acquire_lease(input_hash("x"), Claim(holder="h", who="ada", run_id="r", step="s"))
    checked = fsck.check(store)
    assert checked.clean
    assert (checked.tmp.count, checked.orphans.count, checked.orphans.bytes) == (1, 1, len(store.read_bytes(orphan)))


def test_a_changed_byte_is_found_and_says_whose_it_is(store: Store) -> None:
    version = train(store, "x" * 100)
    overwrite(store, blob_key(version.stored.content_hash), b"y" * version.stored.size)
    assert fsck.check(store, quick=True).clean
    problem = only(store)
    assert (problem.what, problem.of) == ("damaged blob", "churn_model@v4")
    assert version.stored.content_hash in problem.key


@pytest.mark.parametrize("quick", [True, False])
def test_a_cut_off_blob_is_found_by_its_size(store: Store, quick: bool) -> None:
    version = train(store, "x" * 100)
    overwrite(store, blob_key(version.stored.content_hash), b"x")
    problem = only(store, quick=quick)
    assert problem.what == "damaged blob"
    assert f"1 bytes instead of {version.stored.size}" in problem.said


def test_a_missing_blob_is_found_and_says_whose_it_is(store: Store) -> None:
    lose(store, train(store, "lost"))
    problem = only(store, quick=True)
    assert (problem.what, problem.of) == ("missing blob", "churn_model@v4")


def test_a_missing_part_is_found(store: Store) -> None:
    version = train(store, {"a": np.arange(30), "b": np.arange(20)})
    whole = blobs(store)
    store._objects.delete(blob_key(store.write_value(np.arange(30)).content_hash))
    assert len(blobs(store)) == len(whole) - 1
    assert only(store).of == f"churn_model@v{version.number}"


def test_a_missing_source_of_a_result_is_found(store: Store) -> None:
    store._objects.delete(blob_key(store.write_bytes(b"the source")))
    assert only(store).of.startswith("churn_model (result ")


def test_a_blob_of_another_scope_that_is_read_counts_as_there(open_here: OpenHere) -> None:
    shared, store = open_here(scope="shared"), open_here()
    version = train(store, "computed by others")
    shared.write_value("computed by others")
    lose(store, version)
    assert fsck.check(store).clean
    assert not fsck.check(open_here(read_scopes=())).clean


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"history":[]}', b'{"a":1,"sha256":"00"}'])
def test_a_damaged_entry_is_found(store: Store, data: bytes) -> None:
    garble(store, HISTORY, 2, data)
    problem = only(store)
    assert (problem.what, problem.of) == ("damaged version entry", "entry 2 of versions/churn_model/_")
    assert problem.key == entry_key(store, HISTORY, 2)


def test_an_entry_in_the_place_of_another_is_found(store: Store) -> None:
    garble(store, HISTORY, 2, store._objects.get(entry_key(store, HISTORY, 1)) or b"")
    assert "another one's bytes" in only(store).said


def test_a_missing_entry_is_found(store: Store) -> None:
    store._objects.delete(entry_key(store, HISTORY, 2))
    problem = only(store)
    assert (problem.what, problem.said) == ("gap in a history", "entry 2 of 3 is missing")


def test_a_number_far_off_is_one_problem(store: Store) -> None:
    store._objects.create("default/pins/000000000007.json", b"{}")
    checked = fsck.check(store)
    assert [each.what for each in checked.problems] == ["damaged entry of the pins", "gap in a history"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"{", "Expecting"),
        (b'{"input_hash":"' + b"0" * 64 + b'"}', "it is the record of result 000000000000"),
        (b'{"outputs":{"result":{"stored":{"format":"json"}}}}', "outputs"),
        (b'{"outputs":[]}', "outputs"),
    ],
)
def test_a_damaged_result_is_found(store: Store, record: bytes, said: str) -> None:
    key = input_hash("damaged")
    store._objects.create(f"default/results/{key[:2]}/{key}.json", record)
    problem = only(store)
    assert problem.what == "damaged result record"
    assert said in problem.said


def test_a_missing_mark_of_a_replaced_result_is_found(store: Store) -> None:
    store._objects.delete(f"default/replaced/{input_hash('one')}.json")
    assert only(store).what == "missing mark of a replaced result"


def test_a_result_whose_blobs_are_lost_and_that_was_replaced_is_no_problem(store: Store) -> None:
    key = input_hash("first")
    store.put_result(key, result_of(store.write_value("first")))
    store.replace_result(key, result_of(store.write_value("second")))
    store._objects.delete(blob_key(store.hash_value("first").content_hash))
    assert fsck.check(store).clean


def test_bytes_that_retention_removed_are_counted_and_no_problem(open_here: OpenHere) -> None:
    store = open_here()
    for value in range(5):
        train(store, value)
    assert collect_later(store, 100).set_aside["blob"].count == 4
    assert fsck.check(store).trash.count == 4
    collect_later(store, 102)
    checked = fsck.check(store)
    assert checked.clean
    assert checked.no_longer_kept == 4


def test_bytes_that_are_missing_in_spite_of_retention_are_a_problem(open_here: OpenHere) -> None:
    store = open_here()
    versions = [train(store, value) for value in range(5)]
    collect_for_good(store, policy=Policy(keep_versions=2, younger_than=dt.timedelta(days=30)))
    lose(store, versions[3])
    checked = fsck.check(store)
    assert checked.no_longer_kept == 3
    assert [each.of for each in checked.problems] == ["churn_model@v4"]


def test_a_store_that_fails_is_no_damaged_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str) -> bytes:
        raise StoreError("the network is down")

    monkeypatch.setattr(type(store._objects), "get", lambda _self, key: fail(key))
    with pytest.raises(StoreError, match="network"):
        fsck.check(store, repair=True)


def test_a_folder_of_its_own_can_be_named_like_a_pattern(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), options={"durable": "false"})
    for name in (("a[b]*",), ("a~b" * 100,)):
        for value in range(3):
            train(store, value, of=name)
        store._objects.delete(entry_key(store, ("versions", *name, "_"), 2))
    assert [each.said for each in fsck.check(store, repair=True).problems] == ["entry 2 of 3 is missing"] * 2
    assert fsck.check(store).clean
