"""Under `cache_first` asset checks tell the same as under the executor alone."""

import dagster as dg
import pytest

from mlrepro import ml_asset, ml_multi_asset
from tests.execution.lab import Both, fresh


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pytest.mark.parametrize("blocking", [False, True])
def test_that_is_a_step_of_its_own(both: Both, blocking: bool) -> None:
    @dg.asset_check(asset=numbers, blocking=blocking)
    def not_empty(numbers: list[int]) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=bool(numbers), metadata={"n": len(numbers)})

    again = both.twice(numbers, total, asset_checks=[not_empty])
    assert "numbers" in again.replayed
    assert again.ran == ({"numbers_not_empty", "total"} if blocking else {"numbers_not_empty"})


@pytest.mark.parametrize("blocking", [False, True])
def test_that_is_a_step_of_its_own_and_fails(both: Both, blocking: bool) -> None:
    @dg.asset_check(asset=numbers, blocking=blocking)
    def short(numbers: list[int]) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="too long")

    both.run(numbers, total)
    again = both.run(numbers, total, asset_checks=[short]).first
    assert again.success is not blocking
    assert ("total" in again.cache) is not blocking, "nothing after a check that blocks is replayed"


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("severity", list(dg.AssetCheckSeverity))
@pytest.mark.parametrize("passed", [False, True])
def test_that_the_function_makes(both: Both, blocking: bool, severity: dg.AssetCheckSeverity, passed: bool) -> None:
    said = (passed, severity.value)

    @ml_asset(check_specs=[dg.AssetCheckSpec("sound", asset="made", blocking=blocking)])
    def made():
        result = dg.AssetCheckResult(
            passed=said[0], severity=dg.AssetCheckSeverity(said[1]), metadata={"n": 1}, description="as it is"
        )
        return dg.MaterializeResult(value=1, check_results=[result])

    @ml_asset
    def after(made: int) -> int:
        return made

    stops = blocking and not passed and severity == dg.AssetCheckSeverity.ERROR
    again = both.twice(made, after)
    assert again.success is not stops
    assert again.replayed == (set() if stops else {"made", "after"})
    assert ("after" in again.cache) is not stops


def test_several_on_one_asset(both: Both) -> None:
    names = ["first", "second", "third"]

    @ml_asset(check_specs=[dg.AssetCheckSpec(name, asset="made") for name in names])
    def made():
        yield dg.Output(1, metadata={"n": 1})
        for name in names:
            yield dg.AssetCheckResult(passed=name != "second", check_name=name, severity=dg.AssetCheckSeverity.WARN)

    @ml_asset
    def after(made: int) -> int:
        return made

    again = both.twice(made, after)
    assert again.replayed == {"made", "after"}
    assert fresh(again, "made", "after")


def test_of_several_assets_in_one_step(both: Both) -> None:
    @ml_multi_asset(
        specs=[dg.AssetSpec("x"), dg.AssetSpec("y", deps=["x"])],
        check_specs=[dg.AssetCheckSpec("sound", asset="x", blocking=True), dg.AssetCheckSpec("sound", asset="y")],
    )
    def pair():
        yield dg.MaterializeResult("x", check_results=[dg.AssetCheckResult(passed=True, asset_key="x")])
        yield dg.MaterializeResult("y", check_results=[dg.AssetCheckResult(passed=False, asset_key="y")])

    assert both.twice(pair).replayed == {"pair"}


def test_of_the_same_name_on_two_assets_of_one_step(both: Both) -> None:
    @ml_multi_asset(
        specs=[dg.AssetSpec("x"), dg.AssetSpec("y")],
        check_specs=[dg.AssetCheckSpec("sound", asset="x"), dg.AssetCheckSpec("sound", asset="y", blocking=True)],
    )
    def pair():
        yield dg.MaterializeResult("x", check_results=[dg.AssetCheckResult(passed=True, asset_key="x")])
        yield dg.MaterializeResult("y", check_results=[dg.AssetCheckResult(passed=True, asset_key="y")])

    @ml_asset(deps=["y"])
    def after_y() -> int:
        return 1

    @dg.asset(deps=["y"])
    def plain_after_y() -> int:
        return 1

    again = both.twice(pair, after_y, plain_after_y)
    assert again.replayed == {"pair", "after_y"}
    assert again.ran == {"plain_after_y"}


def test_of_the_same_name_on_two_assets_of_which_one_is_left_out(both: Both) -> None:
    @ml_multi_asset(
        specs=[dg.AssetSpec("x", skippable=True), dg.AssetSpec("y", skippable=True)],
        check_specs=[dg.AssetCheckSpec("sound", asset="x"), dg.AssetCheckSpec("sound", asset="y")],
        can_subset=True,
    )
    def pair(context: dg.AssetExecutionContext):
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(key)
        for check in sorted(context.selected_asset_check_keys):
            yield dg.AssetCheckResult(passed=True, check_name=check.name, asset_key=check.asset_key)

    sound = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("y"), "sound"))
    job = dg.define_asset_job("without", dg.AssetSelection.assets("x", "y") - sound)
    both.twice(pair, jobs=[job])
    again = both.run(pair, job="without", jobs=[job]).first
    (evaluation,) = again.events(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert evaluation.asset_check_evaluation_data.asset_key == dg.AssetKey("x")


def test_of_a_partition(both: Both) -> None:
    letters = dg.StaticPartitionsDefinition(["a", "b"])

    @ml_asset(partitions_def=letters, check_specs=[dg.AssetCheckSpec("sound", asset="part")])
    def part(context: dg.AssetExecutionContext):
        return dg.MaterializeResult(value=1, check_results=[dg.AssetCheckResult(passed=True)])

    for key in ("a", "b"):
        assert both.twice(part, partition=key).replayed == {"part"}


def test_left_out_of_the_selection(both: Both) -> None:
    @ml_multi_asset(
        outs={"made": dg.AssetOut(is_required=False)},
        check_specs=[dg.AssetCheckSpec("sound", asset="made")],
        can_subset=True,
    )
    def both_of_them(context: dg.AssetExecutionContext):
        if "made" in context.op_execution_context.selected_output_names:
            yield dg.Output(1, "made")
        if context.selected_asset_check_keys:
            yield dg.AssetCheckResult(passed=True, check_name="sound", asset_key="made")

    alone = dg.define_asset_job("alone", dg.AssetSelection.assets("made").without_checks())
    check = dg.define_asset_job("check", dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("made"), "sound")))
    jobs = [alone, check]
    both.twice(both_of_them, jobs=jobs)
    assert both.run(both_of_them, job="alone", jobs=jobs).first.replayed == {"both_of_them"}
    both.run(both_of_them, job="check", jobs=jobs)
    assert both.run(both_of_them, jobs=jobs).first.replayed == {"both_of_them"}


def test_added_after_the_result_was_made(both: Both) -> None:
    both.twice(numbers)

    @dg.asset_check(asset="numbers")
    def not_empty(numbers: list[int]) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=bool(numbers))

    again = both.run(numbers, asset_checks=[not_empty]).first
    assert again.replayed == {"numbers"}
    assert again.ran == {"numbers_not_empty"}
