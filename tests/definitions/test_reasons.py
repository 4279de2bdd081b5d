"""Why a step computes: what a user reads after changing something."""

import importlib
import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlrepro import Cache, file_source, ml_asset, ml_multi_asset, versions
from mlrepro.catalog import explaining
from mlrepro.catalog.explaining import explain_version
from mlrepro.errors import StoreError
from mlrepro.io_managers import reasons
from mlrepro.store.local import LocalObjects
from tests.definitions.lab import Lab, Outcome

# not as they are: the file itself is stored with the results of its assets
SECRETS = ("correct_horse".replace("_", "-"), "battery_staple".replace("_", "-"))

PROJECT = """
    import math
    from helper import scale
    from mlrepro import ml_asset

    FACTOR = 2

    def make(k):
        def closed(x):
            return x * k
        return closed

    closed = make(5)

    class Model:
        def predict(self, x):
            return x + 1

    @ml_asset
    def features():
        # how it is made
        return [scale(1), FACTOR, closed(1), Model().predict(1), math.sqrt(4)]
"""
HELPER = """
    def clean(x):
        return x

    def scale(x, by=3):
        return clean(x) * by
"""


def because(outcome: Outcome, asset: str, partition: str | None = None) -> str:
    metadata = outcome.metadata(asset, partition)
    assert metadata["mlrepro/cache"] == "computed"
    return str(metadata["mlrepro/because"])


class TestFirst:
    def test_result_of_an_asset(self, lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
        first = lab.run(ml_asset(name="number")(lambda: 1))
        assert because(first, "number") == "first result of this asset"
        assert "computing: first result of this asset\n" in capfd.readouterr().err

    def test_result_of_a_partition(self, lab: Lab) -> None:
        @ml_asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
        def sales(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        for day in ("2026-01-01", "2026-01-02"):
            assert (
                because(lab.run(sales, partition=day), "sales", day) == f"first result of this asset (partition {day})"
            )


class TestCode:
    @pytest.fixture
    def changed(self, lab: Lab) -> Callable[..., str]:
        """Materialize before and after edits; the reason of the second run."""

        def change(*edits: tuple[str, str]) -> str:
            project, helper = PROJECT, HELPER
            lab.run(lab.module(project, helper=helper).features)
            for old, new in edits:
                assert (project + helper).count(old) == 1
                project, helper = project.replace(old, new), helper.replace(old, new)
            return because(lab.run(lab.module(project, helper=helper).features), "features")

        return change

    def test_helper(self, changed: Callable[..., str]) -> None:
        assert changed(("        return x\n\n    def scale", "        return -x\n\n    def scale")) == (
            "`clean()` in helper.py changed"
        )

    def test_body(self, changed: Callable[..., str]) -> None:
        assert changed(("[scale(1)", "[scale(2)")) == "`features()` in flow.py changed"

    def test_constant(self, changed: Callable[..., str]) -> None:
        assert changed(("FACTOR = 2", "FACTOR = 3")) == "`FACTOR` in flow.py changed"

    def test_class(self, changed: Callable[..., str]) -> None:
        assert changed(("return x + 1", "return x + 2")) == "`Model` in flow.py changed"

    def test_new_helper(self, changed: Callable[..., str]) -> None:
        new = ("def scale(x, by=3):", "def extra(x):\n        return x\n\n    def scale(x, by=3):")
        assert changed(new, ("clean(x) * by", "clean(extra(x)) * by")) == (
            "`scale()` in helper.py changed; `extra()` in helper.py is new"
        )

    def test_helper_that_is_not_used_any_more(self, changed: Callable[..., str]) -> None:
        assert changed(("return clean(x) * by", "return x * by")) == (
            "`scale()` in helper.py changed; `clean()` in helper.py is no longer used"
        )

    def test_helper_renamed_while_another_changed(self, changed: Callable[..., str]) -> None:
        renamed = (("from helper import scale", "from helper import scaled"), ("[scale(1)", "[scaled(1)"))
        edits = (*renamed, ("def scale(", "def scaled("), ("FACTOR = 2", "FACTOR = 3"))
        # the name is no part of a fingerprint; that the body says another one is a change of its text
        assert changed(*edits) == "`FACTOR` in flow.py changed; `features()` in flow.py changed"

    def test_comment_and_docstring_beside_a_change_are_not_named(self, changed: Callable[..., str]) -> None:
        edits = [
            ("# how it is made", '"""Made like this."""'),
            ("def scale(x, by=3):", "def scale(x: int, by: int = 3) -> int:  # by three"),
            ("FACTOR = 2", "FACTOR = 3"),
            ("@ml_asset", "@ml_asset(retry_policy=None)"),
        ]
        assert changed(*edits) == "`FACTOR` in flow.py changed"

    def test_value_that_is_not_in_the_text(self, changed: Callable[..., str]) -> None:
        assert changed(("make(5)", "make(6)")) == "a value, file or environment variable that the code uses changed"

    def test_many(self, changed: Callable[..., str]) -> None:
        edits = [("[scale(1)", "[scale(2)"), ("FACTOR = 2", "FACTOR = 3"), ("x + 1", "x + 2"), ("x, by=3", "x, by=4")]
        assert changed(*edits) == "`FACTOR` in flow.py changed; `Model` in flow.py changed; and 2 more"

    def test_environment_variable(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        source = "import os\nfrom mlrepro import ml_asset\n@ml_asset\ndef rate():\n    return os.environ['LAB_RATE']\n"
        flow = lab.module(source)
        for value in ("1", "2"):
            monkeypatch.setenv("LAB_RATE", value)
            outcome = lab.run(flow.rate)
        assert because(outcome, "rate") == "a value, file or environment variable that the code uses changed"

    def test_python(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        flow = lab.module(PROJECT, helper=HELPER)
        lab.run(flow.features)
        for module in ("mlrepro.versioning.code.origin", "mlrepro.io_managers.key_record"):
            monkeypatch.setattr(f"{module}.python_token", lambda: "cpython 3.99")
        before = ".".join(map(str, sys.version_info[:2]))
        assert because(lab.run(flow.features), "features") == f"Python {before} -> 3.99"

    def test_code_version_of_the_author(self, lab: Lab) -> None:
        def number() -> int:
            return 1

        for version in ("1", "2"):
            outcome = lab.run(ml_asset(code_version=version)(number))
        assert because(outcome, "number") == "code_version 1 -> 2"


class TestLibraries:
    @pytest.fixture
    def install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Install a version of a library for this test, in place of the one before."""

        def vendlib(version: str) -> None:
            site = tmp_path / f"site-{version}"
            info = site / f"vendlib-{version}.dist-info"
            info.mkdir(parents=True)
            (site / "vendlib.py").write_text("class Model:\n    pass\n\ndef norm(x):\n    return x / 10\n")
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vendlib\nVersion: {version}\n")
            (info / "top_level.txt").write_text("vendlib\n")
            monkeypatch.delitem(sys.modules, "vendlib", raising=False)
            monkeypatch.syspath_prepend(str(site))
            importlib.invalidate_caches()

        return vendlib

    def test_used_by_the_code(self, lab: Lab, install: Callable[[str], None]) -> None:
        source = "from mlrepro import ml_asset\nfrom vendlib import norm\n@ml_asset\ndef x():\n    return norm(1)\n"
        for version in ("1.0.0", "1.1.0"):
            install(version)
            outcome = lab.run(lab.module(source).x)
        assert because(outcome, "x") == "vendlib 1.0.0 -> 1.1.0"

    def test_that_comes_with_an_input(self, lab: Lab, install: Callable[[str], None]) -> None:
        source = """
            from mlrepro import ml_asset

            @ml_asset
            def model():
                from vendlib import Model
                return Model()

            @ml_asset
            def used(model):
                return type(model).__name__
        """
        for version in ("1.0.0", "1.1.0"):
            install(version)
            flow = lab.module(source)
            outcome = lab.run(flow.model, flow.used)
        assert because(outcome, "used") == "vendlib 1.0.0 -> 1.1.0"


class Inner(dg.Config):
    depth: int = 3
    rate: float = 0.1


class TrainConfig(dg.Config):
    C: float = 1.0
    n_jobs: int = 2
    kind: str = "svm"
    trainer: Inner = Inner()
    grid: dict[str, int] = {}


@ml_asset(cache=Cache(ignore_config=("n_jobs",)))
def trained(config: TrainConfig) -> str:
    return f"{config.C}{config.kind}{config.trainer}{config.grid}"


class Credentials(dg.Config):
    password: str


class TestConfig:
    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            ({"C": 2.0}, "config C: 1.0 -> 2.0"),
            ({"kind": "forest"}, "config kind: 'svm' -> 'forest'"),
            ({"trainer": {"depth": 4}}, "config trainer.depth: 3 -> 4"),
            ({"grid": {"a": 1}}, "config grid.a: none -> 1"),
            ({"C": float("nan")}, "config C: 1.0 -> nan"),
            ({"C": 2.0, "trainer": {"depth": 4}}, "config C: 1.0 -> 2.0; config trainer.depth: 3 -> 4"),
            ({"C": 2.0, "n_jobs": 16}, "config C: 1.0 -> 2.0"),
            ({"kind": "k" * 99}, f"config kind: 'svm' -> '{'k' * 36}..."),
        ],
    )
    def test_field(self, lab: Lab, config: dict[str, Any], reason: str) -> None:
        lab.run(trained)
        assert because(lab.run(trained, config={"trained": config}), "trained") == reason

    def test_ignored_field_alone_is_a_hit(self, lab: Lab) -> None:
        lab.run(trained)
        assert lab.run(trained, config={"trained": {"n_jobs": 16}}).cache == {"trained": "hit"}

    def test_field_that_counts_from_now_on(self, lab: Lab) -> None:
        def number(config: TrainConfig) -> float:
            return config.C

        lab.run(ml_asset(cache=Cache(ignore_config=("n_jobs",)))(number))
        assert because(lab.run(ml_asset(number)), "number") == "ignore_config changed"

    def test_secret_is_never_shown(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        @ml_asset
        def connects(config: Credentials) -> int:
            return len(config.password)

        config = {"connects": {"password": {"env": "LAB_PASSWORD"}}}
        for secret in SECRETS:
            monkeypatch.setenv("LAB_PASSWORD", secret)
            outcome = lab.run(connects, config=config)
        assert because(outcome, "connects") == "config password (from LAB_PASSWORD) changed"
        plain = lab.run(connects, config={"connects": {"password": "none at all"}})
        assert because(plain, "connects") == "config password (from LAB_PASSWORD) changed"
        (change,) = explain_version(versions("connects", store=lab.store())[-2], lab.store()).changes
        assert change.to_json() == {
            "kind": "config",
            "name": "password",
            "before": {"env": "LAB_PASSWORD"},
            "after": {"env": "LAB_PASSWORD"},
        }
        written = [path.read_bytes() for path in Path(lab.url).rglob("*") if path.is_file()]
        assert not any(any(secret.encode() in data for secret in SECRETS) for data in written)
        printed = capfd.readouterr()
        assert "battery" not in printed.err + printed.out


def returning(value: Any, name: str = "raw") -> dg.AssetsDefinition:
    return ml_asset(name=name)(lambda: value)


class TestInputs:
    def test_version(self, lab: Lab) -> None:
        @ml_asset
        def total(raw: list[int]) -> int:
            return sum(raw)

        for values in ([1], [1, 2]):
            outcome = lab.run(returning(values), total)
        assert because(outcome, "total") == "input raw: v1 -> v2"

    def test_argument_of_another_name_than_the_asset(self, lab: Lab) -> None:
        def total(numbers: list[int]) -> int:
            return sum(numbers)

        from_raw = ml_asset(ins={"numbers": dg.AssetIn("raw")})(total)
        for values in ([1], [1, 2]):
            outcome = lab.run(returning(values), from_raw)
        assert because(outcome, "total") == "input numbers: raw v1 -> v2"
        from_other = ml_asset(ins={"numbers": dg.AssetIn("other")})(total)
        outcome = lab.run(returning([7], "other"), from_other)
        assert because(outcome, "total") == "input numbers: raw v2 -> other v1"

    def test_of_several_partitions(self, lab: Lab) -> None:
        letters = dg.StaticPartitionsDefinition(["a", "b", "c"])

        @ml_asset(partitions_def=letters)
        def part(context: dg.AssetExecutionContext, config: TrainConfig) -> str:
            return context.partition_key * int(config.C)

        @ml_asset
        def joined(part: dict[str, str]) -> str:
            return "".join(part.values())

        def run(*keys: str, C: float) -> str:
            for key in keys:
                lab.run(part, partition=key, config={"part": {"C": C}})
            return because(lab.run(part, joined, select=["joined"]), "joined")

        run("a", "b", "c", C=1)
        assert run("b", C=2) == "input part: partition b v1 -> v2"
        assert run("a", "c", C=2) == "input part: 2 partitions changed (a, c)"

    def test_file(self, lab: Lab, tmp_path: Path) -> None:
        @ml_asset
        def rows(table: pd.DataFrame) -> list[int]:
            return table.x.tolist()

        contents = []
        for text in ("x\n1\n", "x\n2\n"):
            (tmp_path / "in.csv").write_text(text)
            outcome = lab.run(file_source("table", tmp_path / "in.csv"), rows)
            contents.append(outcome.materialization("rows").tags["dagster/input_data_version/table"][:12])
        assert because(outcome, "rows") == f"input table: {contents[0]} -> {contents[1]}"

    def test_same_bytes_in_another_format(self, lab: Lab) -> None:
        @ml_asset
        def double(raw):
            return raw * 2

        for value in (1, b"1"):
            outcome = lab.run(returning(value), double)
        assert because(outcome, "double") == "input raw: v1 -> v2"

    def test_dependency_that_is_no_argument(self, lab: Lab) -> None:
        @ml_asset(deps=[dg.AssetSpec("warehouse")])
        def extract() -> int:
            return 1

        for version in ("monday", "tuesday"):
            tags = {"dagster/data_version": version}
            lab.instance.report_runless_asset_event(dg.AssetMaterialization("warehouse", tags=tags))
            outcome = lab.run(extract)
        assert because(outcome, "extract") == "upstream warehouse: monday -> tuesday"

    def test_class_of_a_value(self, lab: Lab) -> None:
        source = """
            from mlrepro import ml_asset
            from models import Model

            @ml_asset
            def fitted():
                return Model()

            @ml_asset
            def prediction(fitted):
                return fitted.predict(10)
        """
        models = "class Model:\n    def predict(self, x):\n        return x {sign} 2\n"
        for sign in ("*", "+"):
            flow = lab.module(source, models=models.format(sign=sign))
            outcome = lab.run(flow.fitted, flow.prediction)
        assert because(outcome, "fitted") == "`Model` in models.py changed"
        assert because(outcome, "prediction") == "`models.Model` behind input fitted changed"

    def test_type_that_says_how_a_value_is_read(self, lab: Lab, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_text("x\n1\n")
        shutil.copy(tmp_path / "in.csv", tmp_path / "in.txt")
        size = ml_asset(name="size")(size_of)
        for name in ("in.csv", "in.txt"):
            outcome = lab.run(file_source("table", tmp_path / name), size)
        assert because(outcome, "size") == "input table is read as .csv bytes -> .txt bytes"


def size_of(table: bytes) -> int:
    return len(table)


class Database(dg.ConfigurableResource):
    url: str = "db://one"
    password: str = SECRETS[0]


class TestTheRest:
    def test_seed(self, lab: Lab) -> None:
        def draw() -> float:
            return random.random()

        for seed in (1, 2):
            outcome = lab.run(ml_asset(seed=seed)(draw))
        assert because(outcome, "draw") == "seed 1 -> 2"
        assert because(lab.run(ml_asset(draw)), "draw") == "seed 2 -> none"

    @pytest.mark.parametrize("other", [{"url": "db://two"}, {"password": SECRETS[1]}])
    def test_resource(self, lab: Lab, other: dict[str, str]) -> None:
        @ml_asset
        def rows(db: Database) -> str:
            return db.url

        lab.run(rows, resources={"db": Database()})
        outcome = lab.run(rows, resources={"db": Database(**other)})
        assert because(outcome, "rows") == "resource db changed"
        written = [path.read_bytes() for path in Path(lab.url).rglob("*") if path.is_file()]
        assert not any(SECRETS[1].encode() in data for data in written)

    def test_output_type(self, lab: Lab) -> None:
        source = "from mlrepro import ml_asset\n@ml_asset\ndef result(){}:\n    return [1]\n"
        reasons = [
            because(lab.run(lab.module(source.format(hint)).result), "result")
            for hint in ("", " -> list", " -> list[int]")
        ]
        # what came out is the same, so the first version still is the newest
        assert reasons[1:] == ["output result: no type -> list", "output result: no type -> list[int]"]

    def test_output_format(self, lab: Lab) -> None:
        def result() -> list[int]:
            return [1]

        lab.run(ml_asset(result))
        assert because(lab.run(ml_asset(format="pickle")(result)), "result") == (
            "output result: list[int] -> list[int] as pickle"
        )

    def test_salt(self, lab: Lab) -> None:
        for salt in ("a", "b"):
            outcome = lab.run(ml_asset(name="one", cache=Cache(salt=salt))(lambda: 1))
        assert because(outcome, "one") == "the cache's salt changed"

    def test_tags_that_the_function_can_read(self, lab: Lab) -> None:
        @ml_asset
        def reads(context: dg.AssetExecutionContext) -> str:
            return context.run.tags["team"]

        for team in ("red", "blue"):
            outcome = lab.run(reads, tags={"team": team})
        assert because(outcome, "reads") == "run tags that the function can read changed"

    def test_range_of_partitions(self, lab: Lab) -> None:
        @ml_asset(
            partitions_def=dg.StaticPartitionsDefinition(["a", "b"]), backfill_policy=dg.BackfillPolicy.single_run()
        )
        def named(context: dg.AssetExecutionContext):
            keys = context.partition_keys
            return {key: key for key in keys} if len(keys) > 1 else keys[0]

        lab.run(named, partition="a")
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
        outcome = lab.run(named, tags=tags)
        reasons = {
            event.materialization.metadata["mlrepro/because"].value
            for event in outcome.result.get_asset_materialization_events()
        }
        assert reasons == {"partition a -> a...b"}

    def test_several_kinds(self, lab: Lab) -> None:
        source = """
            from mlrepro import ml_asset
            import dagster as dg

            class Settings(dg.Config):
                C: float = 1.0

            def clean(x):
                return {clean}

            @ml_asset
            def features():
                return {features}

            @ml_asset(seed={seed})
            def model(features, config: Settings):
                return clean(features), config.C
        """
        config = {"model": {"C": 2.0}}
        old = lab.module(source.format(clean="x", features=1, seed=1))
        lab.run(old.features, old.model)
        three = lab.module(source.format(clean="-x", features=2, seed=1))
        assert because(lab.run(three.features, three.model), "model") == (
            "`clean()` in flow.py changed; input features: v1 -> v2"
        )
        four = lab.module(source.format(clean="+x", features=3, seed=2))
        assert because(lab.run(four.features, four.model, config=config), "model") == (
            "`clean()` in flow.py changed; config C: 1.0 -> 2.0; and 2 more"
        )

    def test_multi_asset_whose_first_asset_was_never_made(self, lab: Lab) -> None:
        def build(value: int) -> dg.AssetsDefinition:
            @ml_multi_asset(outs={"a": dg.AssetOut(is_required=False), "b": dg.AssetOut()})
            def both():
                yield dg.Output(value, "b")

            return both

        lab.run(build(1))
        assert because(lab.run(build(2)), "b") == "a value, file or environment variable that the code uses changed"


def knobs(config: TrainConfig) -> str:
    return f"{config.C} {config.kind}"


class TestNearest:
    def run(self, lab: Lab, seed: int | None = None, **config: Any) -> str:
        outcome = lab.run(ml_asset(name="knobs", seed=seed)(knobs), config={"knobs": config})
        return because(outcome, "knobs")

    def test_is_the_newest_of_equally_near_ones(self, lab: Lab) -> None:
        for C in (1.0, 2.0):
            self.run(lab, C=C)
        assert self.run(lab, C=3.0) == "config C: 2.0 -> 3.0"

    def test_may_be_older_than_the_newest(self, lab: Lab) -> None:
        self.run(lab, C=1.0)
        self.run(lab, C=2.0, kind="forest")
        assert self.run(lab, C=1.0, kind="tree") == "config kind: 'svm' -> 'tree' (compared with v1)"

    def test_is_looked_for_among_the_newest_only(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(explaining, "LOOKED_AT", 2)
        self.run(lab, C=1.0)
        for C in (2.0, 3.0):
            self.run(lab, C=C, kind="forest")
        assert self.run(lab, C=1.0, kind="tree") == "config C: 3.0 -> 1.0; config kind: 'forest' -> 'tree'"

    def test_full_list_of_a_version_that_is_there(self, lab: Lab) -> None:
        for project in (PROJECT, PROJECT.replace("FACTOR = 2", "FACTOR = 3")):
            lab.run(lab.module(project, helper=HELPER).features)
        newest, first = versions("features", store=lab.store())
        explanation = explain_version(newest, lab.store())
        assert explanation.sentence == "`FACTOR` in flow.py changed"
        assert explanation.earlier == first
        assert explanation.changes[0].diff is not None
        assert explanation.changes[0].diff.splitlines()[-2:] == ["-FACTOR = 2", "+FACTOR = 3"]
        assert explain_version(first, lab.store()).sentence == "first result of this asset"

    def test_version_that_came_back(self, lab: Lab) -> None:
        for C in (1.0, 2.0, 1.0):
            lab.run(ml_asset(knobs), config={"knobs": {"C": C}})
        newest = versions("knobs", store=lab.store())[0]
        assert explain_version(newest, lab.store()).sentence == "same code, config and inputs as v1"


class TestEarlierResultThatTellsLittle:
    def test_record_of_an_older_version_of_mlrepro(self, lab: Lab) -> None:
        def rows(config: TrainConfig, db: Database) -> str:
            return f"{db.url} {config.C} {config.kind}"

        def run(C: float, **resource: str) -> str:
            return because(
                lab.run(ml_asset(rows), config={"rows": {"C": C}}, resources={"db": Database(**resource)}), "rows"
            )

        run(1.0)
        (path,) = lab.results()
        record = json.loads(path.read_text())
        del record["key_parts"], record["sha256"]
        path.write_text(json.dumps(record))
        assert run(2.0) == "config C: 1.0 -> 2.0"
        for newer in set(lab.results()) - {path}:
            newer.unlink()
        assert run(1.0, url="db://two") == (
            "something that counts differs from v1, but the earlier record does not tell what"
        )

    @pytest.mark.parametrize(
        "damage", ["", "garbage", "{}", '{"code": 1}', '{"code": {"fingerprint": "f"}, "config": 1, "inputs": [1]}']
    )
    def test_damaged_record_is_passed_over(self, lab: Lab, damage: str) -> None:
        nearest = TestNearest()
        nearest.run(lab, C=1.0)
        (older,) = lab.results()
        nearest.run(lab, C=2.0)
        (newer,) = set(lab.results()) - {older}
        newer.write_text(damage)
        assert nearest.run(lab, C=3.0) == "config C: 1.0 -> 3.0 (compared with v1)"

    def test_only_record_is_damaged(self, lab: Lab) -> None:
        nearest = TestNearest()
        nearest.run(lab, C=1.0)
        lab.results()[0].write_text("garbage")
        assert nearest.run(lab, C=2.0) == "the result of v1 can't be read, so nothing tells what changed"

    def test_result_that_is_gone(self, lab: Lab) -> None:
        nearest = TestNearest()
        nearest.run(lab, C=1.0)
        lab.results()[0].unlink()
        assert nearest.run(lab, C=1.0) == (
            "v1 had the same code, config and inputs, but its result was not kept, is lost or damaged"
        )

    def test_sources_that_are_gone(self, lab: Lab) -> None:
        lab.run(lab.module(PROJECT, helper=HELPER).features)
        lab.blob(json.loads(lab.results()[0].read_text())["code"]["sources"]).unlink()
        outcome = lab.run(lab.module(PROJECT.replace("FACTOR = 2", "FACTOR = 3"), helper=HELPER).features)
        assert because(outcome, "features") == "the code changed"

    def test_asset_that_was_a_plain_one(self, lab: Lab) -> None:
        lab.run(dg.asset(name="one")(lambda: 1))
        assert because(lab.run(ml_asset(name="one")(lambda: 2)), "one") == (
            "v1 was not computed by an @ml_asset, so nothing tells what changed"
        )


class TestStoreWhileExplaining:
    def test_that_fails(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise StoreError("gone")

        TestNearest().run(lab, C=1.0)
        monkeypatch.setattr(explaining, "newest_version", fail)
        assert TestNearest().run(lab, C=2.0) == "no result has this input hash yet"

    def test_that_fails_for_one_version(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        find = explaining.find_number

        def fail_for_two(store: Any, asset: Any, partition: Any, number: int) -> Any:
            if number == 2:
                raise StoreError("gone")
            return find(store, asset, partition, number)

        for C in (1.0, 2.0, 3.0):
            TestNearest().run(lab, C=C, kind="forest" if C == 3.0 else "svm")
        monkeypatch.setattr(explaining, "find_number", fail_for_two)
        assert TestNearest().run(lab, C=4.0) == "config C: 1.0 -> 4.0 (compared with v1)"

    def test_that_is_slow(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        TestNearest().run(lab, C=1.0)
        monkeypatch.setattr(reasons, "PATIENCE", 0.05)
        monkeypatch.setattr(explaining, "newest_version", lambda *_: time.sleep(2))
        assert TestNearest().run(lab, C=2.0) == "no result has this input hash yet"

    def test_is_asked_a_bounded_number_of_times(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        for C in range(12):
            TestNearest().run(lab, C=float(C))
        asked: list[str] = []
        for name in ("get", "names", "size"):
            original = getattr(LocalObjects, name)
            monkeypatch.setattr(
                LocalObjects,
                name,
                lambda self, key, original=original: (asked.append(key), original(self, key))[1],
            )
        newest = versions("knobs", store=lab.store())[0]
        asked.clear()
        assert explain_version(newest, lab.store()).sentence == "config C: 10.0 -> 11.0"
        results = [key for key in asked if "/results/" in key and ".replacements" not in key]
        assert len(results) == 1 + explaining.LOOKED_AT


class TestOtherReasonsStay:
    def test_switched_off_or_asked_for(self, lab: Lab) -> None:
        one = returning(1)
        lab.run(one)
        for mode, reason in (
            ("off", "the cache is switched off for this run"),
            ("refresh", "a fresh result was asked for"),
        ):
            assert because(lab.run(one, tags={"mlrepro/cache": mode}), "raw") == reason

    def test_lost_blob(self, lab: Lab) -> None:
        lab.blob(lab.run(returning(1)).data_version("raw")).unlink()
        assert "is missing or damaged: result (blob" in because(lab.run(returning(1)), "raw")
