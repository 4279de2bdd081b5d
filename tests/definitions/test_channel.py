"""Channels: what is promoted, what is not, and what those who depend on a channel get."""

import math
import textwrap
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import (
    CheckPassed,
    Metric,
    Promoted,
    ReproStore,
    approve,
    channel,
    load,
    ml_asset,
    promote,
    release,
    rollback,
)
from mlrepro.catalog.channels import ChannelName, entries_of, newest_entry
from mlrepro.errors import AssetDefinitionError, ChannelError, ConditionError, VersionNameError
from mlrepro.store import open_store
from tests.definitions.lab import Lab, Outcome

PRODUCTION = ChannelName(("slope",), "production")


class Slope(dg.Config):
    value: float = 0.5


@ml_asset
def slope(config: Slope) -> float:
    return config.value


@ml_asset
def evaluation(slope: float) -> dict[str, float]:
    return {"auc": slope} if slope < 10 else {"auc": math.nan}


@ml_asset(ins={"model": dg.AssetIn(["slope", "production"])})
def predictions(model: float) -> list[float]:
    return [model, 2 * model]


def train(lab: Lab, production: Any, value: float, *others: Any, **options: Any) -> Outcome:
    assets = (slope, evaluation, production, predictions, *others)
    return lab.run(*assets, config={"slope": {"value": value}}, raise_on_error=False, **options)


def served(lab: Lab) -> float | None:
    entry = newest_entry(lab.store(), PRODUCTION)
    return load("slope@production", store=lab.store()) if entry and entry.after else None


def why_it_failed(outcome: Outcome, step: str = "slope__production") -> str:
    (event,) = [each for each in outcome.result.all_events if each.is_step_failure and each.step_key == step]
    error = event.step_failure_data.error
    return str(error.cause.message if error.cause else error.message)


def test_a_version_that_passes_is_served_to_those_downstream(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.3])
    done = train(lab, production, 0.5)
    assert done.success
    assert done.value("predictions") == [0.5, 1.0]
    assert served(lab) == 0.5
    facts = done.metadata("slope/production")
    assert (facts["mlrepro/before"], facts["mlrepro/serves"]) == ("nothing", "v1")
    assert "evaluation.auc is 0.5" in facts["mlrepro/gates"]
    assert done.data_version("slope/production") == done.data_version("slope")


def test_a_gate_that_fails_leaves_the_channel_and_the_other_assets_alone(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.3])
    train(lab, production, 0.5)
    done = train(lab, production, 0.1)
    assert not done.success
    assert set(done.cache) == {"slope", "evaluation"}
    assert "slope@v2 is not promoted, slope/production stays at v1: evaluation.auc is 0.1" in why_it_failed(done)
    assert served(lab) == 0.5


def test_a_gate_may_skip_the_promotion_instead(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.3], on_failure="skip")
    train(lab, production, 0.5)
    done = train(lab, production, 0.1)
    assert done.success
    assert set(done.cache) == {"slope", "evaluation"}
    assert served(lab) == 0.5


@pytest.mark.parametrize("on_failure", ["fail", "skip"])
def test_a_version_that_is_passed_over_is_observed_at_the_channel(lab: Lab, on_failure: Any) -> None:
    gates = [Metric("evaluation", "auc") >= 0.3, Metric("slope", "value") < 9]
    production = channel("production", slope, gates=gates, on_failure=on_failure)
    train(lab, production, 0.5)
    key = dg.AssetKey(["slope", "production"])
    assert not lab.instance.fetch_observations(key, limit=9).records
    done = train(lab, production, 0.1)

    (record,) = lab.instance.fetch_observations(key, limit=9).records
    observation = record.event_log_entry.asset_observation
    assert observation is not None
    assert record.run_id == done.result.run_id
    facts = {name: value.value for name, value in observation.metadata.items()}
    assert facts["mlrepro/refused"] == 2
    assert facts["mlrepro/said"].startswith("slope@v2 is not promoted, slope/production stays at v1: evaluation.auc is")
    assert [(each["gate"], each["passed"]) for each in facts["mlrepro/verdicts"]] == [
        ("evaluation.auc >= 0.3", False),
        ("slope.value < 9", True),
    ]
    assert "| evaluation.auc >= 0.3 | NO " in facts["mlrepro/gates"]

    # what stands downstream goes by what is served, not by what was looked at
    again = lab.run(slope, evaluation, production, predictions, select=["predictions"])
    assert again.value("predictions") == [0.5, 1.0]
    assert again.cache["predictions"] == "hit"


def test_a_metric_that_is_not_a_number_is_never_good(lab: Lab) -> None:
    for gate in (Metric("evaluation", "auc") >= 0.3, Metric("evaluation", "auc") <= 0.3):
        done = train(lab, channel("production", slope, gates=[gate]), 11.0)
        assert not done.success
        assert "not a number" in why_it_failed(done)
    assert served(lab) is None


def test_a_metric_that_does_not_exist_is_named_with_those_that_do(lab: Lab) -> None:
    done = train(lab, channel("production", slope, gates=[Metric("evaluation", "acu") >= 0.3]), 0.5)
    assert not done.success
    assert "no metric acu: it has auc" in why_it_failed(done)


def test_an_evaluation_of_another_version_does_not_count(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.3])
    train(lab, production, 0.5)
    done = train(lab, production, 0.1, select=["slope", "slope/production"])
    assert not done.success
    assert "evaluation is of another version of slope" in why_it_failed(done)


def test_not_worse_than_promoted(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc").not_worse_than_promoted(by=0.01)])
    assert train(lab, production, 0.50).success
    assert train(lab, production, 0.495).success
    assert not train(lab, production, 0.48).success
    assert served(lab) == 0.495


def test_any_function_is_a_gate_and_one_that_raises_lets_nothing_pass(lab: Lab) -> None:
    def big_enough(view: Any) -> bool:
        return view.value("evaluation", "auc") > 0.3

    def broken(view: Any) -> bool:
        raise ZeroDivisionError("oh")

    assert train(lab, channel("production", slope, gates=[big_enough]), 0.5).success
    done = train(lab, channel("production", slope, gates=[broken]), 0.6)
    assert "broken raised ZeroDivisionError: oh" in why_it_failed(done)
    assert served(lab) == 0.5


def test_nothing_new_moves_nothing_and_asks_no_gate(lab: Lab) -> None:
    asked = []

    def gate(view: Any) -> bool:
        asked.append(view.candidate.number)
        return True

    production = channel("production", slope, gates=[gate])
    train(lab, production, 0.5)
    done = train(lab, production, 0.5)
    assert done.cache == dict.fromkeys(["slope", "evaluation", "predictions"], "hit") | {"slope/production": "served"}
    assert asked == [1]
    assert len(list(entries_of(lab.store(), PRODUCTION))) == 1


def test_a_version_that_was_rolled_back_from_is_not_promoted_until_somebody_says_so(lab: Lab) -> None:
    production = channel("production", slope)
    train(lab, production, 0.5)
    train(lab, production, 0.4)
    rollback("slope", channel="production", reason="too flat", store=lab.store(), instance=lab.instance)
    assert served(lab) == 0.5

    again = train(lab, production, 0.4)  # the nightly training makes the same model
    assert again.success
    assert served(lab) == 0.5
    assert again.value("predictions") == [0.5, 1.0]
    assert "v2 is quarantined" in again.metadata("slope/production")["mlrepro/served"]

    release("slope@v2", channel="production", store=lab.store())
    train(lab, production, 0.4)
    assert served(lab) == 0.4


def test_a_rollback_makes_those_downstream_stale_and_they_come_from_the_cache(lab: Lab) -> None:
    production = channel("production", slope)
    train(lab, production, 0.5)
    train(lab, production, 0.4)
    definitions = lab.definitions(slope, evaluation, production, predictions)
    moved = rollback(
        "slope@production", store=lab.store(), instance=lab.instance, cascade=True, definitions=definitions
    )
    assert moved.cascade is not None
    assert (moved.cascade.replayed, moved.cascade.computed) == (1, ())
    assert load("predictions", store=lab.store()) == [0.5, 1.0]


def test_a_person_has_to_approve(lab: Lab) -> None:
    production = channel("production", slope, approval=["ana", "ben"])
    first = train(lab, production, 0.5)
    assert first.success
    assert set(first.cache) == {"slope", "evaluation"}  # nothing is served yet, so nothing stands downstream
    with pytest.raises(ChannelError, match=r"eve may not approve for slope/production: ana, ben may"):
        approve("slope", channel="production", who="eve", store=lab.store())
    approve("slope@v1", channel="production", who="ana", store=lab.store(), instance=lab.instance)
    assert served(lab) == 0.5

    second = train(lab, production, 0.6)
    assert second.value("predictions") == [0.5, 1.0]
    assert "v2 waits for approval" in second.metadata("slope/production")["mlrepro/served"]
    with pytest.raises(ChannelError, match="v2 of slope/production waits for approval, not v1"):
        approve("slope@v1", channel="production", who="ana", store=lab.store())
    approve("slope", channel="production", who="ben", reason="looks good", store=lab.store(), instance=lab.instance)
    newest = newest_entry(lab.store(), PRODUCTION)
    assert newest is not None
    assert (newest.who, newest.reason, newest.proposed) == ("ben", "looks good", None)
    assert served(lab) == 0.6


def test_by_hand_promotes_who_may_approve(lab: Lab) -> None:
    production = channel("production", slope, approval=["ana", "ben"])
    train(lab, production, 0.5)
    by_hand = {"channel": "production", "store": lab.store(), "instance": lab.instance}
    refused = r"^eve may not approve for slope/production: ana, ben may, by `mlrepro approve` or `mlrepro promote`$"
    with pytest.raises(ChannelError, match=refused):
        promote("slope@v1", who="eve", **by_hand)
    assert served(lab) is None
    promote("slope@v1", who="ana", **by_hand)
    assert served(lab) == 0.5

    for value in (0.6, 0.7):
        train(lab, production, value)
    with pytest.raises(ChannelError, match=refused):
        promote("slope@v3", who="eve", **by_hand)
    promote("slope@v3", who="ben", **by_hand)
    with pytest.raises(ChannelError, match=refused):  # v2 was never served, so going back to it promotes it
        rollback("slope", to=2, who="eve", **by_hand)
    rollback("slope", to=1, who="eve", reason="anybody may take it back to what was approved", **by_hand)
    assert served(lab) == 0.5


def test_promoted_by_hand_whatever_the_gates_say(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.9])
    train(lab, production, 0.5)
    assert served(lab) is None
    promote("slope@v1", channel="production", reason="demo at noon", store=lab.store(), instance=lab.instance)
    assert served(lab) == 0.5
    with pytest.raises(ChannelError, match="serves the content of v1 already"):
        promote("slope@v1", channel="production", store=lab.store())
    promote("slope@production", channel="canary", store=lab.store(), instance=lab.instance)
    assert load("slope@canary", store=lab.store()) == 0.5


def test_each_partition_has_a_channel_of_its_own(lab: Lab) -> None:
    cities = dg.StaticPartitionsDefinition(["bern", "chur"])

    @ml_asset(partitions_def=cities)
    def model(context: dg.AssetExecutionContext) -> str:
        return f"model of {context.partition_key}, {context.run.tags.get('of', '')}"

    @ml_asset(partitions_def=cities, ins={"model": dg.AssetIn(["model", "production"])})
    def report(model: str) -> str:
        return model.upper()

    production = channel("production", model)
    for partition in ("bern", "chur"):
        assert lab.run(model, production, report, partition=partition).success
    done = lab.run(model, production, report, partition="chur", tags={"of": "today"})
    assert done.value("report") == "MODEL OF CHUR, TODAY"
    assert load("model@production", partition="bern", store=lab.store()) == "model of bern, "
    moved = rollback(
        "model", channel="production", partition="chur", store=lab.store(), instance=lab.instance,
        cascade=True, definitions=lab.definitions(model, production, report),
    )  # fmt: skip
    assert moved.cascade is not None
    assert moved.cascade.replayed == 1
    assert load("report", partition="chur", store=lab.store()) == "MODEL OF CHUR, "


def test_a_channel_keeps_its_place_under_a_key_prefix(lab: Lab) -> None:
    module = lab.module(
        textwrap.dedent("""
            from dagster import AssetIn
            from mlrepro import Metric, channel, ml_asset

            @ml_asset
            def model() -> float:
                return 0.5

            @ml_asset
            def evaluation(model: float) -> dict[str, float]:
                return {"auc": model}

            production = channel("production", model, gates=[Metric("evaluation", "auc") >= 0.3])

            @ml_asset(ins={"model": AssetIn(production.key)})
            def report(model: float) -> float:
                return 2 * model
        """)
    )
    assets = dg.load_assets_from_modules([module], key_prefix="team")
    done = lab.run(*assets)
    assert done.success
    assert done.value("report") == 1.0  # the op keeps its name
    assert load("team/model@production", store=lab.store()) == 0.5


def test_what_is_served_is_written_to_a_path(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "live" / "slope.json"
    production = channel("production", slope, export=path)
    train(lab, production, 0.5)
    assert path.read_text() == "0.5"
    train(lab, production, 0.4)
    assert path.read_text() == "0.4"
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    assert path.read_text() == "0.5"
    assert [each.name for each in path.parent.iterdir()] == ["slope.json"]


def test_a_service_gets_what_is_served_until_the_channel_moves(lab: Lab) -> None:
    production = channel("production", slope)
    train(lab, production, 0.5)
    store = ReproStore(url=lab.url)
    slow = Promoted(name="slope@production", store=store, refresh_seconds=3600)
    quick = Promoted(name="slope@production", store=store, refresh_seconds=0)
    assert (slow.load(), quick.load()) == (0.5, 0.5)
    train(lab, production, 0.4)
    assert (slow.load(), quick.load()) == (0.5, 0.4)
    with pytest.raises(ChannelError, match="slope/staging serves nothing"):
        Promoted(name="slope@staging", store=store).load()


def test_what_cannot_be_a_channel_is_refused_when_it_is_defined() -> None:
    with pytest.raises(VersionNameError, match="'v3' cannot be a channel's name"):
        channel("v3", slope)
    with pytest.raises(VersionNameError, match="'my channel' cannot be"):
        channel("my channel", slope)
    with pytest.raises(ConditionError, match="a gate says what is good"):
        channel("production", slope, gates=[Metric("evaluation", "auc").dropped_by(0.1)])
    with pytest.raises(ConditionError, match="no condition"):
        channel("production", slope, gates=[0.8])
    with pytest.raises(ConditionError, match="a list of names such as"):
        channel("production", slope, approval="ana")
    with pytest.raises(AssetDefinitionError, match="an asset or its key"):
        channel("production", 3)  # type: ignore[arg-type]


def test_a_channel_needs_our_io_manager(lab: Lab) -> None:
    production = channel("production", slope)
    done = lab.run(
        slope, production, config={"slope": {"value": 0.5}}, raise_on_error=False,
        resources={"io_manager": dg.mem_io_manager},
    )  # fmt: skip
    assert "use ml_definitions" in why_it_failed(done)


def test_a_plain_asset_and_another_code_location_get_what_is_served(lab: Lab) -> None:
    @dg.asset(ins={"model": dg.AssetIn(["slope", "production"])})
    def plain(model: float) -> float:
        return 3 * model

    production = channel("production", slope)
    train(lab, production, 0.5)
    assert train(lab, production, 0.4, plain).value("plain") == pytest.approx(1.2)
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)

    elsewhere = lab.run(dg.AssetSpec(["slope", "production"]), predictions, plain)  # knows the channel by its key only
    assert elsewhere.value("predictions") == [0.5, 1.0]
    assert elsewhere.value("plain") == 1.5


def test_a_model_that_is_a_plain_asset_has_channels_too(lab: Lab) -> None:
    @dg.asset(name="slope")
    def plain(context: dg.AssetExecutionContext) -> float:
        return float(context.run.tags["value"])

    production = channel("production", plain)
    for value in ("0.5", "0.4"):
        lab.run(plain, production, predictions, tags={"value": value})
    assert served(lab) == 0.4
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    assert served(lab) == 0.5
    assert lab.run(plain, production, predictions, select=["predictions"]).value("predictions") == [0.5, 1.0]


def test_the_channels_own_key_names_what_it_serves(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    assert load("slope/production", store=lab.store()) == 0.5


def test_a_step_that_needs_what_is_served_before_anything_was(lab: Lab) -> None:
    done = lab.run(dg.AssetSpec(["slope", "production"]), predictions, raise_on_error=False)
    assert not done.success
    assert "slope/production has no version in the store" in why_it_failed(done, "predictions")


def test_a_team_that_may_read_another_scope_gets_what_that_serves(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    theirs = open_store(lab.url, scope="research", read_scopes=("shared", "default"))
    assert load("slope@production", store=theirs) == 0.5
    with pytest.raises(ChannelError, match="slope/production serves nothing"):
        rollback("slope", channel="production", store=theirs)  # it is not theirs to move
    assert served(lab) == 0.5


def test_what_is_approved_is_written_to_the_path_too(lab: Lab, tmp_path: Path) -> None:
    production = channel("production", slope, approval=True, export=tmp_path / "slope.json")
    train(lab, production, 0.5)
    approve("slope", channel="production", store=lab.store(), instance=lab.instance)
    assert (tmp_path / "slope.json").read_text() == "0.5"


def test_without_the_approval_that_it_asked_for_the_gates_alone_decide(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    train(lab, channel("production", slope, approval=True), 0.4)
    assert served(lab) == 0.5
    train(lab, channel("production", slope), 0.4)
    assert served(lab) == 0.4


def test_an_evaluation_of_another_code_location_counts_for_its_own_version(lab: Lab) -> None:
    production = channel("production", slope, gates=[Metric("evaluation", "auc") >= 0.4])

    @ml_asset
    def score(slope: float) -> float:
        return slope

    @ml_asset(name="evaluation")
    def of_the_score(score: float) -> dict[str, float]:
        return {"auc": score}

    for elsewhere in ([evaluation], [score, of_the_score]):
        lab.run(slope, config={"slope": {"value": 0.5}})
        lab.run(dg.AssetSpec("slope"), *elsewhere)
        assert not lab.run(slope, production, config={"slope": {"value": 0.1}}, raise_on_error=False).success
        lab.run(dg.AssetSpec("slope"), *elsewhere)
        refused = lab.run(slope, production, config={"slope": {"value": 0.1}}, raise_on_error=False)
        assert "evaluation.auc is 0.1" in why_it_failed(refused)


def test_a_check_that_a_gate_asks_for_is_run_before_it(lab: Lab) -> None:
    def checked(**options: Any) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=slope, name="steep", **options)
        def steep(slope: float) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=slope > 0.2)

        return steep

    production = channel("production", slope, gates=[CheckPassed("slope", "steep")])
    beside = lab.run(slope, production, asset_checks=[checked()], raise_on_error=False)
    assert "Define it with blocking=True, so that a run has the channel wait for it" in why_it_failed(beside)
    for value in (0.5, 0.4):
        config = {"slope": {"value": value}}
        lab.run(slope, production, asset_checks=[checked(blocking=True)], config=config)
        assert served(lab) == value


def test_a_channel_without_the_partitions_of_its_model_says_so(lab: Lab) -> None:
    @ml_asset(partitions_def=dg.StaticPartitionsDefinition(["north", "south"]))
    def regional() -> float:
        return 0.5

    lab.run(regional, partition="north")
    done = lab.run(regional, channel("production", "regional"), select=["regional/production"], raise_on_error=False)
    says = "regional/production has no partitions, and regional has 'north', 'south': give the channel the same"
    assert says in why_it_failed(done, "regional__production")


def test_what_a_channel_that_serves_nothing_would_promote(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    with pytest.raises(ChannelError, match="slope/staging serves nothing"):
        promote("slope@staging", channel="production", store=lab.store())


def test_a_new_channel_is_told_from_those_that_there_are(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    moved = promote("slope@v1", channel="prodction", store=lab.store(), instance=lab.instance)
    assert moved.note == "slope/prodction is a new channel; there was production before"


def test_a_rollback_does_not_guess_what_a_version_or_two_channels_mean(lab: Lab) -> None:
    for value in (0.5, 0.4, 0.3):
        train(lab, channel("production", slope), value)
    for name in ("slope@v1", "slope@staging"):
        with pytest.raises(VersionNameError, match=r"--to v1|names the channel staging, and not production"):
            rollback(name, channel="production", store=lab.store())
    assert served(lab) == 0.3


def test_a_gate_alone_and_nobody_to_approve_are_refused_when_they_are_defined() -> None:
    with pytest.raises(ConditionError, match="gates takes a list, such as"):
        channel("production", slope, gates=Metric("evaluation", "auc") >= 0.3)  # type: ignore[arg-type]
    with pytest.raises(ConditionError, match="approval has no name of who may approve"):
        channel("production", slope, approval=[])


def test_a_run_that_judges_slowly_does_not_undo_the_promotion_of_a_newer_version(lab: Lab) -> None:
    asked = []

    def slow(view: Any) -> bool:
        asked.append(view.candidate.number)
        if asked == [1, 2]:
            lab.run(slope, config={"slope": {"value": 0.3}})
            promote("slope@v3", channel="production", store=lab.store(), instance=lab.instance)
        return True

    production = channel("production", slope, gates=[slow])
    train(lab, production, 0.5)
    overtaken = train(lab, production, 0.4)
    assert "which is newer than v2" in overtaken.metadata("slope/production")["mlrepro/served"]
    assert served(lab) == 0.3


def test_the_gates_are_asked_again_where_the_channel_moved_while_they_were(lab: Lab) -> None:
    compared: list[int] = []

    def slow(view: Any) -> bool | str:
        compared.append(view.channel.after.number if view.channel else 0)
        if compared == [0, 1, 2]:
            rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
        return True

    production = channel("production", slope, gates=[slow])
    for value in (0.5, 0.4, 0.3):
        train(lab, production, value)
    assert compared == [0, 1, 2, 1]
    assert served(lab) == 0.3


def test_the_bytes_of_what_is_served_are_gone(lab: Lab) -> None:
    production = channel("production", slope)
    first = train(lab, production, 0.5)
    lab.blob(first.data_version("slope")).unlink()
    lost = train(lab, production, 0.5, select=["predictions"], tags={"mlrepro/cache": "refresh"})
    assert "Compute slope again as v1 was (mlrepro show slope@v1)" in why_it_failed(lost, "predictions")


def test_a_path_that_could_not_be_written_is_written_by_the_next_run(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    folder.write_text("a file where the folder should be")
    production = channel("production", slope, export=folder / "slope.json")
    failed = train(lab, production, 0.5)
    assert not failed.success
    assert "serves v1 now, but that could not be written" in why_it_failed(failed)
    folder.unlink()
    assert train(lab, production, 0.5).cache["slope/production"] == "served"
    assert (folder / "slope.json").read_text() == "0.5"

    elsewhere = channel("production", slope, export=tmp_path / "other.json")
    train(lab, elsewhere, 0.5)
    assert (tmp_path / "other.json").read_text() == "0.5"

    train(lab, channel("production", slope), 0.4)  # no path any more
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    train(lab, channel("production", slope), 0.3)
    assert (tmp_path / "other.json").read_text() == "0.5"


def test_a_proposal_that_waits_keeps_those_downstream_on_what_is_served(lab: Lab) -> None:
    train(lab, channel("production", slope), 0.5)
    careful = channel("production", slope, approval=True)
    for _ in range(2):
        assert train(lab, careful, 0.6, tags={"mlrepro/cache": "off"}).value("predictions") == [0.5, 1.0]
