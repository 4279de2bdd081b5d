"""Evaluations that came out the same for several versions: they append no version, and are found all the same."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import compare, ml_asset, rollback, versions
from mlrepro.catalog import version
from mlrepro.catalog.derivations import MOST
from mlrepro.comparison import evaluations_of
from mlrepro.comparison.lineage import made_from
from mlrepro.errors import CacheWarning, StoreError
from mlrepro.store.local import LocalObjects
from tests.comparison.test_evaluations import values
from tests.definitions.lab import Lab, Outcome


class Depth(dg.Config):
    depth: int = 1


@ml_asset
def model(config: Depth) -> dict[str, int]:
    return {"depth": config.depth}


@ml_asset
def evaluation(model: dict[str, int]) -> dict[str, float]:
    """Any depth below ten is as good as another."""
    return {"auc": 0.5 if model["depth"] < 10 else 0.75}


@ml_asset
def predictions(model: dict[str, int]) -> list[int]:
    return [model["depth"] // 10]


@ml_asset
def quality(predictions: list[int]) -> dict[str, float]:
    return {"mean": float(sum(predictions))}


@ml_asset
def verdict(context: dg.AssetExecutionContext, model: dict[str, int]) -> str:
    context.add_output_metadata({"loss": 1 / model["depth"]})
    return "good"


ASSETS = [model, evaluation, predictions, quality, verdict]


def train(lab: Lab, depth: int, *select: str, **run: Any) -> Outcome:
    config = {"model": {"depth": depth}} if not select or "model" in select else None
    return lab.run(*ASSETS, select=list(select) or None, config=config, **run)


def marks(lab: Lab, asset: str, partition: str = "_") -> list[Path]:
    return sorted(Path(lab.url, "default", "derivations", asset, partition).glob("*.json"))


def files(lab: Lab) -> set[Path]:
    return {path for path in Path(lab.url).rglob("*") if path.is_file()}


class TestFound:
    def test_directly(self, lab: Lab) -> None:
        for depth in (1, 2, 11):
            train(lab, depth)
        assert [each.number for each in versions("evaluation", store=lab.store())] == [2, 1]
        assert values(lab, "evaluation.auc", "model", "v1", "v2", "v3") == (0.5, 0.5, 0.75)

    def test_over_an_asset_that_came_out_the_same(self, lab: Lab) -> None:
        for depth in (1, 2, 11):
            train(lab, depth)
        assert [each.number for each in versions("predictions", store=lab.store())] == [2, 1]
        assert values(lab, "quality.mean", "model", "v1", "v2", "v3") == (0.0, 0.0, 1.0)

    def test_over_several_that_came_out_the_same(self, lab: Lab) -> None:
        @ml_asset
        def rounded(predictions: list[int]) -> list[int]:
            return [each // 10 for each in predictions]

        @ml_asset
        def total(rounded: list[int]) -> dict[str, int]:
            return {"sum": sum(rounded)}

        for depth in (1, 2, 11):
            lab.run(model, predictions, rounded, total, config={"model": {"depth": depth}})
        assert values(lab, "total.sum", "model", "v1", "v2", "v3") == (0, 0, 0)

    def test_with_the_numbers_that_each_attached(self, lab: Lab) -> None:
        """The same value, and other metadata: no version may be shown with another one's numbers."""
        for depth in (1, 2, 4):
            train(lab, depth)
        assert [each.number for each in versions("verdict", store=lab.store())] == [1]
        assert values(lab, "verdict.loss", "model", "v1", "v2", "v3") == (1.0, 0.5, 0.25)

    def test_not_for_a_version_that_was_not_evaluated(self, lab: Lab) -> None:
        train(lab, 1)
        train(lab, 2, "model")
        train(lab, 3)
        assert values(lab, "evaluation.auc", "model", "v1", "v2", "v3") == (0.5, None, 0.5)
        assert values(lab, "verdict.loss", "model", "v1", "v2", "v3") == (1.0, None, 1 / 3)

    def test_not_for_a_mixture(self, lab: Lab) -> None:
        @ml_asset
        def both(model: dict[str, int], verdict: str, evaluation: dict[str, float]) -> dict[str, int]:
            return {"depth": model["depth"]}

        def run(depth: int, *select: str) -> None:
            config = {"model": {"depth": depth}} if "model" in select else None
            lab.run(*ASSETS, both, select=list(select), config=config)

        run(1, "model", "verdict", "evaluation", "both")
        run(2, "model", "verdict", "both")  # with the evaluation of the first
        assert values(lab, "both.depth", "model", "v1", "v2") == (1, None)
        run(2, "evaluation")
        assert values(lab, "both.depth", "model", "v1", "v2") == (1, 2)

    def test_the_newest_one_counts(self, lab: Lab) -> None:
        for factor in (1.0, 2.0, 3.0):

            @ml_asset
            def look(context: dg.AssetExecutionContext, model: dict[str, int]) -> str:
                context.add_output_metadata({"score": factor * model["depth"]})  # noqa: B023 -- runs before the next
                return "looked"

            for depth in (1, 2):
                lab.run(model, look, config={"model": {"depth": depth}})
        assert values(lab, "look.score", "model", "v1", "v2") == (3.0, 6.0)

    def test_of_a_partition(self, lab: Lab) -> None:
        regions = dg.StaticPartitionsDefinition(["eu", "us"])

        @ml_asset(partitions_def=regions, name="model")
        def regional(context: dg.AssetExecutionContext, config: Depth) -> dict[str, int]:
            return {"depth": config.depth, "region": len(context.partition_key)}

        @ml_asset(partitions_def=regions, name="evaluation")
        def evaluated(model: dict[str, int]) -> dict[str, float]:
            return {"auc": 0.5}

        for depth in (1, 2):
            lab.run(regional, evaluated, config={"model": {"depth": depth}}, partition="eu")
        lab.run(regional, evaluated, config={"model": {"depth": 1}}, partition="us")
        assert len(marks(lab, "evaluation", "eu")) == 1
        assert marks(lab, "evaluation", "us") == []
        assert values(lab, "evaluation.auc", "model", "v1", "v2", partition="eu") == (0.5, 0.5)

    def test_of_a_range_of_partitions(self, lab: Lab) -> None:
        regions = dg.StaticPartitionsDefinition(["eu", "us"])
        once = dg.BackfillPolicy.single_run()
        tags = {"dagster/asset_partition_range_start": "eu", "dagster/asset_partition_range_end": "us"}

        @ml_asset(partitions_def=regions, backfill_policy=once, name="model")
        def regional(context: dg.AssetExecutionContext, config: Depth) -> dict[str, int]:
            return dict.fromkeys(context.partition_keys, config.depth)

        @ml_asset(partitions_def=regions, backfill_policy=once, name="evaluation")
        def evaluated(context: dg.AssetExecutionContext, model: dict[str, int]) -> dict[str, dict[str, float]]:
            return {key: {"auc": 0.5 if key == "eu" else model[key] / 4} for key in context.partition_keys}

        for depth in (1, 2):
            lab.run(regional, evaluated, config={"model": {"depth": depth}}, tags=tags)
        assert values(lab, "evaluation.auc", "model", "v1", "v2", partition="eu") == (0.5, 0.5)
        assert values(lab, "evaluation.auc", "model", "v1", "v2", partition="us") == (0.25, 0.5)

    def test_of_a_plain_asset_that_became_an_ml_asset(self, lab: Lab) -> None:
        @dg.asset(name="evaluation")
        def plain(model: dict[str, int]) -> dict[str, float]:
            return {"auc": 0.5}

        train(lab, 1, "model")
        lab.run(model, plain, select=["evaluation"])
        train(lab, 1, "evaluation")
        assert values(lab, "evaluation.auc", "model", "v1", "v1") == (0.5, 0.5)
        assert compare("model", "v1", "v1", store=lab.store(), evaluations=["evaluation"]).notes == ()

    def test_in_python(self, lab: Lab) -> None:
        for depth in (1, 2):
            train(lab, depth)
        store = lab.store()
        old, new = (version(f"model@v{number}", store=store) for number in (1, 2))
        found = {each.number: evaluations_of(store, each)["evaluation"] for each in (old, new)}
        assert [each.number for each in found.values()] == [1, 1]
        assert found[1].input_hash != found[2].input_hash
        assert made_from(store, version("evaluation@v1", store=store), old)
        assert made_from(store, version("evaluation@v1", store=store), new)

    def test_in_another_scope(self, lab: Lab) -> None:
        for depth in (1, 2):
            train(lab, depth, scope="shared")
        found = compare("model", "v1", "v2", store=lab.store(), evaluations=["evaluation"])
        assert found.metrics["evaluation.auc"].values == (0.5, 0.5)


class TestNoted:
    def test_once_for_an_input_hash(self, lab: Lab) -> None:
        for depth in (1, 2):
            train(lab, depth, "model", "evaluation")
        (mark,) = marks(lab, "evaluation")
        written = json.loads(mark.read_text())
        assert (written["version"], written["asset"], written["partition"]) == (1, ["evaluation"], None)
        assert {path.name for path in lab.results()} >= {mark.name}

    def test_configs_that_take_turns_do_not_grow_the_store(self, lab: Lab) -> None:
        class Note(dg.Config):
            note: str

        @ml_asset
        def same(config: Note) -> int:
            return 1

        def run(note: str) -> None:
            assert lab.run(same, config={"same": {"note": note}}).success

        run("a")
        assert marks(lab, "same") == []
        run("b")
        before = files(lab)
        assert len(marks(lab, "same")) == 1
        for _ in range(3):
            run("a")
            run("b")
        assert files(lab) == before

    def test_nothing_is_asked_for_what_the_newest_version_says_itself(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train(lab, 1)
        created: list[str] = []
        create = LocalObjects.create
        monkeypatch.setattr(
            LocalObjects, "create", lambda self, key, data: created.append(key) or create(self, key, data)
        )
        train(lab, 1)
        assert created == []
        train(lab, 2, "model", "evaluation")
        assert [key.split("/")[1:3] for key in created].count(["derivations", "evaluation"]) == 1
        assert [key.split("/")[1] for key in created][-2:] == ["results", "derivations"]

    def test_not_for_what_is_pinned(self, lab: Lab) -> None:
        """A pin says what an asset is, not what these inputs give."""
        train(lab, 1)
        train(lab, 11)
        rollback("evaluation", store=lab.store(), instance=lab.instance)
        for depth in (12, 13):
            train(lab, depth)
        assert marks(lab, "evaluation") == []

    def test_by_the_next_run_where_the_store_failed(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        train(lab, 1)
        create = LocalObjects.create

        def fail(self: LocalObjects, key: str, data: bytes) -> bool:
            if "/derivations/" in key:
                raise StoreError("no space left")
            return create(self, key, data)

        with monkeypatch.context() as full:
            full.setattr(LocalObjects, "create", fail)
            assert not train(lab, 2, raise_on_error=False).success
        train(lab, 2)
        assert values(lab, "evaluation.auc", "model", "v1", "v2") == (0.5, 0.5)


class TestDamage:
    @pytest.mark.parametrize(
        "text", ["no JSON", "[]", "{}", '{"version": "1", "asset": ["evaluation"], "created": ""}', '{"version": true}']
    )
    def test_a_damaged_mark_is_left_out(self, lab: Lab, text: str) -> None:
        for depth in (1, 2, 3):
            train(lab, depth, "model", "evaluation")
        damaged = next(
            path
            for path in marks(lab, "evaluation")
            if path.stem == evaluations_of(lab.store(), version("model@v2", store=lab.store()))["evaluation"].input_hash
        )
        damaged.chmod(0o644)
        damaged.write_text(text)
        with pytest.warns(CacheWarning, match="damaged"):
            assert values(lab, "evaluation.auc", "model", "v1", "v2", "v3") == (0.5, None, 0.5)

    @pytest.mark.parametrize("change", [{"version": 7}, {"content_hash": "0" * 64}])
    def test_a_mark_of_no_such_version_tells_nothing(self, lab: Lab, change: dict[str, Any]) -> None:
        for depth in (1, 2):
            train(lab, depth, "model", "evaluation")
        (mark,) = marks(lab, "evaluation")
        written = json.loads(mark.read_text())
        del written["sha256"]
        mark.chmod(0o644)
        mark.write_text(json.dumps({**written, **change}))
        assert values(lab, "evaluation.auc", "model", "v1", "v2") == (0.5, None)


def test_marks_are_listed_once_and_no_more_of_them_read_than_are_looked_at(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for depth in (1, 2, 11, 3):
        train(lab, depth)
    store = lab.store()
    for number in range(MOST + 10):
        store.note_derivation(("evaluation", "_"), f"{number:064x}", {"version": 1, "asset": [], "created": ""})
    listed: list[str] = []
    read: list[str] = []
    latest, get = LocalObjects.latest, LocalObjects.get
    monkeypatch.setattr(LocalObjects, "latest", lambda self, key, *how: listed.append(key) or latest(self, key, *how))
    monkeypatch.setattr(LocalObjects, "get", lambda self, key: read.append(key) or get(self, key))
    with pytest.warns(CacheWarning):
        compare("model", "v1", "v2", "v3", store=store)
    assert len(listed) == len(set(listed))
    assert len([key for key in read if "/derivations/evaluation/" in key]) == MOST
