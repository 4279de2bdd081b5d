"""Under `cache_first` steps with several assets end in the same log as under the executor alone."""

import dagster as dg
import pytest

from mlrepro import ml_asset, ml_multi_asset
from tests.execution.lab import Both, fresh


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


def test_that_depend_on_one_another(both: Both) -> None:
    @ml_multi_asset(
        ins={"numbers": dg.AssetIn()},
        outs={"low": dg.AssetOut(), "high": dg.AssetOut()},
        internal_asset_deps={"low": {dg.AssetKey("numbers")}, "high": {dg.AssetKey("low"), dg.AssetKey("numbers")}},
    )
    def split(numbers: list[int]):
        yield dg.Output(min(numbers), "low", metadata={"n": 1})
        yield dg.Output(max(numbers), "high", tags={"kind": "top"})

    @ml_asset
    def spread(low: int, high: int) -> int:
        return high - low

    again = both.twice(numbers, split, spread)
    assert again.replayed == {"numbers", "split", "spread"}
    assert fresh(again, "numbers", "low", "high", "spread")


def test_declared_in_another_order_than_they_depend(both: Both) -> None:
    @ml_multi_asset(specs=[dg.AssetSpec("z_first"), dg.AssetSpec("a_then", deps=["z_first"])])
    def pair():
        yield dg.MaterializeResult("z_first", metadata={"n": 1})
        yield dg.MaterializeResult("a_then")

    again = both.twice(pair)
    assert again.replayed == {"pair"}
    assert fresh(again, "z_first", "a_then")


def test_yielded_in_another_order_than_declared(both: Both) -> None:
    @ml_multi_asset(outs={"one": dg.AssetOut(), "two": dg.AssetOut()})
    def pair():
        yield dg.Output(2, "two")
        yield dg.Output(1, "one")

    assert both.twice(pair).replayed == {"pair"}


class TestOptionalOutputs:
    @staticmethod
    def define() -> list[dg.AssetsDefinition]:
        @ml_multi_asset(outs={"always": dg.AssetOut(), "rarely": dg.AssetOut(is_required=False)})
        def some():
            yield dg.Output(1, "always")

        @ml_asset
        def after_always(always: int) -> int:
            return always

        return [some, after_always]

    def test_that_was_not_made_stays_unmade(self, both: Both) -> None:
        again = both.twice(*self.define())
        assert again.replayed == {"some", "after_always"}
        assert "rarely" not in again.cache

    def test_that_was_not_made_skips_what_needs_it(self, both: Both) -> None:
        @ml_asset
        def after_rarely(rarely: int) -> int:
            return rarely

        @dg.asset
        def plain_after(rarely: int) -> int:
            return rarely

        again = both.twice(*self.define(), after_rarely, plain_after)
        assert again.success
        skipped = {event.step_key for event in again.events(dg.DagsterEventType.STEP_SKIPPED)}
        assert skipped == {"after_rarely", "plain_after"}


class TestSubset:
    @staticmethod
    def define() -> list[dg.AssetsDefinition]:
        @ml_multi_asset(
            outs={"low": dg.AssetOut(is_required=False), "high": dg.AssetOut(is_required=False)}, can_subset=True
        )
        def split(context: dg.AssetExecutionContext):
            for name in sorted(context.op_execution_context.selected_output_names):
                yield dg.Output(len(name), name)

        @ml_asset
        def after(high: int) -> int:
            return high

        return [split, after]

    def test_runs(self, both: Both) -> None:
        both.twice(*self.define())
        part = both.run(*self.define(), select=["high"]).first
        assert part.ran == {"split"}
        assert both.run(*self.define()).first.replayed == {"split", "after"}

    @pytest.mark.parametrize("selected", [["high", "after"], ["after"]])
    def test_and_what_is_after_it(self, both: Both, selected: list[str]) -> None:
        both.twice(*self.define())
        both.run(*self.define(), select=selected)


def test_made_of_ops_beside_ours(both: Both) -> None:
    @dg.op(out={"left": dg.Out(), "right": dg.Out()})
    def fork(numbers: list[int]) -> tuple[int, int]:
        return numbers[0], numbers[1]

    @dg.graph_multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()})
    def forked(numbers: list[int]) -> dict[str, int]:
        left, right = fork(numbers)
        return {"left": left, "right": right}

    @ml_asset
    def joined(left: int, right: int) -> int:
        return left + right

    again = both.twice(numbers, forked, joined)
    assert again.replayed == {"numbers"}
    assert again.cache["joined"] == "hit"
