"""How the cache must behave when something is wrong: rows of the acceptance list, named after the row."""

import datetime as dt
import json
import random
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import Cache, ml_asset, versions
from mlrepro.errors import StoreError, UnstorableValueError
from tests.definitions.lab import Lab


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


class TestStoredArtifactDeletedOrDamaged:
    @pytest.mark.parametrize("damage", ["deleted", "truncated"])
    def test_miss_recompute_say_so(self, lab: Lab, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
        content = lab.run(numbers, total).data_version("numbers")
        self.damage(lab.blob(content), damage)
        again = lab.run(numbers, total)
        assert again.cache == {"numbers": "computed", "total": "hit"}
        assert again.data_version("numbers") == content
        assert content in capfd.readouterr().err
        assert lab.run(numbers, total).cache == {"numbers": "hit", "total": "hit"}

    def test_found_out_only_when_it_is_loaded(self, lab: Lab) -> None:
        content = lab.run(numbers, total).data_version("numbers")
        self.damage(lab.blob(content), "flipped")  # its size is right, so the look-up finds nothing wrong
        again = lab.run(numbers, total, tags={"mlrepro/refresh": "total"})
        assert again.cache == {"numbers": "computed", "total": "computed"}
        assert again.value("total") == 6
        assert lab.run(numbers, total).cache == {"numbers": "hit", "total": "hit"}

    def test_that_cannot_be_computed_here_is_named(self, lab: Lab) -> None:
        content = lab.run(numbers, total).data_version("numbers")
        lab.blob(content).unlink()
        upstream = dg.AssetSpec("numbers")
        with pytest.raises(Exception, match=rf"numbers v1 can't be loaded: .*{content}.*Materialize numbers again"):
            lab.run(upstream, total, tags={"mlrepro/cache": "refresh"})

    @staticmethod
    def damage(blob: Path, how: str) -> None:
        data = blob.read_bytes()
        blob.unlink()
        if how == "truncated":
            blob.write_bytes(data[:-1])
        elif how == "flipped":
            blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])


class TestResultCannotBeStored:
    def test_step_fails_if_downstream_needs_it(self, lab: Lab) -> None:
        @ml_asset
        def generator():
            return (i for i in [1]), lambda: 1

        @ml_asset
        def consumer(generator) -> int:
            return 1

        with pytest.raises(UnstorableValueError, match=r"function|lambda|generator"):
            lab.run(generator, consumer)
        assert lab.results() == []

    def test_else_warns(self, lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
        @ml_asset
        def lonely():
            return lambda: 1

        outcome = lab.run(lonely)
        assert outcome.success
        assert outcome.cache == {"lonely": "not stored"}
        assert "computed but not stored" in capfd.readouterr().err


class TestNondeterminism:
    def test_two_writers_of_one_key_with_different_bytes(self, lab: Lab) -> None:
        @ml_asset
        def dice() -> float:
            return random.SystemRandom().random()

        off = {"mlrepro/cache": "off"}
        first, second = lab.run(dice, tags=off), lab.run(dice, tags=off)
        assert "mlrepro/nondeterministic" not in first.metadata("dice")
        assert second.metadata("dice")["mlrepro/nondeterministic"] is True
        assert lab.run(dice).value("dice") == first.value("dice"), "the first record wins"
        newest = versions("dice", store=lab.store())
        assert [version.body["nondeterministic"] for version in newest[1:]] == [True, False]
        assert len(lab.store().deviations(second.metadata("dice")["mlrepro/input_hash"])) == 1

    def test_seed_makes_it_deterministic(self, lab: Lab) -> None:
        @ml_asset(seed=7)
        def sample() -> list[float]:
            import numpy as np

            return [random.random(), float(np.random.rand())]

        off = {"mlrepro/cache": "off"}
        assert lab.run(sample, tags=off).value("sample") == lab.run(sample, tags=off).value("sample")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/proc/nope", "/proc/nope"),
        ("ftp://host/folder", "ftp://host/folder is of no known kind of store"),
        ("/etc/hostname", "/etc/hostname"),
    ],
)
def test_store_that_cannot_be_reached_or_written_is_named(lab: Lab, url: str, says: str) -> None:
    lab.url = url
    with pytest.raises(StoreError, match=says):
        lab.run(numbers)


def test_folder_with_a_file_lost_from_the_store(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.txt").write_text("alpha")

    @ml_asset
    def made() -> Path:
        return tmp_path / "made"

    lab.run(made)
    lost = next(path for path in lab.blobs() if path.read_bytes() == b"alpha")
    lost.unlink()
    assert lab.run(made).cache == {"made": "computed"}
    assert lab.run(made).cache == {"made": "hit"}


@pytest.mark.parametrize("damage", ["", "{}", "[]", "garbage", '{"outputs": {}}', '{"outputs": {"result": 1}}'])
def test_record_that_somebody_damaged(lab: Lab, damage: str) -> None:
    lab.run(numbers)
    (record,) = lab.results()
    record.write_text(damage)
    assert lab.run(numbers).cache == {"numbers": "computed"}
    assert lab.run(numbers).cache == {"numbers": "hit"}


@pytest.mark.parametrize("field", ["started", "finished"])
@pytest.mark.parametrize("time", ["yesterday", "2026-11-23T12:00:00", ""])
def test_record_with_a_time_that_is_none(lab: Lab, field: str, time: str) -> None:
    @ml_asset(cache=Cache(max_age=dt.timedelta(days=1)))
    def fresh() -> int:
        return 1

    lab.run(fresh)
    (record,) = lab.results()
    edited = {**json.loads(record.read_text()), field: time}
    del edited["sha256"]
    record.write_text(json.dumps(edited))
    assert lab.run(fresh).cache == {"fresh": "computed"}
    assert lab.run(fresh).cache == {"fresh": "hit"}


def test_file_that_changes_while_the_function_runs_leaves_no_result(lab: Lab) -> None:
    source = """
        from pathlib import Path
        from mlrepro import ml_asset

        SETTINGS = Path(__file__).parent / "settings.txt"

        @ml_asset
        def reads() -> str:
            text = SETTINGS.read_text()
            if text == "first":
                (SETTINGS.parent / "settings.txt").write_text("second")
                return SETTINGS.read_text()
            return text
    """
    module = lab.module(source)
    settings = Path(module.__file__).parent / "settings.txt"
    settings.write_text("first")
    assert lab.run(module.reads).value("reads") == "second"
    assert lab.results() == [], "what came out belongs neither to the old content nor to the new"
    settings.write_text("third")
    assert lab.run(module.reads).value("reads") == "third"
    assert lab.run(module.reads).cache == {"reads": "hit"}


@pytest.mark.parametrize("damage", ["", "garbage", "{}", "empty entry"])
def test_version_that_somebody_damaged(lab: Lab, damage: str) -> None:
    lab.run(numbers, total)
    (entry,) = Path(lab.url).glob("*/versions/numbers/_/*.json")
    if damage == "empty entry":
        emptied = {**json.loads(entry.read_text()), "entry": {}}
        del emptied["sha256"]
        damage = json.dumps(emptied)
    entry.write_text(damage)
    assert lab.run(numbers, total).cache == {"numbers": "hit", "total": "hit"}
    assert [version.number for version in versions("numbers", store=lab.store())] == [2]
