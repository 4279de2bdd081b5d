"""Under `cache_first` failures, retries and re-executions go as under the executor alone."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.observe import observe

from mlrepro import file_source, ml_asset
from tests.execution.lab import FILES, Both


class Broken:
    now = True


@pytest.fixture(autouse=True)
def broken() -> None:
    Broken.now = True


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.asset
def published(total: int) -> int:
    if Broken.now:
        raise ConnectionError("nobody is there")
    return total


@ml_asset
def reviewed(published: int, total: int) -> int:
    return published + total


def test_step_fails_while_others_hit(both: Both) -> None:
    both.run(numbers, total)
    again = both.run(numbers, total, published, reviewed).first
    assert not again.success
    assert again.replayed == {"numbers", "total"}
    assert "nobody is there" in again.errors


class TestReexecutionFromFailure:
    def test_of_a_run_that_held_replayed_steps(self, both: Both) -> None:
        both.run(numbers, total)
        failed = both.run(numbers, total, published, reviewed)
        assert failed.first.replayed == {"numbers", "total"}
        Broken.now = False
        again = both.run(numbers, total, published, reviewed, retry_of=failed).first
        assert again.success
        assert again.ran == {"published", "reviewed"}
        assert not again.replayed

    def test_of_a_reexecution(self, both: Both) -> None:
        both.run(numbers, total)
        failed = both.run(numbers, total, published, reviewed)
        failed = both.run(numbers, total, published, reviewed, retry_of=failed)
        assert not failed.first.success
        Broken.now = False
        assert both.run(numbers, total, published, reviewed, retry_of=failed).first.success

    def test_in_which_a_step_is_a_hit_by_now(self, both: Both) -> None:
        failed = both.run(numbers, total, published, reviewed)
        Broken.now = False
        both.run(numbers, total, published, reviewed)
        Broken.now = True
        # published is plain and runs again; what was left of the plan is looked up as ever
        again = both.run(numbers, total, published, reviewed, retry_of=failed).first
        assert not again.success

    def test_with_values_that_another_io_manager_has(self, both: Both) -> None:
        @dg.asset(io_manager_key="files", code_version="1")
        def copied(total: int) -> int:
            return total

        @dg.asset(io_manager_key="files", code_version="1")
        def sent(copied: int, total: int) -> int:
            if Broken.now:
                raise ConnectionError("nobody is there")
            return copied + total

        files = {"files": FILES}
        both.run(numbers, total)
        failed = both.run(numbers, total, copied, sent, resources=files)
        Broken.now = False
        again = both.run(numbers, total, copied, sent, retry_of=failed, resources=files).first
        assert again.success
        assert again.ran == {"sent"}

    def test_after_a_blocking_check_failed(self, both: Both) -> None:
        @dg.asset_check(asset=numbers, blocking=True)
        def sound(numbers: list[int]) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=not Broken.now)

        both.run(numbers, total)
        failed = both.run(numbers, total, asset_checks=[sound])
        Broken.now = False
        again = both.run(numbers, total, asset_checks=[sound], retry_of=failed).first
        assert again.success
        assert again.ran - {"total"} == {"numbers_sound"}


class TestRetries:
    def test_step_that_fails_once_after_a_hit(self, both: Both) -> None:
        @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
        def flaky(context: dg.AssetExecutionContext, total: int) -> int:
            if context.retry_number == 0:
                raise ConnectionError("nobody is there")
            return total

        again = both.twice(numbers, total, flaky)
        assert again.success
        assert again.replayed == {"numbers", "total"}
        (stats,) = again.instance.get_run_step_stats(again.run_id, ["flaky"])
        assert stats.attempts == 2

    def test_ml_asset_that_fails_once(self, both: Both) -> None:
        @ml_asset(retry_policy=dg.RetryPolicy(max_retries=2))
        def flaky(context: dg.AssetExecutionContext, total: int) -> int:
            if context.retry_number == 0:
                raise ConnectionError("nobody is there")
            return total

        both.run(numbers, total)
        first = both.run(numbers, total, flaky).first
        assert first.replayed == {"numbers", "total"}
        assert first.cache["flaky"] == "computed"
        assert both.run(numbers, total, flaky).first.replayed == {"numbers", "total", "flaky"}

    def test_that_run_out(self, both: Both) -> None:
        @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
        def hopeless(total: int) -> int:
            raise ConnectionError("nobody is there")

        both.run(numbers, total)
        assert not both.run(numbers, total, hopeless).first.success


class TestFileSources:
    def test_that_did_not_change(self, both: Both, tmp_path: Path) -> None:
        (tmp_path / "raw.txt").write_text("one")
        raw = file_source("raw", tmp_path / "raw.txt")

        @ml_asset
        def words(raw: str) -> int:
            return len(raw)

        @ml_asset(deps=[raw])
        def beside(words: int) -> int:
            return words

        again = both.twice(raw, words, beside, select=["words", "beside"])
        assert again.replayed == {"words", "beside"}

    def test_that_the_run_observes_as_well(self, both: Both, tmp_path: Path) -> None:
        (tmp_path / "raw.txt").write_text("one")
        raw = file_source("raw", tmp_path / "raw.txt")

        @ml_asset
        def words(raw: str) -> int:
            return len(raw)

        again = both.twice(raw, words, numbers)
        assert again.replayed == {"numbers"}
        assert again.cache["words"] == "hit"

    def test_that_changed_and_changed_back(self, both: Both, tmp_path: Path) -> None:
        (tmp_path / "raw.txt").write_text("one")
        raw = file_source("raw", tmp_path / "raw.txt")

        @ml_asset
        def words(raw: str) -> int:
            return len(raw.split())

        @ml_asset
        def letters(raw: str) -> int:
            return len(raw)

        both.run(raw, words, letters, select=["words", "letters"])
        (tmp_path / "raw.txt").write_text("one two")
        assert set(both.run(raw, words, letters, select=["words", "letters"]).first.cache.values()) == {"computed"}
        (tmp_path / "raw.txt").write_text("one")
        again = both.run(raw, words, letters, select=["words", "letters"]).first
        assert again.replayed == {"words", "letters"}

    def test_that_is_gone(self, both: Both, tmp_path: Path) -> None:
        file = tmp_path / "raw.txt"
        file.write_text("one")
        raw = file_source("raw", file)

        @ml_asset
        def words(raw: str) -> int:
            return len(raw)

        both.run(raw, words, numbers, select=["words", "numbers"])
        file.unlink()
        again = both.run(raw, words, numbers, select=["words", "numbers"]).first
        assert not again.success
        assert again.replayed == {"numbers"}
        assert "there is no file or folder" in again.errors

    def test_observed_before_by_somebody(self, both: Both, tmp_path: Path) -> None:
        (tmp_path / "raw.txt").write_text("one")
        raw = file_source("raw", tmp_path / "raw.txt")

        @ml_asset
        def words(raw: str) -> int:
            return len(raw)

        for lab in both.labs:
            observe([raw], instance=lab.instance)
        assert both.twice(raw, words, select=["words"]).replayed == {"words"}

    def test_plain_observable_source(self, both: Both) -> None:
        @dg.observable_source_asset
        def table() -> dg.DataVersion:
            return dg.DataVersion("1" if Broken.now else "2")

        @ml_asset(deps=[table])
        def counted() -> int:
            return 1

        def look() -> None:
            for lab in both.labs:
                observe([table], instance=lab.instance)

        look()
        assert both.twice(table, counted, select=["counted"]).replayed == {"counted"}
        Broken.now = False
        look()
        assert both.run(table, counted, select=["counted"]).first.cache == {"counted": "computed"}
