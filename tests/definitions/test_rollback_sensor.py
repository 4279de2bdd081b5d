"""`rollback_sensor`: ticks against a real instance, a real store and the real job."""

import dataclasses
import datetime as dt
import json
import logging
import math
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from mlrepro import (
    CheckFailed,
    DownstreamFailed,
    InputHashIOManager,
    Metric,
    ReproStore,
    Stale,
    channel,
    channel_jobs,
    ml_asset,
    ml_definitions,
    rollback_sensor,
)
from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of
from mlrepro.catalog.moving import Mover, propose, release
from mlrepro.definitions.notices import Notice
from mlrepro.definitions.rollback_decision import Decision, Look, Policy
from mlrepro.errors import AssetDefinitionError, ConditionError
from mlrepro.quality import View, as_alarm
from mlrepro.quality.memory import Memory, Watch
from tests.definitions.lab import Lab
from tests.quality.lab import MODEL, ModelLab

LIVE = Metric("live_quality", "auc")
NOW = {"cooldown": dt.timedelta(0)}
"""For tests that roll back more than once."""

LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])


class Rehearsal(ModelLab):
    """A channel with a rollback sensor, whose ticks are called one by one and whose runs are run as Dagster would."""

    def __init__(self, folder: Path, when: list[Any], *more: Any, partitioned: bool = False, **policy: Any) -> None:
        super().__init__(folder)

        @ml_asset(name="churn_model", partitions_def=LETTERS if partitioned else None)
        def model() -> dict[str, float]:
            return {"slope": 1.0}

        self.channel = channel("production", model)
        self.conditions = tuple(as_alarm(each) for each in when)
        self.notices: list[Notice] = []
        policy.setdefault("notify", [self.notices.append])
        self.sensor = rollback_sensor(self.channel, when, **policy)
        self.manager = InputHashIOManager(store=ReproStore(url=self.url, options={"durable": "false"}))
        assets = [each for each in more if not isinstance(each, dg.AssetChecksDefinition)]
        if not any("live_quality" in str(getattr(each, "key", "")) for each in assets):
            assets.append(dg.AssetSpec("live_quality", partitions_def=LETTERS if partitioned else None))
        self.definitions = ml_definitions(
            assets=[model, self.channel, *assets],
            asset_checks=[each for each in more if isinstance(each, dg.AssetChecksDefinition)],
            resources={"io_manager": self.manager},
            executor=dg.in_process_executor,
            sensors=[self.sensor],
        )
        self.repository = self.definitions.get_repository_def()
        self.cursor: str | None = None

    def promote(self, content: object, partition: str | None = None, **metrics: float) -> ChannelEntry:
        """Make a version, have the channel serve it, and tell Dagster, as the channel's step does."""
        entry = super().promote(content, partition, **metrics)
        assert entry.after is not None
        tags = {"dagster/data_version": entry.after.data_version}
        event = dg.AssetMaterialization(self.channel.key, partition=partition, tags=tags)
        self.instance.report_runless_asset_event(event)
        return entry

    def tick(self, sensor: dg.SensorDefinition | None = None) -> SensorExecutionData:
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.repository,
            resources={"io_manager": self.manager},
        ) as context:
            result = (sensor or self.sensor).evaluate_tick(context)
        self.cursor = result.cursor
        return result

    def skipped(self) -> str:
        """What a tick says that asks for nothing."""
        result = self.tick()
        assert result.run_requests == []
        return result.skip_message or ""

    def requested(self) -> dg.RunRequest:
        """The one run that a tick asks for."""
        (request,) = self.tick().run_requests or ()
        return request

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what was asked for, with the tags that the daemon gives.

        A cascade takes a code location: `test_rollback_daemon` has one.
        """
        job = self.definitions.resolve_job_def("rollback")
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        config = {"ops": {"rollback": {"config": {**self.config(request), "cascade": False}}}}
        return job.execute_in_process(instance=self.instance, run_config=config, tags=tags, raise_on_error=False)

    def config(self, request: dg.RunRequest) -> dict[str, Any]:
        return request.run_config["ops"]["rollback"]["config"]

    def said(self) -> list[tuple[str, str]]:
        return [(notice.kind, notice.text) for notice in self.notices]

    def look(self, policy: Policy, now: dt.datetime, watch: Watch | None = None) -> Decision:
        """A tick at another time of day."""
        view = View(instance=self.instance, model=MODEL, now=now, graph=self.repository.asset_graph)
        log = logging.getLogger("tests")
        return Look(policy, self.store, self.name(), watch or Watch(), view, log).decide()


Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def rehearse(tmp_path: Path) -> Rehearse:
    def made(*when: Any, assets: tuple[Any, ...] = (), **policy: Any) -> Rehearsal:
        return Rehearsal(tmp_path, list(when) or [LIVE < 0.75], *assets, **policy)

    return made


@pytest.fixture
def two_versions(rehearse: Rehearse) -> Rehearsal:
    """The channel serves v2, and served v1 before."""
    stage = rehearse()
    stage.promote(1)
    stage.promote(2)
    return stage


class TestFromBadToGood:
    def test_bad_metric_rolls_back(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        assert stage.skipped().startswith("churn_model/production stays at v2: live_quality was never materialized")
        stage.report("live_quality", auc=0.8)
        assert stage.skipped() == "churn_model/production stays at v2: live_quality.auc is 0.8, not below 0.75"
        stage.report("live_quality", auc=0.71)
        request = stage.requested()
        assert str(request.run_key).startswith("churn_model_production_rollback:churn_model/production:2:1@")
        assert stage.config(request) == {
            "asset": "churn_model/production",
            "to": "",
            "reason": "live_quality.auc is 0.71, below 0.75",
            "cascade": True,
            "partition": "",
            "expected": 2,
            "sensor": "churn_model_production_rollback",
        }
        assert stage.run(request).success
        entry = stage.entry()
        assert (entry.kind, stage.served, entry.sensor) == ("rollback", 1, "churn_model_production_rollback")
        assert entry.reason == "live_quality.auc is 0.71, below 0.75"
        assert stage.said() == [
            ("rollback", f"churn_model/production goes back from v2 to the newest good version before: {entry.reason}")
        ]

    def test_what_was_before_the_rollback_does_not_count_after_it(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.71)
        stage.run(stage.requested())
        assert "live_quality has no event yet for what the channel serves since it moved last" in stage.skipped()

    def test_channel_that_serves_nothing(self, rehearse: Rehearse) -> None:
        stage = rehearse()
        stage.report("live_quality", auc=0.1)
        assert stage.skipped() == "churn_model/production serves nothing yet"

    @pytest.mark.parametrize("value", [math.nan, math.inf, "NaN"])
    def test_not_a_number_is_bad(self, two_versions: Rehearsal, value: Any) -> None:
        two_versions.report("live_quality", auc=value)
        reason = two_versions.config(two_versions.requested())["reason"]
        assert reason == "live_quality.auc is not a number"

    def test_any_condition_is_enough_and_all_that_hold_are_named(self, rehearse: Rehearse) -> None:
        stage = rehearse(LIVE < 0.75, Metric("live_quality", "latency") > 2, Metric("live_quality", "rows") < 10)
        stage.promote(1)
        stage.promote(2)
        stage.report("live_quality", auc=0.7, latency=3.0, rows=20)
        reason = stage.config(stage.requested())["reason"]
        assert reason == "live_quality.auc is 0.7, below 0.75; live_quality.latency is 3, above 2"

    def test_missing_metric_is_said_and_rolls_nothing_back(self, two_versions: Rehearsal) -> None:
        two_versions.report("live_quality", auc=0.9)
        two_versions.report("live_quality", accuracy=0.1, rows=3)
        said = two_versions.skipped()
        assert said.endswith("the newest event of live_quality has no metric auc: it has accuracy, rows")

    def test_asset_that_does_not_exist_is_said(self, rehearse: Rehearse) -> None:
        stage = rehearse(Metric("live_qualty", "auc") < 0.75)
        stage.promote(1)
        assert "there is no asset live_qualty" in stage.skipped()
        assert "(live_quality)" in stage.skipped()


class TestWhere:
    def test_named_version(self, rehearse: Rehearse) -> None:
        stage = rehearse(to="v1", cascade=False)
        for content in (1, 2, 3):
            stage.promote(content)
        stage.report("live_quality", auc=0.1)
        request = stage.requested()
        assert stage.config(request)["to"] == "v1"
        assert stage.config(request)["cascade"] is False
        assert stage.run(request).success
        assert stage.served == 1

    def test_quarantined_version_is_passed_over(self, rehearse: Rehearse) -> None:
        stage = rehearse(**NOW)
        for content in (1, 2):
            stage.promote(content)
        stage.roll_back()
        stage.promote(3)
        stage.report("live_quality", auc=0.1)
        assert stage.run(stage.requested()).success
        assert stage.served == 1

    def test_nothing_to_roll_back_to_is_said_once_and_loudly(self, rehearse: Rehearse) -> None:
        stage = rehearse()
        stage.promote(1)
        stage.report("live_quality", auc=0.1)
        said = [stage.skipped() for _ in range(3)]
        why = "churn_model/production has nothing to roll back to from v1 (it served none before)"
        assert set(said) == {f"{why}, though live_quality.auc is 0.1, below 0.75"}
        assert stage.said() == [("nothing to roll back to", said[0])]

    def test_nothing_left_after_rollbacks(self, rehearse: Rehearse) -> None:
        stage = rehearse(**NOW)
        for content in (1, 2):
            stage.promote(content)
        stage.report("live_quality", auc=0.1)
        stage.run(stage.requested())
        stage.report("live_quality", auc=0.1)
        assert "has nothing to roll back to from v1" in stage.skipped()
        release(stage.store, stage.name(), 2, Mover("anna"))
        stage.promote(2)
        stage.report("live_quality", auc=0.1)
        assert stage.run(stage.requested()).success

    def test_named_version_that_is_quarantined_or_served(self, rehearse: Rehearse) -> None:
        stage = rehearse(to=2, **NOW)
        for content in (1, 2):
            stage.promote(content)
        stage.report("live_quality", auc=0.1)
        assert "can't be rolled back to v2, which is not an earlier one" in stage.skipped()
        stage.roll_back()
        stage.promote(3)
        stage.report("live_quality", auc=0.1)
        assert "can't be rolled back to v2, which is quarantined" in stage.skipped()


class TestPolicy:
    def test_cool_down(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.roll_back()
        stage.promote(3)
        stage.report("live_quality", auc=0.1)
        assert "cools down for another 0:59:" in stage.skipped()
        # bad it stays, and is rolled back as soon as it may be
        policy = _policy(stage)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=61)
        assert stage.look(policy, later).request is not None

    def test_cool_down_does_not_follow_a_promotion(self, two_versions: Rehearsal) -> None:
        two_versions.report("live_quality", auc=0.1)
        assert two_versions.requested()

    def test_most_a_day(self, rehearse: Rehearse) -> None:
        stage = rehearse(most_a_day=2, **NOW)
        stage.promote(0)
        for content in (1, 2):
            stage.promote(content)
            stage.report("live_quality", auc=0.1)
            stage.run(stage.requested())
        for content in (3, 4):
            stage.promote(content)
            stage.report("live_quality", auc=0.1)
            said = stage.skipped()
            assert "was rolled back 2 times within 24 hours by churn_model_production_rollback" in said
            assert stage.skipped() == said
        assert [kind for kind, _ in stage.said()] == ["rollback", "rollback", "too many rollbacks"]
        tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)
        watch = Memory.load(stage.cursor).watches["_"]
        assert stage.look(_policy(stage, most_a_day=2), tomorrow, watch).request is not None
        assert not watch.stopped

    def test_rollbacks_by_others_do_not_count(self, rehearse: Rehearse) -> None:
        stage = rehearse(most_a_day=1, **NOW)
        for content in (1, 2):
            stage.promote(content)
        stage.roll_back()
        stage.promote(3)
        stage.roll_back(sensor="another")
        stage.promote(4)
        stage.report("live_quality", auc=0.1)
        assert stage.requested()

    def test_dry_run(self, rehearse: Rehearse) -> None:
        stage = rehearse(dry_run=True)
        stage.promote(1)
        stage.promote(2)
        stage.report("live_quality", auc=0.1)
        said = stage.skipped()
        assert said == (
            "dry run: churn_model/production would go back from v2 to the newest good version before:"
            " live_quality.auc is 0.1, below 0.75"
        )
        stage.skipped()
        assert stage.said() == [("dry run", said)]

    @pytest.mark.parametrize("wrong", [{"most_a_day": 0}, {"cooldown": dt.timedelta(-1)}, {"to": "three"}, {"to": 0}])
    def test_that_makes_no_sense(self, rehearse: Rehearse, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConditionError):
            rehearse(**wrong)

    def test_conditions_are_needed_and_a_channel(self, tmp_path: Path) -> None:
        with pytest.raises(ConditionError, match="needs a condition"):
            Rehearsal(tmp_path, [])
        with pytest.raises(AssetDefinitionError, match="is no channel"):
            rollback_sensor("churn_model", [LIVE < 1])  # type: ignore[arg-type]
        with pytest.raises(ConditionError, match="says what is good"):
            Rehearsal(tmp_path, [LIVE.not_worse_than_promoted()])


class TestRestarts:
    def test_the_same_decision_asks_for_the_same_run(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.1)
        before = stage.cursor
        first = stage.requested()
        stage.cursor = before  # the daemon died before it wrote the cursor down
        assert stage.requested().run_key == first.run_key

    def test_run_that_is_under_way_is_waited_for(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.1)
        request = stage.requested()
        run = _queued(stage, request)
        for cursor in (stage.cursor, None):
            stage.cursor = cursor
            assert f"is being rolled back by run {run.run_id}" in stage.skipped()
        assert len(stage.said()) == 1

    def test_run_that_failed_is_tried_again_later(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.1)
        run = _queued(stage, stage.requested())
        stage.instance.report_run_failed(run)
        assert f"run {run.run_id}, which was to roll back churn_model/production from v2, failed" in stage.skipped()
        stage.skipped()
        assert [kind for kind, _ in stage.said()] == ["rollback", "rollback failed"]
        later = stage.look(_policy(stage), dt.datetime.now(dt.UTC) + dt.timedelta(minutes=6))
        assert later.request is not None
        assert str(later.request.run_key).startswith("churn_model_production_rollback:churn_model/production:2:2@")
        assert stage.run(later.request).success
        assert stage.served == 1

    def test_runs_that_fail_again_and_again(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.1)
        later = dt.datetime.now(dt.UTC)
        for _ in range(3):
            decision = stage.look(_policy(stage), later)
            assert decision.request is not None
            stage.instance.report_run_failed(_queued(stage, decision.request))
            later += dt.timedelta(minutes=20)
        assert stage.look(_policy(stage), later).said.startswith("3 runs failed to roll back churn_model/production")

    @pytest.mark.parametrize(
        "damaged",
        [
            "{",
            "[]",
            "3",
            '{"schema":7}',
            '{"schema":1,"after":"","watches":{"_":{}}}',
            '{"schema":1,"after":"","watches":[]}',
        ],
    )
    def test_damaged_cursor_begins_anew(
        self, two_versions: Rehearsal, damaged: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        two_versions.report("live_quality", auc=0.1)
        two_versions.cursor = damaged
        assert two_versions.requested()
        assert json.loads(two_versions.cursor or "")["schema"] == 1

    def test_cursor_stays_small(self, rehearse: Rehearse) -> None:
        stage = rehearse((LIVE < 0.5).in_windows(3, of=5), LIVE.dropped_by(0.3, median_of=7))
        stage.promote(1)
        for number in range(60):
            stage.report("live_quality", auc=0.8, **{f"other{index}": index for index in range(20)})
            if number % 5 == 0:
                stage.tick()
        stage.skipped()
        assert len(stage.cursor or "") < 1500
        assert len(Memory.load(stage.cursor).watches["_"].readings[dg.AssetKey("live_quality")]) == 8

    def test_cursor_holds_all_that_was_read(self, rehearse: Rehearse) -> None:
        """Windows over ticks are the same as windows over the log."""
        stage = rehearse((LIVE < 0.75).in_windows(3, of=5))
        stage.promote(1)
        stage.promote(2)
        for value in (0.7, 0.9, 0.7, 0.9):
            stage.report("live_quality", auc=value)
            kept = stage.skipped()
            stage.cursor = None
            assert stage.skipped() == kept
        stage.report("live_quality", auc=0.7)
        assert "(0.7, 0.9, 0.7, 0.9, 0.7)" in stage.config(stage.requested())["reason"]

    def test_event_that_was_committed_late_is_read(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.9)
        stage.report("live_quality", auc=0.1)
        stage.tick()
        memory = Memory.load(stage.cursor)
        (read,) = memory.watches["_"].readings.values()
        read.clear()  # when the newest position was read, they were not there yet
        stage.cursor = memory.dump()
        assert stage.requested()

    def test_other_conditions_than_before(self, two_versions: Rehearsal) -> None:
        """A metric that nobody looked at is in no cursor."""
        stage = two_versions
        stage.report("live_quality", auc=0.9, latency=7.0)
        stage.skipped()
        for number in range(150):
            stage.report("other", number=number)
        sensor = rollback_sensor(stage.channel, [LIVE < 0.75, Metric("live_quality", "latency") > 2])
        assert stage.tick(sensor).run_requests


class TestTwoSensors:
    def test_the_second_rollback_does_nothing(self, rehearse: Rehearse) -> None:
        stage = rehearse()
        other = rollback_sensor(stage.channel, [LIVE < 0.8], name="stricter")
        for content in (1, 2, 3):
            stage.promote(content)
        stage.report("live_quality", auc=0.1)
        first = stage.requested()
        stage.cursor = None
        (second,) = stage.tick(other).run_requests or ()
        assert first.run_key != second.run_key
        assert stage.run(first).success
        assert stage.run(second).success
        assert stage.served == 2
        assert [entry.kind for entry in entries_of(stage.store, stage.name())][0:2] == ["rollback", "promotion"]

    def test_channel_that_moved_meanwhile_stays(self, two_versions: Rehearsal) -> None:
        stage = two_versions
        stage.report("live_quality", auc=0.1)
        request = stage.requested()
        stage.promote(3)
        assert stage.run(request).success
        assert stage.served == 3

    def test_proposal_and_release_do_not_reset_what_was_seen(self, rehearse: Rehearse) -> None:
        stage = rehearse((LIVE < 0.75).in_windows(2, of=2))
        stage.promote(1)
        stage.promote(2)
        stage.report("live_quality", auc=0.1)
        stage.skipped()
        propose(stage.store, stage.name(), stage.version(3), Mover("anna"))
        stage.skipped()
        stage.report("live_quality", auc=0.1)
        request = stage.requested()
        assert stage.config(request)["expected"] == 3
        assert stage.run(request).success


class TestBroken:
    def test_condition_that_raises_does_not_hide_the_others(
        self, rehearse: Rehearse, caplog: pytest.LogCaptureFixture
    ) -> None:
        def half_written(view: View) -> bool:
            raise ZeroDivisionError("division by zero")

        stage = rehearse(half_written, LIVE < 0.75)
        stage.promote(1)
        stage.promote(2)
        broken = "the condition half_written is broken: ZeroDivisionError: division by zero"
        for _ in range(2):
            assert broken in stage.skipped()
        stage.report("live_quality", auc=0.1)
        assert stage.config(stage.requested())["reason"] == "live_quality.auc is 0.1, below 0.75"
        assert [kind for kind, _ in stage.said()] == ["broken", "rollback"]

    def test_hook_that_raises_changes_nothing(self, rehearse: Rehearse) -> None:
        heard: list[Notice] = []

        def deaf(notice: Notice) -> None:
            raise ConnectionError("nobody there")

        stage = rehearse(notify=[deaf, heard.append])
        stage.promote(1)
        stage.promote(2)
        stage.report("live_quality", auc=0.1)
        assert stage.requested()
        assert [notice.kind for notice in heard] == ["rollback"]
        assert dataclasses.replace(heard[0], when=heard[0].when) == heard[0]

    def test_function_tells_why(self, rehearse: Rehearse) -> None:
        def complaints(view: View) -> str | None:
            count = view.value("live_quality", "complaints")
            return f"{count:.0f} complaints" if count and count > 3 else None

        stage = rehearse(complaints)
        stage.promote(1)
        stage.promote(2)
        assert stage.skipped().endswith("complaints returned None")
        stage.report("live_quality", complaints=4)
        assert stage.config(stage.requested())["reason"] == "complaints: 4 complaints"


class TestOtherConditions:
    def test_dropped_against_the_evaluation_at_promotion(self, rehearse: Rehearse) -> None:
        stage = rehearse(LIVE.dropped_by(0.05, against=Metric("evaluation", "auc")))
        stage.promote(1, evaluation__auc=0.9)
        stage.promote(2, evaluation__auc=0.83)
        stage.report("live_quality", auc=0.79)
        stage.skipped()
        stage.report("live_quality", auc=0.77)
        assert stage.config(stage.requested())["reason"] == (
            "live_quality.auc is 0.77, 0.06 below evaluation.auc at promotion (0.83); more than the 0.05 allowed"
        )

    def test_median(self, rehearse: Rehearse) -> None:
        stage = rehearse(LIVE.dropped_by(0.1, median_of=3))
        stage.promote(1)
        stage.report("live_quality", auc=0.9)
        stage.promote(2)
        for value in (0.5, 0.5, 0.5):
            stage.report("live_quality", auc=value)
            assert "values for the median are there since the channel moved last" in stage.skipped()
        stage.report("live_quality", auc=0.3)
        assert stage.requested()

    def test_stale_feed(self, rehearse: Rehearse) -> None:
        hour = dt.timedelta(hours=1)
        stage = rehearse(Stale("live_quality", 6 * hour))
        stage.promote(1)
        stage.promote(2)
        assert "passed since the channel moved, without an event of live_quality, within 6:00:00" in stage.skipped()
        policy, now = _policy(stage), dt.datetime.now(dt.UTC)
        assert stage.look(policy, now + 5 * hour).request is None
        assert stage.look(policy, now + 7 * hour).request is not None
        stage.report("live_quality", anything=1)
        assert stage.look(policy, now + 5 * hour).request is None
        assert "passed since the newest event of live_quality" in stage.look(policy, now + 7 * hour).said

    def test_observations_of_an_asset_that_is_only_observed(self, two_versions: Rehearsal) -> None:
        two_versions.observe("live_quality", auc=0.1)
        assert two_versions.requested()

    @pytest.mark.parametrize(
        ("severity", "asked", "bad"),
        [("ERROR", "ERROR", True), ("WARN", "ERROR", False), ("WARN", "WARN", True), ("ERROR", "WARN", True)],
    )
    def test_failed_check(self, rehearse: Rehearse, severity: str, asked: str, bad: bool) -> None:
        @dg.asset
        def live_quality() -> None: ...

        @dg.asset_check(asset=live_quality)
        def in_range() -> None: ...

        condition = CheckFailed("live_quality", "in_range", severity=dg.AssetCheckSeverity(asked))
        stage = rehearse(condition, assets=(live_quality, in_range))
        stage.promote(1)

        def evaluated(passed: bool) -> None:
            stage.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=live_quality.key,
                    check_name="in_range",
                    passed=passed,
                    severity=dg.AssetCheckSeverity(severity),
                    description="too high",
                )
            )

        evaluated(passed=False)
        stage.promote(2)
        assert "check in_range of live_quality was not run yet since the channel moved last" in stage.skipped()
        evaluated(passed=True)
        assert "check in_range of live_quality passed" in stage.skipped()
        evaluated(passed=False)
        if bad:
            assert stage.config(stage.requested())["reason"] == (
                f"check in_range of live_quality failed with severity {severity}: too high"
            )
        else:
            assert f"failed with severity {severity}: too high" in stage.skipped()

    def test_metric_of_what_the_channel_served_before_does_not_count(self, rehearse: Rehearse) -> None:
        """Predictions of the bad version that are evaluated after the rollback say nothing of the good one."""

        @dg.asset(deps=[dg.AssetKey(["churn_model", "production"])], code_version="1")
        def predictions() -> int:
            return 1

        @dg.asset(name="live_quality")
        def live(predictions: int) -> dg.MaterializeResult[None]:
            return dg.MaterializeResult(metadata={"auc": 0.1})

        stage = rehearse(assets=(predictions, live), **NOW)
        for content in (1, 2):
            stage.promote(content)
        _materialize(stage, "predictions")
        _materialize(stage, "live_quality")
        assert stage.run(stage.requested()).success
        assert stage.served == 1
        stage.promote(3)
        _materialize(stage, "live_quality")
        assert "the newest event of live_quality is of another version than what the channel serves" in stage.skipped()


class TestFailedRuns:
    @pytest.fixture
    def stage(self, rehearse: Rehearse) -> Rehearsal:
        @dg.asset(deps=[dg.AssetKey(["churn_model", "production"])])
        def predictions(context: dg.AssetExecutionContext) -> None:
            if context.run.tags.get("broken") == "predictions":
                raise ValueError("no such column")

        @dg.asset(deps=[predictions])
        def report() -> None: ...

        @dg.asset
        def unrelated(context: dg.AssetExecutionContext) -> None:
            if context.run.tags.get("broken") == "unrelated":
                raise ValueError("no such column")

        stage = rehearse(DownstreamFailed(), assets=(predictions, report, unrelated), **NOW)
        stage.promote(1)
        stage.promote(2)
        return stage

    def test_downstream(self, stage: Rehearsal) -> None:
        _materialize(stage, "predictions", "report", "unrelated")
        assert "no run failed downstream since the channel moved last" in stage.skipped()
        run_id = _materialize(stage, "predictions", "report", broken="predictions")
        assert stage.config(stage.requested())["reason"] == f"run {run_id} failed in predictions"

    def test_elsewhere(self, stage: Rehearsal) -> None:
        _materialize(stage, "predictions", "report", "unrelated", broken="unrelated")
        assert "no run failed downstream" in stage.skipped()

    def test_before_the_channel_moved(self, stage: Rehearsal) -> None:
        _materialize(stage, "predictions", broken="predictions")
        stage.promote(3)
        assert "no run failed downstream" in stage.skipped()

    def test_is_remembered_until_the_channel_moves(self, stage: Rehearsal) -> None:
        _materialize(stage, "predictions", broken="predictions")
        request = stage.requested()
        assert stage.requested().run_key == request.run_key
        assert stage.run(request).success
        assert "no run failed downstream" in stage.skipped()

    def test_of_named_assets_alone(self, stage: Rehearsal) -> None:
        _materialize(stage, "predictions", "report", broken="predictions")
        for names, requests in ((["report"], 0), (["report", "predictions"], 1)):
            sensor = rollback_sensor(stage.channel, [DownstreamFailed(*names)], name="named")
            stage.cursor = None
            assert len(stage.tick(sensor).run_requests or ()) == requests
        sensor = rollback_sensor(stage.channel, [DownstreamFailed("reprot")], name="named")
        assert "there is no asset reprot" in (stage.tick(sensor).skip_message or "")


def test_module_that_was_loaded_under_a_prefix(rehearse: Rehearse, lab: Lab) -> None:
    @ml_asset(name="churn_model")
    def model() -> dict[str, float]:
        return {"slope": 1.0}

    @ml_asset
    def evaluation(churn_model: dict[str, float]) -> dict[str, float]:
        return {"auc": churn_model["slope"]}

    production = channel("production", model, gates=[Metric("evaluation", "auc") > 0.5])
    watchdog = rollback_sensor(production, [LIVE < 0.75, Metric("evaluation", "auc") < 0.5])
    module = types.ModuleType("shop")
    vars(module).update(model=model, evaluation=evaluation, production=production)
    assets = dg.load_assets_from_modules([module], key_prefix="team")
    assert lab.run(*assets).success
    with dg.build_sensor_context(
        instance=lab.instance,
        repository_def=lab.definitions(*assets, sensors=[watchdog], jobs=channel_jobs()).get_repository_def(),
        resources={"io_manager": lab.io_manager()},
    ) as context:
        said = watchdog.evaluate_tick(context).skip_message or ""
    assert said.startswith("team/churn_model/production stays at v1")
    assert "there is no asset live_quality" in said
    assert "there is no asset evaluation" not in said


class TestPartitions:
    def test_each_by_itself(self, rehearse: Rehearse) -> None:
        stage = rehearse(partitioned=True)
        assert stage.skipped() == "no partition of churn_model/production serves anything yet"
        for partition in ("a", "b"):
            for content in (1, 2):
                stage.promote(f"{partition}{content}", partition)
        stage.report("live_quality", partition="a", auc=0.9)
        stage.report("live_quality", partition="b", auc=0.1)
        request = stage.requested()
        assert stage.config(request)["partition"] == "b"
        assert "churn_model/production (partition b):2:1@" in str(request.run_key)
        assert stage.run(request).success
        assert [stage.entry(partition).kind for partition in ("a", "b")] == ["promotion", "rollback"]
        assert len(stage.skipped().splitlines()) == 2

    def test_more_than_one_tick_can_look_at_take_turns(self, tmp_path: Path) -> None:
        from mlrepro.definitions.rollback import _turn

        names = [ChannelName(("m",), "production", f"{number:03}") for number in range(120)]
        memory = Memory()
        seen = [name.partition for _ in range(3) for name in _turn(names, memory)]
        assert len(seen) == 150
        assert set(seen) == {name.partition for name in names}
        assert memory.after == "029"


def _policy(stage: Rehearsal, **changes: Any) -> Policy:
    """The policy of the rehearsal's sensor."""
    hour = dt.timedelta(hours=1)
    facts: dict[str, Any] = {"to": None, "cascade": True, "cooldown": hour, "most_a_day": 3, "dry_run": False}
    return Policy(stage.sensor.name, stage.conditions, notify=(stage.notices.append,), **{**facts, **changes})


def _queued(stage: Rehearsal, request: dg.RunRequest) -> dg.DagsterRun:
    """The run that the daemon makes of a request, before it begins."""
    tags = {**request.tags, "dagster/run_key": request.run_key or ""}
    return stage.instance.create_run_for_job(
        stage.definitions.resolve_job_def("rollback"), run_config=request.run_config, tags=tags
    )


def _materialize(stage: Rehearsal, *assets: str, broken: str = "") -> str:
    job = stage.definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=stage.instance,
        asset_selection=[dg.AssetKey(name) for name in assets],
        tags={"broken": broken},
        raise_on_error=False,
    ).run_id


@pytest.mark.slow
class TestPostgres:
    """Storage ids, checks and failed runs are kept differently there."""

    @pytest.fixture
    def instance(self, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
        from tests.postgres import PostgresError, throwaway_postgres

        home = tmp_path / "home"
        home.mkdir()
        try:
            with throwaway_postgres() as url:
                settings = f"telemetry:\n  enabled: false\nstorage:\n  postgres:\n    postgres_url: {url}\n"
                (home / "dagster.yaml").write_text(settings)
                with dg.DagsterInstance.from_config(str(home)) as instance:
                    yield instance
        except PostgresError as error:
            pytest.skip(str(error))

    def test_metric_check_and_failed_run(self, rehearse: Rehearse, instance: dg.DagsterInstance) -> None:
        @dg.asset(deps=[dg.AssetKey(["churn_model", "production"])])
        def predictions(context: dg.AssetExecutionContext) -> None:
            if context.run.tags.get("broken") == "predictions":
                raise ValueError("no such column")

        @dg.asset_check(asset=predictions)
        def in_range() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=False)

        stage = rehearse(
            (LIVE < 0.75).in_windows(2, of=2),
            CheckFailed("predictions", "in_range"),
            DownstreamFailed(),
            assets=(predictions, in_range),
            **NOW,
        )
        stage.instance = instance
        stage.promote(0)
        stage.promote(1)
        stage.skipped()
        for value in (0.7, 0.6):
            stage.report("live_quality", auc=value)
        assert "(0.6, 0.7)" in stage.config(stage.requested())["reason"]
        assert stage.run(stage.requested()).success

        stage.promote(2)
        _materialize(stage, "predictions")
        assert stage.config(stage.requested())["reason"] == "check in_range of predictions failed with severity ERROR"
        assert stage.run(stage.requested()).success

        stage.promote(3)
        run_id = _materialize(stage, "predictions", broken="predictions")
        request = stage.requested()
        assert f"run {run_id} failed in predictions" in stage.config(request)["reason"]
        run = _queued(stage, request)
        assert f"is being rolled back by run {run.run_id}" in stage.skipped()
