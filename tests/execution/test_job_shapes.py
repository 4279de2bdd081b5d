"""Under `cache_first` every shape of a job ends in the same log as under the executor alone."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlrepro import Cache, ml_asset
from tests.execution.lab import FILES, Both, Ran, fresh


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@ml_asset
def largest(numbers: list[int]) -> int:
    return max(numbers)


@ml_asset(metadata={"owner": "us"}, tags={"kind": "report"})
def report(context: dg.AssetExecutionContext, total: int, largest: int) -> dg.MaterializeResult:
    context.add_output_metadata({"note": "both"})
    return dg.MaterializeResult(value=f"{total} {largest}", metadata={"rows": 2}, tags={"reviewed": "yes"})


def test_chain(both: Both) -> None:
    again = both.twice(numbers, total)
    assert again.replayed == {"numbers", "total"}
    assert not again.ran
    assert fresh(again, "numbers", "total")


def test_diamond_with_metadata_and_tags_of_the_users_own(both: Both) -> None:
    again = both.twice(numbers, total, largest, report)
    assert again.replayed == {"numbers", "total", "largest", "report"}
    assert fresh(again, "numbers", "total", "largest", "report")


def test_wide(both: Both) -> None:
    def leaf(number: int) -> dg.AssetsDefinition:
        @ml_asset(name=f"leaf{number}", seed=number)
        def one(numbers: list[int]) -> list[int]:
            return [each * 2 for each in numbers]

        return one

    leaves = [leaf(number) for number in range(8)]
    assert len(both.twice(numbers, *leaves).replayed) == 9


def test_some_steps_hit_and_what_is_after_them_runs(both: Both) -> None:
    both.run(numbers, total, largest, report)
    again = both.run(numbers, total, largest, report, tags={"mlrepro/refresh": "total"}).first
    # total comes out as it was before, so report is a hit inside its step
    assert again.replayed == {"numbers", "largest"}
    assert again.ran == {"total", "report"}
    assert again.cache == {"numbers": "hit", "largest": "hit", "total": "computed", "report": "hit"}


def test_selection_whose_upstream_is_only_in_the_store(both: Both) -> None:
    both.run(numbers, total)
    assert both.run(numbers, total, select=["total"]).first.replayed == {"total"}


def test_selection_with_a_gap(both: Both) -> None:
    both.run(numbers, total, largest, report)
    assert both.run(numbers, total, largest, report, select=["numbers", "report"]).first.replayed == {
        "numbers",
        "report",
    }


def test_third_run_and_fourth(both: Both) -> None:
    for _ in range(3):
        both.twice(numbers, total)


def test_asset_without_a_value(both: Both) -> None:
    @ml_asset
    def nothing() -> None:
        return None

    @ml_asset(deps=[nothing])
    def after() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"n": 1})

    @ml_asset(deps=[after])
    def last() -> int:
        return 1

    again = both.twice(nothing, after, last)
    assert again.replayed == {"nothing", "after", "last"}
    assert fresh(again, "nothing", "after", "last")


def test_data_version_and_code_version_of_the_users_own(both: Both) -> None:
    @ml_asset(code_version="7")
    def chosen() -> dg.Output[int]:
        return dg.Output(1, data_version=dg.DataVersion("mine"))

    @ml_asset
    def after(chosen: int) -> int:
        return chosen

    assert both.twice(chosen, after).replayed == {"chosen", "after"}


def test_asset_whose_key_has_several_parts(both: Both) -> None:
    @ml_asset(key_prefix=["team", "raw"])
    def table() -> int:
        return 1

    @ml_asset(key_prefix="team", ins={"table": dg.AssetIn(["team", "raw", "table"])})
    def clean(table: int) -> int:
        return table

    assert both.twice(table, clean).replayed == {"team__raw__table", "team__clean"}


def test_dependency_that_is_not_an_argument(both: Both) -> None:
    @ml_asset(deps=[numbers])
    def counted() -> int:
        return 3

    again = both.twice(numbers, counted)
    assert again.replayed == {"numbers", "counted"}
    assert fresh(again, "counted")


def test_default_of_an_argument_and_config(both: Both) -> None:
    class Scale(dg.Config):
        factor: int = 2

    @ml_asset
    def scaled(numbers: list[int], config: Scale) -> list[int]:
        return [each * config.factor for each in numbers]

    def config(factor: int) -> dict[str, Any]:
        return {"ops": {"scaled": {"config": {"factor": factor}}}}

    assert both.twice(numbers, scaled).replayed == {"numbers", "scaled"}
    assert both.run(numbers, scaled, config=config(2)).first.replayed == {"numbers", "scaled"}
    changed = both.run(numbers, scaled, config=config(3)).first
    assert changed.replayed == {"numbers"}
    assert changed.ran == {"scaled"}
    assert both.run(numbers, scaled, config=config(3)).first.replayed == {"numbers", "scaled"}


def test_job_with_config_of_its_own(both: Both) -> None:
    class Scale(dg.Config):
        factor: int

    @ml_asset
    def scaled(config: Scale) -> int:
        return config.factor

    job = dg.define_asset_job("scaling", config={"ops": {"scaled": {"config": {"factor": 5}}}})
    for _ in range(2):
        again = both.run(scaled, job="scaling", jobs=[job], config=None).first
    assert again.replayed == {"scaled"}


class TestPlainAssetsBeside:
    def test_upstream_that_comes_out_the_same_and_downstream(self, both: Both) -> None:
        @dg.asset
        def raw() -> list[int]:
            return [1, 2]

        @ml_asset
        def clean(raw: list[int]) -> list[int]:
            return raw

        @dg.asset
        def shown(clean: list[int]) -> str:
            return str(clean)

        again = both.twice(numbers, total, raw, clean, shown)
        assert again.replayed == {"numbers", "total"}
        assert again.ran == {"raw", "clean", "shown"}
        assert again.cache["clean"] == "hit", "raw ran and came out unchanged"
        assert both.run(numbers, total, raw, clean, shown, select=["clean", "shown"]).first.replayed == {"clean"}

    def test_plain_asset_loads_what_was_replayed(self, both: Both) -> None:
        @dg.asset
        def doubled(total: int) -> int:
            return total * 2

        again = both.twice(numbers, total, doubled)
        assert again.ran == {"doubled"}
        assert [event.step_key for event in again.events(dg.DagsterEventType.LOADED_INPUT)] == ["doubled"]

    def test_plain_op_job_with_nothing_of_ours(self, both: Both) -> None:
        @dg.op
        def one() -> int:
            return 1

        @dg.op
        def add(value: int) -> int:
            return value + 1

        @dg.job(executor_def=both.first.executor)
        def sums() -> None:
            add(one())

        again = both.first.run(job="sums", jobs=[sums])
        assert again.success
        assert again.ran == {"one", "add"}

    def test_graph_asset_after_a_hit_and_before_one(self, both: Both) -> None:
        @dg.op
        def inner(total: int) -> int:
            return total + 1

        @dg.op
        def outer(value: int) -> int:
            return value * 2

        @dg.graph_asset
        def through_ops(total: int) -> int:
            return outer(inner(total))

        @ml_asset
        def last(through_ops: int) -> int:
            return through_ops

        again = both.twice(numbers, total, through_ops, last)
        assert again.replayed == {"numbers", "total"}
        assert again.ran == {"through_ops.inner", "through_ops.outer", "last"}
        assert again.cache["last"] == "hit"

    def test_dynamic_outputs_after_a_hit(self, both: Both) -> None:
        @dg.op(out=dg.DynamicOut(int))
        def fan_out(numbers: list[int]) -> Iterator[dg.DynamicOutput[int]]:
            for number in numbers:
                yield dg.DynamicOutput(number, mapping_key=f"n{number}")

        @dg.op
        def square(number: int) -> int:
            return number * number

        @dg.op
        def add_up(squares: list[int]) -> int:
            return sum(squares)

        @dg.graph_asset
        def squares(numbers: list[int]) -> int:
            return add_up(fan_out(numbers).map(square).collect())

        @ml_asset
        def after(squares: int) -> int:
            return squares

        again = both.twice(numbers, total, squares, after)
        assert again.replayed == {"numbers", "total"}
        assert {"squares.square[n1]", "squares.square[n2]", "squares.square[n3]"} <= again.ran
        assert again.cache["after"] == "hit"

    def test_fan_in_of_hits_and_of_steps_that_run(self, both: Both) -> None:
        @dg.op
        def gather(values: list[int]) -> int:
            return sum(values)

        @dg.graph_asset
        def gathered(total: int, largest: int, plain: int) -> int:
            return gather([total, largest, plain])

        @dg.asset
        def plain() -> int:
            return 1

        again = both.twice(numbers, total, largest, plain, gathered)
        assert again.replayed == {"numbers", "total", "largest"}
        assert again.ran == {"plain", "gathered.gather"}


class TestIOManagers:
    def test_downstream_with_another_kind(self, both: Both) -> None:
        @dg.asset(io_manager_key="files", code_version="1")
        def copied(total: int) -> int:
            return total

        @ml_asset
        def read_back(copied: int) -> int:
            return copied

        again = both.twice(numbers, total, copied, read_back, resources={"files": FILES})
        assert again.replayed == {"numbers", "total"}
        assert again.ran == {"copied", "read_back"}

    def test_upstream_with_another_kind_is_looked_at_by_the_step(self, both: Both) -> None:
        @dg.asset(io_manager_key="files", code_version="1")
        def raw() -> int:
            return 1

        @ml_asset
        def clean(raw: int) -> int:
            return raw

        both.run(raw, clean, resources={"files": FILES})
        assert both.run(raw, clean, select=["clean"], resources={"files": FILES}).first.ran == {"clean"}

    def test_ml_asset_with_another_kind_just_runs(self, both: Both) -> None:
        @ml_asset(io_manager_key="files")
        def elsewhere() -> int:
            return 1

        @ml_asset
        def after(elsewhere: int) -> int:
            return elsewhere

        assert both.twice(elsewhere, after, resources={"files": FILES}).ran == {"elsewhere", "after"}

    def test_two_of_ours(self, both: Both) -> None:
        @ml_asset(io_manager_key="other")
        def elsewhere(numbers: list[int]) -> int:
            return len(numbers)

        @ml_asset
        def back(elsewhere: int, total: int) -> int:
            return elsewhere + total

        def run() -> Ran:
            plain, first = (
                lab.run(numbers, total, elsewhere, back, resources={"other": lab.io_manager(str(lab.folder / "other"))})
                for lab in both.labs
            )
            both.compare(plain, first)
            return first

        run()
        assert run().replayed == {"numbers", "total", "elsewhere", "back"}

    def test_input_manager_of_the_assets_own(self, both: Both) -> None:
        @ml_asset(ins={"total": dg.AssetIn(input_manager_key="files")})
        def odd(total: int) -> int:
            return total

        class Constant(dg.IOManager):
            def handle_output(self, context: dg.OutputContext, obj: object) -> None: ...

            def load_input(self, context: dg.InputContext) -> int:
                return 7

        again = both.twice(numbers, total, odd, resources={"files": Constant()})
        assert again.replayed == {"numbers", "total"}
        assert again.ran == {"odd"}


class TestResources:
    def test_of_a_hit_is_not_set_up(self, both: Both) -> None:
        class Database(dg.ConfigurableResource):
            def setup_for_execution(self, context: dg.InitResourceContext) -> None:
                if Database.down:
                    raise ConnectionError("nobody is there")

        Database.down = False

        @ml_asset(cache=Cache(ignore_resources=("database",)))
        def fetched(database: Database) -> int:
            return 1

        assert both.run(fetched, resources={"database": Database()}).first.cache == {"fetched": "computed"}
        Database.down = True
        again = both.first.run(fetched, resources={"database": Database()})
        assert again.success
        assert again.replayed == {"fetched"}
        assert not both.plain.run(fetched, resources={"database": Database()}).success

    def test_of_the_steps_that_are_left_are_set_up(self, both: Both) -> None:
        class Knows(dg.ConfigurableResource):
            word: str

        @ml_asset
        def said(knows: Knows) -> str:
            return knows.word

        @dg.asset
        def shouted(said: str, knows: Knows) -> str:
            return said + knows.word

        assert both.twice(said, shouted, resources={"knows": Knows(word="a")}).ran == {"shouted"}
        changed = both.run(said, shouted, resources={"knows": Knows(word="b")}).first
        assert changed.cache == {"said": "computed"}

    def test_configured_at_launch(self, both: Both) -> None:
        class Knows(dg.ConfigurableResource):
            word: str

        @ml_asset
        def said(knows: Knows) -> str:
            return knows.word

        def config(word: str) -> dict[str, Any]:
            return {"resources": {"knows": {"config": {"word": word}}}}

        for word, cached in (("a", "computed"), ("a", "hit"), ("b", "computed"), ("b", "hit")):
            resources = {"knows": Knows.configure_at_launch()}
            assert both.run(said, resources=resources, config=config(word)).first.cache == {"said": cached}


class TestHooks:
    def test_on_a_hit_the_step_runs_and_so_does_its_hook(self, both: Both) -> None:
        called: list[str] = []

        @dg.success_hook
        def note(context: dg.HookContext) -> None:
            called.append(context.op.name)

        job = dg.define_asset_job("noted", hooks={note})
        both.run(numbers, total, job="noted", jobs=[job])
        again = both.run(numbers, total, job="noted", jobs=[job]).first
        assert again.ran == {"numbers", "total"}
        assert set(again.cache.values()) == {"hit"}
        assert called == ["numbers", "total"] * 4

    def test_of_one_asset_leaves_the_others_alone(self, both: Both) -> None:
        called: list[str] = []

        @dg.success_hook
        def note(context: dg.HookContext) -> None:
            called.append(context.op.name)

        @ml_asset(hooks={note})
        def noted(numbers: list[int]) -> int:
            return 1

        @ml_asset
        def after(noted: int) -> int:
            return noted

        again = both.twice(numbers, noted, after)
        assert again.replayed == {"numbers"}
        assert again.ran == {"noted", "after"}
        assert called == ["noted"] * 4


class TestPools:
    def test_and_op_tags(self, both: Both) -> None:
        @ml_asset(pool="gpu", op_tags={"dagster/priority": "3"})
        def model(total: int) -> int:
            return total

        for lab in both.labs:
            lab.instance.event_log_storage.set_concurrency_slots("gpu", 1)
        again = both.twice(numbers, total, model)
        assert again.replayed == {"numbers", "total", "model"}
        for lab in both.labs:
            info = lab.instance.event_log_storage.get_concurrency_info("gpu")
            assert info.active_slot_count == 0
            assert info.pending_step_count == 0

    def test_hit_needs_no_slot(self, both: Both) -> None:
        @ml_asset(pool="gpu")
        def model() -> int:
            return 1

        both.run(model)
        both.first.instance.event_log_storage.set_concurrency_slots("gpu", 0)
        assert both.first.run(model).replayed == {"model"}


def test_backfill_id_is_kept(both: Both) -> None:
    tags = {"dagster/backfill": "abcdefgh"}
    assert both.twice(numbers, total, tags=tags).replayed == {"numbers", "total"}


def test_run_status_sensor_sees_success(both: Both) -> None:
    seen: list[str] = []

    @dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS)
    def watch(context: dg.RunStatusSensorContext) -> None:
        seen.append(context.dagster_run.run_id)

    again = both.twice(numbers, total)
    ended = again.events(dg.DagsterEventType.RUN_SUCCESS)
    assert len(ended) == 1
    context = dg.build_run_status_sensor_context(
        sensor_name="watch", dagster_instance=again.instance, dagster_run=again.run, dagster_event=ended[0]
    )
    watch(context)
    assert seen == [again.run_id]


def test_asset_sensor_that_reads_on_misses_nothing(both: Both) -> None:
    first = both.run(numbers, total).first
    records = first.instance.fetch_materializations(dg.AssetKey("total"), limit=10).records
    again = both.run(numbers, total).first
    newer = again.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("total"), after_storage_id=records[0].storage_id), limit=10
    ).records
    assert [record.run_id for record in newer] == [again.run_id]


@pytest.mark.parametrize("kind", ["asset", "op"])
def test_external_asset_upstream(both: Both, kind: str) -> None:
    external = dg.AssetSpec("table")

    @ml_asset(deps=[external])
    def counted() -> int:
        return 1

    def write(version: str) -> None:
        for lab in both.labs:
            tags = {"dagster/data_version": version}
            lab.instance.report_runless_asset_event(dg.AssetMaterialization("table", tags=tags))

    if kind == "asset":
        write("1")
    both.run(external, counted)
    again = both.run(external, counted).first
    assert again.replayed == ({"counted"} if kind == "asset" else set())
    write("2")
    assert both.run(external, counted).first.cache == {"counted": "computed"}
