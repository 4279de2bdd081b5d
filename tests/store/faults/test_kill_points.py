"""A process that moves a channel or collects garbage is killed at any operation: the next one completes its work."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrepro.catalog.channels import served_version
from mlrepro.catalog.moving import promote, roll_back
from mlrepro.errors import ChannelMovedError
from mlrepro.store import Store, open_store
from tests.catalog.lab import ADA, BEN, PRODUCTION, moves, serve, train
from tests.store.faults import files_below
from tests.store.faults.kill_points import check_invariants, check_with_fsck, points_of, run_killed, state
from tests.store.housekeeping.aging import blobs, collect_later

pytestmark = pytest.mark.slow

Job = Callable[[Store], object]


def promotion(store: Store) -> object:
    """What is promoted lies in another scope, so that its blobs and records are copied on the way."""
    theirs = open_store(store.url, scope="shared", options={"durable": "false"})
    return promote(store, PRODUCTION, train(theirs, {"auc": 0.9}), ADA)


def rollback(store: Store) -> object:
    try:
        return roll_back(store, PRODUCTION, BEN, expected=3)
    except ChannelMovedError:
        return None


@pytest.mark.parametrize(
    ("job", "expected"),
    [(promotion, ("promotion", 3, 1)), (rollback, ("rollback", 3, 2))],
    ids=["promote", "roll back"],
)
def test_a_move_is_done_once_wherever_it_is_killed(job: Job, expected: tuple[str, int, int], tmp_path: Path) -> None:
    prepared = opened(tmp_path / "prepared")
    serve(prepared, "a", "b", "c")
    before = moves(prepared)
    whole = copy(prepared, tmp_path / "whole")
    points = points_of(lambda: job(opened(tmp_path / "whole")))
    assert moves(whole) == [*before, expected]
    for point in range(1, points + 1):
        store = copy(prepared, tmp_path / str(point))
        assert run_killed(lambda store=store: job(opened(Path(store.url))), point), f"point {point} was not reached"
        check_invariants(store)
        assert moves(store) in (before, [*before, expected])
        job(store)
        check_invariants(store)
        assert moves(store) == [*before, expected]
        assert state(Path(store.url)) >= state(Path(whole.url))
        shutil.rmtree(store.url)
    print(f"{points} points, all killed")


def collection(store: Store, days: float = 110) -> object:
    """Sets aside what a promotion left unneeded, and deletes what an earlier collection had set aside."""
    return collect_later(store, days)


def half_collected(store: Store) -> None:
    serve(store, "a", "b")
    collection(store, 100)
    serve(store, "c", "d")


def test_a_collection_is_completed_wherever_it_is_killed(tmp_path: Path) -> None:
    prepared = opened(tmp_path / "prepared")
    half_collected(prepared)
    whole = copy(prepared, tmp_path / "whole")
    points = points_of(lambda: collection(opened(tmp_path / "whole")))
    collection(whole, 120)
    assert len(blobs(whole)) < len(blobs(prepared))
    killed = 0
    for point in range(1, points + 1):
        store = copy(prepared, tmp_path / str(point))
        killed += run_killed(lambda store=store: collection(opened(Path(store.url))), point)
        check_what_is_kept(store)
        for days in (115, 120):
            collection(store, days)
            check_what_is_kept(store)
        assert without_its_own_history(store) == without_its_own_history(whole)
        shutil.rmtree(store.url)
    print(f"{killed} of {points} points")
    assert killed >= points - 2, "its threads may do some things in another order, and less of them"


def check_what_is_kept(store: Store) -> None:
    check_with_fsck(store)
    version = served_version(store, PRODUCTION)
    assert version is not None
    assert store.read_value(version.stored) == "d"


def without_its_own_history(store: Store) -> set[str]:
    return {name for name in files_below(Path(store.url)) if "/gc/" not in name and "/tmp/" not in name}


def opened(folder: Path) -> Store:
    return open_store(str(folder), options={"durable": "false"})


def copy(store: Store, folder: Path) -> Store:
    shutil.copytree(store.url, folder)
    return opened(folder)
