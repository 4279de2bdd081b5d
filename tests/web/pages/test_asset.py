"""An asset's page: its past as plots and a table."""

import pytest

from tests.web.pages.shop import Shop


def test_its_versions_are_listed_with_what_changed_and_who_made_them(shared: Shop) -> None:
    answer = shared.json("/asset?key=delay_model")

    assert [row["number"] for row in answer["versions"]] == [3, 2, 1]
    second = answer["versions"][1]
    assert second["who"] == "ben"
    assert second["changed"] == {"config": "slope 0.5 -> 0.6"}
    assert second["inputs"] == "features v1"
    assert second["metrics"]["slope"] == 0.6
    assert answer["versions"][2]["marks"] == ["production"]
    assert answer["channels"][0]["version"] == 1


def test_metrics_of_what_evaluates_it_are_its_metrics_too(shared: Shop) -> None:
    history = shared.json("/asset?key=delay_model")["history"]

    assert [point["metrics"]["delay_evaluation.error"] for point in history] == [0.5, 0.4, 0.99]


def test_promotions_and_rollbacks_are_marked_in_the_plots(shared: Shop) -> None:
    page = shared.page("/asset?key=delay_model")

    plots = page.findall(".//figure")
    assert {plot.find("figcaption").text_content() for plot in plots} == {"slope", "auc", "delay_evaluation.error"}
    said = [title.text for title in plots[0].findall(".//g/title")]
    assert [line.split(" on ")[0] for line in said] == [
        "production promoted to v1",
        "production promoted from v1 to v2",
        "production rolled back from v2 to v1",
    ]
    assert said[-1].endswith("by ana: too <b>steep</b>")
    links = {link.get("aria-label").split(":")[0]: link.get("href") for link in plots[0].findall(".//svg//a")}
    assert links["v2"] == "/mlrepro/version?of=delay_model%40v2&scope=delay"


def test_what_users_wrote_in_markdown_is_text(shared: Shop) -> None:
    page = shared.page("/asset?key=delay_model")

    card = page.find(".//div[@aria-label='card']")
    assert card.findtext(".//strong") == "Linear"
    assert "<script>alert(1)</script> honest" in card.text_content()
    assert [script.get("src").split("?")[0] for script in page.iter("script")] == ["/mlrepro/static/pages.js"]


def test_a_version_is_downloaded_as_it_is_stored(shared: Shop) -> None:
    path = shared.json("/asset?key=delay_model")["download"]
    answer = shared.user("eve").request("GET", path)

    assert answer.json() == {"slope": 0.01, "auc": 0.505}
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''delay_model-v3.json"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/asset?key=nobody", 404),
        ("/asset", 400),
        ("/asset?key=", 400),
        ("/asset?key=delay_model&scope=elsewhere", 404),
        ("/asset?key=delay_model&scope=../delay", 404),
        ("/asset?key=//", 400),
        ("/nothing", 404),
        ("/download?of=delay_model@v9", 404),
    ],
)
def test_what_is_not_there_is_told_in_a_line(shared: Shop, path: str, status: int) -> None:
    answer = shared.user("eve").request("GET", f"/mlrepro{path}")
    assert answer.status_code == status
    assert "Traceback" not in answer.text
