"""Reading through a folder on the node's own disk."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlrepro.errors import BlobMissingError, CacheWarning, StoreError
from mlrepro.store import Store, open_store
from mlrepro.store.local_cache import LocalCache
from tests.store.faults import blob_file, flip_a_bit

KILOBYTE = 1000


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in (folder / "blobs").rglob("*") if file.is_file())


def copies(folder: Path) -> set[str]:
    return {file.name for file in (folder / "blobs").rglob("*") if file.is_file()}


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def store(tmp_path: Path, node: Path) -> Store:
    return open_store(str(tmp_path / "store"), local_cache=node, max_size="10KB")


def test_the_second_read_needs_no_store(store: Store, node: Path) -> None:
    stored = store.write_value(b"x" * KILOBYTE)
    assert store.read_value(stored) == b"x" * KILOBYTE
    blob_file(store, stored.content_hash).unlink()
    assert store.read_value(stored) == b"x" * KILOBYTE
    assert copies(node) == {stored.content_hash}


def test_it_is_off_by_default(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    stored = store.write_value(b"x")
    store.read_value(stored)
    blob_file(store, stored.content_hash).unlink()
    with pytest.raises(BlobMissingError):
        store.read_value(stored)


@pytest.mark.parametrize(
    "value", [np.arange(500.0), {"a": np.arange(100), "b": [1, 2]}, "text"], ids=["array", "tree", "json"]
)
def test_values_of_every_kind_come_back_from_it(store: Store, value: object) -> None:
    stored = store.write_value(value)
    np.testing.assert_equal(store.read_value(stored), value)
    for file in blob_file(store, stored.content_hash).parents[1].rglob("*"):
        if file.is_file():
            file.unlink()
    np.testing.assert_equal(store.read_value(stored), value)


def test_a_damaged_copy_is_replaced(store: Store, node: Path) -> None:
    stored = store.write_value(b"x" * KILOBYTE)
    store.read_value(stored)
    copy = node / "blobs" / stored.content_hash[:2] / stored.content_hash
    flip_a_bit(copy, 17)
    assert store.read_value(stored) == b"x" * KILOBYTE
    assert copy.read_bytes() == b"x" * KILOBYTE


def test_a_damaged_blob_is_not_copied(store: Store, node: Path) -> None:
    stored = store.write_value(b"x" * KILOBYTE)
    flip_a_bit(blob_file(store, stored.content_hash), 17)
    with pytest.raises(StoreError, match="damaged"):
        store.read_value(stored)
    assert copies(node) == set()
    assert not list((node / "tmp").iterdir())


def test_the_least_recently_used_goes_first_and_the_bound_holds(store: Store, node: Path) -> None:
    stored = [store.write_value(bytes([number]) * 2 * KILOBYTE) for number in range(8)]
    for number, each in enumerate(stored[:5]):
        store.read_value(each)
        os.utime(node / "blobs" / each.content_hash[:2] / each.content_hash, (number, number))
    store.read_value(stored[0])  # used again
    store.read_value(stored[5])
    assert size_of(node) <= 10 * KILOBYTE
    assert {stored[0].content_hash, stored[5].content_hash} <= copies(node)
    assert stored[1].content_hash not in copies(node)


def test_what_is_larger_than_the_bound_is_read_all_the_same(store: Store, node: Path) -> None:
    small, large = store.write_value(b"s"), store.write_value(os.urandom(11 * KILOBYTE))
    store.read_value(small)
    assert len(store.read_value(large)) == 11 * KILOBYTE
    assert copies(node) == {small.content_hash}


def test_a_disk_that_cannot_be_written_costs_the_copy_only(tmp_path: Path, store: Store, node: Path) -> None:
    stored = store.write_value(b"x")
    node.write_text("a file where the folder should be")
    with pytest.warns(CacheWarning, match=r"The local cache in .*node could not be written, and is left out"):
        assert store.read_value(stored) == b"x"


def test_a_folder_of_ones_own(store: Store, node: Path) -> None:
    store.read_value(store.write_value(b"x"))
    assert node.stat().st_mode & 0o077 == 0, "who can read the folder can read what was read through it"


@pytest.mark.parametrize("size", ["much", "-1", "0", 0.5])
def test_a_size_that_is_none_is_told_in_a_line(tmp_path: Path, size: object) -> None:
    with pytest.raises(StoreError, match="max_size"):
        open_store(str(tmp_path), local_cache=tmp_path / "node", max_size=size)  # type: ignore[arg-type]


def test_the_environment_sets_it(tmp_path: Path, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLREPRO_LOCAL_CACHE", str(node))
    monkeypatch.setenv("MLREPRO_LOCAL_CACHE_SIZE", "5 MB")
    cache = open_store(str(tmp_path / "store")).local_cache
    assert cache is not None
    assert (cache.folder, cache.max_size) == (node, 5_000_000)


READER = """
    import random, sys
    from mlrepro.store import StoredValue, open_store
    url, node, seed, *digests = sys.argv[1:]
    store = open_store(url, local_cache=node, max_size="10KB")
    chance = random.Random(seed)
    for _ in range(60):
        digest = chance.choice(digests)
        value = store.read_value(StoredValue(digest, "bytes", "builtins:bytes", 2000))
        assert len(value) == 2000 and len(set(value)) == 1
"""


@pytest.fixture
def readers(tmp_path: Path, store: Store, node: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    digests = [store.write_value(bytes([number]) * 2 * KILOBYTE).content_hash for number in range(12)]
    script = tmp_path / "reader.py"
    script.write_text(textwrap.dedent(READER))
    processes = [
        subprocess.Popen([sys.executable, str(script), store.url, str(node), str(seed), *digests]) for seed in range(6)
    ]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_processes_share_it(readers: list[subprocess.Popen[bytes]], node: Path) -> None:
    """More blobs than fit, six processes, one of which is killed: everybody reads right, and the bound holds."""
    cache, largest = LocalCache.of(node, "10KB"), 0
    while any(process.poll() is None for process in readers[1:]):
        with cache._locked():  # while nobody takes in or evicts
            largest = max(largest, size_of(node))
        if largest and readers[0].poll() is None:
            readers[0].kill()
    assert [process.wait() for process in readers[1:]] == [0] * 5
    assert 0 < largest <= 10 * KILOBYTE
    assert size_of(node) <= 10 * KILOBYTE
