"""Pins: an asset without a channel that is rolled back, and stays there."""

from typing import Any

import dagster as dg
import pytest

from mlrepro import load, ml_asset, ml_multi_asset, release, rollback, versions
from mlrepro.errors import ChannelError, NothingToRollBackToError, NothingToVerifyError
from tests.definitions.lab import Lab, Outcome


class Size(dg.Config):
    rows: int = 3


@ml_asset
def features(config: Size) -> list[int]:
    return list(range(config.rows))


@ml_asset
def total(features: list[int]) -> int:
    return sum(features)


def run(lab: Lab, rows: int, *assets: Any, **options: Any) -> Outcome:
    return lab.run(*(assets or (features, total)), config={"features": {"rows": rows}}, **options)


def test_a_pin_holds_until_it_is_released(lab: Lab) -> None:
    run(lab, 3)
    run(lab, 4)
    moved = rollback("features", to="v1", reason="four is odd", who="ana", store=lab.store(), instance=lab.instance)
    assert str(moved) == "features is pinned at v1 until it is released (mlrepro release features)"

    held = run(lab, 5)  # the next scheduled run
    assert held.cache == {"features": "pinned", "total": "hit"}
    assert held.value("total") == 3
    assert "pinned at v1 by ana" in held.metadata("features")["mlrepro/pinned"]
    assert "four is odd" in held.metadata("features")["mlrepro/pinned"]

    first, *_, again = reversed(versions("features", store=lab.store()))
    assert again.input_hash == first.input_hash  # it says what went into it, not what would have

    release("features", store=lab.store())
    assert run(lab, 5).value("total") == 10


@pytest.mark.parametrize("switch", ["off", "refresh"])
def test_a_pin_is_no_cache_and_holds_without_one(lab: Lab, switch: str) -> None:
    run(lab, 3)
    run(lab, 4)
    rollback("features", store=lab.store(), instance=lab.instance)
    held = run(lab, 4, tags={"mlrepro/cache": switch})
    assert held.cache["features"] == "pinned"
    assert held.value("total") == 3


def test_an_asset_that_is_not_cached_is_held_as_well(lab: Lab) -> None:
    @ml_asset(cache=False, name="features")
    def uncached(config: Size) -> list[int]:
        return list(range(config.rows))

    run(lab, 3, uncached, total)
    run(lab, 4, uncached, total)
    rollback("features", store=lab.store(), instance=lab.instance)
    held = run(lab, 4, uncached, total)
    assert held.cache["features"] == "pinned"
    assert held.value("total") == 3


def test_dagster_is_told_and_what_is_downstream_follows(lab: Lab) -> None:
    run(lab, 3)
    run(lab, 4)
    moved = rollback(
        "features", store=lab.store(), instance=lab.instance, cascade=True, definitions=lab.definitions(features, total)
    )
    assert moved.cascade is not None
    assert (moved.cascade.replayed, moved.cascade.computed) == (2, ())
    assert load("total", store=lab.store()) == 3


def test_the_assets_of_one_function_are_held_together(lab: Lab) -> None:
    @ml_multi_asset(outs={"low": dg.AssetOut(), "high": dg.AssetOut()})
    def split(config: Size) -> tuple[int, int]:
        return 0, config.rows

    for rows in (3, 4):
        lab.run(split, config={"split": {"rows": rows}})
    rollback("high", store=lab.store(), instance=lab.instance)
    held = lab.run(split, config={"split": {"rows": 5}})
    assert held.cache == {"low": "pinned", "high": "pinned"}
    assert held.result.output_for_node("split", "high") == 3


def test_one_partition_is_held_and_the_others_are_not(lab: Lab) -> None:
    days = dg.StaticPartitionsDefinition(["mon", "tue"])

    @ml_asset(partitions_def=days)
    def daily(context: dg.AssetExecutionContext) -> str:
        return context.partition_key + context.run.tags.get("of", "")

    for of in ("", "!"):
        for day in ("mon", "tue"):
            lab.run(daily, partition=day, tags={"of": of})
    rollback("daily", partition="mon", store=lab.store(), instance=lab.instance)
    assert lab.run(daily, partition="mon", tags={"of": "?"}).value("daily") == "mon"
    assert lab.run(daily, partition="tue", tags={"of": "?"}).value("daily") == "tue?"


def test_what_cannot_be_pinned_says_why(lab: Lab) -> None:
    @dg.asset
    def plain() -> int:
        return 1

    lab.run(plain)
    with pytest.raises(NothingToRollBackToError, match="has no v7"):
        rollback("plain", to="v7", store=lab.store())
    with pytest.raises(ChannelError, match="plain is not computed by mlrepro"):
        rollback("plain", to="v1", store=lab.store())
    run(lab, 3)
    with pytest.raises(NothingToRollBackToError, match="features is at v1 and has no earlier version"):
        rollback("features", store=lab.store())
    with pytest.raises(ChannelError, match=r"features is not pinned in .* \(nothing is\)"):
        release("features", store=lab.store())
    assert [each.number for each in versions("features", store=lab.store())] == [1]


def test_what_a_pin_holds_is_not_called_nondeterministic(lab: Lab) -> None:
    run(lab, 3)
    run(lab, 4)
    rollback("features", to="v1", store=lab.store(), instance=lab.instance)
    with pytest.raises(NothingToVerifyError, match="features is pinned at v1"):
        run(lab, 4, features, tags={"mlrepro/verify": "true"})
