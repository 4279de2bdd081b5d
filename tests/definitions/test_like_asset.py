"""`@ml_asset` takes and does what `@asset` does."""

import asyncio
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlrepro import ml_asset, ml_definitions, ml_multi_asset, versions
from mlrepro.errors import AssetDefinitionError, UnknownFormatError
from tests.definitions.lab import Lab


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


class TestWhatAFunctionReturns:
    def test_output_with_metadata_is_replayed_whole(self, lab: Lab) -> None:
        @ml_asset
        def scored() -> dg.Output[dict[str, float]]:
            return dg.Output(
                {"auc": 0.9}, metadata={"note": "fine", "table": dg.MetadataValue.md("**x**")}, tags={"t": "1"}
            )

        first, second = lab.run(scored), lab.run(scored)
        assert (first.cache, second.cache) == ({"scored": "computed"}, {"scored": "hit"})
        for outcome in (first, second):
            assert outcome.metadata("scored")["note"] == "fine"
            assert outcome.metadata("scored")["auc"] == 0.9
            assert outcome.materialization("scored").metadata["table"] == dg.MetadataValue.md("**x**")
            assert outcome.materialization("scored").tags["t"] == "1"

    def test_materialize_result_without_value(self, lab: Lab) -> None:
        @ml_asset
        def written() -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"rows": 3})

        assert lab.run(written).cache == {"written": "computed"}
        again = lab.run(written)
        assert again.cache == {"written": "hit"}
        assert again.metadata("written")["rows"] == 3

    def test_materialize_result_with_value(self, lab: Lab) -> None:
        @ml_asset
        def valued() -> dg.MaterializeResult[int]:
            return dg.MaterializeResult(value=5, metadata={"rows": 3})

        lab.run(valued)
        again = lab.run(valued)
        assert again.cache == {"valued": "hit"}
        assert again.value("valued") == 5

    def test_data_version_of_the_users_own(self, lab: Lab) -> None:
        @ml_asset
        def chosen() -> dg.MaterializeResult:
            return dg.MaterializeResult(value=5, data_version=dg.DataVersion("mine"))

        @ml_asset
        def reader(chosen) -> int:
            return chosen + 1

        assert lab.run(chosen, reader).data_version("chosen") == "mine"
        again = lab.run(chosen, reader)
        assert again.cache == {"chosen": "hit", "reader": "hit"}
        assert again.data_version("chosen") == "mine"

    def test_generator(self, lab: Lab) -> None:
        @ml_asset
        def generated():
            yield dg.AssetObservation("elsewhere")
            yield dg.Output([1, 2])

        lab.run(generated)
        assert lab.run(generated).value("generated") == [1, 2]

    def test_async(self, lab: Lab) -> None:
        @ml_asset
        async def slow(numbers: list[int]) -> int:
            await asyncio.sleep(0)
            return sum(numbers)

        assert lab.run(numbers, slow).value("slow") == 6
        assert lab.run(numbers, slow).cache["slow"] == "hit"

    def test_async_generator(self, lab: Lab) -> None:
        @ml_asset
        async def stream():
            await asyncio.sleep(0)
            yield dg.Output("x")

        assert lab.run(stream).value("stream") == "x"
        assert lab.run(stream).cache == {"stream": "hit"}

    def test_metadata_added_through_the_context(self, lab: Lab) -> None:
        @ml_asset
        def noted(context: dg.AssetExecutionContext) -> int:
            context.add_output_metadata({"seen": 1})
            context.add_asset_metadata({"also": 2})
            return 1

        for outcome in (lab.run(noted), lab.run(noted)):
            assert outcome.metadata("noted")["seen"] == 1
            assert outcome.metadata("noted")["also"] == 2

    def test_wrong_type_fails_as_in_dagster_and_nothing_is_kept(self, lab: Lab) -> None:
        @ml_asset
        def wrong() -> int:
            return "text"  # type: ignore[return-value]

        with pytest.raises(dg.DagsterTypeCheckDidNotPass, match='expected type "Int"'):
            lab.run(wrong)
        assert lab.results() == []

    def test_input_of_the_wrong_type_fails_as_in_dagster(self, lab: Lab) -> None:
        @ml_asset
        def reads(numbers: str) -> int:
            return 1

        with pytest.raises(dg.DagsterTypeCheckDidNotPass, match='step input "numbers" - expected type "String"'):
            lab.run(numbers, reads)


class TestWhatDagsterShows:
    def test_data_version_is_the_content_hash_and_code_version_the_fingerprint(self, lab: Lab) -> None:
        outcome = lab.run(numbers)
        assert outcome.data_version("numbers") == outcome.metadata("numbers")["mlrepro/content_hash"]
        assert outcome.code_version("numbers") == numbers.code_versions_by_key[dg.AssetKey("numbers")]

    def test_types_keep_their_names(self) -> None:
        @ml_asset
        def typed(numbers: list[int], frame: pd.DataFrame) -> dict[str, float]:
            return {}

        assert {name: definition.dagster_type.display_name for name, definition in typed.op.input_dict.items()} == {
            "numbers": "[Int]",
            "frame": "DataFrame",
        }
        assert typed.op.output_defs[0].dagster_type.display_name.startswith("Dict")

    def test_frame_is_previewed(self, lab: Lab) -> None:
        @ml_asset
        def frame() -> pd.DataFrame:
            return pd.DataFrame({"x": [1, 2, 3], "name": ["a|b", "b", "c"]})

        lab.run(frame)
        metadata = lab.run(frame).metadata("frame")
        assert metadata["dagster/row_count"] == 3
        assert [column.name for column in metadata["dagster/column_schema"].columns] == ["x", "name"]
        assert "a\\|b" in metadata["preview"]
        assert metadata["mlrepro/format"] == "arrow"

    def test_numbers_can_be_plotted(self, lab: Lab) -> None:
        @ml_asset
        def evaluation() -> dict[str, float]:
            return {"auc": 0.5, "loss": 1.25}

        assert lab.run(evaluation).metadata("evaluation")["auc"] == 0.5
        (version,) = versions("evaluation", store=lab.store())
        assert version.body["metrics"] == {"auc": 0.5, "loss": 1.25}

    def test_definition_that_reads_the_environment_is_reported(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        source = """
            import os
            from mlrepro import ml_asset

            @ml_asset
            def mode():
                return os.environ["LAB_MODE"]
        """
        monkeypatch.setenv("LAB_MODE", "test")
        module = lab.module(source)
        with pytest.warns(UserWarning, match=r"mode: .*LAB_MODE"):
            assert lab.definitions(module.mode).resolve_asset_graph().get(dg.AssetKey("mode")).code_version
        assert "LAB_MODE" in lab.run(module.mode).metadata("mode")["mlrepro/code_reports"]
        monkeypatch.setenv("LAB_MODE", "production")
        assert lab.run(module.mode).value("mode") == "production"


class TestHow:
    def test_called_directly_it_is_the_function(self) -> None:
        @ml_asset
        def doubled(numbers: list[int]) -> list[int]:
            return [2 * number for number in numbers]

        assert doubled([1, 2]) == [2, 4]

    def test_called_directly_with_context_config_and_resources(self) -> None:
        class Scale(dg.ConfigurableResource):
            by: int

        class Settings(dg.Config):
            plus: int = 1

        @ml_asset
        def computed(context: dg.AssetExecutionContext, config: Settings, scale: Scale) -> int:
            return scale.by + config.plus

        assert computed(dg.build_asset_context(), Settings(plus=2), Scale(by=3)) == 5

    def test_helper_defined_below_the_asset(self, lab: Lab) -> None:
        source = (
            "from mlrepro import ml_asset\n@ml_asset\ndef a():\n    return below()\ndef below():\n    return {value}\n"
        )
        one, two = lab.module(source.format(value=1)), lab.module(source.format(value=2))
        assert lab.run(one.a).cache == {"a": "computed"}
        assert lab.run(two.a).cache == {"a": "computed"}
        assert lab.definitions(one.a).resolve_asset_graph().get(dg.AssetKey("a")).code_version != (
            lab.definitions(two.a).resolve_asset_graph().get(dg.AssetKey("a")).code_version
        )

    def test_annotations_from_the_future(self, lab: Lab) -> None:
        module = lab.module("""
            from __future__ import annotations
            import pandas as pd
            from mlrepro import ml_asset

            @ml_asset
            def frame() -> pd.DataFrame:
                return pd.DataFrame({"x": [1]})

            @ml_asset
            def size(frame: pd.DataFrame) -> int:
                return frame.size
        """)
        lab.run(module.frame, module.size)
        assert lab.run(module.frame, module.size).cache == {"frame": "hit", "size": "hit"}

    def test_arguments_of_asset_are_passed_on(self) -> None:
        @ml_asset(
            key_prefix=["team"],
            name="renamed",
            group_name="models",
            owners=["ana@example.com"],
            tags={"tier": "1"},
            kinds={"sklearn"},
            description="Described.",
            automation_condition=dg.AutomationCondition.eager(),
            retry_policy=dg.RetryPolicy(max_retries=2),
            pool="gpu",
            op_tags={"custom": "x"},
            metadata={"declared": 1},
            deps=["upstream"],
            resources={"cpu": "2"},
        )
        def anything() -> int:
            return 1

        key = dg.AssetKey(["team", "renamed"])
        spec = anything.get_asset_spec(key)
        assert (spec.group_name, spec.owners, spec.description) == ("models", ["ana@example.com"], "Described.")
        assert spec.tags["tier"] == "1"
        assert spec.kinds == {"sklearn"}
        assert spec.metadata["declared"] == 1
        assert isinstance(spec.automation_condition, dg.AutomationCondition)
        assert anything.op.retry_policy == dg.RetryPolicy(max_retries=2)
        assert anything.op.pool == "gpu"
        assert anything.op.tags["custom"] == "x"
        assert json.loads(anything.op.tags["dagster-k8s/config"])["container_config"]["resources"]["limits"] == {
            "cpu": "2"
        }
        assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey("upstream")]

    def test_copies_keep_their_code_version(self) -> None:
        moved = numbers.with_attributes(group_names_by_key={dg.AssetKey("numbers"): "other"})
        assert moved.get_asset_spec().code_version == numbers.get_asset_spec().code_version
        mapped = numbers.map_asset_specs(lambda spec: spec.replace_attributes(owners=["team:x"]))
        assert mapped.get_asset_spec().code_version == numbers.get_asset_spec().code_version

    def test_ins_with_another_key(self, lab: Lab) -> None:
        @ml_asset(ins={"values": dg.AssetIn(key="numbers")})
        def total(values: list[int]) -> int:
            return sum(values)

        assert lab.run(numbers, total).value("total") == 6
        assert lab.run(numbers, total).cache["total"] == "hit"

    def test_hooks_see_the_values_of_a_hit(self, lab: Lab) -> None:
        seen: list[Any] = []

        @dg.success_hook
        def note(context: dg.HookContext) -> None:
            seen.append(context.op_output_values)

        job = dg.define_asset_job("hooked", "*", hooks={note})
        defs = lab.definitions(numbers, jobs=[job])
        for _ in range(2):
            defs.resolve_job_def("hooked").execute_in_process(instance=lab.instance)
        assert seen == [{"result": [1, 2, 3]}] * 2

    def test_retries(self, lab: Lab) -> None:
        marker = lab.folder / "tried"
        source = f"""
            import pathlib
            import dagster as dg
            from mlrepro import ml_asset

            @ml_asset(retry_policy=dg.RetryPolicy(max_retries=1))
            def flaky() -> int:
                marker = pathlib.Path({str(marker)!r})
                if not marker.exists():
                    marker.touch()
                    raise RuntimeError("first time")
                return 1
        """
        module = lab.module(source)
        assert lab.run(module.flaky).cache == {"flaky": "computed"}

    def test_unknown_format_is_refused_when_declared(self) -> None:
        with pytest.raises(UnknownFormatError, match=r"no format 'exel'.*json"):
            ml_asset(format="exel")(lambda: 1)

    def test_format_of_choice(self, lab: Lab) -> None:
        @ml_asset(format="parquet")
        def frame() -> pd.DataFrame:
            return pd.DataFrame({"x": [1]})

        assert lab.run(frame).metadata("frame")["mlrepro/format"] == "parquet"

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"cache": "shared"}, r"cache takes Cache\(\.\.\.\), True or False, not 'shared'"),
            ({"cache": None}, "cache takes Cache"),
            ({"seed": True}, "seed is a whole number"),
            ({"first_party": "numpy"}, "first_party takes a tuple"),
        ],
    )
    def test_arguments_that_can_only_be_a_mistake(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(AssetDefinitionError, match=says):
            ml_asset(**arguments)(lambda: 1)

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(AssetDefinitionError, match="computed by a function, not by 'features'"):
            ml_asset("features")  # type: ignore[call-overload]

    def test_seed_out_of_range_is_refused_when_declared(self) -> None:
        with pytest.raises(AssetDefinitionError, match="seed is a whole number from 0"):
            ml_asset(seed=-1)(lambda: 1)

    def test_name_of_300_characters(self, lab: Lab) -> None:
        asset = ml_asset(name="x" * 300)(lambda: 1)
        assert set(lab.run(asset).cache.values()) == {"computed"}
        assert set(lab.run(asset).cache.values()) == {"hit"}
        assert len(versions("x" * 300, store=lab.store())) == 1

    def test_name_that_dagster_does_not_allow(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="not a valid name in Dagster"):
            ml_asset(key=dg.AssetKey(["odd name / with %"]))(lambda: 1)

    @pytest.mark.parametrize("part", ["a b", "ünïcode", "100%", "..", "a/b", "con"])
    def test_odd_keys_that_dagster_does_allow(self, lab: Lab, part: str) -> None:
        @ml_multi_asset(outs={"out": dg.AssetOut(key=dg.AssetKey(["prefix", part]))})
        def odd():
            return 1

        assert set(lab.run(odd).cache.values()) == {"computed"}
        assert set(lab.run(odd).cache.values()) == {"hit"}
        shown = part.replace("/", "\\/")
        assert [version.asset for version in versions(f"prefix/{shown}", store=lab.store())] == [("prefix", part)]


class TestChecks:
    def test_checks_inside_the_asset_are_replayed(self, lab: Lab) -> None:
        @ml_asset(check_specs=[dg.AssetCheckSpec("positive", asset="checked")])
        def checked():
            yield dg.Output([1, 2])
            yield dg.AssetCheckResult(passed=True, check_name="positive", metadata={"least": 1})

        for expected in ("computed", "hit"):
            outcome = lab.run(checked)
            assert outcome.cache == {"checked": expected}
            (evaluation,) = outcome.result.get_asset_check_evaluations()
            assert evaluation.passed
            assert evaluation.metadata["least"].value == 1

    def test_checks_in_a_materialize_result(self, lab: Lab) -> None:
        @ml_asset(check_specs=[dg.AssetCheckSpec("seen", asset="checked")])
        def checked():
            return dg.MaterializeResult(value=1, check_results=[dg.AssetCheckResult(passed=False, check_name="seen")])

        for expected in ("computed", "hit"):
            outcome = lab.run(checked)
            assert outcome.cache == {"checked": expected}
            assert [evaluation.passed for evaluation in outcome.result.get_asset_check_evaluations()] == [False]

    def test_check_of_its_own_runs_on_a_hit(self, lab: Lab) -> None:
        @dg.asset_check(asset=numbers)
        def not_empty(numbers: list[int]) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=bool(numbers))

        for expected in ("computed", "hit"):
            outcome = lab.run(numbers, asset_checks=[not_empty])
            assert outcome.cache == {"numbers": expected}
            assert [evaluation.passed for evaluation in outcome.result.get_asset_check_evaluations()] == [True]


class TestBesideOthers:
    def test_plain_assets_under_the_same_io_manager(self, lab: Lab) -> None:
        @dg.asset
        def plain() -> pd.DataFrame:
            return pd.DataFrame({"x": [1, 2]})

        @ml_asset
        def size(plain: pd.DataFrame) -> int:
            return plain.size

        @dg.asset
        def plain_again(size: int) -> int:
            return size + 1

        outcome = lab.run(plain, size, plain_again)
        assert outcome.value("plain_again") == 3
        assert outcome.data_version("plain") == versions("plain", store=lab.store())[0].stored.content_hash
        assert lab.run(plain, size, plain_again).cache == {"size": "hit"}, "the plain asset ran to the same bytes"

    def test_other_io_managers_in_both_directions(self, lab: Lab) -> None:
        files = {"files": dg.FilesystemIOManager(base_dir=str(lab.folder / "files"))}

        @dg.asset(io_manager_key="files")
        def outside() -> list[int]:
            return [1, 2]

        @ml_asset
        def inside(outside: list[int]) -> int:
            return sum(outside)

        @dg.asset(io_manager_key="files")
        def out_again(inside: int) -> int:
            return inside + 1

        for expected in ("computed", "hit"):
            outcome = lab.run(outside, inside, out_again, resources=files)
            assert outcome.cache == {"inside": expected}
            assert outcome.value("out_again") == 4

    def test_ml_asset_under_another_io_manager_runs_uncached(self, lab: Lab) -> None:
        files = {"files": dg.FilesystemIOManager(base_dir=str(lab.folder / "files"))}

        @ml_asset(io_manager_key="files")
        def elsewhere() -> int:
            return 1

        for _ in range(2):
            assert lab.run(elsewhere, resources=files).cache == {}
        assert elsewhere.get_asset_spec().code_version

    def test_graph_asset_and_plain_ops(self, lab: Lab) -> None:
        @dg.op
        def one() -> int:
            return 1

        @dg.op
        def plus(x: int) -> int:
            return x + 1

        @dg.graph_asset
        def graph() -> int:
            return plus(plus(one()))

        @ml_asset
        def after(graph: int) -> int:
            return graph * 10

        assert lab.run(graph, after).value("after") == 30
        assert lab.run(graph, after).cache == {"after": "hit"}

    def test_op_job_with_dynamic_outputs(self, lab: Lab) -> None:
        @dg.op(out=dg.DynamicOut())
        def fan():
            for number in (1, 2):
                yield dg.DynamicOutput(number, mapping_key=f"k{number}")

        @dg.op
        def double(x: int) -> int:
            return 2 * x

        @dg.op
        def collect(xs: list[int]) -> int:
            return sum(xs)

        @dg.job(resource_defs={"io_manager": lab.io_manager()})
        def dynamic():
            collect(fan().map(double).collect())

        assert dynamic.execute_in_process(instance=lab.instance).output_for_node("collect") == 6

    def test_load_asset_value(self, lab: Lab) -> None:
        lab.run(numbers)
        defs = lab.definitions(numbers)
        assert defs.load_asset_value("numbers", instance=lab.instance) == [1, 2, 3]

    def test_ml_definitions_leaves_what_the_user_gave(self) -> None:
        own = dg.FilesystemIOManager()
        assert ml_definitions(assets=[numbers], resources={"io_manager": own}).resources["io_manager"] is own


class TestGenerators:
    def test_value_that_changes_after_it_was_yielded(self, lab: Lab) -> None:
        @ml_multi_asset(outs={"before": dg.AssetOut(), "after": dg.AssetOut()})
        def changing():
            state = {"x": 1}
            yield dg.Output(state, "before")
            state["x"] = 2
            yield dg.Output(state, "after")

        lab.run(changing)
        again = lab.run(changing)
        assert set(again.cache.values()) == {"hit"}
        assert [again.result.output_for_node("changing", name) for name in ("before", "after")] == [{"x": 1}, {"x": 2}]

    def test_file_that_is_gone_after_it_was_yielded(self, lab: Lab) -> None:
        @ml_asset
        def temporary():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "a.txt")
                path.write_text("text")
                yield dg.Output(path)

        @ml_asset
        def reads(temporary: Path) -> str:
            return temporary.read_text()

        assert lab.run(temporary, reads).value("reads") == "text"

    def test_what_was_yielded_before_it_failed_stays_but_is_no_result(self, lab: Lab) -> None:
        @ml_multi_asset(outs={"first": dg.AssetOut(), "second": dg.AssetOut()})
        def breaks():
            yield dg.Output(1, "first")
            raise RuntimeError("broken")

        outcome = lab.run(breaks, raise_on_error=False)
        assert not outcome.success
        assert outcome.cache == {"first": "computed"}
        assert lab.results() == []


class TestOddNumbers:
    def test_infinite_config_nan_metadata_and_huge_values(self, lab: Lab) -> None:
        class Bounds(dg.Config):
            most: float = float("inf")

        @ml_asset
        def odd(config: Bounds) -> dg.Output[int]:
            return dg.Output(10**400, metadata={"loss": float("nan")})

        assert lab.run(odd).cache == {"odd": "computed"}
        again = lab.run(odd)
        assert again.cache == {"odd": "hit"}
        assert again.value("odd") == 10**400
        assert math.isnan(again.metadata("odd")["loss"])


class TestAnnotatedGenerators:
    def test_annotation_of_a_generator_is_no_type_of_an_output(self, lab: Lab) -> None:
        from collections.abc import Iterator

        @ml_asset
        def one() -> Iterator[dg.Output[int]]:
            yield dg.Output(4)

        @ml_asset(check_specs=[dg.AssetCheckSpec("small", asset="few")])
        def few(one: int) -> Iterator[object]:
            yield dg.Output(one - 1)
            yield dg.AssetCheckResult(passed=True, check_name="small")

        assert lab.run(one, few).value("few") == 3
        assert lab.run(one, few).cache == {"one": "hit", "few": "hit"}
        assert [output.value for output in one()] == [4]

    def test_value_that_an_output_can_not_have(self, lab: Lab) -> None:
        """Dagster takes the type of an asset with checks of its own from the annotation: nothing."""

        @ml_asset(check_specs=[dg.AssetCheckSpec("small", asset="few")])
        def few() -> dg.MaterializeResult:
            return dg.MaterializeResult(value=1, check_results=[dg.AssetCheckResult(passed=True)])

        with pytest.raises(dg.DagsterTypeCheckDidNotPass, match="Value must be None"):
            lab.run(few)
