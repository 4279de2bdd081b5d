"""The jobs that `ml_definitions` adds: the command's verbs as forms in the launchpad."""

from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from mlrepro import ReproStore, channel, channel_jobs, load, ml_asset, ml_definitions
from mlrepro.catalog.channels import ChannelName, newest_entry
from mlrepro.errors import ChannelError
from tests.definitions.lab import Lab


class Slope(dg.Config):
    value: float = 0.5


@ml_asset
def slope(config: Slope) -> float:
    return config.value


production = channel("production", slope)


@ml_asset(ins={"model": dg.AssetIn(production.key)})
def predictions(model: float) -> float:
    return 2 * model


def definitions(lab: Lab, **arguments: Any) -> dg.Definitions:
    return ml_definitions(assets=[slope, production, predictions], store=ReproStore(url=lab.url), **arguments)


def launch(lab: Lab, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    found = definitions(lab).resolve_job_def(job)
    return found.execute_in_process(
        instance=lab.instance,
        run_config={"ops": {job: {"config": config}}},
        tags={"user": "ana"},
        raise_on_error=False,
    )


def why(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [each for each in result.all_events if each.is_step_failure]
    return str(event.step_failure_data.error)


def train(lab: Lab, *values: float) -> None:
    for value in values:
        lab.run(slope, production, predictions, config={"slope": {"value": value}})


def test_a_code_location_with_them_loads(lab: Lab) -> None:
    repository = definitions(lab).get_repository_def()
    repository.load_all_definitions()
    assert {"rollback", "promote", "release"} <= set(repository.job_names)


def test_a_job_of_the_users_own_is_left(lab: Lab) -> None:
    @dg.op
    def mine() -> None: ...

    @dg.job
    def rollback() -> None:
        mine()

    repository = definitions(lab, jobs=[rollback]).get_repository_def()
    repository.load_all_definitions()
    assert [node.name for node in repository.get_job("rollback").nodes] == ["mine"]
    assert {"promote", "release"} <= set(repository.job_names)


def test_they_work_alone(lab: Lab) -> None:
    plain = lab.definitions(slope, production, predictions, jobs=channel_jobs())
    plain.get_repository_def().load_all_definitions()
    train(lab, 0.5, 0.4)
    config = {"ops": {"rollback": {"config": {"asset": "slope/production"}}}}
    assert plain.resolve_job_def("rollback").execute_in_process(instance=lab.instance, run_config=config).success
    assert load("slope@production", store=lab.store()) == 0.5


def test_a_rollback_with_one_click_has_a_name_and_a_reason(lab: Lab) -> None:
    train(lab, 0.5, 0.4)
    done = launch(lab, "rollback", asset="slope/production", reason="too flat")
    assert done.success
    entry = newest_entry(lab.store(), ChannelName(("slope",), "production"))
    assert entry is not None
    assert (entry.kind, entry.who, entry.reason, entry.run_id) == ("rollback", "ana", "too flat", done.run_id)
    (event,) = done.get_asset_materialization_events() or [
        each for each in done.all_events if each.event_type_value == "ASSET_MATERIALIZATION"
    ]
    assert event.materialization.asset_key == production.key


def test_a_rollback_that_came_too_late_does_nothing(lab: Lab) -> None:
    train(lab, 0.5, 0.4, 0.3)
    assert launch(lab, "rollback", asset="slope/production", expected=2, sensor="watchdog").success
    assert load("slope@production", store=lab.store()) == 0.3


def test_a_rollback_that_is_run_again_after_a_failure_goes_back_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    train(lab, 0.5, 0.4, 0.3)
    with monkeypatch.context() as broken:
        broken.setattr("mlrepro.execution.scene.export_served", fail)  # the store has moved, and then the run dies
        first = launch(lab, "rollback", asset="slope/production")
    assert not first.success
    again = (
        definitions(lab)
        .resolve_job_def("rollback")
        .execute_in_process(
            instance=lab.instance,
            run_config={"ops": {"rollback": {"config": {"asset": "slope/production"}}}},
            tags={"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id},
        )
    )
    assert again.success
    assert load("slope@production", store=lab.store()) == 0.4


def fail(*_: Any) -> None:
    raise ChannelError("killed")


@pytest.mark.parametrize(
    ("job", "config", "says"),
    [
        ("rollback", {"asset": "slope/production", "to": "v9"}, "v9 is newer than v2"),
        ("rollback", {"asset": "slope/production", "to": "yesterday"}, "'yesterday' is no version to go back to"),
        ("promote", {"channel": "slope/production"}, "no version of slope/production waits for approval"),
        ("release", {"asset": "slope"}, "slope is not pinned"),
        ("release", {"asset": "slope/production", "version": "v1"}, "v1 of slope/production is not quarantined"),
    ],
)
def test_mistakes_fail_in_one_sentence(lab: Lab, job: str, config: dict[str, Any], says: str) -> None:
    train(lab, 0.5, 0.4)
    result = launch(lab, job, **config)
    assert not result.success
    assert says in why(result)


def test_a_name_that_is_none_is_refused_before_the_run(lab: Lab) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="asset not in enum type ChannelOrAsset got slop"):
        launch(lab, "rollback", asset="slop")


def test_pinning_and_releasing(lab: Lab) -> None:
    train(lab, 0.5, 0.4)
    assert launch(lab, "rollback", asset="slope", to="v1").success
    train(lab, 0.4)
    assert load("slope", store=lab.store()) == 0.5
    assert launch(lab, "release", asset="slope").success
    train(lab, 0.4)
    assert load("slope", store=lab.store()) == 0.4


def test_promoting_what_was_released(lab: Lab) -> None:
    train(lab, 0.5, 0.4)
    launch(lab, "rollback", asset="slope/production")
    assert "is quarantined" in why(launch(lab, "promote", channel="slope/production", version="v2"))
    assert launch(lab, "release", asset="slope/production", version="v2").success
    assert launch(lab, "promote", channel="slope/production", version="v2").success
    assert load("slope@production", store=lab.store()) == 0.4


@pytest.mark.parametrize("rolled_back_since", [False, True])
def test_a_promotion_that_is_run_again_after_a_failure_promotes_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, rolled_back_since: bool
) -> None:
    train(lab, 0.5, 0.4)
    assert launch(lab, "rollback", asset="slope/production").success
    assert launch(lab, "release", asset="slope/production", version="v2").success
    with monkeypatch.context() as broken:
        broken.setattr("mlrepro.execution.scene.export_served", fail)  # the store has moved, and then the run dies
        first = launch(lab, "promote", channel="slope/production", version="v2")
    assert load("slope@production", store=lab.store()) == 0.4
    if rolled_back_since:
        assert launch(lab, "rollback", asset="slope/production").success
    again = (
        definitions(lab)
        .resolve_job_def("promote")
        .execute_in_process(
            instance=lab.instance,
            run_config={"ops": {"promote": {"config": {"channel": "slope/production", "version": "v2"}}}},
            tags={"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id},
        )
    )
    assert again.success
    assert load("slope@production", store=lab.store()) == (0.5 if rolled_back_since else 0.4)


def test_an_asset_that_is_called_like_one_of_them_is_left() -> None:
    @ml_asset
    def release() -> str:
        return "2026.1"

    defs = ml_definitions(assets=(each for each in (release, slope)))
    repository = defs.get_repository_def()
    repository.load_all_definitions()
    assert {"rollback", "promote"} <= set(repository.job_names)
    assert dg.AssetKey("release") in repository.asset_graph.get_all_asset_keys()


def test_a_plan_is_made_by_a_run_that_materializes_nothing(lab: Lab) -> None:
    def told(*selection: str) -> Any:
        with launch_in_a_code_location(lab, "mlrepro_plan", "mia", False, selection=list(selection)) as done:
            assert not done.get_asset_materialization_events()
            if not done.success:
                (event,) = [each for each in done.all_events if each.is_step_failure]
                return str(event.step_failure_data.error.message)
            (event,) = [each for each in done.all_events if each.is_successful_output]
            return {
                row["asset"]: row["verdict"] for row in event.step_output_data.metadata["mlrepro/plan"].value["assets"]
            }

    assert told("*") == {"slope": "run", "slope/production": "depends"}
    with launch_in_a_code_location(lab, "__ASSET_JOB", "mia", False) as trained:
        assert trained.success
    assert told("slope", 'key:"slope/production"') == {"slope": "hit", "slope/production": "hit"}
    assert "nobody" in told("nobody")


TEAM = """
from dagster import in_process_executor
from mlrepro import ReproStore, channel, ml_asset, ml_definitions

@ml_asset
def slope() -> float:
    return 0.5

production = channel("production", slope, approval={approval!r})
defs = ml_definitions(
    assets=[slope, production], store=ReproStore(url={url!r}), executor=in_process_executor
)
"""


def launch_in_a_code_location(lab: Lab, job: str, user: str, approval: Any, **config: Any) -> dg.JobExecutionResult:
    """Run a job as a run worker does: it knows the code location's other definitions."""
    lab.module(TEAM.format(approval=approval, url=lab.url), "team_with_approval")
    found = ReconstructableRepository.for_module("team_with_approval", "defs").get_reconstructable_job(job)
    run_config = {"ops": {job: {"config": config}}} if config else None
    return dg.execute_job(found, lab.instance, run_config=run_config, tags={"user": user})


@pytest.mark.parametrize(
    ("first", "now", "user", "moves"),
    [
        (["ana"], ["ana"], "eve", False),
        (["ana"], ["ben"], "ana", False),
        (["ana"], ["ben"], "ben", True),
        (["ana"], True, "eve", True),
        (["ana"], False, "eve", True),
        (True, ["ben"], "eve", False),
    ],
)
@pytest.mark.parametrize("approve", [False, True])
def test_who_promotes_by_hand_is_told_by_the_definition(
    lab: Lab, first: Any, now: Any, user: str, moves: bool, approve: bool
) -> None:
    with launch_in_a_code_location(lab, "__ASSET_JOB", "mia", first) as trained:
        assert trained.success
    asked = {"channel": "slope/production", "version": "v1", "approve": approve}
    with launch_in_a_code_location(lab, "promote", user, now, **asked) as done:
        assert done.success is moves
        entry = newest_entry(lab.store(), ChannelName(("slope",), "production"))
        assert entry is not None
        assert entry.kind == ("promotion" if moves else "proposal")
        if not moves:
            (event,) = [each for each in done.all_events if each.is_step_failure]
            said = str(event.step_failure_data.error.message)
            assert f"{user} may not approve for slope/production: {now[0]} may, by `mlrepro approve`" in said
