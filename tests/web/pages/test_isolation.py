"""Whose pages there are: in an isolated installation another team's do not exist."""

import pytest

from tests.web.pages.shop import Shop

PAGES = [
    "/",
    "/asset?key=delay_model",
    "/version?of=delay_model@v1",
    "/compare?of=delay_model@v1&of=delay_model@v2",
    "/channel?key=delay_model/production",
    "/runs",
    "/plan?selection=delay_model",
    "/download?of=delay_model@v1",
    "/api/overview",
    "/api/asset?key=delay_model",
    "/api/openapi.json",
]


@pytest.mark.parametrize("path", PAGES)
def test_another_tenants_dagster_is_not_there(isolated: Shop, path: str) -> None:
    nowhere = isolated.user("bob", "nobody").request("GET", f"/mlrepro{path}")
    theirs = isolated.user("bob", "delay").request("GET", f"/mlrepro{path}")

    assert (theirs.status_code, theirs.text) == (nowhere.status_code, nowhere.text) == (404, nowhere.text)
    assert isolated.user("eve", "delay").request("GET", f"/mlrepro{path}").status_code == 200


@pytest.mark.parametrize("path", [path for path in PAGES if "delay_model" in path])
def test_another_tenants_scope_is_not_read_from_ones_own(isolated: Shop, path: str) -> None:
    for scope in ("delay", "", "aircraft"):
        answer = isolated.user("bob", "aircraft").request("GET", f"/mlrepro{path}&scope={scope}")
        # a selection of what is not there is not understood; anything else is not there
        assert answer.status_code == (400 if "plan" in path else 404), answer.text
        assert "0.6" not in answer.text


def test_ones_own_pages_are_all_there_is(isolated: Shop) -> None:
    answer = isolated.json("/overview", "bob", "aircraft")

    assert {row["asset"]["tenant"] for row in answer["assets"]} == {"aircraft"}
    assert answer["tenants"] == ["aircraft"]
    assert answer["ever"]["steps"] == isolated.json("/overview", "eve", "delay")["ever"]["steps"] > 0
    (model,) = [row for row in answer["assets"] if row["channels"]]
    assert model["asset"]["page"] == "/tenants/aircraft/mlrepro/asset?key=aircraft_model&scope=aircraft"
    assert model["asset"]["dagster"] == "/tenants/aircraft/assets/aircraft_model"


def test_a_token_of_ones_own_dagster_moves_nothing_in_another(isolated: Shop) -> None:
    page = isolated.page("/channel?key=delay_model/production", "gina", "delay")
    token = page.find(".//input[@name='token']").get("value")
    data = {"token": token, "key": "aircraft_model/production", "version": "3"}

    answer = isolated.user("gina", "aircraft").request("POST", "/mlrepro/channel/promote", data=data)
    assert answer.status_code == 400
    assert "load the page again" in answer.text


def test_a_link_without_a_tenant_leads_to_the_own_one(isolated: Shop) -> None:
    answer = isolated.user("bob").request("GET", "/mlrepro/version?of=aircraft_model@v1&scope=aircraft")
    assert answer.headers["location"] == "/tenants/aircraft/mlrepro/version?of=aircraft_model@v1&scope=aircraft"

    both = isolated.user("gina").request("GET", "/mlrepro/version?of=delay_model@v1&scope=delay")
    assert both.headers["location"] == "/tenants/delay/mlrepro/version?of=delay_model@v1&scope=delay"
    assert isolated.user("bob").request("GET", "/mlrepro/asset?key=delay_model&scope=delay").status_code == 404
    assert isolated.user("rita").request("GET", "/mlrepro/").status_code == 404


@pytest.mark.parametrize("user", ["vera", "bob"])
def test_in_a_shared_installation_everybody_with_a_role_sees_all(shared: Shop, user: str) -> None:
    names = {row["asset"]["name"] for row in shared.json("/overview", user)["assets"]}
    assert {"delay_model", "aircraft_model"} <= names


@pytest.mark.parametrize("user", ["rita", None])
def test_nobody_else_sees_anything(shared: Shop, user: str | None) -> None:
    for path in PAGES:
        answer = shared.user(user).request("GET", f"/mlrepro{path}")
        assert answer.status_code == (401 if user is None else 403)
        assert "delay_model" not in answer.text


def test_a_scope_that_is_no_tenants_is_not_read(shared: Shop) -> None:
    store = shared.store("secret")
    stored = store.write_value({"auc": 0.123})
    from mlrepro.catalog.history import append_version

    append_version(store, ["hidden"], None, stored, {"data_version": stored.content_hash})
    for path in (
        "/asset?key=hidden&scope=secret",
        "/version?of=hidden@v1&scope=secret",
        "/download?of=hidden&scope=secret",
    ):
        assert shared.user("root").request("GET", f"/mlrepro{path}").status_code == 404
