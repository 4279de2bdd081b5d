"""What a function gets beside its inputs counts in the key: resources, and what it asks its context for."""

import dagster as dg
import pytest

from mlrepro import ml_asset
from mlrepro.errors import AssetDefinitionError
from tests.definitions.lab import Lab


class TestResources:
    def test_code_and_config_of_a_resource_count(self, lab: Lab) -> None:
        source = """
            import dagster as dg
            from mlrepro import ml_asset

            class Scale(dg.ConfigurableResource):
                by: int

                def apply(self, x):
                    return x * self.by + {plus}

            @ml_asset
            def scaled(scale: Scale) -> int:
                return scale.apply(10)
        """
        one = lab.module(source.format(plus=0))
        assert lab.run(one.scaled, resources={"scale": one.Scale(by=2)}).cache == {"scaled": "computed"}
        assert lab.run(one.scaled, resources={"scale": one.Scale(by=2)}).cache == {"scaled": "hit"}
        assert lab.run(one.scaled, resources={"scale": one.Scale(by=3)}).cache == {"scaled": "computed"}
        two = lab.module(source.format(plus=1))
        assert lab.run(two.scaled, resources={"scale": two.Scale(by=2)}).value("scaled") == 21

    def test_resource_that_is_ignored(self, lab: Lab) -> None:
        from mlrepro import Cache

        class Notifier(dg.ConfigurableResource):
            channel: str

        @ml_asset(cache=Cache(ignore_resources=("notifier",)))
        def told(notifier: Notifier) -> int:
            return 1

        lab.run(told, resources={"notifier": Notifier(channel="a")})
        assert lab.run(told, resources={"notifier": Notifier(channel="b")}).cache == {"told": "hit"}

    @pytest.mark.parametrize(("resources", "known"), [(set(), "it gets none"), ({"notifier"}, "notifier")])
    def test_ignoring_a_resource_that_it_does_not_get(self, resources: set[str], known: str) -> None:
        from mlrepro import Cache

        with pytest.raises(AssetDefinitionError, match=rf"names notifyer, which is no resource of its \({known}\)"):

            @ml_asset(cache=Cache(ignore_resources=("notifyer",)), required_resource_keys=resources)
            def told() -> int:
                return 1


class TestResourcesOfResources:
    def test_required_by_key(self, lab: Lab) -> None:
        @dg.resource(config_schema={"n": int})
        def base(context) -> int:
            return context.resource_config["n"]

        @dg.resource(required_resource_keys={"base"})
        def derived(context) -> int:
            return context.resources.base

        @ml_asset
        def reads(derived: dg.ResourceParam[int]) -> int:
            return derived

        for n in (1, 2):
            resources = {"base": base.configured({"n": n}), "derived": derived}
            assert lab.run(reads, resources=resources).value("reads") == n

    def test_nested_and_configured_at_launch(self, lab: Lab) -> None:
        class Inner(dg.ConfigurableResource):
            n: int

        class Outer(dg.ConfigurableResource):
            inner: Inner

        @ml_asset
        def reads(outer: Outer) -> int:
            return outer.inner.n

        inner = Inner.configure_at_launch()
        defs = lab.definitions(reads, resources={"inner": inner, "outer": Outer(inner=inner)})
        for n in (1, 2):
            result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=lab.instance, run_config={"resources": {"inner": {"config": {"n": n}}}}
            )
            assert result.output_for_node("reads") == n


class TestWhatTheContextTells:
    """A function that asks its context for more than its partition gets a key of its own for each answer."""

    def test_its_own_name(self, lab: Lab) -> None:
        def who(context: dg.AssetExecutionContext) -> str:
            return context.asset_key.to_user_string()

        outcome = lab.run(ml_asset(name="a")(who), ml_asset(name="b")(who))
        assert (outcome.value("a"), outcome.value("b")) == ("a", "b")

    def test_a_context_that_only_logs_is_shared_between_names(self, lab: Lab) -> None:
        def logs(context: dg.AssetExecutionContext) -> int:
            context.log.info("here")
            return 1

        lab.run(ml_asset(name="a")(logs))
        assert lab.run(ml_asset(name="b")(logs)).cache == {"b": "hit"}

    def test_tags_of_the_run(self, lab: Lab) -> None:
        @ml_asset
        def country(context: dg.AssetExecutionContext) -> str:
            return context.run.tags["country"]

        assert lab.run(country, tags={"country": "de"}).value("country") == "de"
        assert lab.run(country, tags={"country": "fr"}).value("country") == "fr"
        assert lab.run(country, tags={"country": "de", "user": "bob"}).cache == {"country": "hit"}

    def test_the_time_that_a_partition_means(self, lab: Lab) -> None:
        def starts(context: dg.AssetExecutionContext) -> str:
            return context.partition_time_window.start.isoformat()

        for zone, expected in (("UTC", "+00:00"), ("Asia/Tokyo", "+09:00")):
            days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-03", timezone=zone)
            asset = ml_asset(name="starts", partitions_def=days)(starts)
            assert lab.run(asset, partition="2026-01-01").value("starts").endswith(expected)
