"""Partitioned `@ml_asset`s: every kind of partition, mappings between them, and ranges in one run."""

import dagster as dg
import pytest

from mlrepro import ml_asset, versions
from tests.definitions.lab import Lab


class TestPartitions:
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")

    def test_static_time_multi_and_dynamic(self, lab: Lab) -> None:
        kinds: dict[str, dg.PartitionsDefinition] = {
            "static": dg.StaticPartitionsDefinition(["a", "b"]),
            "daily": self.days,
            "multi": dg.MultiPartitionsDefinition({"d": self.days, "s": dg.StaticPartitionsDefinition(["a"])}),
            "dynamic": dg.DynamicPartitionsDefinition(name="names"),
        }
        lab.instance.add_dynamic_partitions("names", ["a name/with a slash"])
        for name, definition in kinds.items():
            key = definition.get_partition_keys(dynamic_partitions_store=lab.instance)[0]

            @ml_asset(name=name, partitions_def=definition)
            def partitioned(context: dg.AssetExecutionContext) -> str:
                return context.partition_key

            @ml_asset(name=f"after_{name}", partitions_def=definition, ins={"up": dg.AssetIn(name)})
            def after(up: str) -> str:
                return up.upper()

            first = lab.run(partitioned, after, partition=key)
            assert first.value(f"after_{name}") == key.upper()
            assert set(lab.run(partitioned, after, partition=key).cache.values()) == {"hit"}
            assert versions(name, partition=key, store=lab.store())[0].partition == key

    def test_all_partitions_into_one(self, lab: Lab) -> None:
        letters = dg.StaticPartitionsDefinition(["a", "b"])

        @ml_asset(partitions_def=letters)
        def part(context: dg.AssetExecutionContext) -> str:
            return context.partition_key * int(Knob.value)

        @ml_asset
        def joined(part: dict[str, str]) -> str:
            return ",".join(part[key] for key in sorted(part))

        for key in ("a", "b"):
            lab.run(part, partition=key)
        assert lab.run(part, joined, select=["joined"]).value("joined") == "a,b"
        assert lab.run(part, joined, select=["joined"]).cache == {"joined": "hit"}
        try:
            Knob.value = 2
            lab.run(part, partition="b")
            changed = lab.run(part, joined, select=["joined"])
        finally:
            Knob.value = 1
        assert changed.cache == {"joined": "computed"}
        assert changed.value("joined") == "a,bb"

    def test_partition_mapping_to_the_day_before(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.days)
        def sales(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

        @ml_asset(partitions_def=self.days, ins={"sales": dg.AssetIn(partition_mapping=mapping)})
        def yesterday(sales: str) -> str:
            return sales

        lab.run(sales, partition="2026-01-02")
        outcome = lab.run(sales, yesterday, select=["yesterday"], partition="2026-01-03")
        assert outcome.value("yesterday") == "2026-01-02"

    def test_missing_partition_is_named(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.days)
        def sales() -> int:
            return 1

        @ml_asset
        def everything(sales: dict[str, int]) -> int:
            return len(sales)

        lab.run(sales, partition="2026-01-02")
        with pytest.raises(
            Exception, match=r"sales, partition 2026-01-01, has no version in the store.*materialize it"
        ):
            lab.run(sales, everything, select=["everything"])

    def test_range_in_one_run(self, lab: Lab) -> None:
        policy = dg.BackfillPolicy.single_run()

        @ml_asset(partitions_def=self.days, backfill_policy=policy)
        def sales(context: dg.AssetExecutionContext) -> dict[str, str]:
            return {key: key * 2 for key in context.partition_keys}

        @ml_asset(partitions_def=self.days, backfill_policy=policy)
        def clean(context: dg.AssetExecutionContext, sales: dict[str, str]) -> dict[str, str]:
            return {key: value.strip("2") for key, value in sales.items()}

        tags = {
            "dagster/asset_partition_range_start": "2026-01-01",
            "dagster/asset_partition_range_end": "2026-01-03",
        }
        assert lab.run(sales, clean, tags=tags).cache == {"sales": "computed", "clean": "computed"}
        assert lab.run(sales, clean, tags=tags).cache == {"sales": "hit", "clean": "hit"}
        assert [version.number for version in versions("sales", partition="2026-01-02", store=lab.store())] == [1]

        @ml_asset(partitions_def=self.days)
        def one_day(sales: str) -> str:
            return sales

        single = lab.run(sales, one_day, select=["one_day"], partition="2026-01-02")
        assert single.value("one_day") == "2026-01-02" * 2

    def test_range_wants_a_value_for_each_partition(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.days, backfill_policy=dg.BackfillPolicy.single_run())
        def sales():
            return [1, 2]

        tags = {
            "dagster/asset_partition_range_start": "2026-01-01",
            "dagster/asset_partition_range_end": "2026-01-03",
        }
        with pytest.raises(Exception, match="a dict with one value for each partition key, not a list"):
            lab.run(sales, tags=tags)


class Knob:
    value = 1
