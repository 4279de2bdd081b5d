import multiprocessing
import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro.errors import StoreError, UnknownVersionError
from mlrepro.store import Entry, Store, open_store
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


def test_a_damaged_entry_is_named(folder_store: Store) -> None:
    folder_store.append(NAME, lambda _: {"x": 1})
    (path,) = Path(folder_store.url, "default", "versions").rglob("*.json")
    path.write_bytes(b"\xffgarbage")
    with pytest.raises(StoreError, match=f"{path.name} is damaged"):
        folder_store.newest(NAME)


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
