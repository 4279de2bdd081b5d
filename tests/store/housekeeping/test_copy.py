"""A store that is copied elsewhere is the same store."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from mlrepro.catalog.moving import roll_back
from mlrepro.catalog.pins import pin, pins
from mlrepro.errors import StoreError
from mlrepro.store import Claim, Store, open_store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.housekeeping.copying import copy
from tests.catalog.lab import ADA, MODEL, PRODUCTION, entry_key, garble, input_hash, moves, serve, train
from tests.store.conftest import OpenHere
from tests.store.housekeeping.aging import collect_later, contents, files, result_of
from tests.store.housekeeping.test_gc_faults import Killed, killing

NOT_COPIED = ("leases/", "tmp/", "damaged/", "trash/", "store.json", "notes.txt")


@pytest.fixture
def source(tmp_path: Path) -> Store:
    """A store in which everything was used, with what is not copied besides."""
    store = folder(tmp_path / "source")
    store.write_value("set aside")
    collect_later(store, 100)
    for version in serve(store, "one", "two", {"a": np.arange(3)}):
        store.put_result(version.input_hash, result_of(version.stored))
    roll_back(store, PRODUCTION, ADA)
    pin(store, MODEL, ADA, to=1)
    store.replace_result(input_hash("one"), result_of(store.write_value("one again")))
    store.note_derivation((*MODEL, "_"), input_hash("else"), {"version": 1})
    with store.acquire_lease(input_hash("x"), Claim(holder="h", who="ada", run_id="r", step="s")):
        pass
    for path in ("tmp/remains", "damaged/sha256/x", "notes.txt"):
        store._objects.create(f"default/{path}", b"x")
    return store


def folder(path: Path, scope: str = "default") -> Store:
    return open_store(str(path), scope=scope, options={"durable": "false"})


def worth_copying(store: Store) -> dict[str, bytes]:
    return {key: data for key, data in contents(store).items() if not key.startswith(NOT_COPIED)}


def test_the_copy_is_the_same_store(source: Store, open_here: OpenHere) -> None:
    target = open_here()
    report = copy(source, target)
    assert report.left == ()
    assert worth_copying(target) == worth_copying(source)
    assert set(contents(target)) - set(worth_copying(target)) <= {"store.json"}
    assert report.copied["blob"].count == len([key for key in contents(target) if key.startswith("blobs/")])
    assert moves(target) == moves(source)
    assert pins(target) == pins(source)
    assert fsck.check(target).clean
    assert train(target, "goes on").number == 4


def test_a_second_copy_brings_only_what_is_new(source: Store, open_here: OpenHere) -> None:
    target = open_here()
    first = copy(source, target)
    assert copy(source, target).copied == {}
    train(source, "four")
    second = copy(source, target)
    assert {kind: amount.count for kind, amount in second.copied.items()} == {"blob": 1, "version": 1}
    assert second.skipped == first.copied


@pytest.mark.parametrize("scopes", [None, ["team-b"]])
def test_all_scopes_are_copied_or_those_that_were_asked_for(
    source: Store, open_here: OpenHere, tmp_path: Path, scopes: list[str] | None
) -> None:
    train(folder(tmp_path / "source", "team-b"), "theirs")
    report = copy(source, open_here(), scopes=scopes)
    assert report.scopes == (("default", "team-b") if scopes is None else ("team-b",))
    assert bool(worth_copying(open_here())) == (scopes is None)
    assert len(worth_copying(open_here(scope="team-b"))) == 2


def test_it_can_be_read_back_from_a_bucket(source: Store, open_here: OpenHere, tmp_path: Path) -> None:
    copy(source, open_here())
    back = folder(tmp_path / "back")
    copy(open_here(), back)
    assert worth_copying(back) == worth_copying(source)


def test_what_is_damaged_is_told_of_and_not_copied(source: Store, open_here: OpenHere) -> None:
    version = train(source, "x" * 50)
    damaged = [path for path in files(source) if path.name == version.stored.content_hash]
    damaged += [path for path in files(source) if path.name == f"{input_hash('two')}.json"]
    for path in damaged:
        path.write_bytes(b"y" * path.stat().st_size)
    garble(source, PRODUCTION.history, 2)
    target = open_here()
    report = copy(source, target)
    assert {each.key.rpartition("/")[2] for each in report.left} == {
        *(path.name for path in damaged),
        entry_key(source, PRODUCTION.history, 2).rpartition("/")[2],
    }
    assert not any(each.conflict for each in report.left)
    assert [each.what for each in fsck.check(target, repair=True).problems] == ["gap in a history", "missing blob"]
    assert moves(target)[-1] == moves(source)[-1]


def test_a_record_that_is_another_one_there_is_left(source: Store, open_here: OpenHere) -> None:
    target = open_here()
    theirs = result_of(target.write_value("theirs"))
    target.put_result(input_hash("two"), theirs)
    (left,) = copy(source, target).left
    assert left.conflict
    assert target.get_result(input_hash("two")).record == theirs


def test_two_histories_do_not_become_one(source: Store, open_here: OpenHere) -> None:
    target = open_here()
    copy(source, target)
    train(source, "ours")
    train(source, "ours too")
    train(target, "theirs")
    report = copy(source, target)
    assert [each.conflict for each in report.left] == [True, True]
    assert "entry 4 before it" in report.left[1].said
    assert [entry.number for entry in target.entries(("versions", *MODEL, "_"))] == [4, 3, 2, 1]


def test_killed_anywhere_it_leaves_a_clean_store_and_is_completed(source: Store, tmp_path: Path) -> None:
    for at in itertools.count(1, 3):
        target = folder(tmp_path / f"target{at}")
        try:
            copy(source, killing(folder(tmp_path / f"target{at}"), at))
        except Killed:
            assert fsck.check(target).clean
        else:
            break
        copy(source, target)
        assert worth_copying(target) == worth_copying(source)
    assert at > 30


def test_a_store_that_fails_is_no_damaged_store(source: Store, open_here: OpenHere) -> None:
    class Failing:
        def __getattr__(self, name: str) -> object:
            if name == "get":
                raise StoreError("the network is down")
            return getattr(objects, name)

    objects = source._objects
    source._objects = Failing()  # type: ignore[assignment]
    with pytest.raises(StoreError, match="network"):
        copy(source, open_here())


def test_the_report_is_json(source: Store, open_here: OpenHere) -> None:
    told = json.loads(json.dumps(copy(source, open_here()).to_json()))
    assert told["copied"]["version"]["count"] == 3
    assert told["left"] == []


@pytest.mark.parametrize("inside", ["", "inside", "inside/deeper"])
def test_a_store_is_not_copied_into_itself(source: Store, inside: str) -> None:
    before = files(source)
    with pytest.raises(StoreError, match="are one store, or one lies in the other"):
        copy(source, folder(Path(source.url) / inside))
    with pytest.raises(StoreError, match="are one store, or one lies in the other"):
        copy(folder(Path(source.url) / inside), source)
    assert files(source) == before


def test_a_source_that_is_none_is_no_empty_backup(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"There is nothing to copy: no scope of a store is in .*mistyped\. Check the URL"
    ):
        copy(folder(tmp_path / "mistyped"), folder(tmp_path / "backup"))
    assert not (tmp_path / "backup").exists()
