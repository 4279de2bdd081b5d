"""Gates look at what was made of the very version that wants to be promoted."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlrepro import CheckPassed, Metric, ml_asset
from mlrepro.catalog import versions
from mlrepro.catalog.channels import Pointer
from mlrepro.quality import Verdict, View
from tests.definitions.lab import Lab

LETTERS = dg.StaticPartitionsDefinition(["a", "b"])


class Strength(dg.Config):
    strength: float = 0.9


@ml_asset
def churn_model(config: Strength) -> dict[str, float]:
    return {"strength": config.strength}


@ml_asset
def predictions(churn_model: dict[str, float]) -> float:
    return churn_model["strength"]


@ml_asset
def evaluation(predictions: float) -> dict[str, float]:
    return {"auc": predictions}


@ml_asset(name="evaluation")
def direct_evaluation(churn_model: dict[str, float]) -> dict[str, float]:
    return {"auc": churn_model["strength"]}


@ml_asset
def rows() -> dict[str, float]:
    return {"count": 12.0}


AUC = Metric("evaluation", "auc")


class Gates:
    """Materialize some assets, and ask a gate about a version."""

    def __init__(self, lab: Lab, *assets: Any, **definitions: Any) -> None:
        self.lab = lab
        self.assets = assets
        self.graph = lab.definitions(*assets, **definitions).get_repository_def().asset_graph
        self.more = definitions

    def run(self, *select: str, strength: float = 0.9, partition: str | None = None) -> None:
        config = {"churn_model": {"strength": strength}} if "churn_model" in select else None
        self.lab.run(*self.assets, select=list(select), config=config, partition=partition, **self.more)

    def ask(self, gate: Any, number: int = 0, partition: str | None = None) -> Verdict:
        """Ask about a version, by default the newest."""
        found = versions("churn_model", store=self.lab.store(), partition=partition)
        candidate = Pointer.to(next(each for each in found if number in (0, each.number)))
        view = View(
            instance=self.lab.instance,
            model=dg.AssetKey("churn_model"),
            candidate=candidate,
            graph=self.graph,
            partition=partition,
        )
        verdict: Verdict = gate.judge(view)
        return verdict


@pytest.fixture
def gates(lab: Lab) -> Iterator[Gates]:
    return Gates(lab, churn_model, predictions, evaluation, rows)


@pytest.fixture
def direct(lab: Lab) -> Gates:
    return Gates(lab, churn_model, direct_evaluation)


def test_evaluation_of_the_candidate(direct: Gates) -> None:
    direct.run("churn_model", "evaluation")
    assert direct.ask(AUC >= 0.8).said == "evaluation.auc is 0.9, at least 0.8"


def test_evaluation_of_an_older_version(direct: Gates) -> None:
    direct.run("churn_model", "evaluation")
    direct.run("churn_model", strength=0.5)
    verdict = direct.ask(AUC >= 0.8)
    assert (verdict.known, verdict.passes) == (False, False)
    assert verdict.said.startswith("evaluation is of another version of churn_model")
    assert verdict.said.endswith(": materialize evaluation")
    direct.run("evaluation")
    assert direct.ask(AUC >= 0.8).said == "evaluation.auc is 0.5, below 0.8"
    assert not direct.ask(AUC >= 0.8, number=1).known


def test_version_that_was_made_again(direct: Gates) -> None:
    for strength in (0.9, 0.5, 0.9):
        direct.run("churn_model", "evaluation", strength=strength)
    assert direct.ask(AUC >= 0.8).passes
    assert direct.ask(AUC >= 0.8, number=1).passes, "the same content"


def test_evaluation_behind_another_asset(gates: Gates) -> None:
    gates.run("churn_model", "predictions", "evaluation")
    assert gates.ask(AUC >= 0.8).passes
    gates.run("churn_model", strength=0.5)
    assert "is of another version" in gates.ask(AUC >= 0.8).said
    gates.run("predictions")
    assert "is of another version" in gates.ask(AUC >= 0.8).said, "evaluated before they were predicted"
    gates.run("evaluation")
    assert gates.ask(AUC >= 0.8).said == "evaluation.auc is 0.5, below 0.8"


def test_asset_between_that_came_out_the_same(lab: Lab) -> None:
    @ml_asset(name="predictions")
    def rounded(churn_model: dict[str, float]) -> float:
        return float(round(churn_model["strength"]))

    gates = Gates(lab, churn_model, rounded, evaluation)
    gates.run("churn_model", "predictions", "evaluation")
    gates.run("churn_model", "predictions", strength=0.8)
    assert gates.ask(AUC >= 0.8).passes, "what was evaluated is what the candidate predicts"


def test_metric_of_the_model_itself(gates: Gates) -> None:
    own = Metric("churn_model", "strength") >= 0.8
    gates.run("churn_model")
    assert gates.ask(own).passes
    gates.run("churn_model", strength=0.85)
    assert gates.ask(own).said == "churn_model.strength is 0.85, at least 0.8"
    verdict = gates.ask(own, number=1)
    assert not verdict.known
    assert "materialize churn_model" in verdict.said


def test_metric_that_has_nothing_to_do_with_the_model(gates: Gates) -> None:
    gates.run("churn_model", "rows")
    gates.run("churn_model", strength=0.5)
    assert (Metric("rows", "count") > 10).judge is not None
    assert gates.ask(Metric("rows", "count") > 10).passes


def test_evaluation_reported_from_outside(direct: Gates) -> None:
    direct.run("churn_model", "evaluation")
    report = direct.lab.instance.report_runless_asset_event
    report(dg.AssetMaterialization("evaluation", metadata={"auc": 0.99}))
    verdict = direct.ask(AUC >= 0.8)
    assert not verdict.known
    assert "it can't be told which version of churn_model" in verdict.said
    newest = versions("churn_model", store=direct.lab.store())[0].data_version
    tags = {"dagster/input_data_version/churn_model": newest}
    report(dg.AssetMaterialization("evaluation", metadata={"auc": 0.99}, tags=tags))
    assert direct.ask(AUC >= 0.8).passes


def test_promoted_version_whose_metric_was_not_recorded(direct: Gates) -> None:
    """Its own evaluation is still in the log."""
    from mlrepro.catalog.channels import ChannelName, newest_entry
    from mlrepro.catalog.history import newest_version
    from mlrepro.catalog.moving import Mover, promote

    direct.run("churn_model", "evaluation")
    store, name = direct.lab.store(), ChannelName(("churn_model",), "production")
    served = newest_version(store, ("churn_model",))
    assert served is not None
    promote(store, name, served, Mover("anna"))
    direct.run("churn_model", "evaluation", strength=0.85)
    candidate = newest_version(store, ("churn_model",))
    assert candidate is not None
    view = View(
        instance=direct.lab.instance,
        model=dg.AssetKey("churn_model"),
        channel=newest_entry(store, name),
        candidate=Pointer.to(candidate),
        graph=direct.graph,
    )
    verdict = AUC.not_worse_than_promoted(by=0.01).judge(view)
    assert verdict.said == "evaluation.auc is 0.85, worse than the 0.9 of v1 by more than 0.01"


class TestPartitions:
    @pytest.fixture
    def parts(self, lab: Lab) -> Gates:
        @ml_asset(name="churn_model", partitions_def=LETTERS)
        def model(context: dg.AssetExecutionContext, config: Strength) -> dict[str, float]:
            return {"strength": config.strength, "letter": float(ord(context.partition_key))}

        @ml_asset(name="evaluation", partitions_def=LETTERS)
        def evaluate(churn_model: dict[str, float]) -> dict[str, float]:
            return {"auc": churn_model["strength"]}

        return Gates(lab, model, evaluate)

    def test_each_by_itself(self, parts: Gates) -> None:
        parts.run("churn_model", "evaluation", partition="a")
        parts.run("churn_model", "evaluation", strength=0.5, partition="b")
        assert parts.ask(AUC >= 0.8, partition="a").passes
        assert parts.ask(AUC >= 0.8, partition="b").said == "evaluation.auc is 0.5, below 0.8"
        parts.run("churn_model", strength=0.7, partition="a")
        assert not parts.ask(AUC >= 0.8, partition="a").known
        assert parts.ask(AUC >= 0.8, partition="b").known

    def test_partition_that_was_never_evaluated(self, parts: Gates) -> None:
        parts.run("churn_model", "evaluation", partition="a")
        parts.run("churn_model", partition="b")
        assert parts.ask(AUC >= 0.8, partition="b").said == (
            "evaluation was never materialized or observed in partition b: materialize evaluation"
        )

    def test_check_looks_at_one_partition(self, lab: Lab) -> None:
        @ml_asset(name="churn_model", partitions_def=LETTERS)
        def model(config: Strength) -> dict[str, float]:
            return {"strength": config.strength}

        @dg.asset_check(asset=model)
        def strong() -> dg.AssetCheckResult:
            newest = lab.instance.get_latest_materialization_event(dg.AssetKey("churn_model"))
            assert newest is not None
            assert newest.asset_materialization is not None
            strength = newest.asset_materialization.metadata["strength"].value
            return dg.AssetCheckResult(passed=bool(float(str(strength)) > 0.8))

        gates = Gates(lab, model, asset_checks=[strong])
        gates.run("churn_model", partition="a")
        gates.run("churn_model", strength=0.5, partition="b")
        gate = CheckPassed("churn_model", "strong")
        assert gates.ask(gate, partition="a").said == "check strong of churn_model passed"
        assert gates.ask(gate, partition="b").said == "check strong of churn_model failed"


class TestChecks:
    @pytest.fixture
    def checked(self, lab: Lab) -> Gates:
        @dg.asset_check(asset="evaluation")
        def good_enough(evaluation: dict[str, float]) -> dg.AssetCheckResult:
            passed = evaluation["auc"] > 0.8
            return dg.AssetCheckResult(passed=passed, description="" if passed else "too weak")

        return Gates(lab, churn_model, direct_evaluation, asset_checks=[good_enough])

    def test_passed_for_the_candidate(self, checked: Gates) -> None:
        gate = CheckPassed("evaluation", "good_enough")
        checked.run("churn_model", "evaluation")
        assert checked.ask(gate).said == "check good_enough of evaluation passed"
        checked.run("churn_model", strength=0.85)
        verdict = checked.ask(gate)
        assert (verdict.known, verdict.passes) == (False, False)
        assert "another version of churn_model: run the check again" in verdict.said
        checked.run("evaluation")
        assert checked.ask(gate).passes
        checked.run("churn_model", "evaluation", strength=0.5)
        assert checked.ask(gate).said == "check good_enough of evaluation failed: too weak"

    def test_that_never_ran_or_does_not_exist(self, checked: Gates) -> None:
        checked.lab.run(churn_model, select=["churn_model"])
        never = checked.ask(CheckPassed("evaluation", "good_enough"))
        assert not never.known
        assert never.said.startswith(
            "check good_enough of evaluation was never run: run it. Define it with blocking=True"
        )
        none = checked.ask(CheckPassed("evaluation", "goodenough"))
        assert none.said == "evaluation has no check goodenough: name one that it has (good_enough)"
