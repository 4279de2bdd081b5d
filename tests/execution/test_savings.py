"""Hits and the seconds that they saved, from Dagster's event log."""

import datetime as dt
import time
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import ml_asset, ml_multi_asset
from mlrepro.execution import savings as module
from mlrepro.execution.savings import Saved, savings, savings_at_home
from tests.definitions.lab import Lab


@ml_asset
def slow() -> int:
    time.sleep(0.05)
    return 1


@ml_asset
def quick(slow: int) -> int:
    return slow + 1


@dg.asset
def plain() -> None:
    """Nothing of ours."""


@ml_multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()})
def both() -> tuple[int, int]:
    return 1, 2


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_hits_and_seconds_by_asset_and_overall(lab: Lab) -> None:
    for _ in range(3):
        lab.run(slow, quick, plain)
    found = savings(lab.instance)
    assert (found.overall.hits, found.overall.steps) == (4, 6)
    assert found.overall.hit_rate == pytest.approx(2 / 3)
    assert found.by_asset["slow"].seconds_saved >= 0.1
    assert found.by_asset["slow"].seconds_spent >= 0.05
    assert list(found.by_asset) == ["slow", "quick"]
    assert list(found.top()) == ["slow", "quick"]
    total = sum(each.seconds_saved for each in found.by_asset.values())
    assert found.overall.seconds_saved == pytest.approx(total)


def test_a_step_that_makes_several_assets_counts_once(lab: Lab) -> None:
    for _ in range(2):
        lab.run(both)
    found = savings(lab.instance)
    assert (found.overall.hits, found.overall.steps) == (1, 2)
    assert found.by_asset["left"].hits == found.by_asset["right"].hits == 1
    assert found.overall.seconds_saved == found.by_asset["left"].seconds_saved


def test_only_what_was_materialized_since(lab: Lab) -> None:
    lab.run(slow, quick)
    assert savings(lab.instance, since=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).overall.steps == 2
    assert savings(lab.instance, since=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).overall == Saved()


def test_a_long_log_is_read_page_by_page(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        lab.run(quick, slow)
    whole = savings(lab.instance)
    monkeypatch.setattr(module, "_PAGE", 2)
    assert savings(lab.instance) == whole


def test_without_a_dagster_home_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert savings_at_home() is None
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    found = savings_at_home(dt.timedelta(days=1))
    assert found is not None
    assert found.overall == Saved()
