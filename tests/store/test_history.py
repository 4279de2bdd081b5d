import multiprocessing
import os
import threading
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro.errors import StoreError, UnknownVersionError
from mlrepro.store import Entry, Store, open_store, records
from mlrepro.store.keys import entry_name, history_folder
from tests.store.conftest import OpenHere

NAME = ("versions", "churn_model", "_")


def test_entries_are_numbered_from_one(store: Store) -> None:
    assert store.newest(NAME) is None
    for number in range(1, 12):
        assert store.append(NAME, lambda newest: {"after": newest.number if newest else 0}) == Entry(
            number, {"after": number - 1}
        )
        assert store.newest(NAME) == Entry(number, {"after": number - 1})
    assert [entry.number for entry in store.entries(NAME)] == list(range(11, 0, -1))
    assert [entry.number for entry in store.entries(NAME, limit=3)] == [11, 10, 9]
    assert store.entry(NAME, 4).body == {"after": 3}


def test_nothing_is_appended_where_nothing_is_wanted(store: Store) -> None:
    assert store.append(NAME, lambda _: None) is None
    assert store.newest(NAME) is None
    assert list(store.entries(NAME)) == []


@pytest.mark.parametrize("number", [0, -1, 2, 10**12, 10**15])
def test_a_version_that_does_not_exist_is_a_clear_error(store: Store, number: int) -> None:
    store.append(NAME, lambda _: {})
    with pytest.raises(UnknownVersionError, match=f"has no entry {number}"):
        store.entry(NAME, number)


def test_histories_are_found_by_prefix(store: Store) -> None:
    names = {
        ("versions", "a", "_"),
        ("versions", "a", "2026-01-01|x"),
        ("versions", "a", "b/../c", "_"),
        ("versions", "a" * 300, "_"),
        ("versions", "é" * 200, "p" * 400, "_"),
        ("versions", "..", "_"),
        ("versions", "999999999998.json", "_"),
    }
    for name in names | {("channels", "a", "production")}:
        store.append(name, lambda _: {"is": list(name)})  # noqa: B023
    assert set(store.histories(("versions",))) == names
    assert set(store.histories(("versions", "a"))) == {name for name in names if name[1] == "a"}
    assert list(store.histories(("nothing",))) == []
    for name in names:
        assert store.newest(name) == Entry(1, {"is": list(name)})


def test_each_scope_has_histories_of_its_own(open_here: OpenHere) -> None:
    ours, theirs = open_here(scope="ours"), open_here(scope="theirs")
    ours.append(NAME, lambda _: {"by": "us"})
    assert theirs.newest(NAME) is None
    assert theirs.newest(NAME, scope="ours") == Entry(1, {"by": "us"})


def test_what_is_no_json_is_refused_and_leaves_nothing(store: Store) -> None:
    for body in ({"x": object()}, {"x": float("nan")}, {1: {2, 3}}):
        with pytest.raises(StoreError, match="not JSON"):
            store.append(NAME, lambda _: body)  # noqa: B023
    assert store.newest(NAME) is None


def test_threads_that_append_at_once_lose_nothing(store: Store) -> None:
    def work(writer: int) -> None:
        for step in range(8):
            store.append(NAME, lambda _, step=step: {"writer": writer, "step": step})

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(store.entries(NAME))
    assert [entry.number for entry in found] == list(range(64, 0, -1))
    assert {(e.body["writer"], e.body["step"]) for e in found} == {(w, s) for w in range(8) for s in range(8)}


def append_from_a_process(store: Store, count: int) -> None:
    for _ in range(count):
        store.append(NAME, lambda newest: {"process": os.getpid(), "saw": newest.number if newest else 0})


def test_processes_that_append_at_once_lose_nothing(folder_store: Store) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append_from_a_process, args=(folder_store, 10)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = list(folder_store.entries(NAME))
    assert [entry.number for entry in found] == list(range(40, 0, -1))
    assert all(entry.body["saw"] == entry.number - 1 for entry in found)
    assert sorted(Counter(entry.body["process"] for entry in found).values()) == [10] * 4


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6))
def test_the_newest_is_found_whatever_the_length(counts: list[int]) -> None:
    store = open_store("memory://lengths")
    name = ("versions", os.urandom(8).hex())
    total = 0
    for count in counts:
        for _ in range(count):
            store.append(name, lambda _: {})
        total += count
        newest = store.newest(name)
        assert (newest.number if newest else 0) == total


def entry_file(store: Store, number: int) -> Path:
    return Path(store.url, history_folder("default", NAME), entry_name(number))


def append_some(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        assert store.append(NAME, lambda _, number=number: {"x": number}) == Entry(number, {"x": number})


GARBAGE = [
    b"",
    b"{}",
    b"\xffgarbage",
    b"[1]",
    b"[" * 100_000,
    b'{"schema":1,"history":"versions","number":3,"entry":{}}',
    b'{"schema":1,"history":["versions","churn_model","_"],"number":3,"entry":[]}',
    b'{"schema":1,"history":["versions","churn_model","_"],"number":2,"entry":{}}',
    b'{"schema":1,"history":["versions","other","_"],"number":3,"entry":{}}',
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_damaged_newest_entry_blocks_nothing(folder_store: Store, garbage: bytes) -> None:
    append_some(folder_store, 3)
    path = entry_file(folder_store, 3)
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match=f"{path.name} is damaged"):
        folder_store.entry(NAME, 3)
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert folder_store.newest(NAME) == Entry(2, {"x": 2})
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert [entry.number for entry in folder_store.entries(NAME)] == [2, 1]
    seen = []
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert folder_store.append(NAME, lambda newest: seen.append(newest) or {"x": 4}) == Entry(4, {"x": 4})
    assert seen == [None]
    assert folder_store.newest(NAME) == Entry(4, {"x": 4})
    with pytest.warns(UserWarning, match="damaged"):
        assert [entry.number for entry in folder_store.entries(NAME, limit=2)] == [4, 2]


def test_a_history_of_nothing_readable_goes_on(folder_store: Store) -> None:
    append_some(folder_store, 1)
    entry_file(folder_store, 1).write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        assert folder_store.newest(NAME) is None
    with pytest.warns(UserWarning, match="damaged"):
        assert folder_store.append(NAME, lambda _: {}).number == 2


@pytest.mark.parametrize("count", [4, 10, 20])
def test_a_lost_entry_hides_none_of_those_after_it(tmp_path: Path, count: int) -> None:
    for lost in range(1, count):
        store = open_store(str(tmp_path / str(lost)), options={"durable": "false"})
        append_some(store, count)
        entry_file(store, lost).unlink()
        assert store.newest(NAME) == Entry(count, {"x": count})
        with pytest.warns(UserWarning, match=f"no entry {lost} "):
            assert [e.number for e in store.entries(NAME)] == [n for n in range(count, 0, -1) if n != lost]
        assert store.append(NAME, lambda _: {}).number == count + 1


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_folder_in_the_place_of_an_entry_is_passed_over(folder_store: Store, place: int) -> None:
    append_some(folder_store, 2)
    entry_file(folder_store, place).unlink(missing_ok=True)
    entry_file(folder_store, place).mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        number = folder_store.append(NAME, lambda _: {"x": "new"}).number
    assert number == max(3, place + 1)
    assert folder_store.newest(NAME) == Entry(number, {"x": "new"})
    with pytest.warns(UserWarning, match=f"no entry {place} "):
        assert [e.number for e in folder_store.entries(NAME)] == [n for n in range(number, 0, -1) if n != place]


def test_the_search_for_a_readable_entry_ends(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrepro.store.history._MOST_SKIPPED", 3)
    append_some(folder_store, 6)
    for number in (3, 4, 5):
        entry_file(folder_store, number).write_bytes(b"{}")
    with pytest.warns(UserWarning, match="below 3 are left out: 3 in a row"):
        assert [entry.number for entry in folder_store.entries(NAME)] == [6]


def test_names_that_differ_in_case_are_not_mixed_up(folder_store: Store) -> None:
    append_some(folder_store, 1)
    path = entry_file(folder_store, 1)
    record = records.from_bytes(path.read_bytes())
    path.write_bytes(records.sealed(record | {"history": [part.upper() for part in record["history"]]}))
    for call in (lambda: folder_store.newest(NAME), lambda: folder_store.append(NAME, lambda _: {})):
        with pytest.raises(StoreError, match="upper and lower case"):
            call()


def test_a_long_name_is_found_in_any_readable_entry(folder_store: Store) -> None:
    name = ("versions", "a" * 300, "_")
    for _ in range(3):
        folder_store.append(name, lambda _: {})
    first, *others = sorted(Path(folder_store.url, "default", "versions").rglob("*.json"), reverse=True)
    first.write_bytes(b"{}")
    assert list(folder_store.histories(("versions",))) == [name]
    for path in others:
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="its history is left out"):
        assert list(folder_store.histories(("versions",))) == []


def test_the_newest_costs_no_more_in_a_long_history(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(300):
        folder_store.append(NAME, lambda _: {})
    looked_at = []
    original = type(folder_store._objects).size
    monkeypatch.setattr(
        type(folder_store._objects), "size", lambda self, key: looked_at.append(key) or original(self, key)
    )
    assert folder_store.newest(NAME).number == 300
    assert len(looked_at) < 25
