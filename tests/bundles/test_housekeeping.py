"""What looks after the store knows bundles: gc keeps each that a history names, fsck misses files, copy takes them."""

from pathlib import Path

import pytest

from mlrepro.bundles import fetch, pack, store_bundle
from mlrepro.catalog.workflows import append_push
from mlrepro.store import Store, open_store
from mlrepro.store.housekeeping import copying, fsck
from mlrepro.store.keys import blob_key
from tests.bundles.project import definitions, write_project
from tests.store.housekeeping.aging import STRICT, collect_for_good


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def push(store: Store, project: Path, factor: int) -> str:
    packed = pack(write_project(project, factor))
    store_bundle(packed, store)
    defined = store.write_bytes(definitions(factor).encode())
    content = {"digest": f"{factor}", "definitions": defined, "bundle": packed.stored.to_json(), "module": "m"}
    append_push(store, "pricing", content, who="ada")
    return packed.digest


def test_every_version_of_the_history_can_be_served_after_gc(store: Store, tmp_path: Path) -> None:
    digests = [push(store, tmp_path / "project", factor) for factor in (1, 2, 3)]
    orphan = pack(write_project(tmp_path / "project", 4))
    store_bundle(orphan, store)
    collect_for_good(store, policy=STRICT)
    for digest in digests:
        fetch(store, digest, tmp_path / "cache")
    assert not store.has_blob(orphan.digest)
    assert fsck.check(store).clean


def test_fsck_names_the_entry_whose_bundle_lacks_a_file(store: Store, tmp_path: Path) -> None:
    push(store, tmp_path / "project", 1)
    packed = pack(tmp_path / "project")
    store._objects.delete(blob_key("default", packed.manifest.entries["README.md"].digest))  # type: ignore[union-attr]
    (problem,) = fsck.check(store).problems
    assert "entry 1 of locations/pricing" in str(problem)


def test_a_copy_of_the_store_serves_the_bundle(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path / "project", 1)
    other = open_store(str(tmp_path / "other"))
    copying.copy(store, other)
    assert fetch(other, digest, tmp_path / "cache").is_dir()
