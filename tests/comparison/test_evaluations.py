"""Which metrics are shown for a version: its own, and those of what was made from exactly this version."""
# ruff: noqa: B023 -- an asset that is defined in a loop is run before the loop goes on

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import compare, ml_asset, ml_multi_asset
from mlrepro.catalog import version
from mlrepro.catalog.history import append_version
from mlrepro.comparison import evaluations_of
from mlrepro.comparison.lineage import made_from
from mlrepro.store import open_store
from tests.comparison.shop import move, train
from tests.definitions.lab import Lab


def values(lab: Lab, name: str, *names: str, **how: Any) -> tuple[float | None, ...] | None:
    found = compare(*names, store=lab.store(), **how).metrics.get(name)
    return found.values if found else None


class TestOwnMetrics:
    def test_numbers_of_the_value_and_of_the_metadata(self, lab: Lab) -> None:
        train(lab, 2)
        train(lab, 4, customers=5)
        found = compare("churn_model", "v1", "v2", store=lab.store())
        assert found.metrics["depth"].values == (2, 4)
        assert found.metrics["train_rows"].values == (3, 5)
        assert found.metrics["train_rows"].deltas == (0, 2)
        assert found.metrics["train_rows"].relative == (0.0, pytest.approx(2 / 3, rel=1e-5))
        assert not [name for name in found.metrics if name.startswith(("mlrepro/", "dagster/", "note"))]

    def test_numbers_that_are_none_are_left_out(self, lab: Lab) -> None:
        for auc in (0.5, 0.75):

            @ml_asset
            def model(context: dg.AssetExecutionContext) -> str:
                huge = 10**400
                context.add_output_metadata(
                    {"auc": auc, "loss": float("nan"), "rows": huge, "at": dg.MetadataValue.timestamp(3.0)}
                )
                return f"weights {auc}"

            lab.run(model)
        found = compare("model", "v1", "v2", store=lab.store())
        assert {name: metric.values for name, metric in found.metrics.items()} == {"auc": (0.5, 0.75)}

    def test_what_the_same_step_returned_beside_the_model(self, lab: Lab) -> None:
        for auc in (0.5, 0.75):

            @ml_multi_asset(outs={"model": dg.AssetOut(), "report": dg.AssetOut()})
            def trained() -> tuple[str, dict[str, float]]:
                return f"weights {auc}", {"auc": auc}

            lab.run(trained)
        assert values(lab, "report.auc", "model", "v1", "v2") == (0.5, 0.75)

    def test_a_result_that_was_computed_again_keeps_what_each_of_its_versions_said(self, lab: Lab) -> None:
        rolls = iter([0.25, 0.5])

        class Dice(dg.ConfigurableResource):
            def roll(self) -> float:
                return next(rolls)

        @ml_asset
        def model(context: dg.AssetExecutionContext, dice: Dice) -> str:
            rolled = dice.roll()
            context.add_output_metadata({"rolled": rolled})
            return f"weights {rolled}"

        lab.run(model, resources={"dice": Dice()})
        lab.run(model, resources={"dice": Dice()}, tags={"mlrepro/refresh": "model"})
        assert values(lab, "rolled", "model", "v1", "v2") == (0.25, 0.5)


class TestEvaluations:
    def test_directly_and_two_steps_downstream(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2") == (0.75, 0.8)
        assert values(lab, "live_quality.mean", "churn_model", "v1", "v2") == (1.5, 2.0)

    def test_what_has_nothing_to_do_with_it_is_not_shown(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        found = compare("churn_model", "v1", "v2", store=lab.store())
        assert not [name for name in found.metrics if name.startswith(("unrelated", "predictions", "customers"))]

    def test_another_versions_evaluation_is_never_shown(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4, select=["customers", "churn_model"])
        train(lab, 9, select=["customers", "churn_model", "evaluation"])
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2", "v3") == (0.75, None, 0.9)
        assert values(lab, "live_quality.mean", "churn_model", "v1", "v2", "v3") == (1.5, None, None)
        found = compare("churn_model", "v1", "v2", store=lab.store()).metrics["evaluation.auc"]
        assert (found.deltas, found.relative) == ((0.0, None), (0.0, None))

    def test_of_a_mixture_of_versions_belong_to_none(self, lab: Lab) -> None:
        @ml_asset
        def report(churn_model: dict, predictions: list[float]) -> dict[str, float]:
            return {"score": churn_model["depth"] + sum(predictions)}

        def run(depth: int, *select: str) -> None:
            module = lab.module(SMALL, name="small")
            config = {"churn_model": {"depth": depth}} if "churn_model" in select else None
            lab.run(*module.everything, report, select=list(select), config=config)

        run(1, "churn_model", "predictions", "report")
        run(2, "churn_model", "report")  # with the predictions of the first
        assert values(lab, "report.score", "churn_model", "v1", "v2") == (3.0, None)
        run(2, "predictions", "report")
        assert values(lab, "report.score", "churn_model", "v1", "v2") == (3.0, 6.0)

    def test_the_newest_one_counts(self, lab: Lab) -> None:
        assets = train(lab, 3)
        for threshold in (0.5, 0.6):

            @ml_asset
            def second_look(churn_model: dict) -> dict[str, float]:
                return {"kept": threshold}

            lab.run(*assets, second_look, select=["second_look"])
        train(lab, 4)
        assert values(lab, "second_look.kept", "churn_model", "v1", "v2") == (0.6, None)

    def test_of_the_version_that_production_serves(self, lab: Lab) -> None:
        """What is downstream of a channel speaks of the version that was promoted."""
        train(lab, 3)
        train(lab, 4)
        move(lab, "production", "promotion", 1)
        self._served(lab, 1, quality=0.7)
        assert values(lab, "live.auc", "churn_model", "v1", "v2") == (0.7, None)
        move(lab, "production", "promotion", 2)
        self._served(lab, 2, quality=0.9)
        assert values(lab, "live.auc", "churn_model", "production", "v1") == (0.9, 0.7)

    @staticmethod
    def _served(lab: Lab, number: int, quality: float) -> None:
        """Put a result that was made from the channel's version where a run would."""
        store = lab.store()
        served = version(f"churn_model@v{number}", store=store)
        origin = {
            "asset": "churn_model/production",
            "content_hash": served.stored.content_hash,
            "version": number,
        }
        input_hash = f"{number:064x}"
        store.put_result(input_hash, {"inputs": {"model": origin}, "assets": ["live"], "outputs": {}})
        stored = store.write_value({"auc": quality})
        body = {"data_version": stored.content_hash, "input_hash": input_hash, "metrics": {"auc": quality}}
        append_version(store, ["live"], None, stored, body)

    def test_a_candidate_that_is_evaluated_against_production(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        move(lab, "production", "promotion", 1)
        store = lab.store()
        old, new = (version(f"churn_model@v{number}", store=store) for number in (1, 2))
        inputs = {
            "candidate": {"asset": "churn_model", "content_hash": new.stored.content_hash, "version": 2},
            "serving": {"asset": "churn_model/production", "content_hash": old.stored.content_hash, "version": 1},
        }
        store.put_result("ab" * 32, {"inputs": inputs, "assets": ["duel"], "outputs": {}})
        stored = store.write_value({"won": 0.6})
        body = {"data_version": stored.content_hash, "input_hash": "ab" * 32, "metrics": {"won": 0.6}}
        append_version(store, ["duel"], None, stored, body)
        assert values(lab, "duel.won", "churn_model", "v1", "v2") == (None, 0.6)

    def test_what_was_known_at_promotion_fills_in(self, lab: Lab) -> None:
        train(lab, 3, select=["customers", "churn_model"])
        train(lab, 4, select=["customers", "churn_model"])
        move(
            lab,
            "production",
            "promotion",
            1,
            metrics={"evaluation.auc": 0.75, "other.auc": 0.1, "churn_model.depth": 3},
        )
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2") == (0.75, None)
        found = compare("churn_model", "v1", "v2", store=lab.store(), evaluations=["evaluation"])
        assert {"evaluation.auc", "depth", "train_rows"} == set(found.metrics)

    def test_only_those_that_are_asked_for(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        found = compare("churn_model", "v1", "v2", store=lab.store(), evaluations=["live_quality"])
        assert {name.partition(".")[0] for name in found.metrics} == {"depth", "train_rows", "live_quality"}

    def test_one_that_is_asked_for_is_found_though_its_newest_version_tells_nothing(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)

        @dg.asset
        def evaluation() -> dict[str, float]:
            return {"auc": 0.1}

        lab.run(evaluation)
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2") is None
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2", evaluations=["evaluation"]) == (0.75, 0.8)

    def test_a_plain_asset_does_not_tell_what_it_evaluated(self, lab: Lab) -> None:
        assets = train(lab, 3)
        train(lab, 4)

        @dg.asset
        def look(churn_model: dict) -> dict[str, float]:
            return {"auc": 0.1}

        lab.run(*assets, look, select=["look"])
        found = compare("churn_model", "v1", "v2", store=lab.store(), evaluations=["look", "nowhere"])
        assert "look.auc" not in found.metrics
        assert found.notes == ("look does not tell what it evaluated: only an @ml_asset keeps that",)

    def test_a_version_that_came_back_has_its_evaluation(self, lab: Lab) -> None:
        for depth in (3, 4, 3):
            train(lab, depth)
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2", "v3") == (0.75, 0.8, 0.75)
        assert values(lab, "live_quality.mean", "churn_model", "v1", "v2", "v3") == (1.5, 2.0, 1.5)

    def test_shared_by_two_teams(self, lab: Lab) -> None:
        """The same functions on the same data share their results, whose records name one team's assets."""
        module = lab.module(SMALL, name="small")
        for prefix in ("a", "b"):
            prefixed = dg.load_assets_from_modules([module], key_prefix=prefix)
            for depth in (3, 4):
                lab.run(*prefixed, config={"churn_model": {"depth": depth}})
        assert values(lab, "b/quality.auc", "b/churn_model", "v1", "v2") == (3.5, 4.5)
        assert values(lab, "a/quality.auc", "b/churn_model", "v1", "v2") is None

    def test_of_what_is_kept_elsewhere(self, lab: Lab) -> None:
        """An asset without a value, such as a table in a warehouse, is told apart by what it was made from."""
        for rows in (10, 20):

            @ml_asset
            def table() -> None:
                return print("rows in the table:", rows)

            @ml_asset(deps=[table])
            def quality() -> dict[str, int]:
                return {"rows": rows}

            lab.run(table, quality)
        assert values(lab, "quality.rows", "table", "v1", "v2") == (10, 20)

    def test_in_python(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        store = lab.store()
        old, new = (version(f"churn_model@v{number}", store=store) for number in (1, 2))
        found = evaluations_of(store, old)
        assert {name: each.number for name, each in found.items()} == {"evaluation": 1, "live_quality": 1}
        assert made_from(store, found["live_quality"], old)
        assert not made_from(store, found["live_quality"], new)
        assert list(evaluations_of(store, new, only=["evaluation"])) == ["evaluation"]


class TestPartitions:
    def _run(self, lab: Lab, factor: int, *, select: list[str] | None = None, partition: str | None = "eu") -> None:
        regions = dg.StaticPartitionsDefinition(["eu", "us"])

        @ml_asset(partitions_def=regions)
        def model(context: dg.AssetExecutionContext) -> float:
            return factor * (1.0 if context.partition_key == "eu" else 10.0)

        @ml_asset(partitions_def=regions)
        def evaluation(model: float) -> dict[str, float]:
            return {"auc": model + 0.5}

        @ml_asset
        def overall(model: dict[str, float]) -> dict[str, float]:
            return {"sum": sum(model.values())}

        lab.run(model, evaluation, overall, select=select or ["model", "evaluation"], partition=partition)

    def test_evaluations_of_the_same_partition(self, lab: Lab) -> None:
        for factor in (1, 2):
            for region in ("eu", "us"):
                self._run(lab, factor, partition=region)
        assert values(lab, "evaluation.auc", "model", "v1", "v2", partition="eu") == (1.5, 2.5)
        assert values(lab, "evaluation.auc", "model", "v1", "v2", partition="us") == (10.5, 20.5)

    def test_an_evaluation_of_all_partitions(self, lab: Lab) -> None:
        for region in ("eu", "us"):
            self._run(lab, 1, partition=region)
        self._run(lab, 1, select=["overall"], partition=None)
        self._run(lab, 2, partition="us")
        self._run(lab, 3, partition="us")
        self._run(lab, 3, select=["overall"], partition=None)
        assert values(lab, "overall.sum", "model", "v1", "v2", "v3", partition="us") == (11.0, None, 31.0)

    def test_a_partitioned_evaluation_of_an_asset_without_partitions(self, lab: Lab) -> None:
        regions = dg.StaticPartitionsDefinition(["eu", "us"])
        for factor in (1, 2):

            @ml_asset
            def model() -> float:
                return 1.0 * factor

            @ml_asset(partitions_def=regions)
            def evaluation(context: dg.AssetExecutionContext, model: float) -> dict[str, float]:
                return {"auc": model + len(context.partition_key)}

            lab.run(model, evaluation, select=["model"])
            lab.run(model, evaluation, select=["evaluation"], partition="eu")
        assert values(lab, "evaluation[eu].auc", "model", "v1", "v2") == (3.0, 4.0)


class TestDamage:
    def _edit(self, lab: Lab, name: str, edit: Any) -> None:
        found = version(name, store=lab.store())
        (path,) = [path for path in lab.results() if path.stem == found.input_hash]
        record = json.loads(path.read_text())
        del record["sha256"]
        edited = edit(record)
        path.chmod(0o644)
        path.write_text(edited if isinstance(edited, str) else json.dumps(record))

    @pytest.mark.parametrize(
        "edit",
        [
            lambda record: "no JSON",
            lambda record: record.clear(),
            lambda record: record.update(inputs=None),
            lambda record: record.update(inputs={"churn_model": None}),
            lambda record: record.update(inputs={"x": {"asset": "../..", "content_hash": "a"}, "y": {"asset": ""}}),
            lambda record: record.update(inputs={"x": {"asset": "churn_model", "content_hash": {"": "a", "..": 3}}}),
        ],
    )
    @pytest.mark.filterwarnings("ignore")
    def test_a_damaged_record_tells_nothing(self, lab: Lab, edit: Any) -> None:
        train(lab, 3)
        train(lab, 4)
        self._edit(lab, "evaluation@v1", edit)
        assert values(lab, "evaluation.auc", "churn_model", "v1", "v2") == (None, 0.8)

    @pytest.mark.filterwarnings("ignore")
    def test_a_damaged_record_in_between(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        self._edit(lab, "predictions@v1", lambda record: record.update(inputs=[]))
        assert values(lab, "live_quality.mean", "churn_model", "v1", "v2") == (None, 2.0)

    def test_records_that_lead_back_to_themselves(self, lab: Lab) -> None:
        train(lab, 3)
        train(lab, 4)
        live = version("live_quality@v2", store=lab.store())
        origin = {"asset": "live_quality", "content_hash": live.stored.content_hash, "version": 2}
        self._edit(lab, "predictions@v2", lambda record: record.update(inputs={"round": origin}))
        assert values(lab, "live_quality.mean", "churn_model", "v1", "v2", evaluations=["live_quality"]) == (1.5, None)

    @pytest.mark.filterwarnings("ignore")
    def test_a_damaged_version_is_passed_over(self, lab: Lab) -> None:
        for depth in (3, 4, 5):
            train(lab, depth)
        entries = sorted(Path(lab.url).glob("default/versions/evaluation/_/*.json"))
        entries[1].chmod(0o644)
        entries[1].write_text("no JSON")
        assert values(lab, "evaluation.f1", "churn_model", "v1", "v2", "v3") == (0.53, None, 0.55)


def test_in_memory() -> None:
    store = open_store("memory://comparison")
    for auc in (0.8, 0.84):
        stored = store.write_value({"auc": auc})
        append_version(store, ["model"], None, stored, {"data_version": stored.content_hash, "metrics": {"auc": auc}})
    found = compare("model", "v1", "v2", store=store)
    assert found.metrics["auc"].deltas == (0.0, 0.04)
    assert "v1 was not computed by an @ml_asset" in found.notes[0]


SMALL = """
    import dagster as dg
    from mlrepro import ml_asset

    class TrainConfig(dg.Config):
        depth: int = 1

    @ml_asset
    def churn_model(config: TrainConfig) -> dict:
        return {"depth": config.depth}

    @ml_asset
    def predictions(churn_model: dict) -> list[float]:
        return [churn_model["depth"] * 2.0]

    @ml_asset
    def quality(predictions: list[float]) -> dict[str, float]:
        return {"auc": predictions[0] / 2 + 0.5}

    everything = [churn_model, predictions]
"""
