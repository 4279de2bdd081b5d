"""Partitioned `@ml_asset`s: every kind of partition, mappings between them, and ranges in one run."""

import dagster as dg
import pytest

from mlrepro import load, ml_asset, versions
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

    def test_range_keeps_the_metrics_of_each_partition(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.days, backfill_policy=dg.BackfillPolicy.single_run())
        def quality(context: dg.AssetExecutionContext) -> dict[str, dict[str, object]]:
            return {key: {"rows": int(key[-2:]), "day": key} for key in context.partition_keys}

        tags = {
            "dagster/asset_partition_range_start": "2026-01-01",
            "dagster/asset_partition_range_end": "2026-01-02",
        }
        for scope in ("default", "team"):
            lab.run(quality, tags=tags, scope=scope)
            for key, rows in (("2026-01-01", 1), ("2026-01-02", 2)):
                assert versions("quality", partition=key, store=lab.store(scope))[0].body["metrics"] == {"rows": rows}

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

    def test_dependency_on_many_partitions_of_which_an_old_one_changes(self, lab: Lab) -> None:
        many = dg.StaticPartitionsDefinition([f"p{number:03}" for number in range(120)])

        @dg.asset(partitions_def=many)
        def table() -> None: ...

        @ml_asset(deps=[table])
        def report() -> int:
            return 1

        def write(partition: str, version: str) -> None:
            tags = {"dagster/data_version": version}
            lab.instance.report_runless_asset_event(dg.AssetMaterialization("table", partition=partition, tags=tags))

        for key in many.get_partition_keys():
            write(key, "1")
        lab.run(table, report, select=["report"])
        assert lab.run(table, report, select=["report"]).cache == {"report": "hit"}
        write("p000", "2")
        write("p119", "1")
        assert lab.run(table, report, select=["report"]).cache == {"report": "computed"}

    def test_first_of_a_chain_of_partitions_gets_none(self, lab: Lab) -> None:
        mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

        @ml_asset(partitions_def=self.days, ins={"running": dg.AssetIn(partition_mapping=mapping)})
        def running(running: int | None) -> int:
            return (running or 0) + 1

        values = [lab.run(running, partition=f"2026-01-0{day}").value("running") for day in (1, 2, 3)]
        assert values == [1, 2, 3]
        assert lab.run(running, partition="2026-01-01").cache == {"running": "hit"}

    def test_missing_partition_that_may_be_missing(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.days)
        def sales() -> int:
            return 1

        @ml_asset(partitions_def=self.days, ins={"sales": dg.AssetIn(metadata={"allow_missing_partitions": True})})
        def known(sales: int | None) -> bool:
            return sales is not None

        assert lab.run(sales, known, select=["known"], partition="2026-01-01").value("known") is False
        assert lab.run(sales, known, partition="2026-01-01").value("known") is True

    def test_names_made_of_underscores_do_not_meet(self, lab: Lab) -> None:
        names = dg.StaticPartitionsDefinition(["_", "__", "___"])

        @ml_asset(partitions_def=names)
        def named(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        for name in names.get_partition_keys():
            lab.run(named, partition=name)
        for name in names.get_partition_keys():
            assert load("named", partition=name, store=lab.url) == name

    def test_range_after_one_of_its_partitions(self, lab: Lab) -> None:
        letters = dg.StaticPartitionsDefinition(["a", "b"])

        @ml_asset(partitions_def=letters, backfill_policy=dg.BackfillPolicy.single_run())
        def constant() -> dict[str, int]:
            return {"a": 1, "b": 1}

        lab.run(constant, partition="a")
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
        assert lab.run(constant, tags=tags).cache == {"constant": "computed"}
        assert versions("constant", partition="b", store=lab.store())[0].partition == "b"


class Knob:
    value = 1
