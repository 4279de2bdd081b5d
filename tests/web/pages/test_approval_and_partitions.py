"""Pages of a model that has partitions, whose promotions have to be approved; and of an asset that is pinned."""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter, execute_job
from dagster._core.definitions.reconstruct import ReconstructableRepository

from mlrepro import release, rollback
from mlrepro.catalog.channels import ChannelName, newest_entry
from mlrepro.catalog.pins import pins
from tests.web.pages import regional
from tests.web.pages.shop import Shop, serving
from tests.web.pages.test_channel import launched, send

NORTH, EAST, WEST = "north", "south/east", "<b>west</b>"
KEY = "regional_model/production"


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Each region's model was trained once, and waits for approval."""
    folder = tmp_path_factory.mktemp("regions")
    with serving(folder, "shared", {"": {"delay": "regional", "fleet": "fleet"}}, _train) as found:
        yield found


def _train(instance: DagsterInstance, home: str) -> None:
    calendar = regional.defs.resolve_job_def("year")
    assert calendar.execute_in_process(instance=instance).success
    for region in (NORTH, EAST, WEST):
        assert regional.train(instance, region, 0.5).success


@pytest.fixture(autouse=True)
def _store(regions: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLREPRO_STORE", regions.store_url)
    os.environ.pop("MLREPRO_SCOPE", None)


def address(page: str, key: str, partition: str | None = None) -> str:
    return f"/{page}?key={key}" + (f"&partition={quote(partition, safe='')}" if partition else "")


def form(shop: Shop, path: str, title: str, user: str) -> tuple[str, dict[str, str]]:
    """What a browser would send of a form, as a page has it."""
    page = shop.page(path, user)
    found = page.xpath(f".//form[.//*[self::h2 or self::h3][normalize-space()='{title}']]")
    assert found, f"{user} sees no form {title!r}"
    fields = {each.get("name"): each.get("value") for each in found[0].iter("input") if each.get("type") == "hidden"}
    return found[0].get("action"), fields


def click(shop: Shop, path: str, title: str, user: str = "eve", **more: str) -> Any:
    action, fields = form(shop, path, title, user)
    return shop.user(user).request("POST", action, data={**fields, **more})


def run_what_waits(shop: Shop) -> list[bool]:
    """Execute, as the daemon would, the runs that buttons have launched; tells of each whether it succeeded."""
    done = []
    with DagsterInstance.from_config(str(shop.folder)) as instance:
        for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
            job = regional.defs.resolve_job_def(run.job_name)
            result = job.execute_in_process(
                run_config=run.run_config, tags=run.tags, instance=instance, raise_on_error=False
            )
            done.append(result.success)
            instance.delete_run(run.run_id)
    return done


def planned(shop: Shop, run: DagsterRun) -> dict[str, str]:
    """Execute a run that waits, which plans, as a run worker would; tells what it says of each asset."""
    job = ReconstructableRepository.for_module(regional.__name__, "defs").get_reconstructable_job(run.job_name)
    with shop.instance() as instance:
        instance.delete_run(run.run_id)
        with execute_job(job, instance, run_config=run.run_config) as done:
            (output,) = [event for event in done.all_events if event.is_successful_output]
    rows = output.step_output_data.metadata["mlrepro/plan"].value["assets"]
    return {row["asset"]: row["verdict"] for row in rows}


def serves(shop: Shop, region: str) -> int | None:
    entry = newest_entry(shop.store("delay"), ChannelName(("regional_model",), "production", region))
    return entry.after.number if entry and entry.after else None


@pytest.mark.parametrize("region", [NORTH, EAST, WEST])
def test_each_partition_has_versions_of_its_own(regions: Shop, region: str) -> None:
    path = address("asset", "regional_model", region)
    answer = regions.json(path)

    assert answer["asset"]["partition"] == region
    assert [row["number"] for row in answer["versions"]] == [1]
    assert answer["versions"][0]["metrics"]["slope"] == 0.5 + len(region) / 1000
    assert answer["history"][0]["metrics"]["regional_evaluation.error"] == pytest.approx(0.5 - len(region) / 1000)
    assert set(answer["partitions"]) == {NORTH, EAST, WEST}
    options = regions.page(path).findall(".//select[@name='partition']/option")
    assert [each.get("value") for each in options if each.get("selected") is not None] == [region]


def test_links_of_a_partitions_pages_stay_in_that_partition(regions: Shop) -> None:
    asset = regions.json(address("asset", "regional_model", WEST))
    row = asset["versions"][0]

    version = regions.json(row["page"].removeprefix("/mlrepro"))
    assert version["asset"]["partition"] == WEST
    assert regions.json(asset["channels"][0]["page"].removeprefix("/mlrepro"))["asset"]["partition"] == WEST
    value = regions.user("eve").request("GET", asset["download"])
    assert value.json()["region"] == WEST
    compared = f"/compare?of=regional_model@v1&of=regional_model@v1&partition={quote(WEST)}"
    assert regions.page(compared).find(".//h1") is not None
    listed = {each["asset"]["name"]: each for each in regions.json("/overview")["assets"]}
    assert listed["regional_model"]["asset"]["partition"] == WEST, "the one that was materialized last"


def test_lineage_goes_from_a_partition_to_what_has_none(regions: Shop) -> None:
    page = regions.page(f"/version?of=regional_model@v1&partition={quote(EAST, safe='')}")

    assert "calendar" in page.text_content()
    links = [link.get("href") for link in page.iter("a") if "calendar" in (link.get("href") or "")]
    for link in links:
        assert regions.user("eve").request("GET", link).status_code == 200, link


@pytest.mark.parametrize("partition", ["nowhere", "../x", "a" * 1000])
def test_a_partition_that_is_not_there_has_no_versions(regions: Shop, partition: str) -> None:
    answer = regions.json(address("asset", "regional_model", partition))
    assert answer["versions"] == []
    regions.page(address("asset", "regional_model", partition))


def test_a_run_from_the_plan_is_of_the_partition_that_is_named(regions: Shop) -> None:
    page = regions.page("/plan?selection=regional_model")
    assert "A run is of one partition: name it above" in page.text_content()
    assert not page.findall(".//form[@method='post']")

    path = f"/plan?selection=regional_model&partition={quote(WEST)}"
    (row,) = regions.json(path)["assets"]
    assert (row["status"], row["causes"]) == ("fresh", [])
    (row,) = regions.json("/plan?selection=regional_model&partition=nowhere")["assets"]
    assert (row["status"], row["causes"]) == ("missing", ["it has no such partition"])
    ask, materialize = (
        {each.get("name"): each.get("value") for each in form.iter("input")}
        for form in regions.page(path).findall(".//form[@method='post']")
    )
    answer = send(regions, "/plan", **ask)
    (run,) = launched(regions, "mlrepro_plan")
    assert answer.status_code == 303
    assert f"partition={quote(WEST, safe='')}" in answer.headers["location"]
    assert run.run_config["ops"]["mlrepro_plan"]["config"]["partition"] == WEST
    assert planned(regions, run) == {"regional_model": "hit"}

    send(regions, "/plan/materialize", **materialize)
    (made,) = launched(regions, "__ASSET_JOB")
    assert made.tags["dagster/partition"] == WEST
    assert {key.to_user_string() for key in made.asset_selection} == {"regional_model"}
    with regions.instance() as instance:
        instance.delete_run(made.run_id)


@pytest.mark.parametrize(
    ("selection", "partition", "told"),
    [
        ("regional_model", "", "regional_model has partitions: name one here"),
        ("regional_model", "nowhere", "regional_model has no partition 'nowhere'"),
        ("calendar", NORTH, "nothing of the selection has partitions"),
    ],
)
@pytest.mark.parametrize("path", ["/plan", "/plan/materialize"])
def test_a_partition_that_a_run_can_not_be_of_is_told(
    regions: Shop, path: str, selection: str, partition: str, told: str
) -> None:
    token = (
        regions.page(f"/plan?selection=regional_model&partition={NORTH}").find(".//input[@name='token']").get("value")
    )
    answer = send(regions, path, token=token, selection=selection, partition=partition)
    assert answer.status_code == 400
    assert told in answer.text.replace("&#39;", "'")


def test_what_waits_is_shown_and_who_may_approve_it(regions: Shop) -> None:
    path = address("channel", KEY, EAST)
    answer = regions.json(path, "lars")

    assert (answer["served"], answer["waiting"]["number"], answer["approvers"]) == (None, 1, ["eve", "ada"])
    assert (answer["rights"]["may"], answer["may_approve"]) == (True, False)
    assert answer["history"][0]["kind"] == "proposal"
    page = regions.page(path, "lars")
    assert "v1 waits for approval of eve, ada" in page.text_content()
    assert not page.xpath(".//button[starts-with(., 'Approve')]")
    assert not regions.page(path, "vera").findall(".//form")
    assert regions.json(path, "ada")["may_approve"]


def test_approving_by_click_promotes_in_that_partition_alone(regions: Shop) -> None:
    answer = click(regions, address("channel", KEY, EAST), "Approve v1", reason="looks good")

    assert answer.status_code == 303
    run = regions.page(answer.headers["location"].removeprefix("/mlrepro"))
    (back,) = [link.get("href") for link in run.iter("a") if "Back to" in link.text_content()]
    assert run_what_waits(regions) == [True]
    assert (serves(regions, EAST), serves(regions, WEST)) == (1, None)
    channel = regions.json(back.removeprefix("/mlrepro"))
    assert (channel["served"]["number"], channel["waiting"], channel["by"]) == (1, None, "eve")
    assert channel["history"][0]["reason"] == "looks good"
    assert regions.json(address("channel", KEY, WEST))["waiting"]["number"] == 1


def test_what_was_approved_is_what_the_user_looked_at(regions: Shop) -> None:
    path = address("channel", KEY, NORTH)
    assert click(regions, path, "Approve v1").status_code == 303
    with DagsterInstance.from_config(str(regions.folder)) as instance:  # while the run waits for its turn
        assert regional.train(instance, NORTH, 0.7).success
    assert run_what_waits(regions) == [False]
    assert serves(regions, NORTH) is None, "nobody has looked at v2"
    assert regions.json(path)["waiting"]["number"] == 2

    action, fields = form(regions, path, "Approve v2", "eve")
    late = regions.user("eve").request("POST", action, data={**fields, "approve": "1"})
    assert (late.status_code, "v1 waits for approval no more" in late.text) == (400, True)


@pytest.mark.parametrize("fields", [{"approve": "1"}, {"version": "1"}, {"version": "1", "approve": "1"}])
def test_who_may_launch_and_not_approve_promotes_nothing(regions: Shop, fields: dict[str, str]) -> None:
    path = address("channel", KEY, WEST)
    page = regions.page(path, "lars")
    assert not page.xpath(".//form[contains(@action, 'promote')]")
    token = regions.page("/plan?selection=calendar", "lars").find(".//input[@name='token']").get("value")
    sent = {"token": token, "key": KEY, "scope": "delay", "partition": WEST, **fields}
    answer = regions.user("lars").request("POST", "/mlrepro/channel/promote", data=sent)

    assert answer.status_code == 403
    assert "you may not approve for regional_model/production: eve, ada may" in answer.text
    assert run_what_waits(regions) == []


def test_launching_the_job_past_the_page_promotes_nothing_either(regions: Shop) -> None:
    config = {"channel": KEY, "version": "v1", "partition": WEST}
    with DagsterInstance.from_config(str(regions.folder)) as instance:
        done = regional.defs.resolve_job_def("promote").execute_in_process(
            run_config={"ops": {"promote": {"config": config}}},
            tags={"dagster/user": "lars"},
            instance=instance,
            raise_on_error=False,
        )
    assert not done.success
    answer = regions.json(f"/run?id={done.run_id}")["run"]
    assert answer["error"].startswith("lars may not approve for regional_model/production (partition")
    assert serves(regions, WEST) is None


def test_promoting_by_hand_is_an_approval(regions: Shop) -> None:
    with DagsterInstance.from_config(str(regions.folder)) as instance:
        assert regional.train(instance, NORTH, 0.8).success
    path = address("channel", KEY, NORTH)
    assert "It is your approval" in regions.page(path, "ada").text_content()
    assert click(regions, path, "Promote by hand", "ada", version="1", reason="the old one").status_code == 303
    assert run_what_waits(regions) == [True]
    answer = regions.json(path, "lars")
    assert (answer["served"]["number"], answer["waiting"], answer["by"]) == (1, None, "ada")
    page = regions.page(path, "lars")
    assert "What is promoted takes approval of eve, ada" in page.text_content()
    assert not page.xpath(".//form[contains(@action, 'promote')]")


@pytest.mark.parametrize(
    ("asset", "partition"), [("calendar", None), ("regional_evaluation", NORTH), ("regional_evaluation", EAST)]
)
def test_a_pin_is_released_by_click(regions: Shop, asset: str, partition: str | None) -> None:
    with DagsterInstance.from_config(str(regions.folder)) as instance:
        rollback(
            asset, to=1, partition=partition, reason="a <i>bad</i> day", scope="delay", instance=instance, who="ana"
        )
    path = address("asset", asset, partition)
    answer = regions.json(path)
    assert (answer["pinned_at"], answer["rights"]["may"]) == (1, True)
    assert {row["number"]: row["marks"] for row in answer["versions"]}[1] == ["pinned"]
    assert "a <i>bad</i> day" in regions.page(path).text_content()

    refused = regions.page(path, "vera")
    assert not refused.xpath(".//form[contains(@action, 'release')]")
    assert "takes the role launcher in team delay" in refused.text_content()

    clicked = click(regions, path, "Release the pin", "lars", reason="a good day")
    assert clicked.status_code == 303
    run = regions.page(clicked.headers["location"].removeprefix("/mlrepro"))
    (back,) = [link.get("href") for link in run.iter("a") if link.text_content() == "Back to the asset"]
    assert run_what_waits(regions) == [True]
    assert ((asset,), partition) not in pins(regions.store("delay"))
    after = regions.json(back.removeprefix("/mlrepro"))
    assert (after["pinned"], after["asset"]["partition"]) == (None, partition)
    assert [(move["kind"], move["who"], move["reason"]) for move in after["moves"]][-1] == (
        "release",
        "lars",
        "a good day",
    )


def test_a_pin_that_somebody_else_has_released_is_not_released_twice(regions: Shop) -> None:
    with DagsterInstance.from_config(str(regions.folder)) as instance:
        rollback("calendar", to=1, scope="delay", instance=instance, who="ana")
    action, fields = form(regions, "/asset?key=calendar", "Release the pin", "eve")
    release("calendar", scope="delay", who="ana")

    answer = regions.user("eve").request("POST", action, data=fields)
    assert (answer.status_code, "it is not pinned" in answer.text) == (400, True)
    for bad in ({"version": "7"}, {"version": ""}, {"key": "nobody"}, {"scope": "fleet"}, {"token": "x"}, {"key": ""}):
        answer = regions.user("eve").request("POST", action, data={**fields, **bad})
        assert answer.status_code in {400, 404}, bad
    assert regions.user("eve").request("GET", action).status_code == 404
    assert run_what_waits(regions) == []
