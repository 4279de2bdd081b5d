"""`cache_first` replays nothing that the run, the process or the author asked to compute."""

import datetime as dt
from typing import Any

import pytest

from mlrepro import Cache, ml_asset
from tests.execution.lab import Both


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@ml_asset
def half(total: int) -> float:
    return total / 2


def test_off_for_a_run(both: Both) -> None:
    both.twice(numbers, total)
    again = both.run(numbers, total, tags={"mlrepro/cache": "off"}).first
    assert not again.replayed
    assert set(again.cache.values()) == {"computed"}
    assert both.run(numbers, total).first.replayed == {"numbers", "total"}


def test_refresh_for_a_run(both: Both) -> None:
    both.twice(numbers, total)
    again = both.run(numbers, total, tags={"mlrepro/cache": "refresh"}).first
    assert set(again.cache.values()) == {"computed"}
    assert both.run(numbers, total).first.replayed == {"numbers", "total"}


@pytest.mark.parametrize(
    ("asked", "replayed"),
    [
        ("numbers", set()),
        ("total", {"numbers"}),
        ("half", {"numbers", "total"}),
        ("numbers, half", set()),
        ("nobody", {"numbers", "total", "half"}),
    ],
)
def test_refresh_of_some_assets(both: Both, asked: str, replayed: set[str]) -> None:
    both.run(numbers, total, half)
    again = both.run(numbers, total, half, tags={"mlrepro/refresh": asked}).first
    assert again.replayed == replayed
    computed = {name for name, cache in again.cache.items() if cache == "computed"}
    assert computed == {name.strip() for name in asked.split(",")} - {"nobody"}


@pytest.mark.parametrize("mode", ["off", "refresh", "0"])
def test_environment(both: Both, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    both.run(numbers, total)
    monkeypatch.setenv("MLREPRO_CACHE", mode)
    assert set(both.run(numbers, total).first.cache.values()) == {"computed"}
    again = both.run(numbers, total, tags={"mlrepro/cache": "on"}).first
    assert again.replayed == {"numbers", "total"}, "the run's word goes before the process's"


def test_mode_that_does_not_exist_fails_the_step_with_its_reason(both: Both) -> None:
    both.run(numbers)
    again = both.run(numbers, tags={"mlrepro/cache": "sometimes"}).first
    assert not again.success
    assert "is one of on, off, refresh, not 'sometimes'" in again.errors


@pytest.mark.parametrize(("days", "replayed"), [(1, {"numbers", "aged"}), (None, {"numbers"})])
def test_max_age(both: Both, days: int | None, replayed: set[str]) -> None:
    age = dt.timedelta(days=days) if days else dt.timedelta(microseconds=1)

    @ml_asset(cache=Cache(max_age=age))
    def aged(numbers: list[int]) -> int:
        return len(numbers)

    again = both.twice(numbers, aged)
    assert again.replayed == replayed
    assert again.cache["aged"] == ("hit" if days else "computed")


@pytest.mark.parametrize("cache", [False, Cache(enabled=False)])
def test_switched_off_by_the_author(both: Both, cache: Any) -> None:
    @ml_asset(cache=cache)
    def uncached(numbers: list[int]) -> int:
        return len(numbers)

    @ml_asset
    def after(uncached: int) -> int:
        return uncached

    again = both.twice(numbers, uncached, after)
    assert again.replayed == {"numbers"}
    assert again.cache == {"numbers": "hit", "uncached": "computed", "after": "hit"}


def test_salt(both: Both) -> None:
    for salt in ("", "again"):

        @ml_asset(cache=Cache(salt=salt))
        def salted() -> int:
            return 1

        assert both.run(salted).first.cache == {"salted": "computed"}
        assert both.run(salted).first.replayed == {"salted"}


def test_changed_code(both: Both) -> None:
    both.run(numbers, total)

    @ml_asset(name="total")
    def other_total(numbers: list[int]) -> int:
        return sum(numbers) + 0

    again = both.run(numbers, other_total, half).first
    assert again.replayed == {"numbers"}
    assert again.cache["total"] == "computed"


def test_verify_computes(both: Both) -> None:
    both.run(numbers, total)
    again = both.run(numbers, total, tags={"mlrepro/verify": "true"}).first
    assert again.success
    assert again.ran == {"numbers", "total"}
