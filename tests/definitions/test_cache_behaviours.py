"""How the cache must behave: one test a row of the acceptance list, named after the row."""

import datetime as dt
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlrepro import Cache, file_source, ml_asset, versions
from mlrepro.errors import AssetDefinitionError
from tests.definitions.lab import Lab

# not as it is: the file itself is stored with the results of its assets
PASSWORD = "correct_horse_battery_staple".replace("_", "-")


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


class TestSameInputTwice:
    def test_hit(self, lab: Lab) -> None:
        assert lab.run(numbers, total).cache == {"numbers": "computed", "total": "computed"}
        again = lab.run(numbers, total)
        assert again.cache == {"numbers": "hit", "total": "hit"}
        assert again.value("total") == 6

    def test_function_is_not_called_and_inputs_are_not_loaded(self, lab: Lab) -> None:
        lab.run(numbers, total)
        content = lab.run(numbers, total).data_version("numbers")
        lab.blob(content).unlink()
        assert lab.run(numbers, total, select=["total"]).cache == {"total": "hit"}


def plus_one(numbers: list[int]) -> list[int]:
    return [number + 1 for number in numbers]


def test_same_function_and_inputs_under_another_asset_name_job_code_location_user(lab: Lab) -> None:
    mine = ml_asset(name="mine")(plus_one)
    theirs = ml_asset(name="theirs", key_prefix="team")(plus_one)
    assert lab.run(numbers, mine, tags={"user": "ana"}).cache["mine"] == "computed"
    other = lab.run(numbers, theirs, tags={"user": "bob"}, fresh_instance=True)
    assert other.cache == {"numbers": "hit", "team/theirs": "hit"}
    assert other.metadata("team/theirs")["mlrepro/computed_by"] == "ana"


def test_result_published_to_shared_is_a_hit_for_another_scope(lab: Lab) -> None:
    shared = ml_asset(name="shared", cache=Cache(scope="shared"))(plus_one)
    private = ml_asset(name="private")(plus_one)
    source = ml_asset(name="numbers", cache=Cache(scope="shared"))(lambda: [1, 2, 3])
    assert set(lab.run(source, shared, scope="ana").cache.values()) == {"computed"}
    other = lab.run(source, shared, scope="bob", fresh_instance=True)
    assert set(other.cache.values()) == {"hit"}
    assert other.value("shared") == [2, 3, 4]
    assert lab.run(source, private, scope="carol", fresh_instance=True).cache["private"] == "hit"


def test_result_of_another_scope_that_is_not_shared_is_a_miss(lab: Lab) -> None:
    assert lab.run(numbers, scope="ana").cache == {"numbers": "computed"}
    assert lab.run(numbers, scope="bob", fresh_instance=True).cache == {"numbers": "computed"}


def test_asset_shared_by_two_jobs(lab: Lab) -> None:
    jobs = [dg.define_asset_job("one", "*"), dg.define_asset_job("two", "*")]
    defs = lab.definitions(numbers, total, jobs=jobs)
    for name, expected in (("one", "computed"), ("two", "hit")):
        result = defs.resolve_job_def(name).execute_in_process(instance=lab.instance)
        events = result.get_asset_materialization_events()
        assert {event.materialization.metadata["mlrepro/cache"].value for event in events} == {expected}


class TestCacheDisabled:
    def test_for_a_run(self, lab: Lab) -> None:
        off = {"mlrepro/cache": "off"}
        assert lab.run(numbers, tags=off).cache == {"numbers": "computed"}
        assert lab.run(numbers, tags=off).cache == {"numbers": "computed"}
        assert lab.run(numbers).cache == {"numbers": "hit"}, "the result was stored all the same"

    def test_for_an_asset(self, lab: Lab) -> None:
        never = ml_asset(name="never", cache=False)(lambda: 1)
        assert lab.run(never).cache == {"never": "computed"}
        assert lab.run(never).cache == {"never": "computed"}
        assert lab.results() == []

    def test_for_a_process(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.run(numbers)
        monkeypatch.setenv("MLREPRO_CACHE", "off")
        assert lab.run(numbers).cache == {"numbers": "computed"}

    def test_a_word_that_means_nothing_is_refused(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLREPRO_CACHE", "maybe")
        with pytest.raises(Exception, match="MLREPRO_CACHE is one of on, off, refresh, not 'maybe'"):
            lab.run(numbers)


class TestOverwriteAskedFor:
    def test_for_one_run(self, lab: Lab) -> None:
        lab.run(numbers, total)
        fresh = lab.run(numbers, total, tags={"mlrepro/cache": "refresh"})
        assert fresh.cache == {"numbers": "computed", "total": "computed"}
        assert lab.run(numbers, total).cache == {"numbers": "hit", "total": "hit"}

    def test_for_only_some_steps(self, lab: Lab) -> None:
        lab.run(numbers, total)
        assert lab.run(numbers, total, tags={"mlrepro/refresh": "total, other"}).cache == {
            "numbers": "hit",
            "total": "computed",
        }

    def test_what_came_out_afresh_is_what_the_next_run_hits(self, lab: Lab) -> None:
        table = lab.folder / "outside"  # something that the key cannot know
        table.write_text("old")
        hidden = {"path": str(table)}

        @ml_asset
        def looks_outside(context: dg.AssetExecutionContext) -> str:
            return Path(context.op_config["path"]).read_text()

        configured = {"looks_outside": hidden}
        lab.run(looks_outside, config=configured)
        table.write_text("new")
        assert lab.run(looks_outside, config=configured).value("looks_outside") == "old"
        assert (
            lab.run(looks_outside, config=configured, tags={"mlrepro/cache": "refresh"}).value("looks_outside") == "new"
        )
        hit = lab.run(looks_outside, config=configured)
        assert hit.cache == {"looks_outside": "hit"}
        assert hit.value("looks_outside") == "new"


class TrainConfig(dg.Config):
    C: float = 1.0
    n_jobs: int = 2
    grid: dict[str, int] = {}


@ml_asset(cache=Cache(ignore_config=("n_jobs",)))
def trained(config: TrainConfig) -> float:
    return config.C


class TestConfig:
    def test_ignored_field_differs(self, lab: Lab) -> None:
        lab.run(trained, config={"trained": {"n_jobs": 1}})
        assert lab.run(trained, config={"trained": {"n_jobs": 8}}).cache == {"trained": "hit"}

    def test_other_field_differs(self, lab: Lab) -> None:
        lab.run(trained)
        assert lab.run(trained, config={"trained": {"C": 2.0}}).cache == {"trained": "computed"}

    def test_default_written_out_is_the_same(self, lab: Lab) -> None:
        lab.run(trained)
        assert lab.run(trained, config={"trained": {"C": 1.0}}).cache == {"trained": "hit"}

    def test_ignored_field_that_does_not_exist(self) -> None:
        with pytest.raises(AssetDefinitionError, match=r"ignore_config=\.\.\.\) names 'jobs'.*C, grid, n_jobs"):

            @ml_asset(cache=Cache(ignore_config=("jobs",)))
            def broken(config: TrainConfig) -> float:
                return config.C

    def test_dict_keys_in_another_order(self, lab: Lab) -> None:
        lab.run(trained, config={"trained": {"grid": {"a": 1, "b": 2}}})
        assert lab.run(trained, config={"trained": {"grid": {"b": 2, "a": 1}}}).cache == {"trained": "hit"}

    def test_fields_declared_in_another_order(self, lab: Lab) -> None:
        source = """
            import dagster as dg
            from mlrepro import ml_asset

            class Settings(dg.Config):
                {fields}

            @ml_asset
            def model(config: Settings) -> float:
                return config.rate * config.depth
        """
        fields = ["rate: float = 0.1", "depth: int = 3"]
        first = lab.module(source.format(fields="; ".join(fields)))
        second = lab.module(source.format(fields="; ".join(reversed(fields))))
        lab.run(first.model)
        assert lab.run(second.model).cache == {"model": "hit"}

    def test_method_of_the_config_is_code(self, lab: Lab) -> None:
        source = """
            import dagster as dg
            from mlrepro import ml_asset

            class Settings(dg.Config):
                rate: float = 0.1

                def scaled(self):
                    return self.rate * {factor}

            @ml_asset
            def model(config: Settings) -> float:
                return config.scaled()
        """
        lab.run(lab.module(source.format(factor=2)).model)
        assert lab.run(lab.module(source.format(factor=2)).model).cache == {"model": "hit"}
        assert lab.run(lab.module(source.format(factor=3)).model).cache == {"model": "computed"}

    def test_secret_counts_but_is_written_nowhere(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        @ml_asset
        def connects(config: Credentials) -> int:
            return len(config.password)

        monkeypatch.setenv("LAB_PASSWORD", PASSWORD)
        by_variable = {"connects": {"password": {"env": "LAB_PASSWORD"}}}
        assert lab.run(connects, config=by_variable).cache == {"connects": "computed"}
        assert lab.run(connects, config=by_variable).cache == {"connects": "hit"}
        for path in Path(lab.url).rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
        record = json.loads(lab.results()[0].read_text())
        assert record["config"]["password"]["env"] == "LAB_PASSWORD"
        monkeypatch.setenv("LAB_PASSWORD", "another")
        assert lab.run(connects, config=by_variable).cache == {"connects": "computed"}

    def test_secret_in_the_default_of_a_nested_config_or_behind_a_mapping(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LAB_PASSWORD", PASSWORD)

        @ml_asset
        def nested(config: Connection) -> int:
            return len(config.login.password)

        @dg.config_mapping
        def mapped(config: Credentials) -> dg.RunConfig:
            login = Login(password=config.password)
            return dg.RunConfig({"nested": Connection(login=login)})

        lab.run(nested)
        defs = lab.definitions(nested, jobs=[dg.define_asset_job("job", "nested", config=mapped)])
        config = {"password": {"env": "LAB_PASSWORD"}}
        assert defs.resolve_job_def("job").execute_in_process(instance=lab.instance, run_config=config).success
        for path in Path(lab.url).rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


class Credentials(dg.Config):
    password: str


class Login(dg.Config):
    password: str = dg.EnvVar("LAB_PASSWORD")


class Connection(dg.Config):
    login: Login = Login(password=dg.EnvVar("LAB_PASSWORD"))


class TestContentOfInputs:
    def test_frame_input_without_a_hand_written_hash(self, lab: Lab) -> None:
        lab.run(frame, frame_size)
        lab.run(frame_again, frame_size)  # another asset function, equal frame
        assert lab.run(frame_again, frame_size).cache["frame_size"] == "hit"

    def test_list_and_dict_of_frames(self, lab: Lab) -> None:
        @ml_asset
        def parts() -> dict[str, pd.DataFrame]:
            return {"train": make_frame(), "test": make_frame().iloc[:1]}

        @ml_asset
        def rows(parts: dict[str, pd.DataFrame]) -> list[int]:
            return [len(part) for part in parts.values()]

        lab.run(parts, rows)
        again = lab.run(parts, rows, tags={"mlrepro/refresh": "parts"})
        assert again.cache == {"parts": "computed", "rows": "hit"}

    def test_frame_from_another_io_manager(self, lab: Lab) -> None:
        @dg.asset(io_manager_key="files")
        def plain_frame() -> pd.DataFrame:
            return make_frame()

        @ml_asset
        def size(plain_frame: pd.DataFrame) -> int:
            return plain_frame.size

        files = {"files": dg.FilesystemIOManager(base_dir=str(lab.folder / "files"))}
        assert lab.run(plain_frame, size, resources=files).cache == {"size": "computed"}
        assert lab.run(plain_frame, size, resources=files).cache == {"size": "hit"}


def make_frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1, 2, 3], "name": ["a", "b", "c"]})


@ml_asset
def frame() -> pd.DataFrame:
    return make_frame()


@ml_asset(name="frame")
def frame_again() -> pd.DataFrame:
    return pd.concat([make_frame().iloc[:1], make_frame().iloc[1:]])


@ml_asset
def frame_size(frame: pd.DataFrame) -> int:
    return frame.size


PROJECT = """
    from mlrepro import ml_asset
    from helper import scale

    FACTOR = 2

    def inner(x):
        return x + 1

    def make(k):
        def closed(x):
            return x * k
        return closed

    closed = make(5)

    @ml_asset({arguments})
    def result(){annotation}:
        # a comment
        return [inner(1), scale(2), closed(3), FACTOR]
"""
HELPER = "def scale(x, by=3):\n    return x * by\n"


class TestCodeChanged:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param("return [inner(1)", "return [inner(2)", id="body"),
            pytest.param("return x + 1", "return x + 2", id="helper"),
            pytest.param("FACTOR = 2", "FACTOR = 3", id="global"),
            pytest.param("make(5)", "make(6)", id="closure"),
            pytest.param("by=3", "by=4", id="default of another module's function"),
        ],
    )
    def test_miss(self, lab: Lab, old: str, new: str) -> None:
        project = PROJECT.format(arguments="", annotation="")
        lab.run(lab.module(project, helper=HELPER).result)
        assert (project + HELPER).count(old) == 1
        edited = lab.module(project.replace(old, new), helper=HELPER.replace(old, new))
        assert lab.run(edited.result).cache == {"result": "computed"}

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param("# a comment", "# another", id="comment"),
            pytest.param("return [inner(1), scale(2)", "return [\n            inner(1), scale(2)", id="formatting"),
            pytest.param("# a comment", "'''A docstring.'''", id="docstring"),
            pytest.param("def inner(x)", "def inner(x: float) -> float", id="type hint"),
            pytest.param("@ml_asset()", "@ml_asset(retry_policy=dg.RetryPolicy(max_retries=3))", id="retries"),
            pytest.param("@ml_asset()", '@ml_asset(resources={"cpu": 4})', id="resources"),
            pytest.param("@ml_asset()", '@ml_asset(group_name="g", tags={"a": "b"})', id="group and tags"),
        ],
    )
    def test_hit(self, lab: Lab, old: str, new: str) -> None:
        project = PROJECT.format(arguments="", annotation="").replace(
            "from mlrepro", "import dagster as dg\n    from mlrepro"
        )
        lab.run(lab.module(project, helper=HELPER).result)
        assert project.count(old) == 1
        edited = lab.module(project.replace(old, new), helper=HELPER)
        assert lab.run(edited.result).cache == {"result": "hit"}

    def test_output_type_annotation_changed(self, lab: Lab) -> None:
        for annotation in ("", " -> list", " -> list[int]"):
            project = lab.module(PROJECT.format(arguments="", annotation=annotation), helper=HELPER)
            assert lab.run(project.result).cache == {"result": "computed"}

    def test_code_reverted_to_an_older_state(self, lab: Lab) -> None:
        old = PROJECT.format(arguments="", annotation="")
        seen = [
            lab.run(lab.module(source, helper=HELPER).result).cache["result"]
            for source in (old, old.replace("FACTOR = 2", "FACTOR = 3"), old)
        ]
        assert seen == ["computed", "computed", "hit"]

    def test_versions_follow_content_there_and_back(self, lab: Lab) -> None:
        old = PROJECT.format(arguments="", annotation="")
        for source in (old, old, old.replace("FACTOR = 2", "FACTOR = 3"), old):
            lab.run(lab.module(source, helper=HELPER).result)
        contents = [version.stored.content_hash for version in versions("result", store=lab.store())]
        assert len(contents) == 3
        assert contents[0] == contents[2] != contents[1]

    def test_helper_replaced_at_run_time(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        project = lab.module(PROJECT.format(arguments="", annotation=""), helper=HELPER)
        lab.run(project.result)
        monkeypatch.setattr(project, "inner", lambda x: x + 100)
        replaced = lab.run(project.result)
        assert replaced.cache == {"result": "computed"}
        assert replaced.value("result")[0] == 101

    def test_class_of_an_input_changed(self, lab: Lab) -> None:
        source = """
            from mlrepro import ml_asset
            from models import Model

            @ml_asset
            def fitted():
                return Model(2)

            @ml_asset
            def prediction(fitted):
                return fitted.predict(10)
        """
        models = """
            class Model:
                def __init__(self, k):
                    self.k = k

                def predict(self, x):
                    return x * self.k
        """
        first = lab.module(source, models=models)
        assert lab.run(first.fitted, first.prediction).value("prediction") == 20
        second = lab.module(source, models=models.replace("x * self.k", "x + self.k"))
        again = lab.run(second.fitted, second.prediction)
        assert again.cache["prediction"] == "computed"
        assert again.value("prediction") == 12


class TestFiles:
    def test_file_at_the_same_path_with_new_content(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "in.csv"
        path.write_text("x\n1\n")
        stamp = path.stat().st_mtime_ns
        source = file_source("table", path)
        lab.run(source, table_rows)
        path.write_text("x\n2\n")
        import os

        os.utime(path, ns=(stamp, stamp))  # not even the time stamp tells
        changed = lab.run(source, table_rows)
        assert changed.cache == {"table_rows": "computed"}
        assert changed.value("table_rows") == [2]

    def test_file_at_another_path_with_the_same_content(self, lab: Lab, tmp_path: Path) -> None:
        for name in ("one.csv", "two.csv"):
            (tmp_path / name).write_text("x\n1\n")
        lab.run(file_source("table", tmp_path / "one.csv"), table_rows)
        assert lab.run(file_source("table", tmp_path / "two.csv"), table_rows).cache == {"table_rows": "hit"}

    def test_lineage_names_the_content_that_was_read(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "in.csv"
        path.write_text("x\n1\n")
        source = file_source("table", path)
        lab.run(source, table_rows)
        path.write_text("x\n2\n")
        tags = lab.run(source, table_rows).materialization("table_rows").tags
        observed = lab.instance.fetch_observations(dg.AssetKey("table"), limit=1).records[0].asset_observation
        assert tags["dagster/input_data_version/table"] == observed.tags["dagster/data_version"]

    @pytest.mark.parametrize("read", [None, pd.read_csv], ids=["by type", "a library's own reader"])
    def test_compressed_file_keeps_its_name_for_the_reader(self, lab: Lab, tmp_path: Path, read: Any) -> None:
        path = tmp_path / "in.csv.gz"
        path.write_bytes(gzip.compress(b"x\n1\n2\n"))
        source = file_source("table", path, read=read)
        assert lab.run(source, table_rows).value("table_rows") == [1, 2]
        assert lab.run(source, table_rows).cache == {"table_rows": "hit"}

    def test_file_for_an_optional_frame(self, lab: Lab, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_text("x\n1\n")

        @ml_asset
        def maybe(table: pd.DataFrame | None) -> int:
            return 0 if table is None else len(table)

        assert lab.run(file_source("table", tmp_path / "in.csv"), maybe).value("maybe") == 1

    def test_missing_file_is_named(self, lab: Lab, tmp_path: Path) -> None:
        with pytest.raises(Exception, match=r"table: there is no file or folder .*gone\.csv"):
            lab.run(file_source("table", tmp_path / "gone.csv"), table_rows)


@ml_asset
def table_rows(table: pd.DataFrame) -> list[int]:
    return table.x.tolist()


def test_function_raises(lab: Lab) -> None:
    outcome = {"fail": True}

    @ml_asset
    def fragile():
        yield dg.Output(1)
        if Path(switch).exists():
            raise RuntimeError("broken")

    switch = str(lab.folder / "switch")
    Path(switch).touch()
    assert not lab.run(fragile, raise_on_error=False).success
    assert lab.results() == []
    assert outcome


def test_entry_older_than_max_age(lab: Lab) -> None:
    @ml_asset(cache=Cache(max_age=dt.timedelta(seconds=1)))
    def price() -> float:
        return time.time()

    first = lab.run(price)
    assert lab.run(price).cache == {"price": "hit"}
    time.sleep(1.1)
    later = lab.run(price)
    assert later.cache == {"price": "computed"}
    assert later.value("price") != first.value("price")
    hit = lab.run(price)
    assert hit.cache == {"price": "hit"}
    assert hit.value("price") == later.value("price")


class TestAssetWithNoOutput:
    def test_hit(self, lab: Lab) -> None:
        @ml_asset(deps=[numbers])
        def exported() -> None: ...

        assert lab.run(numbers, exported).cache["exported"] == "computed"
        assert lab.run(numbers, exported).cache["exported"] == "hit"
        assert [version.number for version in versions("exported", store=lab.store())] == [1]

    def test_what_depends_on_it_runs_when_it_ran(self, lab: Lab) -> None:
        @ml_asset
        def table(config: TrainConfig) -> None: ...

        @ml_asset(deps=[table])
        def report() -> str:
            return "done"

        lab.run(table, report)
        assert lab.run(table, report).cache == {"table": "hit", "report": "hit"}
        changed = lab.run(table, report, config={"table": {"C": 5.0}})
        assert changed.cache == {"table": "computed", "report": "computed"}

    def test_dependency_that_nobody_versions_is_never_a_hit(self, lab: Lab) -> None:
        @ml_asset(deps=[dg.AssetSpec("warehouse")])
        def extract() -> int:
            return 1

        lab.run(extract)
        again = lab.run(extract)
        assert again.cache == {"extract": "computed"}
        assert "warehouse has no data version" in again.metadata("extract")["mlrepro/because"]


def test_upstream_recomputed_to_the_same_bytes(lab: Lab) -> None:
    source = "from mlrepro import ml_asset\n@ml_asset\ndef base():\n    return {text}\n"
    doubled = "@ml_asset\ndef doubled(base):\n    return base * 2\n"
    one = lab.module(source.format(text="2 + 2") + doubled)
    two = lab.module(source.format(text="4") + doubled)
    lab.run(one.base, one.doubled)
    assert lab.run(two.base, two.doubled).cache == {"base": "computed", "doubled": "hit"}


class TestPartitions:
    letters = dg.StaticPartitionsDefinition(["A", "B"])

    def test_partition_a_computed_does_not_hit_for_b(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.letters)
        def sees_its_key(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        assert lab.run(sees_its_key, partition="A").cache == {"sees_its_key": "computed"}
        assert lab.run(sees_its_key, partition="B").cache == {"sees_its_key": "computed"}
        assert lab.run(sees_its_key, partition="A").cache == {"sees_its_key": "hit"}

    def test_unless_the_inputs_are_equal_and_the_key_is_not_used(self, lab: Lab) -> None:
        @ml_asset(partitions_def=self.letters)
        def never_sees_it() -> int:
            return 1

        lab.run(never_sees_it, partition="A")
        assert lab.run(never_sees_it, partition="B").cache == {"never_sees_it": "hit"}


def test_random_seed_changed(lab: Lab) -> None:
    def draw() -> float:
        return random.random()

    lab.run(ml_asset(name="draw", seed=1)(draw))
    assert lab.run(ml_asset(name="draw", seed=2)(draw)).cache == {"draw": "computed"}
    assert lab.run(ml_asset(name="draw", seed=1)(draw)).cache == {"draw": "hit"}


def test_values_of_other_types_with_the_same_bytes(lab: Lab) -> None:
    def double(raw):
        return raw * 2

    def returning(value):
        return lambda: value

    asset = ml_asset(name="double")(double)
    for value, expected in ((1, 2), (b"1", b"11"), ("1", "11")):
        outcome = lab.run(ml_asset(name="raw")(returning(value)), asset)
        assert outcome.cache["double"] == "computed"
        assert outcome.value("double") == expected
