"""Versions side by side."""

import pytest

from mlrepro import compare
from tests.web.pages.shop import Shop


def test_it_says_what_the_command_says(shared: Shop) -> None:
    answer = shared.json("/compare?of=delay_model@v1&of=delay_model@v2")
    said = compare("delay_model", "v1", "v2", store=shared.store("delay"), evaluations=["delay_evaluation"]).to_json()

    assert {key: answer[key] for key in ("versions", "metrics", "changes")} == {
        key: said[key] for key in ("versions", "metrics", "changes")
    }


def test_plots_come_first_and_deltas_are_against_the_first(shared: Shop) -> None:
    page = shared.page("/compare?of=delay_model@v1&of=delay_model@v2")

    assert page.find(".//figure") is not None
    table = page.xpath("//table[thead/tr/th='metric']")[0]
    rows = {row.find("th").text_content(): [cell.text for cell in row.findall("td")] for row in table.iter("tr")}
    assert rows["slope"] == ["0.5", "0.6", "+0.1 (+20%)"]


def test_what_a_channel_serves_can_be_compared(shared: Shop) -> None:
    answer = shared.json("/compare?of=delay_model@production&of=delay_model@v3")
    assert [each["version"] for each in answer["versions"]] == [1, 3]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("of=delay_model@v1", 400),
        ("", 400),
        ("of=delay_model@v1&of=delay_model@v9", 404),
        ("of=delay_model@v1&of=aircraft_model@v1", 404),
        ("&".join(["of=delay_model@v1"] * 9), 400),
    ],
)
def test_what_cant_be_compared_is_told_in_a_line(shared: Shop, query: str, status: int) -> None:
    assert shared.json(f"/compare?{query}", status=status)["error"]
