"""A version that a channel passed over is told wherever the channel is: which gates failed, and what they said."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import AssetKey, AssetObservation, DagsterInstance

from tests.web.pages import gated
from tests.web.pages.shop import Shop, serving

CHANNELS = {"production": "failing", "staging": "skipping"}
"""Each channel, and the job that asks its gates: of one the step fails, of the other it is skipped."""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Both channels serve v1 and passed v2 over."""
    folder = tmp_path_factory.mktemp("gates")
    with serving(folder, "shared", {"": {"delay": "gated", "fleet": "fleet"}}, _train) as found:
        yield found


def _train(instance: DagsterInstance, home: str) -> None:
    for slope in (0.5, 0.1):
        done = [gated.train(instance, job, slope).success for job in CHANNELS.values()]
        assert done == [slope == 0.5, True], "a channel that skips fails no run"


@pytest.fixture(autouse=True)
def _store(team: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLREPRO_STORE", team.store_url)
    os.environ.pop("MLREPRO_SCOPE", None)


def said(channel: str) -> str:
    return (
        f"gated_model@v2 is not promoted, gated_model/{channel} stays at v1:"
        " gated_evaluation.<i>error</i> is 0.9, not below 0.6"
    )


def problem(team: Shop) -> Any:
    rows = {row["asset"]["name"]: row for row in team.json("/overview")["assets"]}
    return rows["gated_model"]["problem"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_channel_says_which_gate_failed_and_of_which_version(team: Shop, channel: str) -> None:
    path = f"/channel?key=gated_model/{channel}"
    answer = team.json(path)

    assert answer["served"]["number"] == 1
    assert (answer["passed_over"]["version"], answer["passed_over"]["said"]) == (2, said(channel))
    assert answer["gates_of"] == 2
    assert [(gate["gate"], gate["passed"]) for gate in answer["gates"]] == [
        ("gated_evaluation.<i>error</i> < 0.6", False),
        ("gated_model.slope < 9", True),
    ]
    assert [(entry["kind"], entry["number"], entry["after"]) for entry in answer["history"]] == [
        ("gate", None, 2),
        ("promotion", 1, 1),
    ]
    page = team.page(path)
    assert said(channel) in " ".join(page.find(".//p[@class='note bad']").text_content().split())
    assert page.find(".//h2[@id='gates']").text_content() == "What the gates said last, of v2"
    assert not page.findall(".//i"), "names are text"
    run = page.find(".//p[@class='note bad']//a").get("href")
    assert team.user("eve").request("GET", run).status_code == 200


def test_the_asset_says_it_of_each_channel_and_marks_the_version(team: Shop) -> None:
    answer = team.json("/asset?key=gated_model")
    assert {row["channel"]: row["passed_over"]["version"] for row in answer["channels"]} == {
        "production": 2,
        "staging": 2,
    }
    page = team.page("/asset?key=gated_model")
    notes = [" ".join(note.text_content().split()) for note in page.findall(".//p[@class='note bad']")]
    assert sorted(note.partition(" What the gates")[0] for note in notes) == [
        f"gate failed {said(channel)}" for channel in sorted(CHANNELS)
    ]
    (marked,) = [row for row in page.findall(".//tbody/tr") if "not for staging" in row.text_content()]
    assert marked.find(".//th/a").text_content() == "v2"


def test_the_overview_says_it_as_the_last_problem(team: Shop) -> None:
    told = problem(team)
    assert (told["kind"], told["text"]) == ("gate", said("staging"))
    link = team.page("/").xpath(".//td[@class='problem']/a[contains(., 'gate')]/@href")[0]
    assert link.endswith("/channel?key=gated_model%2Fstaging&scope=delay#gates")


def test_what_others_observe_of_a_channel_is_no_gate(team: Shop) -> None:
    before = [team.json(f"/channel?key=gated_model/{channel}") for channel in CHANNELS]
    with DagsterInstance.from_config(str(team.folder)) as instance:
        for metadata in ({}, {"mlrepro/refused": "v9"}, {"note": "looked at it"}):
            key = AssetKey(["gated_model", "production"])
            instance.report_runless_asset_event(AssetObservation(key, metadata=metadata))
    assert [team.json(f"/channel?key=gated_model/{channel}")["history"] for channel in CHANNELS] == [
        each["history"] for each in before
    ]


def test_it_is_no_problem_any_more_once_the_channel_has_moved(team: Shop) -> None:
    with DagsterInstance.from_config(str(team.folder)) as instance:
        for job in CHANNELS.values():
            assert gated.train(instance, job, 0.8).success
    for channel in CHANNELS:
        answer = team.json(f"/channel?key=gated_model/{channel}")
        assert (answer["served"]["number"], answer["passed_over"], answer["gates_of"]) == (3, None, 3)
        assert [entry["kind"] for entry in answer["history"]] == ["promotion", "gate", "promotion"], "but it is kept"
    assert problem(team) is None
