"""Plain `@asset`s with a `code_version` under our IO manager and `cache_first`: kept and replayed too."""

from pathlib import Path

import dagster as dg
import pytest

from mlrepro import ml_asset
from tests.execution.lab import FILES, Both, Lab

CALLS: list[str] = []


@pytest.fixture
def lab(both: Both) -> Lab:
    CALLS.clear()
    return both.first


def number(version: str | None = "1", value: int = 1) -> dg.AssetsDefinition:
    @dg.asset(code_version=version)
    def number() -> int:
        CALLS.append("number")
        return value

    return number


def doubled(version: str | None = "1") -> dg.AssetsDefinition:
    @dg.asset(code_version=version)
    def doubled(number: int) -> dg.Output[int]:
        CALLS.append("doubled")
        return dg.Output(2 * number, metadata={"seen": number}, tags={"team": "ops"})

    return doubled


class TestAssetWithCodeVersion:
    def test_second_run_calls_nothing(self, lab: Lab) -> None:
        lab.run(number(), doubled())
        again = lab.run(number(), doubled())
        assert again.replayed == {"number", "doubled"}
        assert again.ran == set()
        assert CALLS == ["number", "doubled"]

    def test_replay_shows_what_the_function_said(self, lab: Lab) -> None:
        computed, replayed = (
            next(iter(lab.run(number(), doubled()).instance.fetch_materializations(dg.AssetKey("doubled"), 1).records))
            for _ in range(2)
        )
        before, after = computed.asset_materialization, replayed.asset_materialization
        assert before is not None
        assert after is not None
        assert {key: after.metadata[key] for key in before.metadata} == dict(before.metadata)
        assert before.tags is not None
        assert after.tags is not None
        pointer = "dagster/input_event_pointer/number"
        assert {**after.tags, pointer: ""} == {**before.tags, pointer: ""}
        assert after.tags["team"] == "ops"

    def test_another_code_version_computes_again(self, lab: Lab) -> None:
        lab.run(number(), doubled())
        again = lab.run(number("2"), doubled())
        assert CALLS[2:] == ["number", "doubled"]
        assert "computing: no result has this input hash yet" in [entry.user_message for entry in again.log]

    def test_another_code_version_downstream_leaves_upstream_alone(self, lab: Lab) -> None:
        lab.run(number(), doubled())
        assert lab.run(number(), doubled("2")).replayed == {"number"}

    def test_changed_upstream_computes_again(self, lab: Lab) -> None:
        lab.run(number(), doubled())
        lab.run(number("2", value=5), doubled())
        assert lab.run(number("2", value=5), doubled()).replayed == {"number", "doubled"}
        assert CALLS == ["number", "doubled"] * 2

    def test_two_functions_may_both_have_version_1(self, lab: Lab) -> None:
        @dg.asset(code_version="1")
        def first() -> int:
            return 1

        @dg.asset(code_version="1")
        def second() -> int:
            return 2

        lab.run(first)
        lab.run(second)
        assert lab.run(first, second).replayed == {"first", "second"}
        contents = {
            key: event.asset_materialization.metadata["mlrepro/content_hash"].value
            for key in ("first", "second")
            if (event := lab.instance.get_latest_materialization_event(dg.AssetKey(key)))
            and event.asset_materialization
        }
        assert contents["first"] != contents["second"]

    def test_changed_config_computes_again(self, lab: Lab) -> None:
        class Depth(dg.Config):
            depth: int = 1

        @dg.asset(code_version="1")
        def tree(config: Depth) -> int:
            return config.depth

        lab.run(tree)
        deeper = {"ops": {"tree": {"config": {"depth": 2}}}}
        assert lab.run(tree, config=deeper).ran == {"tree"}
        assert lab.run(tree, config=deeper).replayed == {"tree"}
        assert lab.run(tree).replayed == {"tree"}

    def test_each_partition_is_its_own(self, lab: Lab) -> None:
        @dg.asset(code_version="1", partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
        def letters(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        lab.run(letters, partition="a")
        assert lab.run(letters, partition="b").ran == {"letters"}
        assert lab.run(letters, partition="a").replayed == {"letters"}

    def test_range_of_partitions_in_one_run(self, lab: Lab) -> None:
        @dg.asset(
            code_version="1",
            partitions_def=dg.StaticPartitionsDefinition(["a", "b", "c"]),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def letters(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key * 2 for key in context.partition_keys}

        lab.run(letters, span=("a", "c"))
        again = lab.run(letters, span=("a", "c"))
        assert again.replayed == {"letters"}
        assert lab.instance.get_materialized_partitions(dg.AssetKey("letters")) == {"a", "b", "c"}

    def test_asset_without_a_value(self, lab: Lab) -> None:
        @dg.asset(code_version="1")
        def table() -> dg.MaterializeResult:
            CALLS.append("table")
            return dg.MaterializeResult(metadata={"rows": 3})

        @dg.asset(code_version="1", deps=[table])
        def report() -> None:
            CALLS.append("report")

        computed, replayed = lab.run(table, report), lab.run(table, report)
        assert replayed.replayed == {"table", "report"}
        assert CALLS == ["table", "report"]
        versions = [
            [
                event.materialization.tags["dagster/data_version"]
                for event in run.events(dg.DagsterEventType.ASSET_MATERIALIZATION)
            ]
            for run in (computed, replayed)
        ]
        assert versions[0] == versions[1]

    def test_checks_of_its_own_are_replayed(self, lab: Lab) -> None:
        @dg.asset(code_version="1", check_specs=[dg.AssetCheckSpec("small", asset="few")])
        def few():
            return dg.MaterializeResult(value=3, check_results=[dg.AssetCheckResult(passed=True, metadata={"n": 3})])

        lab.run(few)
        again = lab.run(few)
        assert again.replayed == {"few"}
        (evaluated,) = again.events(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        assert evaluated.asset_check_evaluation_data.passed
        assert evaluated.asset_check_evaluation_data.metadata["n"].value == 3

    def test_multi_asset(self, lab: Lab) -> None:
        @dg.multi_asset(
            outs={
                "left": dg.AssetOut(code_version="1"),
                "right": dg.AssetOut(code_version="1", is_required=False),
            }
        )
        def both() -> dg.Output[int]:  # type: ignore[misc]
            CALLS.append("both")
            yield dg.Output(1, "left")

        lab.run(both)
        assert lab.run(both).replayed == {"both"}
        assert CALLS == ["both"]

    def test_refresh_takes_the_place_of_the_result(self, lab: Lab) -> None:
        values = iter([1, 2, 3])

        @dg.asset(code_version="1")
        def drawn() -> int:
            return next(values)

        lab.run(drawn)
        lab.run(drawn, tags={"mlrepro/refresh": "drawn"})
        again = lab.run(drawn)
        assert again.replayed == {"drawn"}
        (event,) = again.events(dg.DagsterEventType.ASSET_MATERIALIZATION)
        assert event.materialization.metadata["value"].value == 2

    def test_cache_off_runs(self, lab: Lab) -> None:
        lab.run(number())
        assert lab.run(number(), tags={"mlrepro/cache": "off"}).ran == {"number"}

    def test_beside_ml_assets(self, lab: Lab) -> None:
        @ml_asset
        def squared(doubled: int) -> int:
            return doubled**2

        lab.run(number(), doubled(), squared)
        assert lab.run(number(), doubled(), squared).replayed == {"number", "doubled", "squared"}


class TestNotKept:
    def test_asset_without_code_version(self, lab: Lab) -> None:
        lab.run(number(None))
        assert lab.run(number(None)).ran == {"number"}

    def test_asset_that_fails(self, lab: Lab) -> None:
        fails = [True]

        @dg.asset(code_version="1")
        def flaky() -> int:
            if fails:
                fails.pop()
                raise RuntimeError("not yet")
            return 1

        assert not lab.run(flaky).success
        assert lab.run(flaky).ran == {"flaky"}
        assert lab.run(flaky).replayed == {"flaky"}

    def test_values_elsewhere(self, lab: Lab) -> None:
        @dg.asset(code_version="1", io_manager_key="files")
        def elsewhere() -> int:
            return 1

        lab.run(elsewhere, resources={"files": FILES})
        assert lab.run(elsewhere, resources={"files": FILES}).ran == {"elsewhere"}

    def test_store_that_can_not_be_written_does_not_fail_the_run(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlrepro.errors import StoreError
        from mlrepro.store import Store

        def full(*_: object, **__: object) -> None:
            raise StoreError("no space left")

        monkeypatch.setattr(Store, "put_result", full)
        ran = lab.run(number())
        assert ran.success
        assert any("the result of number is not cached: no space left" in (e.user_message or "") for e in ran.log)

    @pytest.mark.parametrize("where", ["_find", "_start", "_keep"])
    def test_mistake_of_ours_does_not_fail_the_run(self, lab: Lab, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        from mlrepro.execution.plain_results import PlainResults

        def broken(*_: object) -> None:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(PlainResults, where, broken)
        ran = lab.run(number(), doubled())
        assert ran.success
        assert any("a mistake of ours" in (entry.user_message or "") for entry in ran.log)

    def test_part_of_a_multi_asset(self, lab: Lab) -> None:
        @dg.multi_asset(
            specs=[dg.AssetSpec(name, code_version="1", skippable=True) for name in ("left", "right")], can_subset=True
        )
        def both(context: dg.AssetExecutionContext):
            for key in context.selected_asset_keys:
                yield dg.MaterializeResult(asset_key=key, metadata={"selected": len(context.selected_asset_keys)})

        lab.run(both, select=["left"])
        assert not list(Path(lab.url).glob("*/results/*/*.json")), "what part of a step gave is no result of the whole"
        assert lab.run(both).ran == {"both"}
        assert lab.run(both).replayed == {"both"}
