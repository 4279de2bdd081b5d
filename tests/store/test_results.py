import threading
from pathlib import Path

import pytest

from mlrepro.errors import BlobDamagedError, StoreError
from mlrepro.store import FoundResult, Store
from mlrepro.store.keys import result_key
from tests.store.conftest import OpenHere
from tests.store.faults import blob_file, flip_a_bit

KEY, OTHER = "a" * 64, "b" * 64


def result_file(store: Store) -> Path:
    return Path(store.url, result_key("default", KEY))


def test_the_first_result_wins(store: Store) -> None:
    assert store.get_result(KEY) is None
    assert store.put_result(KEY, {"by": "ada"}) == ({"by": "ada"}, True)
    assert store.put_result(KEY, {"by": "bob"}) == ({"by": "ada"}, False)
    assert store.get_result(KEY) == FoundResult({"by": "ada"}, "default")
    assert store.get_result(OTHER) is None


def test_of_many_writers_at_once_one_wins_and_all_know(store: Store) -> None:
    answers = []
    barrier = threading.Barrier(16)

    def work(writer: int) -> None:
        barrier.wait()
        answers.append((writer, *store.put_result(KEY, {"writer": writer})))

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [writer for writer, _, ours in answers if ours]
    assert len(winners) == 1
    assert {record["writer"] for _, record, _ in answers} == set(winners)


def test_results_are_looked_up_in_the_own_scope_then_in_the_others(open_here: OpenHere) -> None:
    ours, theirs = open_here(scope="ours"), open_here(scope="theirs", read_scopes=("shared", "ours"))
    ours.put_result(KEY, {"from": "shared"}, scope="shared")
    assert theirs.get_result(KEY) == FoundResult({"from": "shared"}, "shared")
    ours.put_result(KEY, {"from": "ours"})
    assert ours.get_result(KEY) == FoundResult({"from": "ours"}, "ours")
    assert theirs.get_result(KEY) == FoundResult({"from": "shared"}, "shared")
    ours.put_result(OTHER, {"from": "ours"})
    assert theirs.get_result(OTHER) == FoundResult({"from": "ours"}, "ours")
    assert open_here(scope="third", read_scopes=()).get_result(KEY) is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_result_is_a_miss_with_a_warning_and_can_be_replaced(folder_store: Store, garbage: bytes) -> None:
    folder_store.put_result(KEY, {"x": 1})
    (path,) = Path(folder_store.url, "default", "results").rglob("*.json")
    path.write_bytes(garbage)
    with pytest.warns(UserWarning, match=f"{KEY}.json is damaged and counts as a cache miss"):
        assert folder_store.get_result(KEY) is None
    with pytest.warns(UserWarning, match="damaged"):
        assert folder_store.put_result(KEY, {"x": 2}) == ({"x": 2}, True)
    with pytest.warns(UserWarning, match="damaged"):
        assert folder_store.get_result(KEY) == FoundResult({"x": 2}, "default")


def test_a_result_that_will_not_do_is_replaced_by_a_newer_one(store: Store) -> None:
    store.put_result(KEY, {"day": 1})
    young = {"day": 2}
    assert store.get_result(KEY, usable=lambda record: record["day"] > 1) is None
    store.replace_result(KEY, young)
    assert store.get_result(KEY, usable=lambda record: record["day"] > 1) == FoundResult(young, "default")
    store.replace_result(KEY, {"day": 3})
    store.replace_result(KEY, {"day": 3})
    assert store.get_result(KEY, usable=lambda record: record["day"] > 1).record == {"day": 3}
    assert store.get_result(KEY).record == {"day": 3}
    assert store.get_result(KEY, usable=lambda record: record["day"] < 2).record == {"day": 1}, "it is still there"


def test_a_result_whose_blob_is_damaged_and_cannot_be_made_again_is_replaced(folder_store: Store) -> None:
    store = folder_store
    lost = store.write_value("first")
    store.put_result(KEY, {"out": lost.content_hash, "size": lost.size})
    flip_a_bit(blob_file(store, lost.content_hash))

    def usable(record: dict) -> bool:
        return store.has_blob(record["out"], record["size"])

    assert usable(store.get_result(KEY).record), "its size does not show the damage"
    again = store.write_value("second")
    store.replace_result(KEY, {"out": again.content_hash, "size": again.size}, lost=[lost.content_hash])
    assert store.get_result(KEY, usable=usable).record["out"] == again.content_hash


def test_what_is_replaced_in_another_scope_is_found_in_the_own_one(open_here: OpenHere) -> None:
    ours = open_here(scope="ours")
    ours.put_result(KEY, {"from": "shared"}, scope="shared")
    for day in (1, 2):
        assert ours.replace_result(KEY, {"from": "ours", "day": day}) == {"from": "ours", "day": day}
        assert ours.get_result(KEY) == FoundResult({"from": "ours", "day": day}, "ours")
    assert open_here(scope="theirs").get_result(KEY) == FoundResult({"from": "shared"}, "shared")


def test_a_replacement_is_found_where_the_first_record_was_lost(folder_store: Store) -> None:
    folder_store.put_result(KEY, {"x": 1})
    folder_store.replace_result(KEY, {"x": 2})
    result_file(folder_store).unlink()
    folder_store.replace_result(KEY, {"x": 3})
    assert folder_store.get_result(KEY) == FoundResult({"x": 3}, "default")


def test_a_folder_in_the_place_of_a_result_is_an_error_that_names_it(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrepro.store.results._TRIES", 2)
    result_file(folder_store).mkdir(parents=True)
    assert folder_store.get_result(KEY) is None
    for call in (folder_store.put_result, folder_store.replace_result):
        with pytest.raises(StoreError, match=f"default/results/aa/{KEY}.json.*folder"):
            call(KEY, {"x": 1})


def test_a_damaged_replacement_is_passed_over(folder_store: Store) -> None:
    folder_store.put_result(KEY, {"x": 1})
    for x in (2, 3):
        folder_store.replace_result(KEY, {"x": x})
    min(Path(folder_store.url).rglob("*.replacements/*.json")).write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        assert folder_store.get_result(KEY).record == {"x": 2}
    with pytest.warns(UserWarning, match="is damaged"):
        folder_store.replace_result(KEY, {"x": 4})
    assert folder_store.get_result(KEY).record == {"x": 4}


def test_deviations_are_kept_newest_first(store: Store) -> None:
    assert store.deviations(KEY) == []
    store.put_result(KEY, {"x": 1})
    store.note_deviation(KEY, {"x": 2})
    store.note_deviation(KEY, {"x": 3})
    assert store.deviations(KEY) == [{"x": 3}, {"x": 2}]
    assert store.get_result(KEY).record == {"x": 1}
    assert list(store.histories(("versions",))) == []


@pytest.mark.parametrize("name", ["", "abc", "A" * 64, "../" * 20, "g" * 64])
def test_what_is_no_hash_is_refused(store: Store, name: str) -> None:
    for call in (lambda: store.get_result(name), lambda: store.put_result(name, {}), lambda: store.has_blob(name)):
        with pytest.raises(StoreError, match="64 hexadecimal digits"):
            call()


def test_a_record_comes_back_as_it_was_written(store: Store) -> None:
    record = {"ä": [1, 2.5, None, True, {"nested": "\ud800"}], "z": 2**70}
    assert store.put_result(KEY, record) == (record, True)
    assert store.get_result(KEY).record == record


def test_a_damaged_blob_is_told_apart_from_a_missing_one(folder_store: Store) -> None:
    stored = folder_store.write_value("x")
    flip_a_bit(blob_file(folder_store, stored.content_hash))
    with pytest.raises(BlobDamagedError):
        folder_store.read_value(stored)


def test_all_replaced_results_are_known_by_one_request_a_scope(open_here: OpenHere) -> None:
    store, shared = open_here(scope="team"), open_here(scope="shared")
    for number in range(3):
        store.put_result(KEY[:-1] + str(number), {"value": number})
    store.replace_result(KEY[:-1] + "1", {"value": "new"})
    shared.put_result(KEY[:-1] + "5", {"value": 5})
    shared.replace_result(KEY[:-1] + "5", {"value": "newer"})

    replaced = store.replaced_results()
    assert replaced == {KEY[:-1] + "1", KEY[:-1] + "5"}
    for number in (0, 1, 2, 5):
        found = store.get_result(KEY[:-1] + str(number), replaced=replaced)
        assert found == store.get_result(KEY[:-1] + str(number))


def test_a_result_that_is_not_known_as_replaced_is_one_request(folder_store: Store, monkeypatch) -> None:
    folder_store.put_result(KEY, {"value": 1})
    replaced = folder_store.replaced_results()
    monkeypatch.setattr(type(folder_store._objects), "names", lambda *_: pytest.fail("it was looked for"))
    assert folder_store.get_result(KEY, replaced=replaced) is not None


def test_a_replacement_is_marked_before_it_is_written(folder_store: Store, monkeypatch) -> None:
    """A process that is killed in between leaves a mark too many, never one too few."""
    from mlrepro.store import history

    folder_store.put_result(KEY, {"value": 1})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(history, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        folder_store.replace_result(KEY, {"value": 2})
    assert folder_store.replaced_results() == {KEY}
    found = folder_store.get_result(KEY, replaced=folder_store.replaced_results())
    assert found is not None
    assert found.record == {"value": 1}
