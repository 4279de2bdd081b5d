"""A run that is killed at any operation on the store: the store is sound, and the next run completes it."""

import multiprocessing
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import InputHashIOManager, ReproStore, ml_asset, versions
from mlrepro.store import Store, open_store
from tests.store.faults.kill_points import Counter, check_invariants, points_of, run_killed, state
from tests.store.s3_server import S3Server, s3_server

pytestmark = pytest.mark.slow

OPTIONS = {"durable": "false"}


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def scaled(numbers: list[int]) -> dict[str, float]:
    return {"scale": max(numbers) / 2}


@ml_asset
def model(numbers: list[int], scaled: dict[str, float]) -> bytes:
    return bytes(numbers) * int(scaled["scale"] * 100)


VALUES = {"numbers": [1, 2, 3], "scaled": {"scale": 1.5}, "model": bytes([1, 2, 3]) * 150}


def materialize(url: Path | str, options: dict[str, str] = OPTIONS) -> dict[str, str]:
    """Materialize the three; hit or computed for each."""
    io_manager = InputHashIOManager(store=ReproStore(url=str(url), options=options))
    result = dg.materialize(
        [numbers, scaled, model],
        resources={"io_manager": io_manager},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert {name: result.output_for_node(name) for name in VALUES} == VALUES
    done = [event.materialization for event in result.get_asset_materialization_events()]
    return {each.asset_key.path[-1]: str(each.metadata["mlrepro/cache"].value) for each in done}


def check_that_it_is_complete(store: Store) -> None:
    check_invariants(store)
    for name, value in VALUES.items():
        (version,) = versions(name, store=store)
        assert version.number == 1
        assert store.read_value(version.stored) == value


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after a run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    assert set(materialize(folder).values()) == {"computed"}
    return folder


PARTS = 4
"""So that they are shared by the processes that run the tests."""


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(part: int, whole: Path, tmp_path: Path) -> None:
    points = points_of(lambda: materialize(tmp_path / "counted"))
    seen: set[frozenset[tuple[str, int]]] = set()
    killed = 0
    for point in range(1 + part, points + 1, PARTS):
        url = tmp_path / str(point)
        killed += run_killed(lambda url=url: materialize(url), point)
        store = open_store(str(url), options=OPTIONS)
        check_invariants(store)
        if (left := state(url)) not in seen:  # else the next run finds what it found after another point
            seen.add(left)
            materialize(url)
            check_that_it_is_complete(store)
            assert {name for name, _ in state(url)} >= {name for name, _ in state(whole)}
            assert set(materialize(url).values()) == {"hit"}
        shutil.rmtree(url, ignore_errors=True)
    print(f"{killed} of {points} points, {len(seen)} states of the store")
    assert killed == len(range(1 + part, points + 1, PARTS))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def materialize_and_die(url: str, options: dict[str, str], point: int | None, counted: Path) -> None:
    counter = Counter(point)
    counter.install(pytest.MonkeyPatch())
    materialize(url, options)
    counted.write_text(str(counter.points))


def test_a_run_on_a_bucket_that_is_killed_is_completed_by_the_next(s3: S3Server, tmp_path: Path) -> None:
    # a forked child of a process that talked to a bucket would wait for threads that it does not have
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    counted = tmp_path / "counted"

    def run(point: int | None) -> tuple[str, int | None]:
        url = f"s3://mlrepro/{uuid.uuid4().hex}"
        process = context.Process(target=materialize_and_die, args=(url, s3.options, point, counted))
        process.start()
        process.join()
        return url, process.exitcode

    assert run(None)[1] == 0
    points = int(counted.read_text())
    sample = range(1, points + 1, max(1, points // 24))
    for point in sample:
        url, code = run(point)
        assert code == -signal.SIGKILL, f"point {point} was not reached"
        store = open_store(url, options=s3.options)
        check_invariants(store)
        materialize(url, s3.options)
        check_that_it_is_complete(store)
        assert set(materialize(url, s3.options).values()) == {"hit"}
    print(f"{len(sample)} of {points} points")
