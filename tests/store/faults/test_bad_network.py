"""A store behind a network that spoils 30 % of all requests: what is reported as done is done, once, and right."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import dagster as dg
import pytest

from mlrepro import InputHashIOManager, ReproStore, ml_asset, versions
from mlrepro.catalog.history import Version, versions_of
from mlrepro.catalog.moving import promote
from mlrepro.errors import StoreError
from mlrepro.store import Store, StoredValue, open_store, outage
from tests.catalog.lab import ADA, PRODUCTION, input_hash, moves, record, train
from tests.store.faults.kill_points import check_invariants
from tests.store.faults.proxy import BadNetwork, bad_network
from tests.store.s3_server import S3Server

pytestmark = pytest.mark.slow

RUNS = 100
AT_ONCE = 16
LONGEST = 120.0
"""Seconds; a run that takes longer hangs."""

LARGE = 9 * 1024 * 1024

_T = TypeVar("_T")


@pytest.fixture
def network(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadNetwork]:
    # a look-up that got no answer would have those of all other threads here fail for so long
    monkeypatch.setattr(outage, "ASKED_AGAIN_AFTER", 0.0)
    with bad_network(s3.endpoint) as network:
        yield network


def options_through(network: BadNetwork, s3: S3Server) -> dict[str, str]:
    return s3.options | {"endpoint": network.endpoint, "timeout": "4s", "connect_timeout": "1s"}


class Team:
    """Does again what failed, as a person would, or a retry policy.

    Attributes:
        failed: How often something failed, by the beginning of what was said.
    """

    def __init__(self) -> None:
        self.failed: Counter[str] = Counter()

    def does(self, act: Callable[[], _T]) -> _T:
        while True:
            try:
                return act()
            except StoreError as error:
                self.failed[" ".join(str(error).split()[:3])] += 1


def one_run(bad: Store, number: int, team: Team) -> tuple[list[tuple[StoredValue, Any]], list[Version], float]:
    """What a team does in a day; what it was told is stored, and how long it took."""
    began = time.monotonic()
    values: list[Any] = [f"text {number}", {"auc": number / 7}, number.to_bytes(2, "big") * (LARGE // 2)]
    stored = [(team.does(lambda value=value: bad.write_value(value)), value) for value in values]
    made = []
    for step in range(3):
        version = team.does(lambda step=step: train(bad, f"model {number}.{step}"))
        mine = record(version, made_by=uuid.uuid4().hex)
        standing, _ = team.does(lambda step=step, mine=mine: bad.put_result(input_hash(f"{number}.{step}"), mine))
        assert standing == mine, "nobody else was there"
        made.append(version)
        team.does(lambda version=version: promote(bad, PRODUCTION, version, ADA))
    return stored, made, time.monotonic() - began


def test_a_hundred_runs_through_a_bad_network(s3: S3Server, network: BadNetwork) -> None:
    root, team = uuid.uuid4().hex, Team()

    def run(number: int) -> float:
        url = f"s3://mlrepro/{root}/{number}"
        stored, made, seconds = one_run(open_store(url, options=options_through(network, s3)), number, team)
        check(open_store(url, options=s3.options), number, stored, made)
        return seconds

    with ThreadPoolExecutor(AT_ONCE) as pool:
        took = sorted(pool.map(run, range(RUNS)))
    print(dict(network.met.most_common()))
    print(f"{RUNS} runs, the median in {took[RUNS // 2]:.1f} s, the longest in {took[-1]:.1f} s; failed: {team.failed}")
    spoilt = sum(count for fault, count in network.met.items() if fault)
    assert 0.25 < spoilt / network.met.total() < 0.35
    assert took[-1] < LONGEST
    assert team.failed.total() < RUNS


def check(good: Store, number: int, stored: list[tuple[StoredValue, Any]], made: list[Version]) -> None:
    """The same, read anew and over a good network."""
    for each, value in stored:
        assert good.read_value(each) == value
    assert [each.number for each in made] == [1, 2, 3]
    assert list(versions_of(good, PRODUCTION.asset))[::-1] == made
    assert moves(good) == [("promotion", None, 1), ("promotion", 1, 2), ("promotion", 2, 3)]
    for step, version in enumerate(made):
        found = good.get_result(input_hash(f"{number}.{step}"))
        assert found is not None
        assert found.record["outputs"] == record(version)["outputs"]
    assert good.replaced_results() == frozenset()
    check_invariants(good)


def test_puts_whose_answer_is_lost_are_known_as_our_own(s3: S3Server) -> None:
    lost = {"503 after the server did it": 0.3, "reset after the server did it": 0.3}
    with bad_network(s3.endpoint, faults=lost, only=b"PUT") as network:
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=options_through(network, s3))
        for number in range(20):
            mine = {"number": number, "made_by": uuid.uuid4().hex}
            assert store.put_result(input_hash(number), mine) == (mine, True)
            assert store.put_result(input_hash(number), {"number": number, "made_by": "another"}) == (mine, False)
            entry = store.append(("history",), lambda newest: {"after": newest and newest.number})
            assert entry is not None
            assert (entry.number, entry.body) == (number + 1, {"after": number or None})
    assert min(network.met[fault] for fault in lost) > 20


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def large(numbers: list[int]) -> bytes:
    return bytes(numbers) * (LARGE // 3)


@ml_asset
def total(numbers: list[int], large: bytes) -> dict[str, int]:
    return {"total": sum(numbers), "size": len(large)}


@pytest.mark.parametrize("seed", range(3))
def test_a_dagster_run_through_a_bad_network(s3: S3Server, network: BadNetwork, seed: int) -> None:
    url = f"s3://mlrepro/{uuid.uuid4().hex}"
    began = time.monotonic()
    with bad_network(s3.endpoint, seed=seed) as network:
        io_manager = InputHashIOManager(store=ReproStore(url=url, options=options_through(network, s3)))
        job = dg.define_asset_job("all_of_them", op_retry_policy=dg.RetryPolicy(max_retries=5))
        defs = dg.Definitions(assets=[numbers, large, total], jobs=[job], resources={"io_manager": io_manager})
        for _ in range(2):
            result = defs.resolve_job_def("all_of_them").execute_in_process(instance=dg.DagsterInstance.ephemeral())
            assert result.success
            assert result.output_for_node("total") == {"total": 6, "size": LARGE}
    print(f"2 runs in {time.monotonic() - began:.1f} s, {network.met.total() - network.met['']} faults")
    good = open_store(url, options=s3.options)
    for asset, value in (("numbers", [1, 2, 3]), ("large", bytes([1, 2, 3]) * (LARGE // 3))):
        (version,) = versions(asset, store=good)
        assert good.read_value(version.stored) == value
    assert len(versions("total", store=good)) == 1
    check_invariants(good)
    assert time.monotonic() - began < LONGEST
