"""The temporary folder, and code from records that somebody garbled."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from mlrepro.catalog import Version
from mlrepro.reproducing.code_trees import CodeTree, NoCode, code_trees
from mlrepro.reproducing.likeness import likeness
from mlrepro.reproducing.recipe import Recipe
from mlrepro.reproducing.workspace import workspace
from mlrepro.store import FoundResult, Store, open_store


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_gone_in_the_end_also_after_an_error_and_with_what_is_read_only(place: Path) -> None:
    def fail() -> None:
        with workspace() as folder:
            (folder / "tree").mkdir()
            (folder / "tree" / "file").write_text("")
            (folder / "tree").chmod(0o500)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(place.iterdir()) == []


def test_what_a_killed_one_left_is_swept_and_what_is_in_use_is_not(place: Path) -> None:
    left = place / "mlrepro-reproduce-left"
    left.mkdir()
    somebodys = place / "mlrepro-reproduce-link"
    somebodys.symlink_to(place)
    with workspace() as first:
        assert not left.exists()
        with workspace() as second:
            assert first.exists()
            assert second.exists()
    assert list(place.iterdir()) == [somebodys]


def test_many_at_once_never_take_one_anothers(place: Path) -> None:
    lost: list[Path] = []

    def work() -> None:
        for _ in range(50):
            with workspace() as folder:
                (folder / "mark").write_text(str(os.getpid()))
                if not (folder / "mark").exists():
                    lost.append(folder)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert list(place.iterdir()) == []


def recipe(store: Store, files: Any, **record: Any) -> Recipe:
    stored = store.write_value(1)
    code = {"files": store.write_bytes(json.dumps(files).encode()), "sources": ""}
    version = Version(("number",), None, 1, stored, {"data_version": "1", "input_hash": "ab" * 32})
    found = FoundResult({"code": code, **record}, "default")
    return Recipe(version, "result", found, [{"name": "shop:number", "file": "shop.py", "text": ""}])


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py", "", "a\\..\\evil.py", "a\0.py"])
def test_a_stored_file_never_leads_out_of_its_folder(place: Path, name: str) -> None:
    store = open_store(str(place / "store"))
    found = next(
        each
        for each in code_trees(store, [recipe(store, {"shop.py": "", name: "evil"})], place / "a" / "b", place)
        if isinstance(each, CodeTree) or "leads out" in each.why
    )
    assert isinstance(found, NoCode)
    assert not list(place.rglob("evil.py"))


@pytest.mark.parametrize("named", ["not-merged", "HEAD", "--output=stolen", "HEAD:.", "stash@{0}"])
def test_a_record_names_a_commit_and_nothing_else_of_a_repository(place: Path, named: str) -> None:
    checkout = place / "checkout"
    checkout.mkdir()
    (checkout / "shop.py").write_text("")
    as_somebody = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "-q"], ["add", "."], [*as_somebody, "commit", "-qm", "one"], ["branch", "not-merged"]):
        subprocess.run(["git", "-C", str(checkout), *command], check=True)
    store = open_store(str(place / "store"))
    ways = list(code_trees(store, [recipe(store, {"shop.py": ""}, git_commit=named)], place / "code", checkout))
    assert [way.why for way in ways if isinstance(way, NoCode)] == [f"git: {named!r} is no commit"]


@pytest.mark.parametrize("files", [["shop.py"], {"shop.py": 1}, "shop.py", None])
def test_garbage_in_the_place_of_files_is_told_and_the_next_way_is_tried(place: Path, files: Any) -> None:
    store = open_store(str(place / "store"))
    ways = list(code_trees(store, [recipe(store, files)], place / "code", place))
    assert [type(way) for way in ways] == [NoCode, NoCode, CodeTree]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (1, 1.0, "equal"),
        (float("nan"), float("nan"), "equal"),
        (True, 1, "different"),
        ({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-12]}, "close"),
        ({"a": 1}, {"b": 1}, "different"),
        ([1], [1, 2], "different"),
        ("x", "y", "different"),
        ({1, 2}, {2, 1}, "equal"),
        (object(), object(), "unknown"),
    ],
)
def test_how_alike_values_are(before: Any, after: Any, kind: str) -> None:
    assert likeness(before, after, 1e-6)[0] == kind


def test_how_alike_frames_and_arrays_are() -> None:
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {"x": [1.0, np.nan, 3.0], "name": ["a", None, "c"], "when": pd.to_datetime(["2026-01-01"] * 3)}
    )
    assert likeness(frame, frame.copy(), 1e-6) == ("equal", [])
    nearly = frame.assign(x=frame["x"] + 1e-9)
    assert likeness(frame, nearly, 1e-6) == ("close", ["column x: 2 of 3 values differ, by at most 1e-09"])
    assert likeness(frame, frame.assign(name=["a", None, "d"]), 1e-6) == (
        "different",
        ["column name: 1 of 3 values differ"],
    )
    assert likeness(frame, frame.drop(columns="x"), 1e-6) == ("different", ["column x: only then"])
    assert likeness(np.ones(3), np.ones(4), 1e-6) == ("different", ["value: shape (3,) -> (4,)"])
