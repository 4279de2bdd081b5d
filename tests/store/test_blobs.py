import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store import Store, open_store
from tests.store.conftest import OpenHere
from tests.store.faults import blob_file, cut, files_below, flip_a_bit

BIG = np.arange(400_000.0)


def test_bytes_come_back(store: Store) -> None:
    for data in (b"", b"abc", os.urandom(3_000_000)):
        digest = store.write_bytes(data)
        assert store.read_bytes(digest) == data
        assert store.has_blob(digest)
        assert store.has_blob(digest, len(data))
        assert not store.has_blob(digest, len(data) + 1)
        store.verify_blob(digest)


def test_hashing_alone_gives_the_same_and_stores_nothing(open_here: OpenHere) -> None:
    store = open_here()
    hashed = store.hash_value(BIG)
    assert not store.has_blob(hashed.content_hash)
    assert store.write_value(BIG) == hashed
    assert store.has_blob(hashed.content_hash, hashed.size)


def test_a_missing_blob_is_named_with_the_scopes_that_were_looked_in(open_here: OpenHere) -> None:
    store = open_here(scope="ours")
    stored = store.hash_value(BIG)
    for call in (
        lambda: store.read_value(stored),
        lambda: store.verify_blob(stored.content_hash),
        lambda: store.read_bytes(stored.content_hash),
    ):
        with pytest.raises(BlobMissingError, match=f"{stored.content_hash}.*'ours', 'shared'"):
            call()


@pytest.mark.parametrize(
    "harm", [flip_a_bit, lambda path: flip_a_bit(path, -1), cut, lambda path: path.write_bytes(b"")]
)
@pytest.mark.parametrize("value", ["text", BIG, pd.DataFrame({"x": BIG})], ids=["small", "big", "frame"])
def test_damage_is_detected_named_and_healed_by_the_next_write(folder_store: Store, harm, value) -> None:
    stored = folder_store.write_value(value)
    path = blob_file(folder_store, stored.content_hash)
    harm(path)
    with pytest.raises(BlobDamagedError, match=f"{stored.content_hash}.*'default' holds"):
        folder_store.read_value(stored)
    assert not open_store(folder_store.url).has_blob(stored.content_hash), "every process sees that it is no good"
    assert open_store(folder_store.url).write_value(value) == stored
    np.testing.assert_array_equal(folder_store.read_value(stored), value)


def test_a_cut_blob_that_nobody_read_is_healed_by_the_next_write(folder_store: Store) -> None:
    stored = folder_store.write_value(BIG)
    cut(blob_file(folder_store, stored.content_hash))
    folder_store.write_value(BIG)
    folder_store.verify_blob(stored.content_hash)


@pytest.mark.parametrize("value", ["text", BIG], ids=["small", "big"])
def test_a_folder_in_the_place_of_a_blob_is_healed_by_the_next_write(folder_store: Store, value: object) -> None:
    stored = folder_store.hash_value(value)
    path = blob_file(folder_store, stored.content_hash)
    for time_ in (1, 2):
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)
        (path / "inside").write_text("kept")
        assert not folder_store.has_blob(stored.content_hash)
        for call in (
            lambda: folder_store.read_value(stored),
            lambda: folder_store.verify_blob(stored.content_hash),
            lambda: folder_store.read_bytes(stored.content_hash),
        ):
            with pytest.raises(BlobMissingError, match=stored.content_hash):
                call()
        assert folder_store.write_value(value) == stored
        np.testing.assert_array_equal(folder_store.read_value(stored), value)
        aside = list(Path(folder_store.url, "default", "damaged", "sha256").glob(f"{stored.content_hash}*/inside"))
        assert len(aside) == time_


def test_a_folder_that_cannot_be_moved_away_is_a_clear_error(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = blob_file(folder_store, folder_store.hash_value("x").content_hash)
    path.mkdir(parents=True)

    def refuse(*_: object) -> None:
        raise StoreError("no")

    monkeypatch.setattr(type(folder_store._objects), "move", refuse)
    with pytest.raises(StoreError, match=f"{path}: a folder stands in its place"):
        folder_store.write_value("x")


def test_a_good_copy_in_another_scope_serves_where_the_own_one_is_damaged(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    stored = store.write_value("x")
    store.write_value("x", scope="shared")
    flip_a_bit(blob_file(store, stored.content_hash))
    assert store.read_value(stored) == "x"


def test_a_healed_blob_is_not_put_aside(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = folder_store.write_value("x")
    path = blob_file(folder_store, stored.content_hash)
    good = path.read_bytes()
    flip_a_bit(path)
    move = type(folder_store._objects).move

    def heal_then_move(self: object, source: str, target: str) -> None:
        path.parent.mkdir(exist_ok=True)
        if "damaged" in target:
            path.write_bytes(good)
        move(self, source, target)

    monkeypatch.setattr(type(folder_store._objects), "move", heal_then_move)
    with pytest.raises(BlobDamagedError):
        folder_store.read_value(stored)
    assert folder_store.read_value(stored) == "x"


def test_a_loaded_frame_may_be_changed_in_place(folder_store: Store) -> None:
    frame = pd.DataFrame(
        {
            "i": np.arange(5),
            "f": 1.5,
            "b": True,
            "t": pd.date_range("2026-01-01", periods=5),
            "z": pd.date_range("2026-01-01", periods=5, tz="UTC"),
            "s": "a",
            "o": pd.Series(list("abcde"), dtype=object),
            "n": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "c": pd.Categorical(list("abcab")),
        }
    )
    for value in (frame, *(frame[column] for column in frame)):
        stored = folder_store.write_value(value)
        loaded = folder_store.read_value(stored)
        for column in [loaded] if isinstance(loaded, pd.Series) else [loaded[name] for name in loaded]:
            column.loc[0] = column.loc[1]
        assert folder_store.read_value(stored).equals(value)


def test_what_is_read_may_be_changed_without_changing_the_store(folder_store: Store) -> None:
    stored = folder_store.write_value(BIG)
    loaded = folder_store.read_value(stored)
    loaded += 1
    np.testing.assert_array_equal(folder_store.read_value(stored), BIG)


def test_a_blob_that_is_there_is_not_written_again(folder_store: Store) -> None:
    stored = folder_store.write_value(BIG)
    inode = blob_file(folder_store, stored.content_hash).stat().st_ino
    folder_store.write_value(BIG.copy())
    assert blob_file(folder_store, stored.content_hash).stat().st_ino == inode


def write_and_read(store: Store, expected: str) -> None:
    for _ in range(10):
        stored = store.write_value(BIG)
        assert stored.content_hash == expected
        store.verify_blob(expected)


def test_processes_that_write_one_blob_at_once_do_not_disturb_each_other(folder_store: Store) -> None:
    expected = folder_store.hash_value(BIG).content_hash
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_and_read, args=(folder_store, expected)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert files_below(Path(folder_store.url)) == {str(blob_file(folder_store, expected).relative_to(folder_store.url))}


KILLED = """
import sys, numpy as np
from mlrepro.store import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
for number in range(10_000):
    stored = store.write_value(np.full(300_000, float(number)))
    store.put_result(stored.content_hash, stored.to_json())
    store.append(("versions", "a", "_"), lambda newest: stored.to_json())
"""


@pytest.mark.parametrize("delay", [0.05, 0.11, 0.23])
def test_a_killed_writer_leaves_a_clean_store(tmp_path: Path, delay: float) -> None:
    root = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(root)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = open_store(str(root))
    for name in files_below(root):
        parts = Path(name).parts
        assert parts[1] in {"blobs", "results", "versions", "tmp"}
        if parts[1] == "blobs":
            store.verify_blob(parts[-1])
        elif parts[1] == "results":
            store.verify_blob(store.get_result(Path(name).stem).record["content_hash"])
    numbers = [entry.number for entry in store.entries(("versions", "a", "_"))]
    assert numbers == list(range(len(numbers), 0, -1))
    for entry in store.entries(("versions", "a", "_")):
        assert store.get_result(entry.body["content_hash"]) is not None
    assert store.append(("versions", "a", "_"), lambda _: {}).number == len(numbers) + 1


FULL = """
import resource, sys, numpy as np
from pathlib import Path
from mlrepro.errors import StoreError
from mlrepro.store import open_store
store = open_store(sys.argv[1])
store.check()
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    store.write_value(np.zeros(1_000_000))
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert told.stdout.startswith(f"Could not write {tmp_path}/default/tmp/")
    assert "File too large" in told.stdout
    assert files_below(tmp_path) == set()


def test_an_interrupted_value_leaves_nothing(folder_store: Store) -> None:
    class Stop(BaseException):
        pass

    class Bad:
        def __reduce__(self) -> str:
            raise Stop

    folder_store.check()
    with pytest.raises(Stop):
        folder_store.write_value([BIG, Bad()])
    assert all("blobs" in name for name in files_below(Path(folder_store.url)))


def test_a_store_can_be_pickled(open_here: OpenHere) -> None:
    import pickle

    store = open_here(scope="ours", read_scopes=("shared", "theirs"))
    stored = store.write_value({"x": 1})
    again = pickle.loads(pickle.dumps(store))
    assert (again.url, again.scope, again.read_scopes) == (store.url, "ours", ("shared", "theirs"))
    assert again.read_value(stored) == {"x": 1}
    assert "secret" not in repr(store)


def test_a_value_can_be_published_to_another_scope(open_here: OpenHere) -> None:
    ours, theirs = open_here(scope="ours"), open_here(scope="theirs")
    private, public = ours.write_value("private"), ours.write_value("public", scope="shared")
    assert theirs.read_value(public) == "public"
    assert not theirs.has_blob(private.content_hash)
    assert ours.has_blob(public.content_hash, scope="shared")
    assert not ours.has_blob(public.content_hash, scope="ours")
    with pytest.raises(StoreError, match="scope"):
        ours.write_value(1, scope="../theirs")
