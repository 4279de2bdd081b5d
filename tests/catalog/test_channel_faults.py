"""What a channel does when entries are damaged, bytes are lost, scopes are deleted, or a bucket's answer is."""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlrepro.catalog.channels import newest_entry, served_version
from mlrepro.catalog.history import find_number, history_name
from mlrepro.catalog.moving import approve, promote, propose, release, roll_back
from mlrepro.errors import BlobMissingError, CacheWarning, NothingToRollBackToError, QuarantinedError
from mlrepro.store import Store, open_store
from mlrepro.store.keys import blob_key
from tests.catalog.lab import (
    ADA,
    BEN,
    MODEL,
    PRODUCTION,
    edit,
    files_of,
    garble,
    history,
    input_hash,
    lose,
    moves,
    record,
    serve,
    served,
    train,
)

# Damaged entries

ENTRY_3 = b'{"schema":1,"history":["channels","churn_model","production","_"],"number":3,"entry":{"to":'
GARBAGE = [
    b"",
    b"\xffgarbage",
    b"[" * 100_000,
    ENTRY_3 + b"[" * 900 + b"]" * 900 + b"}}",
    ENTRY_3 + b"1" * 5000 + b"}}",
    b" " * 5_000_000,
]

POINTER: dict[str, Any] = {
    "version": 9,
    "data_version": "x",
    "input_hash": None,
    "output": {"content_hash": "0" * 64, "format": "json", "python_type": "builtins:str", "size": 3},
}

WRONG: list[Mapping[str, Any]] = [
    {"to": "v3"},
    {"to": {}},
    {"to": POINTER | {"version": float("inf")}},
    {"to": POINTER | {"version": float("nan")}},
    {"to": POINTER | {"version": "3"}},
    {"to": POINTER | {"input_hash": 3}},
    {"to": POINTER | {"output": {}}},
    {"to": POINTER | {"output": POINTER["output"] | {"content_hash": "../../x"}}},
    {"to": POINTER | {"output": POINTER["output"] | {"size": "3"}}},
    {"to": POINTER | {"output": POINTER["output"] | {"summary": {"rows": float("nan")}}}},
    {"from": 7},
    {"when": "yesterday"},
    {"when": 12},
    {"metrics": [0.8]},
    {"metrics": {"auc": "good"}},
    {"metrics": {"auc": float("nan")}},
    {"metrics": {"auc": 10**400}},
    {"gates": {"auc": 1}},
    {"gates": [{"said": float("-inf")}]},
    {"quarantined": ["v1"]},
    {"quarantined": None},
    {"served": "123"},
    {"served": [float("inf")]},
    {"approvers": "ada"},
]


def check_that_entry_3_is_passed_over(store: Store) -> None:
    with pytest.warns(UserWarning, match=r"entry 3 of the channel churn_model/production is damaged|passed over"):
        assert served(store) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = promote(store, PRODUCTION, train(store, "d"), ADA)
        assert made is not None
        assert (made.number, made.before and made.before.number, made.served) == (4, 2, (1, 2, 4))
        assert roll_back(store, PRODUCTION, BEN).number == 5
        assert served(store) == 2
        assert [each.number for each in history(store)] == [1, 2, 4, 5]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_bytes_that_are_no_entry_are_passed_over(store: Store, garbage: bytes) -> None:
    serve(store, "a", "b", "c")
    garble(store, PRODUCTION.history, 3, garbage)
    check_that_entry_3_is_passed_over(store)


@pytest.mark.parametrize("change", WRONG, ids=lambda change: str(change)[:80])
def test_an_entry_with_wrong_fields_is_passed_over(store: Store, change: Mapping[str, Any]) -> None:
    serve(store, "a", "b", "c")
    edit(store, PRODUCTION.history, 3, change)
    with pytest.warns(CacheWarning, match="entry 3 of the channel churn_model/production is damaged in the store"):
        newest_entry(store, PRODUCTION)
    check_that_entry_3_is_passed_over(store)


def test_a_channel_of_which_nothing_can_be_read_begins_anew_under_the_next_number(store: Store) -> None:
    serve(store, "a", "b")
    for number in (1, 2):
        garble(store, PRODUCTION.history, number)
    with pytest.warns(UserWarning, match="damaged"):
        made = promote(store, PRODUCTION, find_number(store, MODEL, None, 1), ADA)
    assert made is not None
    assert (made.number, made.before) == (3, None)


def test_what_a_damaged_entry_promoted_can_still_be_rolled_back_to(store: Store) -> None:
    serve(store, "a", "b", "c")
    garble(store, PRODUCTION.history, 2)
    with pytest.warns(UserWarning, match="damaged"):
        roll_back(store, PRODUCTION, BEN)
    assert served(store) == 2


def test_a_channel_does_not_need_the_history_of_the_asset(store: Store) -> None:
    serve(store, "a", "b", "c")
    for number in (1, 2, 3):
        garble(store, history_name(MODEL, None), number)
    assert store.read_value(served_version(store, PRODUCTION).stored) == "c"
    roll_back(store, PRODUCTION, BEN)
    roll_back(store, PRODUCTION, BEN, to=1)
    release(store, PRODUCTION, 3, BEN)
    assert store.read_value(served_version(store, PRODUCTION).stored) == "a"


# Lost bytes


def test_a_rollback_passes_over_versions_whose_bytes_are_lost(store: Store) -> None:
    _, second, _ = serve(store, "a", "b", "c")
    lose(store, second)
    with pytest.raises(
        BlobMissingError, match=f"can't go back to v2: the bytes of churn_model@v2 .*{second.stored.content_hash}"
    ):
        roll_back(store, PRODUCTION, BEN, to=2)
    roll_back(store, PRODUCTION, BEN)
    assert served(store) == 1


def test_the_metrics_that_come_back_are_those_known_last_whatever_was_passed_over(store: Store) -> None:
    first, second, third = (train(store, value) for value in ("a", "b", "c"))
    for version, auc in ((second, 0.2), (first, 0.1), (third, 0.3), (first, 0.15), (third, 0.3)):
        promote(store, PRODUCTION, version, ADA, metrics={"auc": auc})
    lose(store, second)
    assert roll_back(store, PRODUCTION, BEN).metrics == {"auc": 0.15}


def test_a_rollback_says_which_bytes_are_lost_where_that_is_why(store: Store) -> None:
    first, _ = serve(store, "a", "b")
    lose(store, first)
    with pytest.raises(NothingToRollBackToError, match="the bytes of v1 are gone"):
        roll_back(store, PRODUCTION, BEN)


def test_a_version_whose_bytes_are_lost_is_not_promoted(store: Store) -> None:
    serve(store, "a")
    lost, waits = train(store, "b"), train(store, "c")
    propose(store, PRODUCTION, waits, ADA)
    for version, act in ((lost, promote), (lost, propose)):
        lose(store, version)
        with pytest.raises(BlobMissingError, match="the bytes of churn_model@v2 are gone"):
            act(store, PRODUCTION, version, ADA)
    lose(store, waits)
    with pytest.raises(BlobMissingError, match="the bytes of churn_model@v3 are gone"):
        approve(store, PRODUCTION, None, BEN)
    assert moves(store) == [("promotion", None, 1), ("proposal", 1, 1)]


def test_a_folder_of_which_a_file_is_lost_is_lost(store: Store, tmp_path: Path) -> None:
    serve(store, folder(tmp_path), "b")
    store._objects.delete(blob_key("default", store.write_value(b"weights").content_hash))
    with pytest.raises(NothingToRollBackToError, match="the bytes of v1 are gone"):
        roll_back(store, PRODUCTION, BEN)


# Other scopes


def folder(at: Path) -> Path:
    (at / "model" / "layers").mkdir(parents=True)
    (at / "model" / "weights").write_bytes(b"weights")
    (at / "model" / "layers" / "0").write_bytes(b"layer")
    return at / "model"


@pytest.fixture
def theirs(folder_store: Store) -> Store:
    return open_store(folder_store.url, scope="shared", options={"durable": "false"})


@pytest.mark.parametrize("by", ["promotion", "approval"])
def test_what_is_promoted_from_another_scope_outlives_it(
    folder_store: Store, theirs: Store, tmp_path: Path, by: str
) -> None:
    values = [folder(tmp_path), {"table": pa.table({"a": [1]}), "of": "tree"}, "text"]
    for value in values:
        version = train(theirs, value)
        source = theirs.write_bytes(repr(value).encode())
        theirs.put_result(input_hash(value), record(version, code={"sources": source}))
        if by == "approval":
            propose(folder_store, PRODUCTION, version, ADA)
            approve(folder_store, PRODUCTION, None, BEN)
        else:
            promote(folder_store, PRODUCTION, version, ADA)
    shutil.rmtree(files_of(folder_store, "shared"))
    ours = open_store(folder_store.url, read_scopes=())

    loaded = [ours.read_value(entry.after.stored) for entry in history(ours) if entry.kind == "promotion"]
    assert [(loaded[0] / each).read_bytes() for each in ("weights", "layers/0")] == [b"weights", b"layer"]
    assert loaded[1:] == values[1:]
    for value in values:
        found = ours.get_result(input_hash(value))
        assert found is not None
        assert ours.read_bytes(found.record["code"]["sources"]) == repr(value).encode()
    roll_back(ours, PRODUCTION, BEN)
    roll_back(ours, PRODUCTION, BEN, to=1)
    assert served(ours) == 1


@pytest.mark.parametrize("to", [None, 1])
def test_what_is_rolled_back_to_is_kept_in_the_own_scope_again(
    folder_store: Store, theirs: Store, to: int | None
) -> None:
    first, _ = serve(folder_store, "a", "b")
    lose(folder_store, first)
    theirs.write_value("a")
    roll_back(folder_store, PRODUCTION, BEN, to=to)
    assert folder_store.has_blob(first.stored.content_hash, scope="default")


STRANGE: list[dict[str, Any]] = [
    {},
    {"outputs": 5},
    {"outputs": {"result": {"stored": {"content_hash": "x"}}}},
    {"outputs": {}, "code": None},
    {"outputs": {}, "code": {"sources": "../x"}},
    {"outputs": {}, "environment": {"freeze": 7}},
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_a_strange_record_in_another_scope_is_no_obstacle(
    folder_store: Store, theirs: Store, strange: dict[str, Any]
) -> None:
    theirs.put_result(input_hash("a"), strange)
    promote(folder_store, PRODUCTION, train(theirs, "a"), ADA)
    assert folder_store.read_value(served_version(folder_store, PRODUCTION).stored) == "a"


def test_what_stands_beside_a_version_may_be_lost(folder_store: Store, theirs: Store) -> None:
    version, beside = train(theirs, "a"), train(theirs, "b")
    outputs = {"result": {"stored": version.stored.to_json()}, "other": {"stored": beside.stored.to_json()}}
    theirs.put_result(input_hash("a"), {"outputs": outputs, "code": {"sources": "0" * 64}})
    lose(theirs, beside)
    promote(folder_store, PRODUCTION, version, ADA)
    assert folder_store.get_result(input_hash("a")).scope == "default"


# Lost answers


@pytest.mark.parametrize("faster", [False, True], ids=["nobody else", "somebody else is next"])
def test_a_bucket_whose_answer_is_lost_moves_a_channel_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    """It takes the entry, is asked again, and says that the place is taken."""
    serve(store, "a", "b", "c")
    last = train(store, "d")
    create = store._objects.create

    def and_lose_the_answer(key: str, data: bytes) -> bool:
        monkeypatch.setattr(store._objects, "create", create)
        assert create(key, data)
        if faster:
            promote(store, PRODUCTION, last, ADA)
        return False

    monkeypatch.setattr(store._objects, "create", and_lose_the_answer)
    done = roll_back(store, PRODUCTION, BEN)
    assert (done.number, done.after and done.after.number) == (4, 2)
    assert moves(store)[3:] == [("rollback", 3, 2), ("promotion", 2, 4)][: 1 + faster]
    with pytest.raises(QuarantinedError, match="v3"):
        promote(store, PRODUCTION, find_number(store, MODEL, None, 3), ADA)
