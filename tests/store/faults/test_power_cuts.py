"""A power cut at any moment: what was reported as stored before is there afterwards, and nothing is half there."""

import random
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlrepro.catalog.channels import newest_entry
from mlrepro.catalog.history import Version, find_number
from mlrepro.catalog.moving import promote, roll_back
from mlrepro.store import Store, StoredValue, open_store
from mlrepro.store.local import LocalObjects
from tests.catalog.lab import ADA, BEN, PRODUCTION, input_hash, train
from tests.store.faults import blob_file, flip_a_bit
from tests.store.faults.power import LOSSES, Check, Disk, Loss, Recorder

KEY = "5eed" * 16


def value_is(stored: StoredValue, value: Any) -> Check:
    def check(store: Store) -> None:
        found = store.read_value(stored)
        assert (found.read_bytes() if isinstance(found, Path) else found) == value

    return check


def result_is(key: str, record: dict[str, Any]) -> Check:
    def check(store: Store) -> None:
        found = store.get_result(key)
        assert found is not None
        assert found.record == record

    return check


def version_is(version: Version) -> Check:
    def check(store: Store) -> None:
        assert find_number(store, version.asset, None, version.number) == version
        store.read_value(version.stored)

    return check


def entry_is_at_least(number: int) -> Check:
    """A channel moves on, but never back."""

    def check(store: Store) -> None:
        newest = newest_entry(store, PRODUCTION)
        assert newest is not None
        assert newest.number >= number

    return check


def session(store: Store, recorder: Recorder, folder: Path) -> None:
    """What a team does with a store, from its first write on."""
    for value in ("text", {"auc": 0.5}, b"x" * 300_000):
        recorder.report(value_is(store.write_value(value), value))
    (folder / "model.bin").write_bytes(b"weights")
    recorder.report(value_is(store.write_value(folder / "model.bin"), b"weights"))
    for number in range(2):
        store.put_result(input_hash(number), {"number": number})
        recorder.report(result_is(input_hash(number), {"number": number}))
    store.replace_result(KEY, {"number": 2})
    store.replace_result(KEY, {"number": 3})
    recorder.report(result_is(KEY, {"number": 3}))
    store.note_deviation(input_hash(0), {"number": 9})
    recorder.report(lambda store: check_equal(store.deviations(input_hash(0)), [{"number": 9}]))
    for value in ("a", "b"):
        version = train(store, value)
        recorder.report(version_is(version))
        entry = promote(store, PRODUCTION, version, ADA)
        assert entry is not None
        recorder.report(entry_is_at_least(entry.number))
    recorder.report(entry_is_at_least(roll_back(store, PRODUCTION, BEN).number))
    heal(store, recorder)


def heal(store: Store, recorder: Recorder) -> None:
    """A damaged blob is put aside, and written again."""
    damaged = store.write_value("healed")
    flip_a_bit(blob_file(store, damaged.content_hash))
    with pytest.raises(Exception, match="is damaged"):
        store.read_value(damaged)
    recorder.report(value_is(store.write_value("healed"), "healed"))


def check_equal(found: object, expected: object) -> None:
    assert found == expected


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    (tmp_path / "disk").mkdir()
    return Recorder(tmp_path / "disk")


def cut_everywhere(recorder: Recorder, scratch: Path, losses: Callable[[int], tuple[Loss, ...]]) -> int:
    """Cut the power after every operation, and look at what is left. How many states were looked at."""
    disk, states, choice = Disk(recorder.root), 0, random.Random(7)
    for count, operation in enumerate([None, *recorder.done]):
        if operation is not None:
            disk.apply(operation)
        for loss in losses(count):
            place = scratch / f"{count}-{LOSSES.index(loss)}"
            disk.after_a_cut(place, loss, choice)
            store = open_store(str(place / "store"), options={"durable": "false"})
            for reported_at, check in recorder.reported:
                if reported_at <= count:
                    try:
                        check(store)
                    except Exception as error:
                        raise AssertionError(f"{loss} lost after {count} operations, {operation}") from error
            check_that_nothing_is_half_there(place / "store")
            shutil.rmtree(place)
            states += 1
    return states


def check_that_nothing_is_half_there(root: Path) -> None:
    """Every object that has a name is whole; only what never had one may be garbage."""
    objects = LocalObjects(root, url=str(root), durable=False)
    for listed in objects.walk("default"):
        kind = listed.key.split("/")[1]
        if kind == "blobs":
            open_store(str(root)).verify_blob(Path(listed.key).name)
        elif kind not in {"tmp", "damaged"}:
            data = objects.get(listed.key) or b""
            assert data.endswith(b"}\n"), f"{listed.key} is {data!r}"


def test_what_was_reported_as_stored_outlives_a_power_cut(recorder: Recorder, tmp_path: Path) -> None:
    store = open_store(str(recorder.root / "store"))
    with recorder.recording(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session(store, recorder, tmp_path)
    states = cut_everywhere(recorder, tmp_path, lambda count: (LOSSES[0], LOSSES[1 + count % 3]))
    print(f"{len(recorder.done)} operations, {len(recorder.reported)} reports, {states} states after a power cut")
    assert len(recorder.reported) == 14


def test_what_one_process_reports_does_not_hang_on_what_another_has_not_synced(tmp_path: Path) -> None:
    """Both need the same new folders; while one is making them, the other stores its own record in them."""

    def one_record(store: Store, number: int) -> None:
        store._objects.create(f"default/versions/model/_/{number:012}.json", b"{}\n")

    count = operations_of(tmp_path / "alone", one_record)
    for interrupted in range(1, count + 1):
        recorder = Recorder(tmp_path / str(interrupted))
        recorder.root.mkdir()

        def somebody_else(count: int, recorder: Recorder = recorder, interrupted: int = interrupted) -> None:
            if count == interrupted:
                one_record(open_store(str(recorder.root / "store")), 2)
                recorder.report(is_there("default/versions/model/_/000000000002.json"))

        recorder.after_each = somebody_else
        with recorder.recording():
            one_record(open_store(str(recorder.root / "store")), 1)
        recorder.report(is_there("default/versions/model/_/000000000001.json"))
        cut_everywhere(recorder, recorder.root, lambda _: (LOSSES[0],))
    print(f"{count} moments at which another process stored something")


def operations_of(root: Path, act: Callable[[Store, int], None]) -> int:
    root.mkdir()
    recorder = Recorder(root)
    with recorder.recording():
        act(open_store(str(root / "store")), 1)
    return len(recorder.done)


def is_there(key: str) -> Check:
    return lambda store: check_equal(store._objects.get(key), b"{}\n")


def test_a_store_that_does_not_sync_loses_what_it_reported(recorder: Recorder, tmp_path: Path) -> None:
    """The same cuts find what ``durable=false`` gives up: so they would find a sync that is forgotten."""
    store = open_store(str(recorder.root / "store"), options={"durable": "false"})
    with recorder.recording():
        recorder.report(value_is(store.write_value("text"), "text"))
    with pytest.raises(AssertionError, match="lost after"):
        cut_everywhere(recorder, tmp_path, lambda _: (LOSSES[0],))


ONE_RESULT = f"""
import sys
from mlrepro.store import open_store
store = open_store(sys.argv[1])
stored = store.write_value(sys.argv[2] * 100)
store.put_result({KEY!r}, {{"outputs": {{"result": stored.to_json()}}}})
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.slow
def test_the_system_is_asked_to_sync_bytes_before_names_and_blobs_before_records(tmp_path: Path) -> None:
    root = tmp_path / "store"
    open_store(str(root)).write_value("so that the folders of the store are there")
    traced = subprocess.run(
        ["strace", "-f", "-y", "-s", "0", "-o", str(tmp_path / "trace"),
         "-e", "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2",
         sys.executable, "-c", ONE_RESULT, str(root), "traced"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    trace = (tmp_path / "trace").read_text() if (tmp_path / "trace").exists() else ""
    if "ptrace" in traced.stderr and not trace:
        pytest.skip("strace may not trace here")
    assert traced.returncode == 0, traced.stderr
    steps = [step for line in trace.splitlines() if str(root) in line and (step := step_of(line))]
    assert remove_repeated(steps) == [
        "sync the scratch file",
        "name the blob",
        "sync the blob's folder",
        "sync the scratch file",
        "name the record",
        "sync the record's folder",
    ]


def step_of(line: str) -> str | None:
    patterns = {
        r"f(data)?sync\(\d+<[^>]*/default/tmp/[^>]*>\)": "sync the scratch file",
        r"rename\w*\(.*/blobs/sha256/": "name the blob",
        r"fsync\(\d+<[^>]*/blobs/sha256/..>\)": "sync the blob's folder",
        r"link\w*\(.*/results/": "name the record",
        r"fsync\(\d+<[^>]*/results/..>\)": "sync the record's folder",
    }
    return next((step for pattern, step in patterns.items() if re.search(pattern, line)), None)


def remove_repeated(steps: list[str]) -> list[str]:
    return [step for place, step in enumerate(steps) if place == 0 or steps[place - 1] != step]
