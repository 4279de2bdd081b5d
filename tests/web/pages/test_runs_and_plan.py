"""Runs side by side, and what materializing would do."""

import pytest
from dagster import RunsFilter

from tests.web.pages.shop import Shop
from tests.web.pages.test_channel import launched, send


def runs_of(shop: Shop, team: str) -> list[str]:
    """The runs that trained a team's models, oldest first."""
    with shop.instance() as instance:
        found = instance.get_runs(RunsFilter(job_name="everything"))
        return [run.run_id for run in reversed(found) if any(key.startswith(team) for key in _steps(instance, run))]


def _steps(instance, run) -> list[str]:
    return [step.step_key for step in instance.get_run_step_stats(run.run_id)]


def test_steps_of_two_runs_stand_beside_each_other_with_hits_and_reasons(shared: Shop) -> None:
    first, second, *_ = runs_of(shared, "delay")
    answer = shared.json(f"/runs?of={first}&of={second}")

    pairs = {pair["step"]: (pair["first"]["outcome"], pair["second"]["outcome"]) for pair in answer["steps"]}
    assert pairs == {
        "delay_features": ("computed", "hit"),
        "delay_model": ("computed", "computed"),
        "delay_evaluation": ("computed", "computed"),
        "delay_model__production": ("promotion", "promotion"),
        "delay_predictions": ("computed", "computed"),
        "delay_board": ("computed", "computed"),
    }
    model = next(pair["second"] for pair in answer["steps"] if pair["step"] == "delay_model")
    assert "config slope: 0.5 -> 0.6" in model["why"]
    assert answer["compared"][1]["hits"] == 1
    page = shared.page(f"/runs?of={first}&of={second}")
    assert len(page.findall(".//tbody/tr")) == 6


def test_a_run_that_failed_says_why(shared: Shop) -> None:
    failed = runs_of(shared, "delay")[2]
    answer = shared.json(f"/run?id={failed}")["run"]

    assert answer["status"] == "FAILURE"
    assert "delay_model@v3 is not promoted" in answer["error"]


@pytest.mark.parametrize(
    ("path", "status"), [("/run?id=nobody", 404), ("/runs?of=a&of=b", 404), ("/runs?of=a&of=b&of=c", 400)]
)
def test_what_is_not_there_is_told(shared: Shop, path: str, status: int) -> None:
    assert shared.json(path, status=status)["error"]


def test_records_tell_what_has_changed(shared: Shop) -> None:
    answer = shared.json("/plan?selection=*delay_board")

    status = {row["name"]: row["status"] for row in answer["assets"]}
    assert status["delay_features"] == "fresh"
    # the channel went back, and nothing downstream has followed
    assert status["delay_predictions"] == "stale"
    assert answer["may"]
    assert answer["can_look_up"]


def test_the_code_itself_is_asked_by_a_run_of_who_may_launch(shared: Shop) -> None:
    page = shared.page("/plan?selection=delay_features")
    token = page.find(".//input[@name='token']").get("value")

    answer = send(shared, "/plan", token=token, selection="delay_features", location="delay")
    (run,) = launched(shared, "mlrepro_plan")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/mlrepro/plan?selection=delay_features&location=delay&asked={run.run_id}"
    assert run.run_config["ops"]["mlrepro_plan"]["config"] == {"selection": ['key:"delay_features"']}
    assert run.tags["dagster/user"] == "eve"
    waiting = shared.page(answer.headers["location"].removeprefix("/mlrepro"))
    assert waiting.find(".//*[@data-follow]") is not None
    assert "Its code is being asked" in waiting.text_content()
    assert not shared.page("/plan?selection=delay_features", "vera").findall(".//form[@method='post']")


@pytest.mark.parametrize(("selection", "told"), [("*", "choose a code location"), ("nobody", "nobody")])
def test_what_can_not_be_asked_is_refused(shared: Shop, selection: str, told: str) -> None:
    token = shared.page("/plan?selection=delay_board").find(".//input[@name='token']").get("value")
    before = len(launched(shared, "mlrepro_plan"))
    answer = send(shared, "/plan", token=token, selection=selection)
    assert answer.status_code in {400, 404}
    assert told in answer.text
    assert len(launched(shared, "mlrepro_plan")) == before


def test_a_run_that_is_no_plan_is_not_shown_as_one(shared: Shop) -> None:
    (run, *_) = runs_of(shared, "delay")
    assert "made no plan" in shared.json(f"/plan?selection=delay_board&asked={run}", status=404)["error"]
    assert shared.json("/plan?selection=delay_board&asked=nobody", status=404)["error"]


def test_materialize_launches_the_selection(shared: Shop) -> None:
    token = shared.page("/plan?selection=delay_board").find(".//input[@name='token']").get("value")
    answer = send(shared, "/plan/materialize", token=token, selection="delay_board")

    assert answer.status_code == 303
    (run,) = launched(shared, "__ASSET_JOB")
    assert [key.to_user_string() for key in run.asset_selection] == ["delay_board"]
    assert run.tags["dagster/user"] == "eve"


def test_two_code_locations_are_not_one_run(shared: Shop) -> None:
    token = shared.page("/plan?selection=delay_board").find(".//input[@name='token']").get("value")
    answer = send(shared, "/plan/materialize", token=token, selection="*")

    assert answer.status_code == 400
    assert "choose a code location" in answer.text
