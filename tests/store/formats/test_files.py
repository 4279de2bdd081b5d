import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mlrepro.errors import BlobDamagedError, StoreError, UnstorableValueError
from mlrepro.store import Store, StoredValue
from tests.store.data_cases import Estimator
from tests.store.faults import blob_file, flip_a_bit
from tests.store.formats.round_trip import round_trip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "weights.bin").write_bytes(os.urandom(100_000))
    (root / "sub" / "same.bin").write_bytes((root / "weights.bin").read_bytes())
    (root / "run.sh").write_text("#!/bin/sh")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "é \n ü").write_text("odd name")
    (root / "latest").symlink_to("sub/same.bin")
    (root / "sub" / "up").symlink_to("../weights.bin")
    return root


def contents(root: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(root)): (
            ("link", str(path.readlink()))
            if path.is_symlink()
            else ("folder",)
            if path.is_dir()
            else (path.read_bytes(), os.access(path, os.X_OK))
        )
        for path in root.rglob("*")
    }


def test_a_file_comes_back_read_only_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(os.urandom(100_000))
    stored, loaded = round_trip(path)
    assert stored.format == "file"
    assert stored.python_type == "pathlib:Path"
    assert loaded.name == "model.onnx"
    assert loaded.read_bytes() == path.read_bytes()
    assert loaded.stat().st_mode & 0o777 == 0o444


def test_a_changed_copy_does_not_change_the_store(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("good")
    stored = folder_store.write_value(tmp_path / "x")
    loaded = folder_store.read_value(stored)
    loaded.chmod(0o644)
    loaded.write_text("bad")
    assert folder_store.read_value(stored).read_text() == "good"


def test_a_file_as_bytes_and_bytes_as_a_file(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert folder_store.read_value(folder_store.write_value(tmp_path / "x"), as_type=bytes) == b"abc"
    assert folder_store.read_value(folder_store.write_value(b"abc"), as_type=Path).read_bytes() == b"abc"


def test_a_folder_comes_back(folder: Path) -> None:
    stored, loaded = round_trip(folder)
    assert stored.format == "folder"
    assert stored.summary["files"] == 4
    assert loaded.name == "model"
    assert contents(loaded) == contents(folder)


def test_unchanged_files_are_stored_once(folder_store: Store, folder: Path) -> None:
    stored = folder_store.write_value(folder)
    before = {path for path in Path(folder_store.url).rglob("*") if path.is_file()}
    assert len(before) == 4, "three different files and the manifest"
    (folder / "run.sh").write_text("changed")
    assert folder_store.write_value(folder).content_hash != stored.content_hash
    assert len({path for path in Path(folder_store.url).rglob("*") if path.is_file()} - before) == 2


def test_links_that_leave_the_folder_are_stored_as_what_they_point_at(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "blob").write_text("cached elsewhere")
    (folder / "file").symlink_to(tmp_path / "outside" / "blob")
    (folder / "relative").symlink_to("../outside/blob")
    (folder / "tree").symlink_to("../outside")
    _, loaded = round_trip(folder)
    for name in ("file", "relative", "tree/blob"):
        assert (loaded / name).read_text() == "cached elsewhere"
        assert not (loaded / name).is_symlink()


def test_what_cannot_be_stored_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnstorableValueError, match="nothing is there"):
        round_trip(tmp_path / "nowhere")
    (folder / "dangling").symlink_to("nowhere")
    with pytest.raises(UnstorableValueError, match="dangling cannot be stored because it leads nowhere"):
        round_trip(folder)
    (folder / "dangling").unlink()
    (folder / "sub" / "loop").symlink_to(folder)
    with pytest.raises(UnstorableValueError, match="leads back to a folder above"):
        round_trip(folder)
    (folder / "sub" / "loop").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(UnstorableValueError, match="pipe cannot be stored: it is neither"):
        round_trip(folder)
    with pytest.raises(UnstorableValueError, match="cannot be stored"):
        round_trip(folder / "pipe")


@pytest.mark.parametrize(
    "entries",
    [
        {"../evil": {"sha256": "0" * 64, "size": 1}},
        {"/tmp/evil": {"sha256": "0" * 64, "size": 1}},
        {"a/../../evil": {"folder": True}},
        {"link": {"link": "../../evil"}},
        {"link": {"link": "/etc"}},
    ],
)
def test_a_forged_folder_cannot_leave_its_place(folder_store: Store, entries: dict[str, Any]) -> None:
    manifest = json.dumps({"schema": 1, "folder": entries}).encode()
    digest = folder_store.write_bytes(manifest)
    forged = StoredValue(digest, "folder", "pathlib:Path", len(manifest), summary={"name": "../../up"})
    with pytest.raises(BlobDamagedError, match="outside"):
        folder_store.read_value(forged)


def test_a_damaged_file_in_a_folder_is_named(folder_store: Store, folder: Path) -> None:
    stored = folder_store.write_value(folder)
    assert folder_store.has_value(stored)
    digest = folder_store.hash_value(folder / "run.sh").content_hash
    flip_a_bit(blob_file(folder_store, digest))
    with pytest.raises(BlobDamagedError, match=digest):
        folder_store.read_value(stored)
    assert not folder_store.has_value(stored)
    folder_store.write_value(folder)
    assert folder_store.has_value(stored)


def test_containers_of_frames_arrays_models_and_files(folder: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2]})
    value = {
        "frames": [frame, frame.head(1)],
        ("tuple", 1): (np.arange(3.0), {"deep": frame["x"]}),
        "file": folder / "run.sh",
        "folder": folder,
        "plain": [1, "1", None, {2}],
        "models": [Estimator(c=1), Estimator(c=2)],
    }
    value["models"][0].friend = value["models"][1]
    stored, loaded = round_trip(value)
    assert stored.format == "tree"
    assert stored.references == ("tests.store.data_cases:Estimator",)
    assert list(loaded) == list(value)
    assert_frame_equal(loaded["frames"][1], frame.head(1))
    np.testing.assert_array_equal(loaded["tuple", 1][0], np.arange(3.0))
    assert loaded["plain"] == value["plain"]
    assert loaded["file"].name == "run.sh"
    assert contents(loaded["folder"]) == contents(folder)
    assert loaded["models"][0].friend is loaded["models"][1], "objects that know each other still do"


def test_a_frame_is_stored_once_whichever_container_holds_it(folder_store: Store) -> None:
    frame = pd.DataFrame({"x": np.arange(1000)})
    alone = folder_store.write_value(frame)
    inside = folder_store.write_value({"a": frame, "b": [frame]})
    manifest = json.loads(folder_store.read_bytes(inside.content_hash))
    assert [part["sha256"] for part in manifest["parts"]] == [alone.content_hash] * 2
    blob_file(folder_store, alone.content_hash).unlink()
    assert not folder_store.has_value(inside)


def test_exporting_writes_files_that_others_read(folder_store: Store, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "new" / "place"
    assert folder_store.export_value(folder_store.write_value(folder), place / "tree") == place / "tree"
    assert contents(place / "tree") == contents(folder)
    (place / "tree" / "weights.bin").write_text("may be changed")
    with pytest.raises(StoreError, match="is there already"):
        folder_store.export_value(folder_store.write_value(folder), place / "tree")
    assert json.loads(folder_store.export_value(folder_store.write_value({"a": 1}), place / "x.json").read_text()) == {
        "a": 1
    }
    with pytest.raises(StoreError, match="is a folder"):
        folder_store.export_value(folder_store.write_value(1), place)


def test_a_failed_export_leaves_the_old_file(folder_store: Store, tmp_path: Path) -> None:
    stored = folder_store.write_value("new")
    flip_a_bit(blob_file(folder_store, stored.content_hash))
    (tmp_path / "out.json").write_text("old")
    with pytest.raises(BlobDamagedError):
        folder_store.export_value(stored, tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.json"]


def test_text_on_request(folder_store: Store) -> None:
    stored = folder_store.write_value("<html>é", format="text")
    assert folder_store.read_bytes(stored.content_hash) == "<html>é".encode()
    assert folder_store.read_value(stored) == "<html>é"


def test_links_that_lead_out_of_a_folder_together_are_refused(store: Store, tmp_path: Path) -> None:
    """Each of them stays inside as a text; the second one, followed through the first, does not."""
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    empty = store.write_value(b"")
    up = "../" * 12
    manifest = {
        "schema": 1,
        "folder": {
            "a/b/c/d/e/f/g/h/i/j/k/l/m/file": {"sha256": empty.content_hash, "size": 0},
            "t/file": {"sha256": empty.content_hash, "size": 0},
            "a/b/c/d/e/f/g/h/i/j/k/l/m/s": {"link": "../" * 13 + "t"},
            "a/b/c/d/e/f/g/h/i/j/k/l/m/evil": {"link": f"s/{up}{str(secret).lstrip('/')}"},
        },
    }
    stored = store.write_value(json.dumps(manifest).encode())
    hostile = StoredValue.from_json({**stored.to_json(), "format": "folder", "python_type": "pathlib:Path"})
    with pytest.raises(BlobDamagedError, match="leads out of it"):
        store.read_value(hostile)
