"""Conditions on a metric: what holds, what is not a number, and what can't be written."""

import math
import operator

import dagster as dg
import pytest

from mlrepro import Metric, ml_asset
from mlrepro.errors import ConditionError
from mlrepro.quality import Condition, as_alarm, as_gate
from mlrepro.quality.reading import numbers_of
from tests.quality.lab import ModelLab

AUC = Metric("evaluation", "auc")
NOT_NUMBERS = [math.nan, math.inf, -math.inf, "NaN", "nan", "inf", "-Infinity", 10**400]


class TestComparison:
    @pytest.mark.parametrize(
        ("condition", "holds", "said"),
        [
            (AUC >= 0.83, True, "evaluation.auc is 0.83, at least 0.83"),
            (AUC >= 0.84, False, "evaluation.auc is 0.83, below 0.84"),
            (AUC > 0.83, False, "evaluation.auc is 0.83, not above 0.83"),
            (AUC > 0.8, True, "evaluation.auc is 0.83, above 0.8"),
            (AUC < 0.83, False, "evaluation.auc is 0.83, not below 0.83"),
            (AUC < 0.9, True, "evaluation.auc is 0.83, below 0.9"),
            (AUC <= 0.83, True, "evaluation.auc is 0.83, at most 0.83"),
            (AUC <= 0.8, False, "evaluation.auc is 0.83, above 0.8"),
        ],
    )
    def test_tells_value_and_threshold(self, model_lab: ModelLab, condition: Condition, holds: bool, said: str) -> None:
        model_lab.report("evaluation", auc=0.83)
        verdict = condition.judge(model_lab.view())
        assert (verdict.holds, verdict.said, verdict.values) == (holds, said, {"evaluation.auc": 0.83})
        assert verdict.known

    def test_looks_at_the_newest_value(self, model_lab: ModelLab) -> None:
        model_lab.report("evaluation", auc=0.9)
        model_lab.report("evaluation", auc=1)
        model_lab.report("evaluation", auc=0.6)
        assert not (AUC >= 0.8).judge(model_lab.view()).holds

    def test_reads_observations_of_what_nobody_makes_here(self, model_lab: ModelLab) -> None:
        model_lab.report("evaluation", auc=0.9)
        model_lab.observe("evaluation", auc=0.6)
        assert (AUC >= 0.8).judge(model_lab.view()).said == "evaluation.auc is 0.6, below 0.8"

    def test_asset_may_be_given_in_any_way(self) -> None:
        @ml_asset
        def evaluation() -> dict[str, float]:
            return {"auc": 1.0}

        ways = [evaluation, dg.AssetKey("evaluation"), dg.AssetSpec("evaluation"), "evaluation"]
        assert {Metric(way, "auc") for way in ways} == {AUC}
        assert str(Metric("team/evaluation", "auc")) == "team/evaluation.auc"


class TestNotANumber:
    @pytest.mark.parametrize("value", NOT_NUMBERS)
    @pytest.mark.parametrize("condition", [AUC >= 0.8, AUC < 0.8, AUC <= 1e9, AUC > -1e9])
    def test_is_good_for_no_gate_and_bad_for_every_sensor(
        self, model_lab: ModelLab, value: object, condition: Condition
    ) -> None:
        metadata = dg.MetadataValue.text(value) if isinstance(value, str) else value
        model_lab.report("evaluation", auc=metadata)
        verdict = condition.judge(model_lab.view())
        assert verdict.said == "evaluation.auc is not a number"
        assert (verdict.holds, verdict.passes, verdict.alarms) == (False, False, True)
        assert verdict.values == {}

    def test_other_metadata_is_no_metric(self) -> None:
        metadata = {
            "text": dg.MetadataValue.text("0.8"),
            "bool": dg.MetadataValue.bool(True),
            "none": dg.MetadataValue.null(),
            "json": dg.MetadataValue.json({"auc": 1}),
            "rows": dg.MetadataValue.int(3),
        }
        assert numbers_of(metadata) == {"rows": 3.0}


class TestMissing:
    def test_metric_names_those_there_are(self, model_lab: ModelLab) -> None:
        model_lab.report("evaluation", auc=0.9)
        model_lab.report("evaluation", accuracy=0.9, f1=0.8)
        verdict = (AUC >= 0.8).judge(model_lab.view())
        assert verdict.said == "the newest event of evaluation has no metric auc: it has accuracy, f1"
        assert (verdict.known, verdict.passes, verdict.alarms) == (False, False, False)

    def test_asset_that_was_never_made(self, model_lab: ModelLab) -> None:
        graph = dg.Definitions([dg.AssetSpec("evaluation")]).get_repository_def().asset_graph
        verdict = (AUC >= 0.8).judge(model_lab.view(graph=graph))
        assert (verdict.known, verdict.said) == (
            False,
            "evaluation was never materialized or observed: materialize evaluation",
        )

    def test_asset_that_does_not_exist_names_those_it_could_be(self, model_lab: ModelLab) -> None:
        graph = dg.Definitions([dg.AssetSpec("evaluation"), dg.AssetSpec("x")]).get_repository_def().asset_graph
        verdict = (Metric("evalution", "auc") >= 0.8).judge(model_lab.view(graph=graph))
        assert not verdict.known
        assert "there is no asset evalution" in verdict.said
        assert "(evaluation)" in verdict.said


class TestWindows:
    def test_holds_for_some_of_the_newest(self, model_lab: ModelLab) -> None:
        bad = (AUC < 0.8).in_windows(3, of=5)
        held = []
        for value in [0.7, 0.9, 0.7, 0.9, 0.7, 0.9, 0.7, 0.7]:
            model_lab.report("evaluation", auc=value)
            held.append(bad.judge(model_lab.view()).holds)
        # the fifth, seventh and eighth look back on three bad values of five
        assert held == [False, False, False, False, True, False, True, True]

    def test_said_shows_the_values(self, model_lab: ModelLab) -> None:
        for value in [0.7, 0.9, 0.6]:
            model_lab.report("evaluation", auc=value)
        verdict = (AUC < 0.8).in_windows(2, of=3).judge(model_lab.view())
        assert verdict.said == (
            "evaluation.auc < 0.8 held for 2 of the newest 3 values (0.6, 0.9, 0.7), 2 of 3 are asked for"
        )

    def test_what_is_not_a_number_counts_as_bad_and_never_as_good(self, model_lab: ModelLab) -> None:
        for value in [0.7, math.nan, 0.9, math.nan]:
            model_lab.report("evaluation", auc=value)
        view = model_lab.view()
        assert (AUC < 0.8).in_windows(3, of=4).judge(view).alarms
        assert not (AUC < 0.8).in_windows(4, of=4).judge(view).alarms
        assert not (AUC >= 0.8).in_windows(2, of=4).judge(view).passes
        assert (AUC >= 0.8).in_windows(1, of=4).judge(view).passes


class TestMedian:
    def test_compares_with_those_before(self, model_lab: ModelLab) -> None:
        dropped = AUC.dropped_by(0.05, median_of=3)
        for value in [0.8, 0.9, 0.7]:
            model_lab.report("evaluation", auc=value)
            assert not dropped.judge(model_lab.view()).known
        model_lab.report("evaluation", auc=0.75)
        verdict = dropped.judge(model_lab.view())
        assert (verdict.known, verdict.holds) == (True, False)  # 0.05 and no more
        model_lab.report("evaluation", auc=0.6)
        verdict = dropped.judge(model_lab.view())
        assert verdict.alarms
        assert verdict.said == (
            "evaluation.auc is 0.6, 0.15 below the median of the 3 before (0.75); more than the 0.05 allowed"
        )

    def test_rose(self, model_lab: ModelLab) -> None:
        for value in [10, 10, 13]:
            model_lab.report("evaluation", auc=value)
        assert AUC.rose_by(2, median_of=2).judge(model_lab.view()).alarms
        assert not AUC.dropped_by(2, median_of=2).judge(model_lab.view()).alarms

    def test_in_windows(self, model_lab: ModelLab) -> None:
        condition = AUC.dropped_by(0.05, median_of=2).in_windows(2, of=2)
        for value in [0.9, 0.9, 0.9, 0.7]:
            model_lab.report("evaluation", auc=value)
        assert not condition.judge(model_lab.view()).alarms
        model_lab.report("evaluation", auc=0.5)
        assert condition.judge(model_lab.view()).alarms


class TestAgainstThePromoted:
    def test_not_worse(self, model_lab: ModelLab) -> None:
        entry = model_lab.promote(1, evaluation__auc=0.83)
        gate = AUC.not_worse_than_promoted(by=0.01)
        passed = {}
        for value in [0.85, 0.83, 0.82, 0.819]:
            model_lab.report("evaluation", auc=value)
            passed[value] = gate.judge(model_lab.view(channel=entry)).passes
        assert passed == {0.85: True, 0.83: True, 0.82: True, 0.819: False}

    def test_lower_is_better(self, model_lab: ModelLab) -> None:
        entry = model_lab.promote(1, evaluation__auc=0.3)
        model_lab.report("evaluation", auc=0.35)
        gate = AUC.not_worse_than_promoted(by=0.01, better="lower")
        assert not gate.judge(model_lab.view(channel=entry)).passes
        assert AUC.not_worse_than_promoted(by=0.1, better="lower").judge(model_lab.view(channel=entry)).passes

    def test_nothing_promoted_yet(self, model_lab: ModelLab) -> None:
        model_lab.report("evaluation", auc=0.1)
        verdict = AUC.not_worse_than_promoted().judge(model_lab.view())
        assert (verdict.passes, verdict.said) == (True, "evaluation.auc is 0.1; nothing was promoted before")

    def test_promoted_version_without_the_metric(self, model_lab: ModelLab) -> None:
        entry = model_lab.promote(1)
        model_lab.report("evaluation", auc=0.9)
        verdict = AUC.not_worse_than_promoted().judge(model_lab.view(channel=entry))
        assert (verdict.known, verdict.passes) == (False, False)
        assert "materialize evaluation for v1" in verdict.said

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_not_a_number_is_worse(self, model_lab: ModelLab, value: float) -> None:
        entry = model_lab.promote(1, evaluation__auc=0.1)
        model_lab.report("evaluation", auc=value)
        for channel in (entry, None):
            assert not AUC.not_worse_than_promoted().judge(model_lab.view(channel=channel)).passes

    def test_live_metric_against_the_evaluation_at_promotion(self, model_lab: ModelLab) -> None:
        entry = model_lab.promote(1, evaluation__auc=0.83)
        dropped = Metric("live_quality", "auc").dropped_by(0.05, against=AUC)
        model_lab.report("live_quality", auc=0.78)
        assert not dropped.judge(model_lab.view(channel=entry)).alarms
        model_lab.report("live_quality", auc=0.77)
        assert dropped.judge(model_lab.view(channel=entry)).alarms
        assert not Metric("live_quality", "auc").dropped_by(0.05).judge(model_lab.view(channel=entry)).known


class TestWhatCannotBeWritten:
    @pytest.mark.parametrize("bound", [math.nan, math.inf, "0.8", None, True, AUC])
    def test_threshold_that_is_no_number(self, bound: object) -> None:
        with pytest.raises(ConditionError, match="compare a metric with a finite number"):
            operator.ge(AUC, bound)

    def test_two_comparisons_at_once(self) -> None:
        with pytest.raises(ConditionError, match="write one condition for each part"):
            assert 0.7 < AUC < 0.9

    @pytest.mark.parametrize(("least", "of"), [(0, 3), (4, 3), (1, 101)])
    def test_windows(self, least: int, of: int) -> None:
        with pytest.raises(ConditionError, match="in_windows"):
            (AUC < 1).in_windows(least, of=of)

    def test_moves_that_make_no_sense(self) -> None:
        with pytest.raises(ConditionError, match="not with both"):
            AUC.dropped_by(0.1, against=AUC, median_of=3)
        with pytest.raises(ConditionError, match="0 or more"):
            AUC.dropped_by(-0.1)
        with pytest.raises(ConditionError, match="'higher' or 'lower'"):
            AUC.not_worse_than_promoted(better="larger")  # type: ignore[arg-type]

    def test_asset_that_is_none(self) -> None:
        with pytest.raises(ConditionError, match="is no asset"):
            Metric(3, "auc")  # type: ignore[arg-type]
        with pytest.raises(ConditionError, match="has a name"):
            Metric("evaluation", "")

    def test_good_and_bad_are_not_mixed_up(self) -> None:
        with pytest.raises(ConditionError, match="a gate says what is good"):
            as_gate(AUC.dropped_by(0.1))
        with pytest.raises(ConditionError, match="a gate says what is good"):
            as_gate(AUC.dropped_by(0.1).in_windows(1, of=2))
        with pytest.raises(ConditionError, match="a rollback sensor says what is bad"):
            as_alarm(AUC.not_worse_than_promoted())
        for wrong in (True, 0.8, "auc > 0.8", None):
            with pytest.raises(ConditionError, match="is no condition"):
                as_gate(wrong)  # type: ignore[arg-type]
