"""Channels and pins before launch: what a channel serves already, or a pin holds, starts no step."""

from typing import Any

import dagster as dg

from mlrepro import Metric, channel, ml_asset, plan, release, rollback
from tests.execution.lab import Both, Ran


class Slope(dg.Config):
    value: float = 0.5


@ml_asset
def slope(config: Slope) -> float:
    return config.value


@ml_asset
def evaluation(slope: float) -> dict[str, float]:
    return {"auc": slope}


production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.3])


@ml_asset(ins={"model": dg.AssetIn(production.key)})
def predictions(model: float) -> list[float]:
    return [model, 2 * model]


@ml_asset
def board(predictions: list[float]) -> float:
    return sum(predictions)


ASSETS = (slope, evaluation, production, predictions, board)
STEPS = {"slope", "evaluation", "slope__production", "predictions", "board"}


def train(both: Both, value: float, **arguments: Any) -> Ran:
    config = {"ops": {"slope": {"config": {"value": value}}}}
    return both.run(*ASSETS, config=config, **arguments).first


def test_a_channel_that_serves_the_newest_version_starts_nothing(both: Both) -> None:
    train(both, 0.5)
    again = train(both, 0.5)
    assert again.success
    assert again.replayed == STEPS
    assert again.cache["slope/production"] == "served"


def test_a_new_version_is_judged_in_the_channels_step(both: Both) -> None:
    train(both, 0.5)
    moved = train(both, 0.4)
    assert moved.success
    assert "slope__production" in moved.ran
    assert train(both, 0.1).success is False


def test_what_follows_a_rollback_starts_nothing(both: Both) -> None:
    train(both, 0.5)
    train(both, 0.4)
    for lab in both.labs:
        rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    both.run(*ASSETS, select=["predictions", "board"])
    after = both.run(*ASSETS, select=["predictions", "board"]).first
    assert after.replayed == {"predictions", "board"}
    quarantined = train(both, 0.4)  # the same training again
    assert quarantined.replayed == STEPS


def test_a_pinned_asset_starts_nothing(both: Both) -> None:
    train(both, 0.5)
    train(both, 0.4)
    for lab in both.labs:
        rollback("slope", to="v1", store=lab.store(), instance=lab.instance)
    train(both, 0.6)
    held = train(both, 0.7)
    assert held.replayed == STEPS
    assert held.cache["slope"] == "pinned"
    for lab in both.labs:
        release("slope", store=lab.store())
    assert "slope" in train(both, 0.7).ran


def test_the_plan_tells_of_channels_and_pins(both: Both) -> None:
    train(both, 0.5)
    train(both, 0.4)
    lab = both.first
    config = {"ops": {"slope": {"config": {"value": 0.4}}}}
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    rows = {row.asset: row for row in plan(lab.definitions(*ASSETS), config=config, instance=lab.instance).assets}
    assert {row.verdict for row in rows.values()} == {"hit"}
    assert "slope/production stays at v1: v2 is quarantined" in rows["slope/production"].reason
    rollback("slope", to="v1", reason="looked odd", store=lab.store(), instance=lab.instance)
    rows = {row.asset: row for row in plan(lab.definitions(*ASSETS), config=config, instance=lab.instance).assets}
    assert rows["slope"].verdict == "hit"
    assert "pinned at v1" in rows["slope"].reason
    assert "looked odd" in rows["slope"].reason
    told = str(plan(lab.definitions(*ASSETS), config=config, instance=lab.instance))
    assert "looked odd" in told
    assert "slope/production serves v1" in told
