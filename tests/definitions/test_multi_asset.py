"""`@ml_multi_asset` takes and does what `@multi_asset` does."""

import dagster as dg
import pytest

from mlrepro import ml_multi_asset
from mlrepro.errors import AssetDefinitionError
from tests.definitions.lab import Lab


class TestMultiAsset:
    def test_specs_and_materialize_results(self, lab: Lab) -> None:
        @ml_multi_asset(specs=[dg.AssetSpec("x"), dg.AssetSpec("y", deps=["x"])])
        def both():
            yield dg.MaterializeResult("x", metadata={"n": 1})
            yield dg.MaterializeResult("y")

        assert lab.run(both).cache == {"x": "computed", "y": "computed"}
        again = lab.run(both)
        assert again.cache == {"x": "hit", "y": "hit"}
        assert again.metadata("x")["n"] == 1

    def test_optional_output_that_was_not_made_stays_unmade(self, lab: Lab) -> None:
        @ml_multi_asset(outs={"always": dg.AssetOut(), "rarely": dg.AssetOut(is_required=False)})
        def some():
            yield dg.Output(1, "always")

        assert lab.run(some).cache == {"always": "computed"}
        assert lab.run(some).cache == {"always": "hit"}

    def test_format_of_an_output_that_does_not_exist(self) -> None:
        with pytest.raises(AssetDefinitionError, match="formats names the outputs nope, but it has x"):

            @ml_multi_asset(outs={"x": dg.AssetOut()}, formats={"nope": "json"})
            def anything():
                return 1


def test_multi_asset(lab: Lab) -> None:
    @ml_multi_asset(
        outs={"low": dg.AssetOut(is_required=False), "high": dg.AssetOut(is_required=False)}, can_subset=True
    )
    def split(context: dg.AssetExecutionContext):
        if "low" in context.op_execution_context.selected_output_names:
            yield dg.Output(1, "low")
        if "high" in context.op_execution_context.selected_output_names:
            yield dg.Output(2, "high")

    assert lab.run(split).cache == {"low": "computed", "high": "computed"}
    assert lab.run(split).cache == {"low": "hit", "high": "hit"}
    assert lab.run(split, select=["high"]).cache == {"high": "computed"}, "a subset runs, uncached"


def test_check_selected_alone(lab: Lab) -> None:
    @ml_multi_asset(
        outs={"made": dg.AssetOut(is_required=False)},
        check_specs=[dg.AssetCheckSpec("sound", asset="made")],
        can_subset=True,
    )
    def both(context: dg.AssetExecutionContext):
        if "made" in context.op_execution_context.selected_output_names:
            yield dg.Output(1, "made")
        yield dg.AssetCheckResult(passed=True, check_name="sound", asset_key="made")

    assert lab.run(both).cache == {"made": "computed"}
    assert lab.run(both).cache == {"made": "hit"}
    check = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("made"), "sound"))
    job = lab.definitions(both, jobs=[dg.define_asset_job("check", check)]).resolve_job_def("check")
    (evaluation,) = job.execute_in_process(instance=lab.instance).get_asset_check_evaluations()
    assert evaluation.passed
