"""What a repair does, and that everybody who reads goes on afterwards."""

import warnings

import pytest

from mlrepro.catalog.channels import newest_entry
from mlrepro.catalog.history import newest_version, versions_of
from mlrepro.catalog.moving import roll_back
from mlrepro.catalog.pins import pin, pin_entries, pins
from mlrepro.store import Store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.keys import entry_name
from tests.catalog.lab import ADA, BEN, MODEL, PRODUCTION, entry_key, garble, history, input_hash, moves, serve, train
from tests.store.housekeeping.aging import collect_later, contents, result_of

HISTORIES = {
    "versions": ("versions", *MODEL, "_"),
    "channels": PRODUCTION.history,
    "pins": ("pins",),
}


@pytest.fixture
def used(store: Store) -> Store:
    serve(store, "one", "two", "three")
    for to in (1, 2, 1):
        pin(store, MODEL, ADA, to=to)
    return store


def repair(store: Store) -> fsck.Checked:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fsck.check(store, repair=True)


def test_a_clean_store_is_left_as_it_is(used: Store) -> None:
    before = contents(used)
    assert repair(used).clean
    after = contents(used)
    after.pop("store.json", None)
    before.pop("store.json", None)
    assert after == before


@pytest.mark.parametrize("kind", HISTORIES)
def test_a_gap_is_filled_with_an_entry_that_says_it_is_lost(used: Store, kind: str) -> None:
    used._objects.delete(entry_key(used, HISTORIES[kind], 2))
    (problem,) = repair(used).problems
    assert problem.repaired
    entry = used.entry(HISTORIES[kind], 2)
    assert (entry.body["lost"], entry.body["by"]) == (True, "mlrepro fsck")
    assert fsck.check(used).clean


@pytest.mark.parametrize("number", [1, 2])
def test_who_reads_passes_over_a_lost_version(used: Store, number: int) -> None:
    used._objects.delete(entry_key(used, HISTORIES["versions"], number))
    repair(used)
    with pytest.warns(UserWarning, match=f"version {number} of churn_model is damaged"):
        assert [each.number for each in versions_of(used, MODEL)] == [n for n in (3, 2, 1) if n != number]
    assert train(used, "four").number == 4


def test_who_moves_a_channel_passes_over_a_lost_entry(used: Store) -> None:
    used._objects.delete(entry_key(used, PRODUCTION.history, 2))
    repair(used)
    with pytest.warns(UserWarning, match="entry 2 of the channel"):
        assert [each.number for each in history(used)] == [1, 3]
    with pytest.warns(UserWarning, match="entry 2 of the channel"):
        roll_back(used, PRODUCTION, BEN, to=1)
    with pytest.warns(UserWarning, match="entry 2 of the channel"):
        assert moves(used)[-1] == ("rollback", 3, 1)
    assert newest_entry(used, PRODUCTION).number == 4


def test_who_pins_passes_over_a_lost_entry(used: Store) -> None:
    used._objects.delete(entry_key(used, ("pins",), 2))
    repair(used)
    with pytest.warns(UserWarning, match="entry 2 of the pins"):
        assert [each.number for each in pin_entries(used)] == [3, 1]
    assert {each.pointer.number for each in pins(used).values()} == {1}


def test_collection_keeps_another_version_for_a_lost_one(used: Store) -> None:
    train(used, "four")
    used._objects.delete(entry_key(used, HISTORIES["versions"], 3))
    repair(used)
    newest = newest_version(used, MODEL)
    assert newest is not None
    collect_later(used, 100)
    assert used.has_value(newest.stored)


def test_an_entry_that_cannot_be_read_is_left_and_told_of(used: Store) -> None:
    garble(used, HISTORIES["versions"], 2)
    for _ in range(2):
        (problem,) = repair(used).problems
        assert (problem.what, problem.repaired) == ("damaged version entry", "")
    assert used._objects.get(entry_key(used, HISTORIES["versions"], 2)) == b"\xffgarbage"


def test_a_damaged_blob_is_put_aside_and_healed_by_the_next_write(used: Store) -> None:
    version = train(used, "x" * 100)
    digest = version.stored.content_hash
    key = f"default/blobs/sha256/{digest[:2]}/{digest}"
    used._objects.delete(key)
    used._objects.create(key, b"y" * version.stored.size)
    (problem,) = repair(used).problems
    assert f"damaged/sha256/{digest}" in problem.repaired
    assert not used.has_value(version.stored)
    assert [each.what for each in fsck.check(used).problems] == ["missing blob"]
    used.write_value("x" * 100)
    checked = fsck.check(used)
    assert checked.clean
    assert checked.damaged.count == 1
    assert collect_later(used, 2).deleted["damaged"].count == 1


def test_a_damaged_result_is_put_aside_and_computed_again(used: Store) -> None:
    key = input_hash("damaged")
    used._objects.create(f"default/results/{key[:2]}/{key}.json", b"{")
    (problem,) = repair(used).problems
    assert problem.repaired == f"moved to default/damaged/results/{key}.json"
    assert fsck.check(used).clean
    assert used.get_result(key) is None
    record = result_of(used.write_value("again"))
    assert used.put_result(key, record) == (record, True)


def test_the_missing_mark_of_a_replaced_result_is_put_back(used: Store) -> None:
    key = input_hash("x")
    used.put_result(key, {"outputs": {}})
    used.replace_result(key, {"outputs": {}, "who": "ada"})
    used._objects.delete(f"default/replaced/{key}.json")
    assert repair(used).problems[0].repaired == "put back"
    assert used.replaced_results() == {key}
    assert fsck.check(used).clean


def test_a_gap_among_replacements_is_filled_and_the_newest_still_counts(used: Store) -> None:
    key = input_hash("x")
    used.put_result(key, {"outputs": {}})
    for number in range(3):
        used.replace_result(key, {"outputs": {}, "number": number})
    used._objects.delete(f"default/results/{key[:2]}/{key}.replacements/{entry_name(2)}")
    (problem,) = repair(used).problems
    assert problem.what == "gap in a history"
    assert used.get_result(key).record["number"] == 2
    assert fsck.check(used).clean
