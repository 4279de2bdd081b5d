"""The page: it loads nothing, takes users' text as text, and plots every metric over all versions."""

import re
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import compare, ml_asset
from mlrepro.catalog.history import append_version
from mlrepro.comparison.page import write_page
from mlrepro.errors import StoreError
from tests.comparison.shop import move, train
from tests.definitions.lab import Lab

HOSTILE = "<script>alert('x')</script>\"'><img src=http://x onerror=alert(1)>"
VOID = {"meta", "img", "br", "hr", "input", "link", "wbr"}


class Page(HTMLParser):
    """What is in a page: elements with their attributes, text by element, and whether elements are nested soundly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, found in self.elements
        )


@pytest.fixture
def trained(lab: Lab) -> Lab:
    for depth in (2, 4, 3, 6):
        train(lab, depth, factor=4 + depth // 4)
    move(lab, "production", "promotion", 2, reason="the first good one")
    move(lab, "production", "promotion", 4)
    move(lab, "production", "rollback", 2, reason="auc fell below 0.7")
    return lab


def page(lab: Lab, *names: str) -> Page:
    return Page(compare(*names, store=lab.store()).to_html())


def test_plots_every_metric_over_all_versions(trained: Lab) -> None:
    found = page(trained, "churn_model", "v2", "v4")
    assert found.texts["figcaption"] == [
        "depth",
        "train_rows",
        "evaluation.auc",
        "evaluation.f1",
        "live_quality.mean",
        "live_quality.served",
    ]
    assert found.count("svg", role="img") == 6
    assert found.count("polyline") == 6
    assert found.count("circle", class_="dot") == 2 * 6, "v1 and v3"
    assert found.count("circle", class_="mark first") == 6 + 1, "and the legend"
    assert found.count("circle", class_="mark") == 6 + 1


def test_marks_promotions_and_rollbacks(trained: Lab) -> None:
    found = page(trained, "churn_model", "v2", "v4")
    assert found.count("g", class_="promotion") == 2 * 6
    assert found.count("g", class_="rollback") == 6
    said = [text for text in found.texts["title"] if "rolled back" in text]
    assert len(said) == 6
    assert re.fullmatch(
        r"production rolled back from v4 to v2 on \d{4}-\d\d-\d\d by ana: auc fell below 0.7", said[0].strip()
    )
    assert "the first good one" in found.texts["td"]


def test_breaks_the_line_where_nothing_is_known(lab: Lab) -> None:
    for depth in (2, 3):
        train(lab, depth)
    train(lab, 4, select=["customers", "churn_model"])
    for depth in (5, 6):
        train(lab, depth)
    found = Page(compare("churn_model", "v1", "v3", store=lab.store(), evaluations=["evaluation"]).to_html())
    lines = [attributes["points"].count(",") for tag, attributes in found.elements if tag == "polyline"]
    assert lines == [5, 5, 2, 2, 2, 2]
    assert "-" in found.texts["td"]


def test_loads_nothing(trained: Lab) -> None:
    text = compare("churn_model", "v2", "v4", store=trained.store()).to_html()
    found = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & {tag for tag, _ in found.elements}
    named = {name for _, attributes in found.elements for name in attributes}
    assert not {"src", "href", "srcset", "xlink:href", "action"} & named
    assert not re.search(r"url\(|@import|https?://|//\w", text)
    assert found.count("meta", content="default-src 'none'; style-src 'unsafe-inline'") == 1


def test_takes_users_text_as_text(lab: Lab) -> None:
    for number in (1, 2):
        script = HOSTILE + str(number)

        @ml_asset
        def model(context: dg.AssetExecutionContext, config: dict[str, str]) -> dict[str, float]:
            context.add_output_metadata({f"{HOSTILE} of metadata": number})  # noqa: B023 -- runs before the next
            return {HOSTILE: 1.0 * number}  # noqa: B023 -- likewise

        lab.run(model, config={"model": {"note": script}}, tags={"user": HOSTILE})
    text = compare("model", "v1", "v2", store=lab.store()).to_html()
    assert "<script" not in text
    assert "<img" not in text
    found = Page(text)
    assert HOSTILE in found.texts["figcaption"]
    assert HOSTILE in found.texts["td"]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_is_accessible(trained: Lab) -> None:
    found = page(trained, "churn_model", "v2", "v4")
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = [attributes["aria-labelledby"] for tag, attributes in found.elements if attributes.get("role") == "img"]
    assert {each for label in labelled for each in str(label).split()} == set(ids)
    assert "evaluation.auc of 4 of 4 versions of churn_model, between 0.666667 and 0.857143." in found.texts["desc"][2]
    assert "Compared: v2 0.8, v4 0.857143." in found.texts["desc"][2]
    assert found.count("html", lang="en") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in found.elements if tag == "th")


def test_a_long_name_breaks_at_dots_and_underscores_only(lab: Lab) -> None:
    for value in (0.5, 0.75):

        @ml_asset
        def model() -> dict[str, float]:
            return {"mean_absolute<b>.per__hour": value, "x" * 70: value}  # noqa: B023 -- runs before the next

        lab.run(model)
    text = compare("model", "v1", "v2", store=lab.store()).to_html()
    assert '<span class="name">mean_<wbr>absolute&lt;b&gt;.<wbr>per__<wbr>hour</span>' in text
    assert f"{'x' * 32}<wbr>{'x' * 32}<wbr>{'x' * 6}<" in text, "or the numbers beside it would be out of sight"


def test_shows_code_line_by_line(trained: Lab) -> None:
    found = page(trained, "churn_model", "v1", "v4")
    assert "+    return x / 5" in found.texts["span"]
    assert "squash()" in found.texts["code"]
    assert found.count("span", class_="added") == 1
    assert found.count("span", class_="removed") == 1


def test_of_two_assets_plots_both(trained: Lab) -> None:
    found = page(trained, "churn_model@v1", "evaluation@v1")
    assert found.texts["h2"][:2] == ["churn_model: metrics over all versions", "evaluation: metrics over all versions"]
    assert found.texts["figcaption"].count("auc") == 1


def test_without_metrics(lab: Lab) -> None:
    for text in ("a", "b"):

        @ml_asset
        def words() -> str:
            return text  # noqa: B023 -- runs before the next

        lab.run(words)
    assert "No version of words has a metric." in page(lab, "words", "v1", "v2").texts["p"]


@pytest.mark.parametrize("values", [(1e308, -1e308), (5e-324, 0.0), (1e17, 1e17 + 16), (-3.0, -3.0), (0, 10**300)])
def test_of_any_number(lab: Lab, values: tuple[float, float]) -> None:
    for place, value in enumerate(values):

        @ml_asset
        def model() -> dict:
            return {"score": value, "place": place}  # noqa: B023 -- runs before the next

        lab.run(model)
    found = page(lab, "model", "v1", "v2")
    heights = [float(str(attributes["cy"])) for tag, attributes in found.elements if tag == "circle"]
    assert all(0 <= height <= 160 for height in heights)


def test_of_a_long_history_stays_small(lab: Lab) -> None:
    store = lab.store()
    for number in range(120):
        stored = store.write_value({"auc": number / 120})
        body = {"data_version": stored.content_hash, "metrics": {"auc": number / 120}}
        append_version(store, ["model"], None, stored, body)
    found = page(lab, "model", "v7", "v110")
    assert found.count("circle", class_="dot") == 0
    (line,) = [attributes["points"] for tag, attributes in found.elements if tag == "polyline"]
    assert str(line).count(",") == 120
    assert "v100" in found.texts["text"]


class TestFile:
    def test_is_replaced_as_a_whole(self, trained: Lab, tmp_path: Path) -> None:
        target = tmp_path / "page.html"
        target.write_text("an older page")
        assert compare("churn_model", "v1", "v2", store=trained.store()).write_html(target) == target
        assert target.read_text().startswith("<!doctype html>")
        assert list(tmp_path.glob("*page*")) == [target]

    def test_that_cannot_be_written_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tmp_path / "page.html"
        target.write_text("an older page")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(StoreError, match=r"page.html can't be written: No space left on device"):
            write_page("a page", target)
        assert target.read_text() == "an older page"

    def test_that_is_a_folder_or_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="it is a folder"):
            write_page("a page", tmp_path)
        with pytest.raises(StoreError, match="No such file or directory"):
            write_page("a page", tmp_path / "nowhere" / "page.html")
