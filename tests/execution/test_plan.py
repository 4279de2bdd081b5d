"""`plan` says what the run then does, and writes nothing; `explain` says why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import mlrepro
from mlrepro import Cache, file_source, ml_asset, ml_multi_asset
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.planned import Plan
from tests.definitions.lab import Lab

LETTERS = dg.StaticPartitionsDefinition(["a", "b"])


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def plan_of(
    lab: Lab, *assets: Any, selection: Any = "*", definitions: Mapping[str, Any] | None = None, **run: Any
) -> Plan:
    return mlrepro.plan(lab.definitions(*assets, **(definitions or {})), selection, instance=lab.instance, **run)


def verdicts(plan: Plan) -> dict[str, str]:
    return {row.asset: row.verdict for row in plan.assets}


def planned_then_run(lab: Lab, *assets: Any, **run: Any) -> dict[str, str]:
    """Plan, run, and check that the run did what the plan said; return what it said."""
    plan = plan_of(lab, *assets, **run)
    config = run.pop("config", None)
    done = lab.run(
        *assets, config={name: each["config"] for name, each in config["ops"].items()} if config else None, **run
    )
    said = verdicts(plan)
    for asset, cache in done.cache.items():
        assert said[asset] in {"hit": {"hit", "depends"}, "computed": {"run", "depends"}}[cache], asset
    return said


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


class Factor(dg.Config):
    by: int = 2


@ml_asset
def scaled(numbers: list[int], config: Factor) -> list[int]:
    return [config.by * each for each in numbers]


@ml_asset
def total(scaled: list[int]) -> int:
    return sum(scaled)


CHAIN = (numbers, scaled, total)


class TestSaysWhatTheRunDoes:
    def test_first_run_second_run(self, lab: Lab) -> None:
        assert planned_then_run(lab, *CHAIN) == {"numbers": "run", "scaled": "depends", "total": "depends"}
        assert set(planned_then_run(lab, *CHAIN).values()) == {"hit"}

    def test_another_config(self, lab: Lab) -> None:
        planned_then_run(lab, *CHAIN)
        config = {"ops": {"scaled": {"config": {"by": 3}}}}
        said = planned_then_run(lab, *CHAIN, config=config)
        assert said == {"numbers": "hit", "scaled": "run", "total": "depends"}
        assert set(planned_then_run(lab, *CHAIN, config=config).values()) == {"hit"}

    def test_upstream_that_comes_out_unchanged(self, lab: Lab) -> None:
        planned_then_run(lab, *CHAIN)
        plan = plan_of(lab, *CHAIN, tags={"mlrepro/refresh": "numbers"})
        assert plan.row("numbers").reason == "a fresh result was asked for"
        assert plan.row("scaled").depends_on == ("numbers",)
        assert planned_then_run(lab, *CHAIN, tags={"mlrepro/refresh": "numbers"})["total"] == "depends"

    def test_cache_off(self, lab: Lab) -> None:
        planned_then_run(lab, *CHAIN)
        assert planned_then_run(lab, *CHAIN, tags={"mlrepro/cache": "off"})["numbers"] == "run"

        @ml_asset(cache=Cache(enabled=False))
        def never() -> int:
            return 1

        planned_then_run(lab, never)
        assert planned_then_run(lab, never) == {"never": "run"}

    def test_file_that_changed(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "in.txt"
        path.write_text("one")
        raw = file_source("raw", path)

        @ml_asset
        def words(raw: str) -> list[str]:
            return raw.split()

        assert planned_then_run(lab, raw, words) == {"words": "run"}
        assert planned_then_run(lab, raw, words) == {"words": "hit"}
        path.write_text("one two")
        assert plan_of(lab, raw, words).row("words").reason.startswith("input raw")
        assert planned_then_run(lab, raw, words) == {"words": "run"}

    def test_partitions(self, lab: Lab) -> None:
        @ml_asset(partitions_def=LETTERS)
        def part(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        @ml_asset(partitions_def=LETTERS)
        def after(part: str) -> str:
            return part.upper()

        planned_then_run(lab, part, after, partition="a")
        assert set(planned_then_run(lab, part, after, partition="a").values()) == {"hit"}
        assert planned_then_run(lab, part, after, partition="b") == {"part": "run", "after": "depends"}
        assert plan_of(lab, part, after, partition="b").partition == "b"

    def test_multi_asset_has_a_row_an_asset(self, lab: Lab) -> None:
        @ml_multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()})
        def both() -> tuple[int, int]:
            return 1, 2

        assert planned_then_run(lab, both) == {"left": "run", "right": "run"}
        planned = plan_of(lab, both)
        assert verdicts(planned) == {"left": "hit", "right": "hit"}
        assert {row.step for row in planned.assets} == {"both"}
        assert planned.seconds_saved == planned.row("left").seconds, "one step's seconds count once"

    def test_plain_asset_and_what_comes_after_it(self, lab: Lab) -> None:
        @dg.asset
        def plain() -> int:
            return 1

        @ml_asset
        def after(plain: int) -> int:
            return plain

        lab.run(plain, after)
        plan = plan_of(lab, plain, after)
        assert verdicts(plan) == {"plain": "unknown", "after": "depends"}
        assert "code_version" in plan.row("plain").reason

    def test_checks_are_listed(self, lab: Lab) -> None:
        @dg.asset_check(asset=numbers)
        def not_empty() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        plan = plan_of(lab, numbers, definitions={"asset_checks": [not_empty]})
        assert [(check.asset, check.name) for check in plan.checks] == [("numbers", "not_empty")]

    @pytest.mark.parametrize(
        ("selection", "selected"),
        [
            ("scaled", {"scaled"}),
            ("+scaled", {"numbers", "scaled"}),
            (["numbers", "total"], {"numbers", "total"}),
            (dg.AssetSelection.assets("scaled").downstream(), {"scaled", "total"}),
            ([dg.AssetKey("total")], {"total"}),
        ],
    )
    def test_selections(self, lab: Lab, selection: Any, selected: set[str]) -> None:
        lab.run(*CHAIN)
        assert verdicts(plan_of(lab, *CHAIN, selection=selection)) == dict.fromkeys(selected, "hit")


class TestTells:
    def test_whose_result_a_hit_is(self, lab: Lab) -> None:
        done = lab.run(*CHAIN, tags={"user": "ana"})
        row = plan_of(lab, *CHAIN).row("total")
        assert (row.computed_by, row.computed_in_run, row.version) == ("ana", done.result.run_id, 1)
        assert row.seconds is not None
        assert (row.input_hash, row.scope) == (done.metadata("total")["mlrepro/input_hash"], "default")

    def test_the_version_that_a_hit_would_be(self, lab: Lab) -> None:
        lab.run(*CHAIN)
        lab.run(*CHAIN, config={"scaled": {"by": 3}})
        assert plan_of(lab, *CHAIN).row("scaled").version == 3, "the first result becomes the newest again"
        assert plan_of(lab, *CHAIN, config={"ops": {"scaled": {"config": {"by": 3}}}}).row("scaled").version == 2

    def test_why_an_asset_runs_and_how_long_it_took(self, lab: Lab) -> None:
        lab.run(*CHAIN)
        row = plan_of(lab, *CHAIN, config={"ops": {"scaled": {"config": {"by": 5}}}}).row("scaled")
        assert row.reason == "config by: 2 -> 5"
        assert row.seconds is not None

    def test_as_table_and_as_json(self, lab: Lab) -> None:
        lab.run(numbers)
        plan = plan_of(lab, *CHAIN)
        text = str(plan)
        assert "first result of this asset" in text
        assert text.splitlines()[-1].startswith("3 assets: 1 from the cache")
        told = json.loads(json.dumps(plan.to_json()))
        assert told["totals"]["hit"] == 1
        assert [each["asset"] for each in told["assets"]] == ["numbers", "scaled", "total"]
        assert set(told) == {"schema", "partition", "assets", "checks", "totals"}


def test_nothing_is_written(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one")
    raw = file_source("raw", source)

    @ml_asset
    def words(raw: str) -> list[str]:
        return raw.split()

    lab.run(raw, words, *CHAIN)
    source.write_text("two")

    def state() -> Any:
        stored = sorted((str(path), path.stat().st_mtime_ns) for path in Path(lab.url).rglob("*"))
        keys = lab.instance.all_asset_keys()
        events = [lab.instance.fetch_materializations(key, limit=99).records for key in keys]
        events += [lab.instance.fetch_observations(key, limit=99).records for key in keys]
        runs = lab.instance.get_runs()
        return (
            stored,
            len(runs),
            [each.storage_id for records in events for each in records],
            lab.instance.all_logs(runs[0].run_id),
        )

    before = state()
    plan_of(lab, raw, words, *CHAIN, config={"ops": {"scaled": {"config": {"by": 7}}}})
    mlrepro.explain("total", lab.definitions(raw, words, *CHAIN), instance=lab.instance)
    assert state() == before


class TestMistakes:
    def test_are_told_in_one_line(self, lab: Lab) -> None:
        part = ml_asset(name="part", partitions_def=LETTERS)(lambda: 1)
        raw = file_source("raw", "nowhere.csv")
        for run, says in (
            ({"selection": "nobody"}, "have no asset nobody"),
            ({"selection": "total_"}, "do you mean total"),
            ({"selection": "raw"}, "raw can't be computed"),
            ({"selection": "part"}, "part is partitioned: name the partition"),
            ({"selection": "part", "partition": "z"}, "part has no partition 'z'"),
            ({"selection": "total", "partition": "a"}, "total has no partitions"),
            (
                {"selection": "scaled", "config": {"ops": {"scaled": {"config": {"bye": 1}}}}},
                'unexpected config entry "bye"',
            ),
        ):
            with pytest.raises(AssetDefinitionError) as error:
                plan_of(lab, *CHAIN, part, raw, **run)
            assert says in str(error.value)
            assert len(str(error.value).splitlines()) == 1


class TestExplain:
    PROJECT = """
        from mlrepro import ml_asset

        def helper(x):
            return x * {factor}

        @ml_asset
        def first() -> int:
            return helper(2)

        @ml_asset
        def second(first: int) -> int:
            return first + 1
    """

    def test_code_with_the_lines_that_differ(self, lab: Lab) -> None:
        old, new = (lab.module(self.PROJECT.format(factor=factor)) for factor in (2, 3))
        lab.run(old.first, old.second)
        told = mlrepro.explain("first", lab.definitions(new.first, new.second), instance=lab.instance)
        assert (told.verdict, told.compared_with) == ("run", 1)
        assert "+    return x * 3" in str(told)
        assert "-    return x * 2" in str(told)

    def test_upstream_too(self, lab: Lab) -> None:
        old, new = (lab.module(self.PROJECT.format(factor=factor)) for factor in (2, 3))
        lab.run(old.first, old.second)
        told = mlrepro.explain("second", lab.definitions(new.first, new.second), instance=lab.instance)
        assert told.verdict == "depends"
        assert told.reason == "depends on what first yields"
        assert [each.asset for each in told.upstream] == ["first"]
        assert "`helper()` in " in told.upstream[0].reason
        assert told.by_itself is not None
        assert told.by_itself.verdict == "hit"

    def test_config_and_hit(self, lab: Lab) -> None:
        lab.run(*CHAIN, tags={"user": "ana"})
        definitions = lab.definitions(*CHAIN)
        config = {"ops": {"scaled": {"config": {"by": 3}}}}
        told = mlrepro.explain("scaled", definitions, config=config, instance=lab.instance)
        assert [(each.kind, each.name, each.before, each.after) for each in told.changes] == [("config", "by", 2, 3)]
        hit = mlrepro.explain("scaled", definitions, instance=lab.instance)
        assert hit.verdict == "hit"
        assert "computed by ana" in hit.reason

    def test_version_that_is_there(self, lab: Lab) -> None:
        lab.run(*CHAIN)
        lab.run(*CHAIN, config={"scaled": {"by": 3}})
        told = mlrepro.explain("total@v2", store=lab.url)
        assert (told.verdict, told.version, told.compared_with) == ("computed", 2, 1)
        assert told.reason == "input scaled: v1 -> v2"
        with pytest.raises(AssetDefinitionError, match="without definitions"):
            mlrepro.explain("total@v2", lab.definitions(*CHAIN))

    def test_partition(self, lab: Lab) -> None:
        @ml_asset(partitions_def=LETTERS)
        def part(context: dg.AssetExecutionContext, numbers: list[int]) -> str:
            return context.partition_key

        lab.run(numbers)
        lab.run(numbers, part, select=["part"], partition="a")
        told = mlrepro.explain("part", lab.definitions(numbers, part), partition="b", instance=lab.instance)
        assert told.reason == "first result of this asset (partition b)"
