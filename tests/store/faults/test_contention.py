"""Many processes that want the same place at the same moment: one has it, and every one of them knows which."""

import json
import multiprocessing
import time
import uuid
import warnings
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from mlrepro.store import Store, open_store
from tests.store.faults.kill_points import check_invariants

pytestmark = pytest.mark.slow

HASHES = [f"{number:064x}" for number in range(3)]
HISTORY = ("contended", "by", "all")
APPENDS = 8

Work = Callable[[Store, int, Barrier], Any]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"), options={"durable": "false"})
    return open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=request.getfixturevalue("s3").options)


def put_all(store: Store, writer: int, together: Barrier) -> list[tuple[str, int, bool]]:
    """Who wrote the record that stands under each input hash, and whether it was this one."""
    told = []
    for key in HASHES:
        together.wait(60)
        record, ours = store.put_result(key, {"writer": writer, "run": uuid.uuid4().hex})
        told.append((key, record["writer"], ours))
    return told


def append_some(store: Store, writer: int, together: Barrier) -> list[int]:
    together.wait(60)
    numbers = []
    for step in range(APPENDS):
        entry = store.append(
            HISTORY, lambda newest, step=step: {"by": f"{writer}.{step}", "after": newest and newest.number}
        )
        assert entry is not None
        numbers.append(entry.number)
    return numbers


def take_part(work: Work, store: Store, writer: int, together: Barrier, told: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = work(store, writer, together)
    told.write_text(json.dumps(answer))


def crowd(store: Store, work: Work, size: int, folder: Path) -> list[Any]:
    """What each of so many processes answers; they begin together."""
    # a forked child of a process that talked to a bucket would wait for threads that it does not have
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    together = context.Barrier(size)
    processes = [
        context.Process(target=take_part, args=(work, store, writer, together, folder / str(writer)))
        for writer in range(size)
    ]
    began = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert {process.exitcode for process in processes} == {0}
    print(f"{size} processes, {time.monotonic() - began:.1f} s", end=" ")
    return [json.loads((folder / str(writer)).read_text()) for writer in range(size)]


def test_of_sixty_four_processes_one_writes_the_result_and_all_know_who(place: Store, tmp_path: Path) -> None:
    answers = crowd(place, put_all, 64, tmp_path)
    for number, key in enumerate(HASHES):
        told = [answer[number] for answer in answers]
        (winner,) = {writer for _, writer, _ in told}
        assert [writer for writer, (_, _, ours) in enumerate(told) if ours] == [winner]
        found = place.get_result(key)
        assert found is not None
        assert found.record["writer"] == winner
    assert place.replaced_results() == frozenset(), "nobody took another's record for a damaged one"
    check_invariants(place)


def test_of_thirty_two_processes_each_gets_numbers_of_its_own(place: Store, tmp_path: Path) -> None:
    answers = crowd(place, append_some, 32, tmp_path)
    entries = list(place.entries(HISTORY))[::-1]
    assert [entry.number for entry in entries] == list(range(1, 32 * APPENDS + 1))
    assert [entry.body["after"] for entry in entries] == [None, *(entry.number for entry in entries[:-1])]
    told = {number: f"{writer}.{step}" for writer, numbers in enumerate(answers) for step, number in enumerate(numbers)}
    assert {entry.number: entry.body["by"] for entry in entries} == told
    assert all(numbers == sorted(numbers) for numbers in answers)
    print(f"{len(entries)} entries")
