"""A version's page: its lineage by version, both ways."""

from tests.web.pages.shop import Shop


def edges(answer) -> set[tuple[str, str, str]]:
    names = {node["id"]: f"{node['name']}@v{node['number']}" for node in answer["lineage"]["nodes"]}
    return {(names[e["source"]], names[e["target"]], e["argument"]) for e in answer["lineage"]["edges"]}


def test_lineage_is_followed_both_ways_over_a_channel(shared: Shop) -> None:
    answer = shared.json("/version?of=delay_model@v1")

    assert answer["lineage"]["complete"]
    assert edges(answer) == {
        ("delay_features@v1", "delay_model@v1", "features"),
        ("delay_model@v1", "delay_evaluation@v1", "model"),
        ("delay_model@v1", "delay_predictions@v1", "model"),
        ("delay_predictions@v1", "delay_board@v1", "predictions"),
    }


def test_a_version_at_the_end_knows_all_that_it_was_made_from(shared: Shop) -> None:
    answer = shared.json("/version?of=delay_board@v2")

    assert edges(answer) == {
        ("delay_predictions@v2", "delay_board@v2", "predictions"),
        ("delay_model@v2", "delay_predictions@v2", "model"),
        ("delay_features@v1", "delay_model@v2", "features"),
    }
    assert [n["channel"] for n in answer["lineage"]["nodes"] if n["name"] == "delay_model"] == ["production"]


def test_each_version_in_the_picture_can_be_clicked(shared: Shop) -> None:
    page = shared.page("/version?of=delay_model@v2")

    links = {link.get("aria-label"): link.get("href") for link in page.findall(".//div[@class='graph']//a")}
    assert links["delay_features v1"] == "/mlrepro/version?of=delay_features%40v1&scope=delay"
    for path in links.values():
        shared.page(path.removeprefix("/mlrepro"))


def test_record_code_and_commands_are_shown(shared: Shop) -> None:
    answer = shared.json("/version?of=delay_model@v2")
    page = shared.page("/version?of=delay_model@v2")

    assert answer["config"] == {"slope": 0.6}
    assert answer["who"] == "ben"
    assert answer["metrics"] == {"slope": 0.6, "auc": 0.8}
    assert any("def model(" in source["text"] for source in answer["sources"])
    assert page.xpath("//pre//span[@class='k' and .='return']")
    assert "mlrepro show delay_model@v2 --scope delay --code" in answer["reproduce"]


def test_a_channel_names_the_version_that_it_serves(shared: Shop) -> None:
    answer = shared.json("/version?of=delay_model@production")
    assert (answer["asset"]["name"], answer["number"], answer["served_by"]) == ("delay_model", 1, ["production"])
