"""Under `cache_first` partitioned assets end in the same log as under the executor alone."""

from collections.abc import Callable

import dagster as dg
import pytest

from mlrepro import ml_asset, ml_multi_asset, versions
from tests.execution.lab import Both

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])
BOTH_DIMENSIONS = dg.MultiPartitionsDefinition({"day": DAYS, "letter": LETTERS})
DAY_BEFORE = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
SINGLE_RUN = dg.BackfillPolicy.single_run()


@pytest.mark.parametrize(
    ("definition", "key"),
    [(LETTERS, "b"), (DAYS, "2026-01-02"), (BOTH_DIMENSIONS, "2026-01-02|c")],
    ids=["static", "daily", "multi"],
)
def test_partition_of_a_chain(both: Both, definition: dg.PartitionsDefinition, key: str) -> None:
    @ml_asset(partitions_def=definition)
    def part(context: dg.AssetExecutionContext) -> str:
        return str(context.partition_key)

    @ml_asset(partitions_def=definition)
    def after(part: str) -> str:
        return part.upper()

    @ml_asset(partitions_def=definition, deps=[after])
    def last(context: dg.AssetExecutionContext) -> str:
        return str(context.partition_key)

    assert both.twice(part, after, last, partition=key).replayed == {"part", "after", "last"}


def test_dynamic_partitions(both: Both) -> None:
    names = dg.DynamicPartitionsDefinition(name="names")
    for lab in both.labs:
        lab.instance.add_dynamic_partitions("names", ["x y", "a/b"])

    @ml_asset(partitions_def=names)
    def part(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @ml_asset(partitions_def=names)
    def after(part: str) -> str:
        return part

    for key in ("x y", "a/b"):
        assert both.twice(part, after, partition=key).replayed == {"part", "after"}


def test_one_partition_does_not_stand_for_another(both: Both) -> None:
    @ml_asset(partitions_def=LETTERS)
    def part(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @ml_asset(partitions_def=LETTERS)
    def after(part: str) -> str:
        return part

    for key in ("a", "b"):
        both.run(part, after, partition=key)
    assert both.run(part, after, partition="a").first.replayed == {"part", "after"}
    assert both.run(part, after, partition="c").first.ran == {"part", "after"}
    assert versions("after", partition="a", store=both.first.store())[0].number == 1


def test_day_before(both: Both) -> None:
    @ml_asset(partitions_def=DAYS)
    def sales(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @ml_asset(partitions_def=DAYS, ins={"sales": dg.AssetIn(partition_mapping=DAY_BEFORE)})
    def yesterday(sales: str | None) -> str:
        return str(sales)

    both.run(sales, partition="2026-01-01")
    assert both.twice(sales, yesterday, partition="2026-01-02").replayed == {"sales", "yesterday"}
    assert both.twice(sales, yesterday, partition="2026-01-01").replayed == {"sales", "yesterday"}


def test_self_dependent(both: Both) -> None:
    @ml_asset(partitions_def=DAYS, ins={"running": dg.AssetIn(partition_mapping=DAY_BEFORE)})
    def running(running: int | None) -> int:
        return (running or 0) + 1

    for day in (1, 2, 3):
        both.run(running, partition=f"2026-01-0{day}")
    for day in (1, 2, 3):
        assert both.run(running, partition=f"2026-01-0{day}").first.replayed == {"running"}


def test_several_days_into_one(both: Both) -> None:
    window = dg.TimeWindowPartitionMapping(start_offset=-2, allow_nonexistent_upstream_partitions=True)

    @ml_asset(partitions_def=DAYS)
    def sales(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @ml_asset(partitions_def=DAYS, ins={"sales": dg.AssetIn(partition_mapping=window)})
    def last_days(sales: dict[str, str]) -> str:
        return ",".join(sales.values())

    for day in (1, 2):
        both.run(sales, partition=f"2026-01-0{day}")
    assert both.twice(sales, last_days, partition="2026-01-03").replayed == {"sales", "last_days"}


def test_weeks_of_days(both: Both) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-04", end_date="2026-01-11")
    weeks = dg.WeeklyPartitionsDefinition("2026-01-04", end_date="2026-01-11")

    @ml_asset(partitions_def=days, backfill_policy=SINGLE_RUN)
    def sales(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: key for key in context.partition_keys}

    @ml_asset(partitions_def=weeks)
    def weekly(sales: dict[str, str]) -> int:
        return len(sales)

    both.run(sales, weekly, select=["sales"], span=("2026-01-04", "2026-01-10"))
    both.run(sales, weekly, select=["weekly"], partition="2026-01-04")
    assert both.run(sales, weekly, select=["weekly"], partition="2026-01-04").first.replayed == {"weekly"}


@pytest.mark.parametrize("count", [5, *(pytest.param(many, marks=pytest.mark.slow) for many in (99, 100, 120))])
@pytest.mark.parametrize("how", ["argument", "dependency"])
def test_all_partitions_into_one(both: Both, count: int, how: str) -> None:
    many = dg.StaticPartitionsDefinition([f"p{number:03}" for number in range(count)])

    @ml_asset(partitions_def=many, backfill_policy=SINGLE_RUN)
    def part(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: key for key in context.partition_keys}

    if how == "argument":

        @ml_asset
        def joined(part: dict[str, str]) -> int:
            return len(part)
    else:

        @ml_asset(deps=[part])
        def joined() -> int:
            return 1

    both.run(part, joined, select=["part"], span=("p000", f"p{count - 1:03}"))
    both.run(part, joined, select=["joined"])
    assert both.run(part, joined, select=["joined"]).first.replayed == {"joined"}


class TestRangeInOneRun:
    span = ("2026-01-01", "2026-01-03")

    def test_of_a_chain(self, both: Both) -> None:
        @ml_asset(partitions_def=DAYS, backfill_policy=SINGLE_RUN)
        def sales(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key for key in context.partition_keys}

        @ml_asset(partitions_def=DAYS, backfill_policy=SINGLE_RUN, deps=["sales"])
        def beside(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key for key in context.partition_keys}

        @ml_asset(partitions_def=DAYS, backfill_policy=SINGLE_RUN)
        def clean(sales: dict[str, str], beside: dict[str, str]) -> dict[str, str]:
            return {key: value + beside[key] for key, value in sales.items()}

        assert both.twice(sales, beside, clean, span=self.span).replayed == {"sales", "beside", "clean"}

    def test_with_the_day_before(self, both: Both) -> None:
        @ml_asset(partitions_def=DAYS, backfill_policy=SINGLE_RUN)
        def sales(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key for key in context.partition_keys}

        @ml_asset(
            partitions_def=DAYS,
            backfill_policy=SINGLE_RUN,
            ins={"sales": dg.AssetIn(partition_mapping=DAY_BEFORE)},
        )
        def yesterday(context: dg.AssetExecutionContext, sales: dict[str, str]) -> dict[str, int]:
            return dict.fromkeys(context.partition_keys, len(sales))

        both.run(sales, yesterday, select=["sales"], span=("2026-01-01", "2026-01-02"))
        span = ("2026-01-02", "2026-01-04")
        assert both.twice(sales, yesterday, span=span).replayed == {"sales", "yesterday"}

    def test_of_a_self_dependent_asset(self, both: Both) -> None:
        @ml_asset(
            partitions_def=DAYS,
            backfill_policy=SINGLE_RUN,
            ins={"running": dg.AssetIn(partition_mapping=DAY_BEFORE)},
        )
        def running(context: dg.AssetExecutionContext, running: int | None) -> dict[str, int]:
            return {key: int(key[-2:]) for key in context.partition_keys}

        # its own earlier days are no argument of the range: the first one has none
        both.run(running, partition=None, span=("2026-01-01", "2026-01-01"))
        both.run(running, partition=None, span=("2026-01-01", "2026-01-01"))

    def test_of_two_dimensions(self, both: Both) -> None:
        @ml_asset(partitions_def=BOTH_DIMENSIONS, backfill_policy=SINGLE_RUN)
        def cells(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {str(key): str(key) for key in context.partition_keys}

        @ml_asset(partitions_def=BOTH_DIMENSIONS, backfill_policy=SINGLE_RUN)
        def after(cells: dict[str, str]) -> dict[str, str]:
            return cells

        assert both.twice(cells, after, span=("2026-01-01|a", "2026-01-02|b")).replayed == {"cells", "after"}

    def test_then_all_of_it_into_one(self, both: Both) -> None:
        @ml_asset(partitions_def=LETTERS, backfill_policy=SINGLE_RUN)
        def part(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key for key in context.partition_keys}

        @ml_asset
        def joined(part: dict[str, str]) -> int:
            return len(part)

        assert both.twice(part, joined, span=("a", "c")).replayed == {"part", "joined"}

    def test_of_one_partition_that_was_computed_alone(self, both: Both) -> None:
        @ml_asset(partitions_def=LETTERS, backfill_policy=SINGLE_RUN)
        def part(context: dg.AssetExecutionContext) -> dict[str, int]:
            return dict.fromkeys(context.partition_keys, 1)

        both.run(part, span=("a", "b"))
        both.run(part, span=("b", "c"))
        assert both.run(part, span=("a", "b")).first.replayed == {"part"}

    def test_of_several_outputs(self, both: Both) -> None:
        @ml_multi_asset(
            specs=[dg.AssetSpec("x", partitions_def=LETTERS), dg.AssetSpec("y", deps=["x"], partitions_def=LETTERS)],
            backfill_policy=SINGLE_RUN,
        )
        def pair():
            yield dg.MaterializeResult("x", metadata={"n": 1})
            yield dg.MaterializeResult("y", metadata={"n": 2})

        assert both.twice(pair, span=("a", "c")).replayed == {"pair"}


class TestPartitionsThatAreMaterializedInBetween:
    """Hits find the partition they need in the log and in what the same run replays, whichever is newer."""

    @pytest.fixture
    def assets(self) -> Callable[[], list[dg.AssetsDefinition]]:
        def define() -> list[dg.AssetsDefinition]:
            @ml_asset(partitions_def=LETTERS)
            def part(context: dg.AssetExecutionContext) -> str:
                return context.partition_key

            @ml_asset(partitions_def=LETTERS)
            def after(part: str) -> str:
                return part

            return [part, after]

        return define

    def test_newest_materialization_is_of_another_partition(self, both: Both, assets: Callable[[], list]) -> None:
        for key in ("a", "b"):
            both.run(*assets(), partition=key)
        # the newest event of `part` is that of b; `after` of a points at it, as Dagster itself does
        assert both.run(*assets(), select=["after"], partition="a").first.replayed == {"after"}

    def test_unpartitioned_upstream(self, both: Both) -> None:
        @ml_asset
        def shared() -> int:
            return 1

        @ml_asset(partitions_def=LETTERS)
        def each(context: dg.AssetExecutionContext, shared: int) -> str:
            return context.partition_key * shared

        for key in ("a", "b"):
            assert both.twice(shared, each, select=["each", "shared"], partition=key).replayed == {"shared", "each"}


def test_a_partition_that_upstream_does_not_have_leaves_the_others_their_hits(both: Both) -> None:
    """The step that can't be looked up fails in its own words; nobody else pays for it."""
    early = dg.DailyPartitionsDefinition("2026-01-01")
    late = dg.DailyPartitionsDefinition("2026-01-05")

    @ml_asset(partitions_def=late)
    def begun_late() -> int:
        return 1

    @ml_asset(partitions_def=early)
    def sound() -> int:
        return 2

    @ml_asset(partitions_def=early)
    def reads_what_is_not_there(begun_late: int) -> int:
        return begun_late

    select = ["sound", "reads_what_is_not_there"]
    both.run(begun_late, sound, reads_what_is_not_there, select=select, partition="2026-01-02")
    again = both.run(begun_late, sound, reads_what_is_not_there, select=select, partition="2026-01-02").first
    assert not again.success
    assert again.replayed == {"sound"}
