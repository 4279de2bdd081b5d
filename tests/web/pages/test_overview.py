"""The overview: what is there, what serves, what went wrong."""

import pytest

from tests.web.pages.shop import Shop


def names(answer) -> list[str]:
    return [row["asset"]["name"] for row in answer["assets"]]


def test_every_asset_is_shown_with_its_newest_version_and_what_its_channels_serve(shared: Shop) -> None:
    answer = shared.json("/overview")

    assert sorted(names(answer)) == sorted(
        f"{team}_{name}"
        for team in ("delay", "aircraft")
        for name in ("features", "model", "evaluation", "predictions", "board")
    )
    model = next(row for row in answer["assets"] if row["asset"]["name"] == "delay_model")
    assert model["newest"]["number"] == 3
    assert model["newest"]["who"] == "ben"
    assert model["newest"]["metrics"]["slope"] == 0.01
    assert [(each["channel"], each["version"], each["rolled_back"]) for each in model["channels"]] == [
        ("production", 1, True)
    ]
    assert (
        model["asset"] | {"scope": "delay", "tenant": "delay", "location": "delay", "group": "training"}
        == (model["asset"])
    )


def test_what_the_cache_saved_is_counted(shared: Shop) -> None:
    answer = shared.json("/overview")

    assert answer["counted"]
    # of each team, in the second and third run the features came from the cache
    assert answer["ever"]["hits"] >= 4
    assert answer["week"] == answer["ever"]
    assert 0 < answer["ever"]["hit_rate"] < 1
    assert shared.json("/overview") == answer, "what was counted is not counted again"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tenant=delay&q=MODEL", ["delay_model"]),
        ("group=serving&tenant=aircraft", ["aircraft_board", "aircraft_predictions"]),
        ("q=nothing+like+it", []),
        ("tenant=nobody", []),
    ],
)
def test_it_is_narrowed_by_tenant_group_and_text(shared: Shop, query: str, found: list[str]) -> None:
    assert names(shared.json(f"/overview?{query}")) == found


def test_the_last_problem_is_told_in_the_words_of_who_rolled_back_or_of_the_gate(shared: Shop) -> None:
    problems = {row["asset"]["name"]: row["problem"] for row in shared.json("/overview")["assets"]}

    assert problems["delay_features"] is None
    assert problems["delay_model"]["kind"] == "gate"
    assert "delay_model@v3 is not promoted" in problems["delay_model"]["text"]


def test_the_page_says_the_same(shared: Shop) -> None:
    page = shared.page("/?tenant=delay")

    rows = {
        row.find(".//th/a").text_content(): " ".join(row.text_content().split()) for row in page.findall(".//tbody/tr")
    }
    assert "v3" in rows["delay_model"]
    assert "production v1" in rows["delay_model"]
    assert len(rows) == 5


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=1000000", f"q={'x' * 300}"])
def test_parameters_that_are_none_are_refused_in_a_line(shared: Shop, query: str) -> None:
    told = shared.json(f"/overview?{query}", status=400)["error"]
    assert told.startswith(query.partition("=")[0])


def test_a_long_list_is_paged(shared: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrepro.web.pages.overview.ROWS", 4)
    found: list[str] = []
    path = "/?q=e&tenant=delay"
    while path:
        page = shared.page(path)
        found += [row.find(".//th/a").text_content() for row in page.findall(".//tbody/tr")]
        following = page.find(".//a[@rel='next']")
        path = following.get("href").removeprefix("/mlrepro") if following is not None else ""
    assert len(found) == len(set(found)) == 5
