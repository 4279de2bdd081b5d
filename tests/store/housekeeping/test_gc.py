"""What garbage collection keeps and what it removes, on every kind of store."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from mlrepro.catalog.channels import ChannelName
from mlrepro.catalog.derivations import note_derivation
from mlrepro.catalog.history import append_version, versions_of
from mlrepro.catalog.moving import promote, propose, roll_back
from mlrepro.catalog.pins import pin, release_pin
from mlrepro.errors import BlobMissingError, RetentionError
from mlrepro.store import Claim, Store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.housekeeping.gc import collect
from mlrepro.store.housekeeping.retention import Policy
from tests.catalog.lab import ADA, MODEL, PRODUCTION, input_hash, record, serve, served, train
from tests.store.conftest import OpenHere
from tests.store.housekeeping.aging import (
    STRICT,
    blobs,
    collect_for_good,
    collect_later,
    contents,
    days_later,
    result_of,
)

TWO = Policy(keep_versions=2, keep_promotions=1, younger_than=dt.timedelta(days=30))


def computed(store: Store, value: object, **more: object) -> str:
    """A result, and the blob that only it names."""
    source = store.write_bytes(f"source of {value}".encode())
    stored = store.write_value(value)
    store.put_result(input_hash(value), result_of(stored, code={"sources": source}, **more))
    return source


def test_the_newest_versions_of_each_asset_and_partition_are_kept(store: Store) -> None:
    for value in range(5):
        train(store, ["model", value])
        train(store, ["monday", value], partition="monday")
    histories = contents(store, "versions")
    collect_for_good(store, policy=TWO)
    for partition, name in ((None, "model"), ("monday", "monday")):
        newest, second, *older = versions_of(store, MODEL, partition)
        assert [store.read_value(each.stored) for each in (newest, second)] == [[name, 4], [name, 3]]
        assert not any(store.has_value(each.stored) for each in older)
    assert contents(store, "versions") == histories
    assert fsck.check(store).clean


def test_without_delete_nothing_changes_and_the_report_is_the_same(store: Store) -> None:
    for value in range(3):
        computed(store, value)
        train(store, value)
    before = contents(store)
    with days_later(100):
        would = collect(store, STRICT)
        assert contents(store) == before
        done = collect(store, STRICT, delete=True)
    assert (would.set_aside, would.kept, would.later) == (done.set_aside, done.kept, done.later)
    assert would.set_aside["result"].count == 2
    assert would.set_aside["blob"].count == 4


def test_what_goes_lies_in_the_trash_for_the_grace_period_first(store: Store) -> None:
    stored = store.write_value([1, 2, 3])
    report = collect_later(store, 100)
    assert (report.set_aside["blob"].count, report.bytes_freed, report.later.bytes) == (1, 0, stored.size)
    assert blobs(store) == set()
    assert collect_later(store, 0.5).bytes_freed == 0
    assert collect_later(store, 2).bytes_freed == stored.size
    assert not store.has_blob(stored.content_hash)


def test_what_was_written_within_the_grace_period_is_never_touched(store: Store) -> None:
    stored = store.write_value([1, 2, 3])
    store.put_result(input_hash(1), result_of(stored))
    now = Policy(keep_versions=1, keep_promotions=1, younger_than=dt.timedelta(0))
    assert collect_later(store, 0.9, now).set_aside == {}
    assert store.has_value(stored)
    assert set(collect_later(store, 1.1, now).set_aside) == {"blob", "result"}


def test_what_a_channel_serves_or_has_waiting_is_kept_with_its_result(store: Store) -> None:
    sources = [computed(store, value) for value in range(6)]
    versions = serve(store, 0, 1)
    waiting = train(store, 2)
    propose(store, PRODUCTION, waiting, ADA)
    for value in (3, 4, 5):
        train(store, value)
    collect_for_good(store)
    assert served(store) == 2
    assert store.read_value(versions[1].stored) == 1
    assert store.read_value(waiting.stored) == 2
    assert [store.has_blob(each) for each in sources] == [False, True, True, False, False, True]
    assert store.get_result(input_hash(1)) is not None
    assert store.get_result(input_hash(0)) is None


def test_a_channel_can_go_back_as_far_as_promotions_are_kept(store: Store) -> None:
    serve(store, *range(5))
    collect_for_good(store, policy=Policy(keep_versions=1, keep_promotions=3, younger_than=dt.timedelta(0)))
    assert roll_back(store, PRODUCTION, ADA).after.number == 4
    assert roll_back(store, PRODUCTION, ADA).after.number == 3
    with pytest.raises(BlobMissingError, match="v1"):
        roll_back(store, PRODUCTION, ADA, to=1)


def test_every_partition_of_a_channel_counts_by_itself(store: Store) -> None:
    monday, tuesday = (ChannelName(MODEL, "production", day) for day in ("monday", "tuesday"))
    held = serve(store, "a", name=monday)
    serve(store, "b", "c", "d", name=tuesday)
    collect_for_good(store)
    assert store.read_value(held[0].stored) == "a"


def test_what_is_pinned_is_kept_until_something_else_is(store: Store) -> None:
    versions = [train(store, value) for value in range(4)]
    pin(store, MODEL, ADA, to=1)
    pin(store, MODEL, ADA, to=2)
    collect_for_good(store)
    assert [store.has_value(each.stored) for each in versions] == [False, True, False, True]
    release_pin(store, MODEL, ADA)
    pin(store, MODEL, ADA, to=4)
    collect_for_good(store)
    assert [store.has_value(each.stored) for each in versions] == [False, False, False, True]


def test_the_parts_of_a_folder_are_kept_with_it(store: Store, tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "weights").write_text(f"weights {number}")
        (folder / "same").write_text("the same in both")
        folders.append(train(store, folder))
    trees = [train(store, {"same": np.arange(9), "own": np.arange(number)}, of=("tree",)) for number in range(2)]
    assert all(each.stored.parts_size > 0 for each in (*folders, *trees))
    collect_for_good(store)
    assert [store.has_value(each.stored) for each in (*folders, *trees)] == [False, True, False, True]
    kept = store.read_value(folders[1].stored)
    assert [(kept / name).read_text() for name in ("same", "weights")] == ["the same in both", "weights 1"]
    assert {name: len(each) for name, each in store.read_value(trees[1].stored).items()} == {"same": 9, "own": 1}


def test_a_folder_that_a_result_was_computed_from_is_kept_whole(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows").write_text("1,2,3")
    source = store.write_value(folder)
    origin = {"content_hash": source.content_hash, "stored_as": source.to_input()}
    of_another_scope = {"content_hash": "5eed" * 16, "stored_as": source.to_input()}
    made = store.write_value(6)
    record = result_of(made, inputs={"data": origin, "elsewhere": of_another_scope})
    store.put_result("ab" * 32, record)
    body = {"data_version": made.content_hash, "input_hash": "ab" * 32}
    append_version(store, ("total",), None, made, body)
    report = collect_for_good(store)
    assert (store.read_value(source) / "rows").read_text() == "1,2,3"
    assert report.notes == ()


def test_a_result_is_kept_for_its_max_age(store: Store) -> None:
    computed(store, 1, max_age=200 * 86_400)
    computed(store, 2, max_age=None)
    collect_for_good(store, 100)
    assert [store.get_result(input_hash(value)) is not None for value in (1, 2)] == [True, False]
    collect_for_good(store, 250)
    assert store.get_result(input_hash(1)) is None


def test_a_result_goes_with_all_that_was_said_of_it(store: Store) -> None:
    version = train(store, 1)
    store.put_result(input_hash(0), result_of(store.write_value(0)))
    store.replace_result(input_hash(0), result_of(store.write_value("again")))
    store.note_deviation(input_hash(0), {"who": "ben"})
    note_derivation(store, version, input_hash(1), {})
    note_derivation(store, train(store, 2), input_hash(3), {})
    collect_for_good(store)
    left = contents(store)
    assert not [key for key in left if key.startswith(("results/", "replaced/", "trash/"))]
    # the mark beside the newest version stays, that beside an old one goes
    assert [key[-10:-5] for key in left if key.startswith("derivations/")] == [input_hash(3)[-5:]]
    assert fsck.check(store).clean


def test_a_lease_goes_a_day_after_it_is_over(store: Store) -> None:
    claim = Claim(holder="run/step", who="ada", run_id="run", step="step")
    for value in (1, 2):
        lease = store.acquire_lease(input_hash(value), claim)
        if value == 1:
            with lease:
                pass
    assert collect_later(store, 0.5).deleted == {}
    # one that was given back lasts a day, one that is held its time to live besides
    assert collect_later(store, 1.0001).deleted["lease"].count == 2
    assert collect_later(store, 1.1).deleted["lease"].count == 1


def test_what_mlrepro_did_not_write_stays(store: Store) -> None:
    for key in ("notes.txt", "blobs/sha256/readme", "trash/notes.txt", "results/ab/abc.json"):
        assert store._objects.create(f"default/{key}", b"mine")
    report = collect_for_good(store)
    assert report.kept["foreign"].count == 3
    assert report.deleted == {}
    assert contents(store)["trash/notes.txt"] == b"mine"


def test_another_scope_is_left_alone(open_here: OpenHere) -> None:
    ours, theirs = open_here(), open_here(scope="team")
    stored = theirs.write_value([1])
    ours.write_value([2])
    collect_for_good(ours)
    assert blobs(ours) == set()
    assert theirs.has_value(stored)


def test_the_report_says_whose_bytes_go(store: Store) -> None:
    for value in range(3):
        version = train(store, "x" * 100 + str(value))
        store.put_result(version.input_hash, record(version, assets=["churn_model"]))
    store.write_bytes(b"nobody's")
    with days_later(100):
        report = collect(store, STRICT)
    assert [(asset, amount.count) for asset, amount in report.by_asset] == [
        ("churn_model", 2),
        ("(parts of folders, and what no record names)", 1),
    ]


def test_the_history_of_collections_says_who_removed_what_by_which_policy(store: Store) -> None:
    store.write_value([1])
    with days_later(100):
        collect(store, STRICT, delete=True, who="ada")
        collect(store, STRICT)
    (entry,) = store.entries(("gc",))
    assert entry.body["who"] == "ada"
    assert entry.body["set_aside"]["blob"]["count"] == 1
    assert Policy.from_json(entry.body["policy"]) == STRICT


def test_nothing_to_do_leaves_no_entry(store: Store) -> None:
    train(store, 1)
    collect_for_good(store)
    assert list(store.entries(("gc",))) == []


def test_a_result_that_is_promoted_after_it_was_set_aside_comes_back(store: Store) -> None:
    old = train(store, "old")
    source = computed(store, "old")
    train(store, "new")
    assert collect_later(store, 100).set_aside["result"].count == 1
    promote(store, PRODUCTION, old, ADA)
    report = collect_later(store, 102)
    assert set(report.put_back) >= {"result"}
    assert store.get_result(input_hash("old")) is not None
    assert store.read_bytes(source) == b"source of old"
    assert fsck.check(store).clean


@pytest.mark.parametrize("change", [{"keep_versions": 0}, {"keep_promotions": 0}, {"grace": -dt.timedelta(1)}])
def test_a_policy_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(RetentionError):
        Policy(**change)  # type: ignore[arg-type]


def test_a_folder_of_nothing_but_empty_files_stays_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_SUCCESS").touch()
    version = train(store, tmp_path / "out")
    collect_for_good(store)
    assert [path.name for path in store.read_value(version.stored).iterdir()] == ["_SUCCESS"]


def test_outputs_of_ops_are_kept(store: Store) -> None:
    stored = store.write_value([1, 2])
    store.append(("runs", "run-1", "step", "result"), lambda _: {"output": stored.to_json()})
    collect_for_good(store)
    assert store.read_value(stored) == [1, 2]


@pytest.mark.parametrize("garbage", [b"no JSON", b"[]", b'{"schema":1}', b'{"folder":{"a":{"sha256":["x"],"size":1}}}'])
def test_a_manifest_that_is_none_stops_nothing(store: Store, garbage: bytes) -> None:
    stored = store.write_value(garbage)
    hostile = {**stored.to_json(), "format": "folder"}
    store.put_result(input_hash("x"), {"outputs": {"result": {"stored": hostile}}})
    report = collect_later(store, 1)
    assert any(stored.content_hash in note for note in report.notes)
    assert not store.has_value(type(stored).from_json(hostile))
