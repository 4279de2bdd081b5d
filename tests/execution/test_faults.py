"""`cache_first` when the cache, the store or the event log fails it: the run goes on, and its steps decide."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import cache_first, ml_asset, versions
from mlrepro.errors import StoreError
from mlrepro.execution import event_log, look_ahead
from mlrepro.execution import replay as replaying
from mlrepro.store import Store
from tests.execution.lab import Both, Ran, fresh, told


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@ml_asset
def largest(numbers: list[int]) -> int:
    return max(numbers)


@ml_asset(check_specs=[dg.AssetCheckSpec("sound", asset="report")])
def report(total: int, largest: int):
    yield dg.Output(f"{total} {largest}")
    yield dg.AssetCheckResult(passed=True)


ALL = [numbers, total, largest, report]
NAMES = {"numbers", "total", "largest", "report"}


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def engine_errors(ran: Ran) -> list[str]:
    events = [entry.dagster_event for entry in ran.log if entry.dagster_event_type == dg.DagsterEventType.ENGINE_EVENT]
    return [event.message for event in events if event and event.engine_event_data.error]


class TestStore:
    def test_that_cannot_be_read_computes(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        both.run(*ALL)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "get_result", failing(StoreError("the store is down")))
            again = both.run(*ALL, tags={"mlrepro/cache": "on"}).first
            assert again.success
            assert set(again.cache.values()) == {"computed"}
        assert both.run(*ALL).first.replayed == NAMES

    def test_that_cannot_tell_whether_a_blob_is_there_computes(
        self, both: Both, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both.run(*ALL)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "has_value", failing(StoreError("the store is down")))
            assert both.run(*ALL).first.success

    @pytest.mark.parametrize("url", ["ftp://host/folder", "a file"])
    def test_that_cannot_be_opened_or_written_is_named(self, both: Both, tmp_path: Path, url: str) -> None:
        for lab in both.labs:
            lab.url = str(tmp_path / "file") if url == "a file" else url
        (tmp_path / "file").write_text("no folder")
        again = both.run(*ALL).first
        assert not again.success
        assert (str(tmp_path / "file") if url == "a file" else url) in again.errors

    def test_in_which_results_were_deleted(self, both: Both) -> None:
        both.run(*ALL)
        for lab in both.labs:
            for record in Path(lab.url).rglob("results/*/*.json"):
                record.unlink()
        assert set(both.run(*ALL).first.cache.values()) == {"computed"}
        assert both.run(*ALL).first.replayed == NAMES

    @pytest.mark.parametrize("damage", ["", "{}", "garbage", '{"outputs": {"result": 1}}'])
    def test_in_which_records_were_damaged(self, both: Both, damage: str) -> None:
        both.run(*ALL)
        for lab in both.labs:
            for record in Path(lab.url).rglob("results/*/*.json"):
                record.write_text(damage)
        again = both.run(*ALL).first
        assert again.success
        assert set(again.cache.values()) == {"computed"}

    def test_in_which_a_blob_was_deleted(self, both: Both) -> None:
        content = both.run(*ALL).first.events(dg.DagsterEventType.ASSET_MATERIALIZATION)[0]
        digest = content.materialization.metadata["mlrepro/content_hash"].value
        for lab in both.labs:
            (blob,) = Path(lab.url).rglob(f"blobs/sha256/*/{digest}")
            blob.unlink()
        again = both.run(*ALL).first
        assert again.success
        assert again.cache["numbers"] == "computed"
        assert both.run(*ALL).first.replayed == NAMES

    def test_in_which_the_history_was_deleted(self, both: Both) -> None:
        both.run(*ALL)
        for lab in both.labs:
            for entry in Path(lab.url).glob("*/versions/total/**/*.json"):
                entry.unlink()
        again = both.run(*ALL).first
        assert again.success
        assert versions("total", store=both.first.store())[0].number == 1

    @pytest.mark.parametrize("step", sorted(NAMES))
    def test_that_cannot_be_written_while_hits_are_replayed(
        self, both: Both, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        both.run(*ALL)
        append = replaying.append_versions

        def append_versions(context: Any, *arguments: Any, **named: Any) -> Any:
            if context.step.key == step:
                raise StoreError("the store is down")
            return append(context, *arguments, **named)

        monkeypatch.setattr(replaying, "append_versions", append_versions)
        again = both.first.run(*ALL)
        assert again.success, "the step that could not be replayed runs"
        assert engine_errors(again)
        assert set(again.cache) == NAMES
        assert fresh(again, *NAMES)


class TestLookAhead:
    @pytest.mark.parametrize("where", ["walk", "_prepare", "_remember", "_give_versions"])
    def test_that_fails_leaves_it_to_the_steps(self, both: Both, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        both.run(*ALL)
        monkeypatch.setattr(look_ahead.LookAhead, where, failing(RuntimeError("a mistake of ours")))
        again = both.run(*ALL).first
        assert again.success
        assert not again.replayed
        assert set(again.cache.values()) == {"hit"}
        assert any("each step looks for itself" in message for message in engine_errors(again))

    def test_that_is_interrupted_replays_nothing(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        both.run(*ALL)
        monkeypatch.setattr(sys.modules["mlrepro.execution.cache_first"], "check_captured_interrupt", lambda: True)
        assert not both.first.run(*ALL).replayed


class TestEventLog:
    def test_that_cannot_be_written_while_hits_are_replayed(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        both.run(*ALL)
        store, left = event_log._store, iter([True])

        def once(*arguments: Any) -> Any:
            if next(left, False):
                raise OSError("the database is gone")
            return store(*arguments)

        monkeypatch.setattr(event_log, "_store", once)
        again = both.first.run(*ALL)
        assert again.success, "the steps that could not be replayed run"
        assert set(again.cache) == NAMES
        assert fresh(again, *NAMES)

    @pytest.mark.parametrize(("rows", "at_once"), [(1, 1), (2, 3), (3, 1000)])
    def test_in_small_batches(self, both: Both, monkeypatch: pytest.MonkeyPatch, rows: int, at_once: int) -> None:
        monkeypatch.setattr(event_log, "ROWS", rows)
        monkeypatch.setattr(replaying, "EVENTS_AT_ONCE", at_once)
        again = both.twice(*ALL)
        assert again.replayed == NAMES
        assert fresh(again, *NAMES)

    def test_that_somebody_listens_to(self, both: Both) -> None:
        heard: list[dg.EventLogEntry] = []
        both.run(*ALL)
        add = both.first.instance.add_event_listener
        created = both.first.instance.create_run_for_job

        def create(*arguments: Any, **named: Any) -> dg.DagsterRun:
            run = created(*arguments, **named)
            add(run.run_id, heard.append)
            return run

        both.first.instance.create_run_for_job = create  # type: ignore[method-assign]
        again = both.run(*ALL).first
        assert again.replayed == NAMES
        kinds = [entry.dagster_event_type for entry in heard]
        assert kinds.count(dg.DagsterEventType.STEP_SUCCESS) == len(NAMES)
        assert kinds.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == len(NAMES)

    def test_in_memory(self, both: Both) -> None:
        with dg.DagsterInstance.ephemeral() as plain, dg.DagsterInstance.ephemeral() as first:
            both.plain.instance, both.first.instance = plain, first
            again = both.twice(*ALL)
            assert again.replayed == NAMES
            assert fresh(again, *NAMES)


def test_cache_first_around_cache_first(both: Both) -> None:
    both.first.executor = cache_first(both.first.executor)
    assert both.twice(*ALL).replayed == NAMES


def test_both_labs_share_one_store(both: Both) -> None:
    """A result that another instance computed is a hit where Dagster knows nothing of the assets yet."""
    both.plain.run(*ALL)
    both.first.url = both.plain.url
    again = both.first.run(*ALL)
    assert again.replayed == NAMES
    assert fresh(again, *NAMES)
    assert told(again)["status"] == dg.DagsterRunStatus.SUCCESS
